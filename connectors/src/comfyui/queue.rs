//! What runs and what waits on the server: `GET /queue`.

use serde_json::Value;

use super::client::Client;
use super::error::Error;

/// The server's queue.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queue {
    /// What runs now: one prompt or none.
    pub running: Vec<Queued>,
    /// What waits, in the order in which it will run.
    pub pending: Vec<Queued>,
}

/// One prompt in the queue, whoever posted it.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    /// The number that the queue is sorted by.
    pub number: f64,
    /// The prompt's id; any text on older servers.
    pub prompt_id: String,
    /// The graph.
    pub graph: Value,
    /// What was posted with it.
    pub extra_data: Value,
    /// The ids of the output nodes that will run.
    pub outputs: Vec<String>,
}

impl Client {
    /// The prompts that run and wait. The answer carries every graph whole.
    pub async fn queue(&self) -> Result<Queue, Error> {
        let answer = self.get(&["queue"]).answer().await?.success()?;
        Queue::parse(&answer.json()?)
            .ok_or_else(|| answer.unparseable("there are no `queue_running` and `queue_pending`".to_owned()))
    }
}

impl Queue {
    /// Reads the answer of `/queue`; `None` if it is not one.
    pub fn parse(value: &Value) -> Option<Self> {
        let list = |key: &str| {
            let items = value.get(key)?.as_array()?;
            items.iter().map(Queued::parse).collect::<Option<Vec<_>>>()
        };
        let (running, mut pending) = (list("queue_running")?, list("queue_pending")?);
        // the server sends its heap, whose order means nothing beyond the first
        pending.sort_by(|a, b| {
            a.number
                .total_cmp(&b.number)
                .then_with(|| a.prompt_id.cmp(&b.prompt_id))
        });
        Some(Self { running, pending })
    }

    /// Whether this prompt runs now.
    pub fn runs(&self, prompt_id: &str) -> bool {
        self.running.iter().any(|queued| queued.prompt_id == prompt_id)
    }

    /// How many prompts run before this one, the running one included; `None` if it does not wait.
    pub fn position(&self, prompt_id: &str) -> Option<usize> {
        let place = self
            .pending
            .iter()
            .position(|queued| queued.prompt_id == prompt_id)?;
        Some(self.running.len() + place)
    }
}

impl Queued {
    /// An item is `[number, id, graph, extra_data, [outputs]]`; newer servers may append to it.
    fn parse(item: &Value) -> Option<Self> {
        let outputs = item.get(4).and_then(Value::as_array);
        Some(Self {
            number: item.get(0)?.as_f64()?,
            prompt_id: item.get(1)?.as_str()?.to_owned(),
            graph: item.get(2).cloned().unwrap_or_default(),
            extra_data: item.get(3).cloned().unwrap_or_default(),
            outputs: outputs
                .into_iter()
                .flatten()
                .filter_map(|id| Some(id.as_str()?.to_owned()))
                .collect(),
        })
    }

    /// The client that it was posted for.
    pub fn client_id(&self) -> Option<&str> {
        self.extra_data.get("client_id")?.as_str()
    }
}
