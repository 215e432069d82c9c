//! What a node of a graph is for, guessed from the name of its class. Pure.

use serde_json::Value;

/// What a class of nodes is for, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Loader,
    Sampler,
    Decoder,
    Saver,
    Other,
}

impl Role {
    pub(super) fn of(class: &str) -> Self {
        // `KSamplerSelect`, `SamplerEulerAncestral` and the like only choose; those that sample are these
        let samples = class.starts_with("KSampler")
            || class.starts_with("SamplerCustom")
            || class.ends_with("KSampler");
        if samples && !class.contains("Select") {
            Self::Sampler
        } else if class.contains("Loader") && !class.contains("Image") || class == "ImageOnlyCheckpointLoader"
        {
            Self::Loader
        } else if class.contains("VAEDecode") {
            Self::Decoder
        } else if class.starts_with("Save") || class.starts_with("Preview") || class.ends_with("VideoCombine")
        {
            Self::Saver
        } else {
            Self::Other
        }
    }
}

/// The steps of a sampler: its own input, or that of the scheduler that its `sigmas` come from.
pub(super) fn steps_of(node: &Value, graph: &Value) -> Option<u64> {
    let inputs = node.get("inputs")?;
    let own = inputs.get("steps").and_then(Value::as_u64);
    own.or_else(|| {
        let scheduler = graph.get(inputs.get("sigmas")?.get(0)?.as_str()?)?;
        scheduler.get("inputs")?.get("steps")?.as_u64()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_found_behind_the_sigmas() {
        let graph = json!({
            "1": {"class_type": "SamplerCustomAdvanced", "inputs": {"sigmas": ["2", 0]}},
            "2": {"class_type": "BasicScheduler", "inputs": {"steps": 28}},
        });
        assert_eq!(steps_of(&graph["1"], &graph), Some(28));
    }

    #[test]
    fn roles_are_told_by_the_class() {
        for (class, role) in [
            ("KSamplerAdvanced", Role::Sampler),
            ("KSamplerSelect", Role::Other),
            ("SamplerEulerAncestral", Role::Other),
            ("UNETLoader", Role::Loader),
            ("ImageOnlyCheckpointLoader", Role::Loader),
            ("LoadImage", Role::Other),
            ("VAEDecodeTiled", Role::Decoder),
            ("SaveAnimatedWEBP", Role::Saver),
            ("VHS_VideoCombine", Role::Saver),
        ] {
            assert_eq!(Role::of(class), role, "{class}");
        }
    }
}
