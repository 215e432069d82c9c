//! A prompt goes in: `POST /prompt`.

use reqwest::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::client::Client;
use super::error::Error;
use super::rejection::{NodeFault, Rejection};

/// A prompt to run.
#[derive(Debug, Clone)]
pub struct Submission<'a> {
    /// The graph in ComfyUI's API format: node id → `{class_type, inputs}`.
    pub graph: &'a Value,
    /// The id that the prompt shall have. Not an idempotency key: the server does not look for duplicates.
    pub prompt_id: Uuid,
    /// Whose WebSocket hears about it, see [`Client::connect_events`].
    pub client_id: &'a str,
    /// Kept verbatim with the prompt. `extra_pnginfo` goes into the pictures, `preview_method` chooses the
    /// previews of this prompt.
    pub extra_data: Option<Map<String, Value>>,
}

/// A prompt that the server has queued.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// The id to ask for from here on. Servers before v0.3.45 choose it themselves.
    pub prompt_id: Uuid,
    /// The server's running number, by which the queue is sorted.
    pub number: f64,
    /// Outputs of the graph that failed validation and will silently not run, while others do.
    pub dropped: Vec<NodeFault>,
}

impl Client {
    /// Queues a prompt. On an error that [may have arrived](Error::may_have_arrived), look it up with
    /// [`Client::standing`] before posting again: posting twice runs twice.
    pub async fn submit(&self, submission: &Submission<'_>) -> Result<Accepted, Error> {
        let answer = self.post(&["prompt"], &submission.body()).answer().await?;
        if answer.status == StatusCode::BAD_REQUEST {
            let rejection = answer
                .json()
                .ok()
                .and_then(|body| Rejection::parse(&body, submission.graph));
            return Err(rejection.map_or_else(
                || answer.unexpected(),
                |rejection| Error::Rejected(Box::new(rejection)),
            ));
        }
        let answer = answer.success()?;
        let body = answer.json()?;
        Accepted::parse(&body, submission.graph)
            .ok_or_else(|| answer.unparseable("there is no usable `prompt_id` in it".to_owned()))
    }
}

impl Submission<'_> {
    /// Never `number` (two prompts of one id and number kill the server's worker thread) and never a null
    /// `prompt_id` (older servers turn it into the id "None").
    fn body(&self) -> Value {
        let mut body = json!({
            "prompt": self.graph,
            "prompt_id": self.prompt_id.to_string(),
            "client_id": self.client_id,
        });
        if let Some(extra_data) = &self.extra_data {
            body["extra_data"] = Value::Object(extra_data.clone());
        }
        body
    }
}

impl Accepted {
    /// Reads the success answer of `POST /prompt`; `None` if it names no prompt.
    pub fn parse(body: &Value, graph: &Value) -> Option<Self> {
        Some(Self {
            prompt_id: Uuid::try_parse(body.get("prompt_id")?.as_str()?).ok()?,
            number: body.get("number").and_then(Value::as_f64).unwrap_or_default(),
            dropped: NodeFault::list(body.get("node_errors"), graph),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_names_its_client_and_never_its_number() {
        let submission = Submission {
            graph: &json!({}),
            prompt_id: Uuid::from_u128(7),
            client_id: "me",
            extra_data: None,
        };
        let body = submission.body();
        let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["client_id", "prompt", "prompt_id"]);
        assert_eq!(body["prompt_id"], "00000000-0000-0000-0000-000000000007");
    }
}
