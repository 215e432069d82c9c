//! How far a whole graph is, from events that only tell about single nodes. Pure: a graph and events in, a
//! [`Snapshot`] out.
//!
//! Each node has a weight in units of one sampling step, guessed from its class; what was cached counts as
//! done. The fraction never goes back, though nodes do (a tiled upscaler counts to its end many times).

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use uuid::Uuid;

use super::event::{Event, NodeProgress, NodeState};
use super::node_role::{Role, steps_of};

/// Follows one prompt.
#[derive(Debug, Clone)]
pub struct GraphProgress {
    prompt_id: String,
    nodes: HashMap<String, Node>,
    fraction: f64,
    current: Option<String>,
    started: bool,
    ended: bool,
}

#[derive(Debug, Clone)]
struct Node {
    class: String,
    role: Role,
    weight: f64,
    steps: u32,
    /// 0 to 1.
    done: f64,
}

/// Where the prompt is at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// How much of the whole graph is done, 0 to 1; 1 only after success.
    pub fraction: f64,
    /// The node that runs.
    pub node_id: Option<String>,
    /// Its class.
    pub node_class: Option<String>,
    /// What it is doing.
    pub phase: Phase,
}

/// What the server is doing with the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The prompt has not begun to run.
    Waiting,
    /// A model is being read.
    LoadingModel,
    /// A sampler is at work.
    Sampling {
        /// Steps done.
        step: u32,
        /// Steps in all.
        steps: u32,
    },
    /// Latents are being turned into pixels.
    Decoding,
    /// Files are being written.
    Saving,
    /// Something else runs: text encoding, scaling, …
    Working,
    /// It is over; how, says [`standing`](super::Client::standing).
    Ended,
}

impl GraphProgress {
    /// Before the prompt's first event.
    pub fn new(prompt_id: Uuid, graph: &Value) -> Self {
        let nodes = graph.as_object().into_iter().flatten();
        let nodes = nodes
            .map(|(id, node)| (id.clone(), Node::of(node, graph)))
            .collect();
        Self {
            prompt_id: prompt_id.to_string(),
            nodes,
            fraction: 0.0,
            current: None,
            started: false,
            ended: false,
        }
    }

    /// Whether an event is about this prompt. One that names no prompt (a plain preview, the first message
    /// after a reconnect) is, while this one runs: one client's prompts run one at a time.
    pub fn concerns(&self, event: &Event) -> bool {
        if let Some(prompt_id) = event.prompt_id() {
            return prompt_id == self.prompt_id;
        }
        let anonymous = matches!(
            event,
            Event::Executing { .. } | Event::Progress { .. } | Event::Preview(_) | Event::Text { .. }
        );
        anonymous && self.started && !self.ended
    }

    /// Takes an event in; whether the snapshot is another one now.
    pub fn apply(&mut self, event: &Event) -> bool {
        if !self.concerns(event) {
            return false;
        }
        let before = self.snapshot();
        match event {
            Event::ExecutionStart { .. } => self.begin(),
            Event::ExecutionCached { nodes, .. } => {
                self.begin();
                for id in nodes {
                    self.finish(id);
                }
            }
            Event::Executing { node: None, .. } => self.end(),
            Event::Executing {
                node: Some(node),
                display_node,
                ..
            } => {
                self.started = true;
                self.enter(display_node.as_ref().unwrap_or(node));
            }
            Event::Progress {
                node: Some(node),
                value,
                max,
                ..
            } => self.advance(node, *value, *max),
            Event::ProgressState { nodes, .. } => self.take_over(nodes),
            Event::Executed { node, .. } => self.finish(node),
            Event::ExecutionSuccess { .. } => {
                self.fraction = 1.0;
                self.current = None;
            }
            Event::ExecutionError { .. } | Event::ExecutionInterrupted { .. } => self.current = None,
            Event::Progress { node: None, .. }
            | Event::Preview(_)
            | Event::Text { .. }
            | Event::Status { .. }
            | Event::FeatureFlags(_)
            | Event::Other { .. }
            | Event::Unreadable { .. } => {}
        }
        self.sum_up();
        self.snapshot() != before
    }

    /// Whether the server has said that the prompt is over, and its history entry is there.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Where the prompt is now.
    pub fn snapshot(&self) -> Snapshot {
        let node = self.current.as_ref().and_then(|id| self.nodes.get(id));
        Snapshot {
            fraction: self.fraction,
            node_id: self.current.clone(),
            node_class: node.map(|node| node.class.clone()),
            phase: match node {
                _ if self.ended => Phase::Ended,
                _ if !self.started => Phase::Waiting,
                Some(node) => node.phase(),
                None => Phase::Working,
            },
        }
    }

    fn begin(&mut self) {
        self.started = true;
        self.ended = false;
    }

    fn end(&mut self) {
        self.started = true;
        self.ended = true;
        self.current = None;
    }

    fn enter(&mut self, id: &str) {
        if self.nodes.contains_key(id) {
            self.current = Some(id.to_owned());
        }
    }

