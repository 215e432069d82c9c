//! What comes over the WebSocket, typed. Pure: text in, [`Event`] out; binary messages are in `frame`.
//!
//! Parsing never fails: custom nodes send messages of their own, and one bad message must not end the
//! conversation.

use serde_json::Value;

use super::error::excerpt;
use super::frame::Preview;
use super::output::OutputFile;
use super::standing::{Failure, Interruption, texts};

/// One message of the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The queue changed; also the first message of every connection, with `sid`.
    Status {
        /// Prompts that run or wait, everybody's.
        queue_remaining: Option<u64>,
        /// The client id that the server has registered; on the first message only.
        sid: Option<String>,
    },
    /// The server's answer to our feature flags.
    FeatureFlags(Value),
    /// A prompt begins to run.
    ExecutionStart {
        /// The prompt.
        prompt_id: String,
    },
    /// These nodes will not run, their results are kept from before.
    ExecutionCached {
        /// The prompt.
        prompt_id: String,
        /// The nodes.
        nodes: Vec<String>,
    },
    /// A node begins to run; or, without a node, the prompt is over and its history entry is there.
    Executing {
        /// The prompt; left out in the message that follows a reconnect.
        prompt_id: Option<String>,
        /// The node, `None` at the end.
        node: Option<String>,
        /// The node of the graph that it belongs to, if it was made while running.
        display_node: Option<String>,
    },
    /// A node has come so far, in units of its own (steps, tiles).
    Progress {
        /// The prompt.
        prompt_id: Option<String>,
        /// The node.
        node: Option<String>,
        /// Units done.
        value: f64,
        /// Units in all.
        max: f64,
    },
    /// How far every node is that has begun.
    ProgressState {
        /// The prompt.
        prompt_id: String,
        /// The nodes that have begun.
        nodes: Vec<NodeProgress>,
    },
    /// A node has results to show.
    Executed {
        /// The prompt.
        prompt_id: Option<String>,
        /// The node.
        node: String,
        /// Its files.
        files: Vec<OutputFile>,
        /// All that it shows.
        output: Value,
    },
    /// The prompt ran to the end. Its history entry may still be missing at this moment.
    ExecutionSuccess {
        /// The prompt.
        prompt_id: String,
    },
    /// A node failed, and the prompt with it.
    ExecutionError {
        /// The prompt.
        prompt_id: String,
        /// What happened.
        failure: Box<Failure>,
    },
    /// The prompt was interrupted.
    ExecutionInterrupted {
        /// The prompt.
        prompt_id: String,
        /// Where.
        interruption: Interruption,
    },
    /// A picture of the unfinished result.
    Preview(Preview),
    /// Text that a node shows while running.
    Text {
        /// The node.
        node_id: String,
        /// The text.
        text: String,
    },
    /// A message of a kind that is none of ours, of a custom node as a rule.
    Other {
        /// Its `type`.
        kind: String,
        /// Its `data`.
        data: Value,
    },
    /// A message that the protocol does not allow.
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}

/// How far a node is.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeProgress {
    /// The node.
    pub node_id: String,
    /// The node of the graph that it belongs to, if it was made while running.
    pub display_node_id: Option<String>,
    /// Units done.
    pub value: f64,
    /// Units in all.
    pub max: f64,
    /// Whether it runs or is done.
    pub state: NodeState,
}

/// A started node's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It runs.
    Running,
    /// It is done.
    Finished,
    /// Anything else: pending, failed.
    Other,
}

impl Event {
    /// The prompt that the message is about, if it says so. Messages about other people's prompts do come.
    pub fn prompt_id(&self) -> Option<&str> {
        match self {
            Self::ExecutionStart { prompt_id }
            | Self::ExecutionCached { prompt_id, .. }
            | Self::ProgressState { prompt_id, .. }
            | Self::ExecutionSuccess { prompt_id }
            | Self::ExecutionError { prompt_id, .. }
            | Self::ExecutionInterrupted { prompt_id, .. } => Some(prompt_id),
            Self::Executing { prompt_id, .. }
            | Self::Progress { prompt_id, .. }
            | Self::Executed { prompt_id, .. }
            | Self::Preview(Preview { prompt_id, .. }) => prompt_id.as_deref(),
            Self::Status { .. }
            | Self::FeatureFlags(_)
            | Self::Text { .. }
            | Self::Other { .. }
            | Self::Unreadable { .. } => None,
        }
    }

