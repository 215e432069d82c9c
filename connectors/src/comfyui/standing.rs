//! Where a prompt stands: the one question whose answer is the truth, whatever the WebSocket said or did
//! not say.
//!
//! The queue is read **first** and the history second. A prompt moves from running to history atomically,
//! so that this order always meets it in one of them; the other order can miss it in both.
//!
//! Where the server has the jobs API, it is asked first, and believed when it says that the prompt runs:
//! then the queue with everybody's graphs need not come. Everything else, above all that a prompt is over
//! or unknown, is decided by queue and history, which also tell a second run of one id from the first.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::client::Client;
use super::error::Error;
use super::output::OutputFile;
use super::queue::Queue;

/// Where a prompt stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It waits; `ahead` prompts run before it, the running one included.
    Pending {
        /// How many prompts run before it.
        ahead: usize,
    },
    /// It runs now.
    Running,
    /// It is over.
    Ended(Outcome),
    /// The server does not know it: never posted, removed while it waited, or lost in a restart. These
    /// cannot be told apart.
    Unknown,
}

/// How a prompt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It ran to the end. A run whose nodes were all cached names the files of the earlier run.
    Succeeded {
        /// The files it made.
        outputs: Vec<OutputFile>,
    },
    /// A node failed.
    Failed(Box<Failure>),
    /// Somebody interrupted it.
    Interrupted(Interruption),
}

/// A node's failure.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Failure {
    /// The node.
    pub node_id: Option<String>,
    /// Its class.
    pub node_type: Option<String>,
    /// Its title, if the author of the graph gave it one and the graph is at hand.
    pub title: Option<String>,
    /// The Python exception, such as `torch.OutOfMemoryError`.
    pub exception_type: String,
    /// What it said, without the newline at its end.
    pub message: String,
    /// The Python stack. It contains paths of the server.
    pub traceback: Vec<String>,
    /// The values that the node worked on, each a list, shortened by the server. The file that could not be
    /// read is in here and nowhere else.
    pub current_inputs: Map<String, Value>,
    /// The nodes that had run.
    pub executed: Vec<String>,
    /// Files that other nodes had made before.
    pub outputs: Vec<OutputFile>,
}

/// An interrupted prompt.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Interruption {
    /// The node that was running, or the next one if the interrupt came during a model load.
    pub node_id: Option<String>,
    /// Its class.
    pub node_type: Option<String>,
    /// Files that were made before.
    pub outputs: Vec<OutputFile>,
}

impl Client {
    /// Where a prompt stands now, by three quick requests at most.
    pub async fn standing(&self, prompt_id: Uuid) -> Result<Standing, Error> {
        if self.runs_by_job(prompt_id).await? {
            return Ok(Standing::Running);
        }
        let id = prompt_id.to_string();
        let queue = self.queue().await?;
        if let Some(standing) = in_queue(&id, &queue) {
            return Ok(standing);
        }
        let Some(entry) = self.history(prompt_id).await? else {
            // a restart is one reason for it, and another version may have been started
            self.jobs_api.forget();
            return Ok(Standing::Unknown);
        };
        Ok(Standing::Ended(outcome_of(&entry)))
    }

    /// The history entry of a prompt that is over; `None` if it is not over, or not known.
    pub async fn history(&self, prompt_id: Uuid) -> Result<Option<Value>, Error> {
        let id = prompt_id.to_string();
        let answer = self.get(&["history", &id]).answer().await?.success()?;
        let mut body = answer.json()?;
        let Some(entries) = body.as_object_mut() else {
            return Err(answer.unparseable("not a JSON object".to_owned()));
        };
        Ok(entries.remove(&id))
    }
}

/// The decision: where a prompt stands by a queue, and a history answer that was read after it.
pub fn standing_of(prompt_id: Uuid, queue: &Queue, history: &Value) -> Standing {
    let id = prompt_id.to_string();
    in_queue(&id, queue)
        .or_else(|| Some(Standing::Ended(outcome_of(history.get(&id)?))))
        .unwrap_or(Standing::Unknown)
}

fn in_queue(id: &str, queue: &Queue) -> Option<Standing> {
    if queue.runs(id) {
        return Some(Standing::Running);
    }
    queue.position(id).map(|ahead| Standing::Pending { ahead })
}

/// How a prompt ended, by its history entry. An interrupted one also says `error`; only its messages tell.
pub(super) fn outcome_of(entry: &Value) -> Outcome {
    let null = Value::Null;
    let status = entry.get("status").unwrap_or(&null);
    let graph = entry.get("prompt").and_then(|prompt| prompt.get(2));
    outcome(entry.get("outputs").unwrap_or(&null), status, graph)
}