    fn finish(&mut self, id: &str) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.done = 1.0;
        }
    }

    fn advance(&mut self, id: &str, value: f64, max: f64) {
        let Some(node) = self.nodes.get_mut(id) else {
            return;
        };
        self.started = true;
        // `max` is the number of steps that are really taken, and better than our guess
        if node.role == Role::Sampler && max >= 1.0 {
            node.steps = max as u32;
        }
        node.done = if max > 0.0 {
            (value / max).clamp(0.0, 1.0)
        } else {
            0.0
        };
        self.current = Some(id.to_owned());
    }

    fn take_over(&mut self, nodes: &[NodeProgress]) {
        self.started = true;
        let known: HashSet<&str> = nodes.iter().map(|node| node.node_id.as_str()).collect();
        for progress in nodes {
            match progress.state {
                NodeState::Finished => self.finish(&progress.node_id),
                // a node that has just begun says 0 of 1, which tells nothing about its steps
                NodeState::Running if progress.max > 1.0 => {
                    self.advance(&progress.node_id, progress.value, progress.max);
                }
                NodeState::Running => self.enter(&progress.node_id),
                NodeState::Other => {}
            }
            // a node that was made while running stands for one of the graph, unless that reports itself
            if let Some(display) = &progress.display_node_id
                && progress.state == NodeState::Running
                && !known.contains(display.as_str())
            {
                self.enter(display);
            }
        }
    }

    fn sum_up(&mut self) {
        // in order, because sums of floats depend on it, and the same events shall give the same number
        let mut weights: Vec<(f64, f64)> = self.nodes.values().map(|node| (node.weight, node.done)).collect();
        weights.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        let total: f64 = weights.iter().map(|(weight, _)| weight).sum();
        let done: f64 = weights.iter().map(|(weight, done)| weight * done).sum();
        // the whole is only reached by the server saying so
        let fraction = if total > 0.0 {
            (done / total).min(0.99)
        } else {
            0.0
        };
        self.fraction = self.fraction.max(fraction);
    }
}

impl Node {
    fn of(node: &Value, graph: &Value) -> Self {
        let class = node
            .get("class_type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let role = Role::of(&class);
        let steps = steps_of(node, graph).unwrap_or(20).clamp(1, 10_000) as u32;
        let weight = match role {
            Role::Sampler => f64::from(steps),
            Role::Loader if class.contains("Lora") => 1.0,
            Role::Loader => 4.0,
            Role::Decoder => 2.0,
            Role::Saver | Role::Other => 0.5,
        };
        Self {
            class,
            role,
            weight,
            steps,
            done: 0.0,
        }
    }

    fn phase(&self) -> Phase {
        match self.role {
            Role::Loader => Phase::LoadingModel,
            Role::Sampler => {
                let step = (self.done * f64::from(self.steps)).round() as u32;
                Phase::Sampling {
                    step,
                    steps: self.steps,
                }
            }
            Role::Decoder => Phase::Decoding,
            Role::Saver => Phase::Saving,
            Role::Other => Phase::Working,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PROMPT: Uuid = Uuid::from_u128(1);

    fn event(kind: &str, data: &Value) -> Event {
        Event::from_text(&json!({"type": kind, "data": data}).to_string())
    }

    fn tracker() -> GraphProgress {
        let graph = json!({
            "3": {"class_type": "KSampler", "inputs": {"steps": 4}},
            "4": {"class_type": "CheckpointLoaderSimple", "inputs": {}},
            "9": {"class_type": "SaveImage", "inputs": {}},
        });
        GraphProgress::new(PROMPT, &graph)
    }

    #[test]
    fn other_peoples_events_change_nothing() {
        let mut tracker = tracker();
        assert!(!tracker.apply(&event("execution_start", &json!({"prompt_id": "x"}))));
        assert!(
            !tracker.apply(&event("executing", &json!({"node": "3"}))),
            "before it runs, it may be another's"
        );
        assert_eq!(tracker.snapshot().phase, Phase::Waiting);
    }

    #[test]
    fn the_fraction_does_not_go_back() {
        let mut tracker = tracker();
        let id = PROMPT.to_string();
        assert!(tracker.apply(&event("execution_start", &json!({"prompt_id": id}))));
        for (value, expected) in [(1, 1), (4, 4), (2, 2)] {
            let before = tracker.snapshot().fraction;
            tracker.apply(&event(
                "progress",
                &json!({"prompt_id": id, "node": "3", "value": value, "max": 4}),
            ));
            assert_eq!(
                tracker.snapshot().phase,
                Phase::Sampling {
                    step: expected,
                    steps: 4
                }
            );
            assert!(tracker.snapshot().fraction >= before);
        }
        tracker.apply(&event(
            "progress",
            &json!({"prompt_id": id, "node": "3", "value": 1, "max": 0}),
        ));
        assert!(tracker.snapshot().fraction < 1.0);
    }
}
