//! Posts a prompt once, whatever happens on the way.

use std::time::Duration;

use connectors::comfyui::{Accepted, Error, Standing, Submission};
use proto::{comfyui::Plan, v1::Failure};
use runtime::telemetry::chain;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{faults, patience::Patience, refusals, run::Run};
use crate::backend::stopped;

/// How long an answer to a posted prompt is still waited for after a cancellation.
const POST_GRACE: Duration = Duration::from_secs(2);

impl Run<'_> {
    /// Posts the prompt; the id to follow. A cancellation does not break it off at once, or it would stay
    /// open whether ComfyUI has it.
    pub(super) async fn post(&self, id: Uuid, plan: &Plan) -> Result<Uuid, Failure> {
        let cancelled = async {
            self.errand.cancel.cancelled().await;
            sleep(POST_GRACE).await;
        };
        tokio::select! {
            biased;
            posted = self.submit(id, plan) => posted,
            () = cancelled => {
                self.call_off(id).await;
                Err(stopped())
            }
        }
    }

    async fn submit(&self, id: Uuid, plan: &Plan) -> Result<Uuid, Failure> {
        let client_id = id.to_string();
        let submission = Submission {
            graph: &plan.graph,
            prompt_id: id,
            client_id: &client_id,
            extra_data: Some(self.extra_data()),
        };
        let mut patience = Patience::new(self.settings.patience);
        loop {
            match self.client.submit(&submission).await {
                Ok(accepted) => return self.accept(accepted, id, plan).await,
                Err(Error::Rejected(rejection)) => {
                    return Err(refusals::refused(
                        &rejection,
                        plan,
                        &self.knowledge.showcase.models(),
                    ));
                }
                // it certainly did not arrive
                Err(error @ Error::Unreachable { .. }) => patience.endure(&error).await?,
                Err(error) if error.may_have_arrived() => return self.look_for(id, &error).await,
                Err(error) => return Err(faults::trouble(&error)),
            }
        }
    }

    fn extra_data(&self) -> Map<String, Value> {
        let method = if self.settings.previews { "auto" } else { "none" };
        Map::from_iter([("preview_method".to_owned(), json!(method))])
    }

    async fn accept(&self, accepted: Accepted, asked: Uuid, plan: &Plan) -> Result<Uuid, Failure> {
        let id = accepted.prompt_id;
        if id != asked {
            tracing::warn!(prompt.id = %id, "this comfyui names prompts itself: it is too old to adopt them later");
        }
        if accepted.dropped.is_empty() {
            return Ok(id);
        }
        // a part of what was asked for is not what was asked for
        self.stop_prompt(id).await;
        Err(refusals::dropped(
            &accepted.dropped,
            plan,
            &self.knowledge.showcase.models(),
        ))
    }

    /// After a post whose answer did not come: whether ComfyUI has the prompt. It is never posted again, for
    /// it may still be on its way; the next attempt looks for it once more.
    async fn look_for(&self, id: Uuid, error: &Error) -> Result<Uuid, Failure> {
        tracing::info!(prompt.id = %id, error = chain(error), "it is unclear whether comfyui has the prompt");
        let deadline = Instant::now() + self.settings.lost_after;
        loop {
            match self.stands(id).await? {
                Standing::Pending { .. } | Standing::Running | Standing::Ended(_) => return Ok(id),
                Standing::Unknown if Instant::now() < deadline => sleep(self.settings.poll).await,
                Standing::Unknown => return Err(faults::trouble(error)),
            }
        }
    }
}