pub(super) fn outcome(outputs: &Value, status: &Value, graph: Option<&Value>) -> Outcome {
    let outputs = OutputFile::list(outputs);
    let messages = status.get("messages");
    let message = |name: &str| {
        let messages = messages.and_then(Value::as_array).into_iter().flatten();
        messages
            .filter(|message| message.get(0).and_then(Value::as_str) == Some(name))
            .find_map(|m| m.get(1))
    };
    if let Some(data) = message("execution_interrupted") {
        return Outcome::Interrupted(Interruption::parse(data, outputs));
    }
    if let Some(data) = message("execution_error") {
        let mut failure = Failure::parse(data, outputs);
        let node = failure.node_id.as_deref().and_then(|id| graph?.get(id));
        failure.title = node.and_then(|node| text(node.get("_meta")?, "title"));
        return Outcome::Failed(Box::new(failure));
    }
    let failed = status.get("status_str").and_then(Value::as_str) == Some("error");
    if failed || (status.is_null() && outputs.is_empty()) {
        let message = "the server recorded a failure without saying which".to_owned();
        return Outcome::Failed(Box::new(Failure {
            message,
            outputs,
            ..Failure::default()
        }));
    }
    Outcome::Succeeded { outputs }
}

impl Failure {
    /// Reads the data of `execution_error`, from the history or from the WebSocket.
    pub(super) fn parse(data: &Value, outputs: Vec<OutputFile>) -> Self {
        Self {
            node_id: text(data, "node_id"),
            node_type: text(data, "node_type"),
            title: None,
            exception_type: text(data, "exception_type").unwrap_or_default(),
            message: text(data, "exception_message")
                .unwrap_or_default()
                .trim_end()
                .to_owned(),
            traceback: texts(data, "traceback"),
            current_inputs: data
                .get("current_inputs")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            executed: texts(data, "executed"),
            outputs,
        }
    }

    /// Whether the device ran out of memory.
    pub fn is_out_of_memory(&self) -> bool {
        self.exception_type.ends_with("OutOfMemoryError")
            || self.message.contains("out of memory")
            || self.message.starts_with("Allocation on device")
    }

    /// Whether the node could not read its model file, and the file's name: a truncated or foreign file.
    pub fn unreadable_model(&self) -> Option<&str> {
        let loads = self
            .node_type
            .as_deref()
            .is_some_and(|class| class.contains("Loader"));
        let unreadable = [
            "SafetensorError",
            "UnpicklingError",
            "PytorchStreamReader",
            "header too large",
        ];
        let says = |mark: &str| self.exception_type.contains(mark) || self.message.contains(mark);
        if !loads || !unreadable.into_iter().any(says) {
            return None;
        }
        let mut named = self
            .current_inputs
            .iter()
            .filter(|(name, _)| name.ends_with("_name"));
        named.find_map(|(_, values)| values.get(0)?.as_str())
    }
}

impl Interruption {
    pub(super) fn parse(data: &Value, outputs: Vec<OutputFile>) -> Self {
        Self {
            node_id: text(data, "node_id"),
            node_type: text(data, "node_type"),
            outputs,
        }
    }
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

pub(super) fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|item| Some(item.as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_queue_wins_over_the_history_of_an_earlier_run() {
        let id = Uuid::from_u128(7);
        let item = json!([0, id.to_string(), {}, {}, ["9"]]);
        let history = json!({ id.to_string(): {"outputs": {}, "status": {"status_str": "success"}} });
        let queue = Queue::parse(&json!({"queue_running": [item], "queue_pending": []})).unwrap();
        assert_eq!(standing_of(id, &queue, &history), Standing::Running);
        let other = json!([1, "other", {}, {}, []]);
        let queue = Queue::parse(&json!({"queue_running": [other], "queue_pending": [item]})).unwrap();
        assert_eq!(standing_of(id, &queue, &history), Standing::Pending { ahead: 1 });
        let ended = standing_of(id, &Queue::default(), &history);
        assert_eq!(ended, Standing::Ended(Outcome::Succeeded { outputs: Vec::new() }));
        assert_eq!(standing_of(id, &Queue::default(), &json!({})), Standing::Unknown);
    }

    #[test]
    fn an_error_without_its_message_is_still_a_failure() {
        let entry = json!({"outputs": {}, "status": {"status_str": "error", "messages": []}});
        assert!(matches!(outcome_of(&entry), Outcome::Failed(_)));
        assert!(matches!(outcome_of(&json!({"outputs": {}})), Outcome::Failed(_)));
    }

    #[test]
    fn memory_trouble_is_recognised() {
        let failure = |kind: &str, message: &str| Failure {
            exception_type: kind.to_owned(),
            message: message.to_owned(),
            ..Failure::default()
        };
        assert!(failure("torch.OutOfMemoryError", "Allocation on device 0").is_out_of_memory());
        assert!(failure("RuntimeError", "CUDA error: out of memory").is_out_of_memory());
        assert!(!failure("ValueError", "no").is_out_of_memory());
    }
}
