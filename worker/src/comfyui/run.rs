//! One attempt on ComfyUI: adopt what an earlier attempt left, or post once; follow it; bring the files home.

use std::{sync::Arc, time::Duration};

use connectors::comfyui::{Cancellation, Client, Outcome as End, Standing};
use futures::future::BoxFuture;
use proto::{
    comfyui::Plan,
    failure::FailureCode,
    v1::{ComfyUiRequest, Failure, Substitution, Upstream},
};
use runtime::{tasks::Stop, telemetry::chain};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{
    course::Course,
    follow::{Prompt, follow},
    graph, inputs,
    live::Ear,
    offer::Showcase,
    outputs::{Shortfall, collect},
    pace::{Load, Paces},
    patience::Patience,
    recipe::{self, Cooked, Origin},
    settings::ComfyuiSettings,
    shelf::Shelf,
    vitals::Vitals,
};
use crate::{
    backend::stopped,
    report::Reporter,
    uploads::Uploads,
    work::{Outcome, Product},
};

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
    /// Its graph calls a service for money, so what was posted is never posted again.
    pub(super) is_paid: bool,
    /// Who runs it, for the recipe.
    pub(super) origin: Origin,
    pub(super) reporter: &'a Reporter,
    pub(super) uploads: &'a Uploads,
    pub(super) cancel: &'a Stop,
}

/// What the worker knows of its ComfyUI.
pub(super) struct Knowledge<'a> {
    /// What it offers, and has in memory.
    pub(super) showcase: &'a Showcase,
    /// Which files are sound.
    pub(super) shelf: &'a Arc<Shelf>,
    /// How long runs take.
    pub(super) paces: &'a Paces,
    /// Where it is noted that a run does not stop.
    pub(super) vitals: &'a Vitals,
}

/// Writes down that a prompt is about to be posted, and in what it differs from the request.
type Note<'a> = Box<dyn Fn(Uuid, Vec<Substitution>) -> BoxFuture<'a, Result<(), Failure>> + Send + Sync + 'a>;
/// Tells whether what was posted may be called off; not where another attempt has adopted it.
type Ours<'a> = Box<dyn Fn() -> BoxFuture<'a, bool> + Send + Sync + 'a>;

/// What is asked of the job's record.
pub(super) struct Record<'a> {
    pub(super) note: Note<'a>,
    pub(super) ours: Ours<'a>,
}

/// One attempt with what it needs.
pub(super) struct Run<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a ComfyuiSettings,
    pub(super) errand: Errand<'a>,
    pub(super) knowledge: Knowledge<'a>,
    pub(super) record: Record<'a>,
}

/// A prompt that ComfyUI has of an earlier attempt.
struct Found<'a> {
    id: Uuid,
    substitutions: &'a [Substitution],
}