    /// Reads a text message.
    pub fn from_text(message: &str) -> Self {
        let Ok(message_value) = serde_json::from_str::<Value>(message) else {
            return Self::Unreadable {
                reason: format!("not JSON: {}", excerpt(message.as_bytes())),
            };
        };
        let Some(kind) = message_value.get("type").and_then(Value::as_str) else {
            return Self::Unreadable {
                reason: format!("no type: {}", excerpt(message.as_bytes())),
            };
        };
        let null = Value::Null;
        let data = message_value.get("data").unwrap_or(&null);
        Self::known(kind, data).unwrap_or_else(|| Self::Other {
            kind: kind.to_owned(),
            data: data.clone(),
        })
    }

    fn known(kind: &str, data: &Value) -> Option<Self> {
        let prompt_id = text(data, "prompt_id");
        Some(match kind {
            "status" => Self::Status {
                queue_remaining: data
                    .pointer("/status/exec_info/queue_remaining")
                    .and_then(Value::as_u64),
                sid: text(data, "sid"),
            },
            "feature_flags" => Self::FeatureFlags(data.clone()),
            "execution_start" => Self::ExecutionStart {
                prompt_id: prompt_id?,
            },
            "execution_cached" => Self::ExecutionCached {
                prompt_id: prompt_id?,
                nodes: texts(data, "nodes"),
            },
            "executing" => Self::Executing {
                prompt_id,
                node: text(data, "node"),
                display_node: text(data, "display_node"),
            },
            "progress" => Self::Progress {
                prompt_id,
                node: text(data, "node"),
                value: data.get("value")?.as_f64()?,
                max: data.get("max")?.as_f64()?,
            },
            "progress_state" => Self::ProgressState {
                prompt_id: prompt_id?,
                nodes: data
                    .get("nodes")?
                    .as_object()?
                    .iter()
                    .map(|(id, node)| NodeProgress::parse(id, node))
                    .collect(),
            },
            "executed" => {
                let node = text(data, "node")?;
                let output = data.get("output").cloned().unwrap_or_default();
                Self::Executed {
                    prompt_id,
                    files: OutputFile::of_node(&node, &output),
                    node,
                    output,
                }
            }
            "execution_success" => Self::ExecutionSuccess {
                prompt_id: prompt_id?,
            },
            "execution_error" => Self::ExecutionError {
                prompt_id: prompt_id?,
                failure: Box::new(Failure::parse(data, Vec::new())),
            },
            "execution_interrupted" => Self::ExecutionInterrupted {
                prompt_id: prompt_id?,
                interruption: Interruption::parse(data, Vec::new()),
            },
            _ => return None,
        })
    }
}

impl NodeProgress {
    fn parse(id: &str, node: &Value) -> Self {
        let number = |key: &str| node.get(key).and_then(Value::as_f64);
        Self {
            node_id: id.to_owned(),
            display_node_id: text(node, "display_node_id"),
            value: number("value").unwrap_or_default(),
            max: number("max").unwrap_or(1.0),
            state: match node.get("state").and_then(Value::as_str) {
                Some("running") => NodeState::Running,
                Some("finished") => NodeState::Finished,
                _ => NodeState::Other,
            },
        }
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_messages_are_told_and_never_panic() {
        for message in ["", "[]", "{}", "{\"type\":1}", "nonsense"] {
            assert!(
                matches!(Event::from_text(message), Event::Unreadable { .. }),
                "{message}"
            );
        }
    }

    #[test]
    fn kinds_of_others_are_kept() {
        let event = Event::from_text(r#"{"type":"crystools.monitor","data":{"cpu":3}}"#);
        assert!(
            matches!(event, Event::Other { kind, data } if kind == "crystools.monitor" && data["cpu"] == 3)
        );
        let crippled = Event::from_text(r#"{"type":"execution_start","data":{}}"#);
        assert!(matches!(crippled, Event::Other { .. }));
    }

    #[test]
    fn the_first_message_after_a_reconnect_has_no_prompt() {
        let event = Event::from_text(r#"{"type":"executing","data":{"node":"3"}}"#);
        let expected = Event::Executing {
            prompt_id: None,
            node: Some("3".to_owned()),
            display_node: None,
        };
        assert_eq!(event, expected);
    }
}
