//! How long runs take on this worker, by model, size and steps: what a later one may be expected to take.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

/// Runs that are remembered.
const MEMORY: usize = 256;
/// Of these, so many of the newest count.
const NEWEST: usize = 5;

/// What a run has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Load {
    /// The checkpoint, or empty.
    model: String,
    /// Pixels of all pictures together.
    pixels: u64,
    /// Sampling steps of all samplers together.
    steps: u64,
    /// The model has to be loaded first.
    cold: bool,
}

/// What runs took.
#[derive(Debug, Default)]
pub(super) struct Paces {
    runs: Mutex<VecDeque<(Load, Duration)>>,
}

impl Load {
    /// What a graph has to do; `loaded` is the checkpoint in memory.
    pub(super) fn of(graph: &Value, loaded: Option<&str>) -> Self {
        let nodes = || graph.as_object().into_iter().flat_map(|nodes| nodes.values());
        let class = |node: &Value| {
            node.get("class_type")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let number = |node: &Value, input: &str| {
            let value = node.get("inputs").and_then(|inputs| inputs.get(input));
            value.and_then(Value::as_u64)
        };
        let model = nodes()
            .find_map(|node| node.pointer("/inputs/ckpt_name")?.as_str().map(str::to_owned))
            .unwrap_or_default();
        let sizes = nodes().filter_map(|node| {
            let count = number(node, "batch_size").or_else(|| number(node, "video_frames"));
            let size = number(node, "width")?.saturating_mul(number(node, "height")?);
            Some(size.saturating_mul(count.unwrap_or(1)))
        });
        let steps = nodes()
            .filter(|node| class(node).contains("Sampler") || class(node).contains("Scheduler"))
            .filter_map(|node| number(node, "steps"));
        Self {
            pixels: sizes.max().unwrap_or_default(),
            steps: steps.fold(0, u64::saturating_add),
            cold: loaded != Some(model.as_str()),
            model,
        }
    }

    fn effort(&self) -> f64 {
        self.pixels.max(1) as f64 * self.steps.max(1) as f64
    }
}

impl Paces {
    /// A run with this load took so long, from its start to its end.
    pub(super) fn note(&self, load: Load, took: Duration) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.push_front((load, took));
        runs.truncate(MEMORY);
    }

    /// How long a run with this load may be expected to take: what the same one took lately, else what one
    /// of the same model took, in proportion; `None` where nothing like it was seen.
    pub(super) fn expect(&self, load: &Load) -> Option<Duration> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut same: Vec<Duration> = runs
            .iter()
            .filter(|(other, _)| other == load)
            .map(|(_, took)| *took)
            .take(NEWEST)
            .collect();
        if same.is_empty() {
            let (like, took) = runs
                .iter()
                .find(|(other, _)| other.model == load.model && other.cold == load.cold)?;
            return Some(took.mul_f64((load.effort() / like.effort()).clamp(0.01, 100.0)));
        }
        same.sort_unstable();
        same.get(same.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn load(width: u64, steps: u64, loaded: Option<&str>) -> Load {
        let graph = json!({
            "3": {"class_type": "KSampler", "inputs": {"steps": steps}},
            "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "m"}},
            "5": {"class_type": "EmptyLatentImage", "inputs": {"width": width, "height": 10, "batch_size": 2}},
        });
        Load::of(&graph, loaded)
    }

    #[test]
    fn a_run_is_expected_to_take_what_its_like_took() {
        let paces = Paces::default();
        let warm = |width, steps| load(width, steps, Some("m"));
        assert_eq!(paces.expect(&warm(10, 10)), None);
        for seconds in [9, 2, 3, 2, 90, 2, 3] {
            paces.note(warm(10, 10), Duration::from_secs(seconds));
        }
        assert_eq!(
            paces.expect(&warm(10, 10)),
            Some(Duration::from_secs(3)),
            "the middle of the newest five"
        );
        assert_eq!(
            paces.expect(&warm(20, 30)),
            Some(Duration::from_secs(18)),
            "six times the effort"
        );
        assert_eq!(
            paces.expect(&load(10, 10, None)),
            None,
            "nothing is known of loading it"
        );
        assert_eq!(warm(10, 10).pixels, 200);
    }

    #[test]
    fn what_is_no_graph_has_no_load() {
        for graph in [
            json!(null),
            json!([1]),
            json!({"1": 2, "2": {"inputs": {"width": "x"}}}),
        ] {
            let load = Load::of(&graph, None);
            assert_eq!((load.pixels, load.steps), (0, 0));
        }
    }
}