impl Run<'_> {
    /// Runs it to its end. When it is cancelled, what ComfyUI does for it is called off.
    pub(super) async fn run(self) -> Outcome {
        let Errand { request, tag, .. } = &self.errand;
        if let Some(found) = self.unless_cancelled(self.adoptable()).await?? {
            tracing::info!(prompt.id = %found.id, "adopting what comfyui has of an earlier attempt");
            let course = Course::resume(request, tag, found.substitutions)?;
            let ear = Ear::open(self.client, found.id.to_string()).await;
            match self.see_through(found.id, &course, ear).await {
                // nobody can bring that file back but a new run
                Err(Shortfall::Gone(failure)) => tracing::info!(failure.message, "running anew"),
                outcome => return outcome.map_err(Failure::from),
            }
        }
        if self.errand.is_paid && self.errand.earlier.is_some() {
            let message = "an earlier attempt posted the graph, and ComfyUI does not have its run any more";
            return Err(FailureCode::OutcomeUnknown.failure(message));
        }
        let mut course = Course::choose(request, tag, self.knowledge.shelf)?;
        let mut id = self.errand.prompt;
        loop {
            let failure = match self.anew(id, course.clone()).await {
                Ok(product) => return Ok(product),
                Err(failure) => failure,
            };
            let Some(other) = self.instead(&failure, &course) else {
                return Err(failure);
            };
            tracing::info!(
                failure.message,
                "running with the alternate of a damaged checkpoint"
            );
            course = other;
            id = Uuid::new_v4();
        }
    }

    /// Posts a prompt of this name and sees it through.
    async fn anew(&self, id: Uuid, mut course: Course) -> Outcome {
        self.unless_cancelled(self.deliver_inputs(&mut course.plan))
            .await??;
        let ear = self
            .unless_cancelled(Ear::open(self.client, id.to_string()))
            .await?;
        let note = (self.record.note)(id, course.substitutions.clone());
        self.unless_cancelled(note).await??;
        let id = self.post(id, &course.plan).await?;
        Ok(self.see_through(id, &course, ear).await?)
    }

    /// What else can be run after a failure, at once and on this worker. It ends because each time another
    /// file is out of use.
    fn instead(&self, failure: &Failure, failed: &Course) -> Option<Course> {
        let Errand { request, tag, .. } = &self.errand;
        if failure.code != FailureCode::ComfyuiModelCorrupt.as_str() || !request.allow_fallback {
            return None;
        }
        let other = Course::choose(request, tag, self.knowledge.shelf).ok()?;
        (other.substitutions != failed.substitutions).then_some(other)
    }

    pub(super) async fn unless_cancelled<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.errand.cancel.cancelled() => Err(stopped()),
            output = future => Ok(output),
        }
    }

    /// The prompt of an earlier attempt, if ComfyUI still works on it or has finished it well.
    async fn adoptable(&self) -> Result<Option<Found<'_>>, Failure> {
        let here = |upstream: &&Upstream| upstream.place == self.client.origin();
        let Some(upstream) = self.errand.earlier.filter(here) else {
            return Ok(None);
        };
        let Ok(id) = Uuid::try_parse(&upstream.task_id) else {
            return Ok(None);
        };
        let standing = self.stands(id).await?;
        let adoptable = match &standing {
            Standing::Pending { .. } | Standing::Running | Standing::Ended(End::Succeeded { .. }) => true,
            Standing::Ended(End::Failed(_) | End::Interrupted(_)) | Standing::Unknown => false,
        };
        let substitutions = &upstream.substitutions;
        Ok(adoptable.then_some(Found { id, substitutions }))
    }

    pub(super) async fn stands(&self, id: Uuid) -> Result<Standing, Failure> {
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
        if !plan.inputs.is_empty() {
            let names = inputs::deliver(self.client, self.settings, &plan.inputs, uploads, reporter).await?;
            graph::put_files(&mut plan.graph, &names);
        }
        Ok(())
    }

    /// Follows a prompt and brings its files home; calls it off when the attempt is cancelled.
    async fn see_through(&self, id: Uuid, course: &Course, ear: Ear) -> Result<Product, Shortfall> {
        match self.unless_cancelled(self.follow_home(id, course, ear)).await {
            Ok(outcome) => {
                self.make_room(&outcome).await;
                outcome
            }
            Err(stopped) => {
                self.call_off(id).await;
                Err(stopped.into())
            }
        }
    }

    async fn follow_home(&self, id: Uuid, course: &Course, ear: Ear) -> Result<Product, Shortfall> {
        let Errand {
            uploads, reporter, ..
        } = self.errand;
        let Knowledge {
            paces,
            shelf,
            showcase,
            ..
        } = self.knowledge;
        let load = Load::of(&course.plan.graph, showcase.loaded().as_deref());
        let prompt = Prompt {
            id,
            plan: &course.plan,
            expected: paces.expect(&load),
            shelf,
        };
        let ran = follow(self.client, self.settings, &prompt, ear, reporter).await?;
        let checkpoint = course.checkpoint();
        if checkpoint.is_some() {
            showcase.note_loaded(checkpoint);
        }
        // of an adopted run the beginning was not seen
        let adopted = self
            .errand
            .earlier
            .is_some_and(|earlier| earlier.task_id == id.to_string());
        let took = (!adopted).then_some(ran.took);
        if let Some(took) = took {
            paces.note(load, took);
        }
        let outputs = collect(self.client, self.settings, &ran.files, uploads, reporter).await?;
        let origin = Origin {
            prompt: id.to_string(),
            ..self.errand.origin.clone()
        };
        let cooked = Cooked {
            origin: &origin,
            request: self.errand.request,
            course,
            took,
            outputs: &outputs,
        };
        let recipe = recipe::store(&cooked, shelf, uploads).await?;
        Ok(Product {
            outputs,
            recipe: Some(recipe),
            substitutions: course.substitutions.clone(),
            ..Product::default()
        })
    }

    /// Where memory was too short, the next attempt finds as much of it free as can be.
    async fn make_room(&self, outcome: &Result<Product, Shortfall>) {
        let Err(Shortfall::Failed(failure)) = outcome else {
            return;
        };
        if failure.code != FailureCode::ComfyuiOutOfMemory.as_str() {
            return;
        }
        self.knowledge.showcase.note_loaded(None);
        if let Err(error) = self.client.free(true, true).await {
            tracing::debug!(error = chain(&error), "comfyui was not asked to free its memory");
        }
    }

    /// Stops a prompt, unless another attempt has it by now or that cannot be known.
    pub(super) async fn call_off(&self, id: Uuid) {
        if timeout(OURS_LIMIT, (self.record.ours)()).await.unwrap_or(false) {
            self.stop_prompt(id).await;
        } else {
            tracing::info!(prompt.id = %id, "left to comfyui: another attempt may have adopted it");
        }
    }

    pub(super) async fn stop_prompt(&self, id: Uuid) {
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
            self.knowledge.vitals.note_stopping(id.to_string());
            let seconds = CALL_OFF.as_secs();
            tracing::warn!(prompt.id = %id, "comfyui goes on with a cancelled prompt after {seconds} s");
        }
    }
}
