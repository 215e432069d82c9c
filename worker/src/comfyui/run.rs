//! One attempt on ComfyUI: adopt what an earlier attempt left, or post once; follow it; bring the files home.

use std::time::Duration;

use connectors::comfyui::{Accepted, Cancellation, Client, Error, Outcome as End, Standing, Submission};
use futures::future::BoxFuture;
use proto::{
    failure::FailureCode,
    v1::{Artifact, ComfyUiRequest, Failure, Model, Upstream},
};
use runtime::{tasks::Stop, telemetry::chain};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{
    faults,
    follow::{Prompt, follow},
    graph::{self, Plan},
    inputs,
    live::Ear,
    outputs::{Shortfall, collect},
    patience::Patience,
    refusals,
    settings::ComfyuiSettings,
};
use crate::{backend::stopped, report::Reporter, uploads::Uploads, work::Outcome};

/// How long an answer to a posted prompt is still waited for after a cancellation.
const POST_GRACE: Duration = Duration::from_secs(2);
/// How long it is checked whether a cancelled prompt really stops.
const CALL_OFF: Duration = Duration::from_secs(5);
const CALL_OFF_EVERY: Duration = Duration::from_millis(200);
/// How long it may take to find out whether the job is still ours.
const OURS_LIMIT: Duration = Duration::from_secs(2);

/// What an attempt is about.
pub(super) struct Errand<'a> {
    pub(super) request: &'a ComfyUiRequest,
    /// Names the files that ComfyUI writes.
    pub(super) tag: String,
    /// The name of a new prompt.
    pub(super) prompt: Uuid,
    /// What an earlier attempt asked for.
    pub(super) earlier: Option<&'a Upstream>,
    /// The names that this ComfyUI offers.
    pub(super) known: Vec<Model>,
    pub(super) reporter: &'a Reporter,
    pub(super) uploads: &'a Uploads,
    pub(super) cancel: &'a Stop,
}

/// The two questions to the job's record. Neither is asked before it is awaited.
pub(super) struct Record<'a> {
    /// Writes down that the new prompt is about to be posted.
    pub(super) note: BoxFuture<'a, Result<(), Failure>>,
    /// Whether what was posted may be called off; not where another attempt has adopted it.
    pub(super) ours: BoxFuture<'a, bool>,
}

/// One attempt with what it needs.
pub(super) struct Run<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a ComfyuiSettings,
    pub(super) errand: Errand<'a>,
}

