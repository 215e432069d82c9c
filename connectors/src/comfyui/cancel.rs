//! Cancels one prompt and nobody else's.

use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::client::Client;
use super::error::Error;
use super::job::names_no_job;
use super::standing::{Outcome, Standing};

/// What came of a cancellation.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancellation {
    /// It waited and was taken out; the server has forgotten it.
    Removed,
    /// It runs and was told to stop. It stops at the end of the current step, or of the model load: keep
    /// asking [`Client::standing`] until it is over.
    Interrupting,
    /// It is over: it was before, or the interrupt took effect at once.
    Ended(Outcome),
    /// The server does not know it.
    Unknown,
}

impl Client {
    /// Cancels a prompt, whether it waits or runs. Doing so again is harmless.
    ///
    /// A server before v0.3.57 takes every interrupt for the running prompt, whichever it is; that is why
    /// one is sent only while ours was seen running.
    pub async fn cancel(&self, prompt_id: Uuid) -> Result<Cancellation, Error> {
        // it can begin to run between being looked for in one place and in the other
        const TRIES: usize = 3;
        let mut was_pending = false;
        for _ in 0..TRIES {
            match self.standing(prompt_id).await? {
                Standing::Unknown if was_pending => return Ok(Cancellation::Removed),
                Standing::Unknown => return Ok(Cancellation::Unknown),
                Standing::Ended(outcome) => return Ok(Cancellation::Ended(outcome)),
                Standing::Pending { .. } => {
                    was_pending = true;
                    if !self.cancel_job(prompt_id).await? {
                        self.remove_pending(prompt_id).await?;
                    }
                }
                Standing::Running => {
                    if !self.cancel_job(prompt_id).await? {
                        self.interrupt(prompt_id).await?;
                    }
                    return Ok(match self.standing(prompt_id).await? {
                        Standing::Ended(outcome) => Cancellation::Ended(outcome),
                        Standing::Running | Standing::Pending { .. } => Cancellation::Interrupting,
                        Standing::Unknown => Cancellation::Unknown,
                    });
                }
            }
        }
        Ok(match self.standing(prompt_id).await? {
            Standing::Ended(outcome) => Cancellation::Ended(outcome),
            Standing::Unknown => Cancellation::Removed,
            Standing::Running | Standing::Pending { .. } => Cancellation::Interrupting,
        })
    }

    /// Takes a waiting prompt out of the queue; does nothing to a running or an unknown one.
    pub async fn remove_pending(&self, prompt_id: Uuid) -> Result<(), Error> {
        self.post(&["queue"], &json!({ "delete": [prompt_id.to_string()] }))
            .done()
            .await
    }

    /// Interrupts a prompt if it is the running one (see [`Client::cancel`] for old servers).
    pub async fn interrupt(&self, prompt_id: Uuid) -> Result<(), Error> {
        self.post(&["interrupt"], &json!({ "prompt_id": prompt_id.to_string() }))
            .done()
            .await
    }

    /// Cancels by the jobs API, which is atomic; whether the server has taken the order.
    async fn cancel_job(&self, prompt_id: Uuid) -> Result<bool, Error> {
        let id = prompt_id.to_string();
        let answer = self
            .request(Method::POST, &["api", "jobs", &id, "cancel"])
            .answer()
            .await?;
        match answer.status {
            // the route came later than the rest of the jobs API
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if !names_no_job(&answer) => Ok(false),
            StatusCode::NOT_FOUND => Ok(true),
            _ => Ok(answer
                .success()?
                .json()?
                .get("cancelled")
                .and_then(serde_json::Value::as_bool)
                == Some(true)),
        }
    }
}