impl Run<'_> {
    /// Runs it to its end. When it is cancelled, what ComfyUI does for it is called off.
    pub(super) async fn run(self, record: Record<'_>) -> Outcome {
        let mut plan = graph::plan(self.errand.request, &self.errand.tag)?;
        let Record { note, mut ours } = record;
        if let Some(id) = self.unless_cancelled(self.adoptable()).await?? {
            tracing::info!(prompt.id = %id, "adopting what comfyui has of an earlier attempt");
            let ear = Ear::open(self.client, id.to_string()).await;
            match self.see_through(id, &plan, ear, &mut ours).await {
                // nobody can bring that file back but a new run
                Err(Shortfall::Gone(failure)) => tracing::info!(failure.message, "running anew"),
                outcome => return outcome.map_err(Failure::from),
            }
        }
        self.unless_cancelled(self.deliver_inputs(&mut plan)).await??;
        let id = self.errand.prompt;
        let ear = self
            .unless_cancelled(Ear::open(self.client, id.to_string()))
            .await?;
        self.unless_cancelled(note).await??;
        let id = self.post(&plan, &mut ours).await?;
        Ok(self.see_through(id, &plan, ear, &mut ours).await?)
    }

    async fn unless_cancelled<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.errand.cancel.cancelled() => Err(stopped()),
            output = future => Ok(output),
        }
    }

    /// The prompt of an earlier attempt, if ComfyUI still works on it or has finished it well.
    async fn adoptable(&self) -> Result<Option<Uuid>, Failure> {
        let here = |upstream: &&Upstream| upstream.place == self.client.origin();
        let Some(upstream) = self.errand.earlier.filter(here) else {
            return Ok(None);
        };
        let Ok(id) = Uuid::try_parse(&upstream.task_id) else {
            return Ok(None);
        };
        let standing = self.stands(id).await?;
        let adoptable = match &standing {
            Standing::Pending { .. } | Standing::Running | Standing::Ended(End::Succeeded { .. }) => Some(id),
            Standing::Ended(End::Failed(_) | End::Interrupted(_)) | Standing::Unknown => None,
        };
        Ok(adoptable)
    }

    async fn stands(&self, id: Uuid) -> Result<Standing, Failure> {
        let mut patience = Patience::new(self.settings.patience);
        loop {
            match self.client.standing(id).await {
                Ok(standing) => return Ok(standing),
                Err(error) => patience.endure(&error).await?,
            }
        }
    }

    async fn deliver_inputs(&self, plan: &mut Plan) -> Result<(), Failure> {
        let Errand {
            uploads, reporter, ..
        } = self.errand;
        if !plan.assets.is_empty() {
            let names = inputs::deliver(self.client, self.settings, &plan.assets, uploads, reporter).await?;
            graph::put_files(&mut plan.graph, &names);
        }
        Ok(())
    }

    /// Posts the prompt; the id to follow. A cancellation does not break it off at once, or it would stay
    /// open whether ComfyUI has it.
    async fn post(&self, plan: &Plan, ours: &mut BoxFuture<'_, bool>) -> Result<Uuid, Failure> {
        let cancelled = async {
            self.errand.cancel.cancelled().await;
            sleep(POST_GRACE).await;
        };
        tokio::select! {
            biased;
            posted = self.submit(plan) => posted,
            () = cancelled => {
                self.call_off(self.errand.prompt, ours).await;
                Err(stopped())
            }
        }
    }

    async fn submit(&self, plan: &Plan) -> Result<Uuid, Failure> {
        let id = self.errand.prompt;
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
                Ok(accepted) => return self.accept(accepted, plan).await,
                Err(Error::Rejected(rejection)) => {
                    return Err(refusals::refused(&rejection, plan.source, &self.errand.known));
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

    async fn accept(&self, accepted: Accepted, plan: &Plan) -> Result<Uuid, Failure> {
        let id = accepted.prompt_id;
        if id != self.errand.prompt {
            tracing::warn!(prompt.id = %id, "this comfyui names prompts itself: it is too old to adopt them later");
        }
        if accepted.dropped.is_empty() {
            return Ok(id);
        }
        // a part of what was asked for is not what was asked for
        self.stop_prompt(id).await;
        Err(refusals::dropped(
            &accepted.dropped,
            plan.source,
            &self.errand.known,
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

    /// Follows a prompt and brings its files home; calls it off when the attempt is cancelled.
    async fn see_through(
        &self,
        id: Uuid,
        plan: &Plan,
        ear: Ear,
        ours: &mut BoxFuture<'_, bool>,
    ) -> Result<Vec<Artifact>, Shortfall> {
        let Errand {
            uploads, reporter, ..
        } = self.errand;
        let prompt = Prompt {
            id,
            graph: &plan.graph,
            source: plan.source,
        };
        let work = async {
            let made = follow(self.client, self.settings, &prompt, ear, reporter).await?;
            collect(self.client, self.settings, &made, uploads, reporter).await
        };
        match self.unless_cancelled(work).await {
            Ok(outcome) => {
                self.make_room(&outcome).await;
                outcome
            }
            Err(stopped) => {
                self.call_off(id, ours).await;
                Err(stopped.into())
            }
        }
    }

    /// Where memory was too short, the next attempt finds as much of it free as can be.
    async fn make_room(&self, outcome: &Result<Vec<Artifact>, Shortfall>) {
        let Err(Shortfall::Failed(failure)) = outcome else {
            return;
        };
        if failure.code == FailureCode::ComfyuiOutOfMemory.as_str()
            && let Err(error) = self.client.free(true, true).await
        {
            tracing::debug!(error = chain(&error), "comfyui was not asked to free its memory");
        }
    }

    /// Stops a prompt, unless another attempt has it by now or that cannot be known.
    async fn call_off(&self, id: Uuid, ours: &mut BoxFuture<'_, bool>) {
        if timeout(OURS_LIMIT, ours).await.unwrap_or(false) {
            self.stop_prompt(id).await;
        } else {
            tracing::info!(prompt.id = %id, "left to comfyui: another attempt may have adopted it");
        }
    }

    async fn stop_prompt(&self, id: Uuid) {
        let stopping = async {
            loop {
                match self.client.cancel(id).await {
                    Ok(Cancellation::Removed | Cancellation::Ended(_) | Cancellation::Unknown) => return,
                    Ok(Cancellation::Interrupting) => {}
                    Err(error) => tracing::debug!(error = chain(&error), "comfyui was not told to stop"),
                }
                sleep(CALL_OFF_EVERY).await;
            }
        };
        if timeout(CALL_OFF, stopping).await.is_err() {
            let seconds = CALL_OFF.as_secs();
            tracing::warn!(prompt.id = %id, "comfyui goes on with a cancelled prompt after {seconds} s");
        }
    }
}

/// A failure of this code shows that ComfyUI is not there.
pub(super) fn is_out_of_reach(outcome: &Outcome) -> bool {
    outcome
        .as_ref()
        .is_err_and(|failure| failure.code == FailureCode::ComfyuiUnreachable.as_str())
}
