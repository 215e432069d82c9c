//! The ComfyUI backend: what `proto` composes of a request, on the ComfyUI of this worker.
//!
//! A run is named by the attempt's claim and noted in the job's record before it is posted, so that the next
//! attempt finds it. Reading order: [`settings`], `offer` (what it can do), `run` (one attempt), then what
//! that does: `graph`, `inputs`, `follow` with `live` and `telling`, `outputs`; `refusals` and `faults`
//! say what failures mean.

mod answers;
mod catalog;
mod checking;
mod course;
mod faults;
mod follow;
mod graph;
mod hosting;
mod inputs;
mod live;
mod media;
mod offer;
mod outputs;
mod pace;
mod patience;
mod paying;
mod post;
mod quarantine;
mod recipe;
mod refusals;
mod run;
pub mod settings;
mod shelf;
mod telling;
#[cfg(test)]
mod tests;
mod vitals;

use std::sync::{Arc, Mutex, PoisonError};

use connectors::comfyui::{Client, Options};
use futures::FutureExt as _;
use proto::{
    UpstreamPhase,
    failure::FailureCode,
    lifecycle,
    moment::timestamp,
    v1::{BackendOffer, ComfyUiRequest, Failure, Upstream, job_request::Body},
};
use runtime::{clock, tasks::Stop, telemetry::chain};
use tracing::Instrument as _;

pub use answers::answer;
pub use settings::ComfyuiSettings;

use crate::{
    host::{Host, HostHandle, Poison, Probe, host},
    paid::Cashier,
    work::{Outcome, Work},
};
use offer::Showcase;
use pace::Paces;
use recipe::Origin;
use run::{Errand, Knowledge, Record, Run};
use shelf::Shelf;
use vitals::Vitals;

/// Why the backend cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ComfyuiError {
    /// No client can be made for the address.
    #[error("comfyui.url cannot be used")]
    Address(#[source] connectors::comfyui::Error),
    /// It cannot be asked whether it is there.
    #[error("the http client does not work")]
    Probe(#[source] reqwest::Error),
}

/// The ComfyUI of this worker.
#[derive(Debug)]
pub struct Comfyui {
    client: Client,
    settings: ComfyuiSettings,
    showcase: Showcase,
    shelf: Arc<Shelf>,
    host: HostHandle,
    /// What looks after the process, until that has begun.
    owner: Mutex<Option<Host>>,
    vitals: Vitals,
    paces: Paces,
    /// For graphs that cost money; absent where such are not run.
    cashier: Option<Arc<Cashier>>,
}

impl Comfyui {
    /// A backend with these settings. ComfyUI is not contacted yet.
    ///
    /// # Errors
    /// If the address cannot be one of a ComfyUI.
    pub fn new(settings: ComfyuiSettings, cashier: Option<Cashier>) -> Result<Self, ComfyuiError> {
        connectors::install_tls();
        // how large a result may be is decided where it is stored
        let options = Options {
            max_download: u64::MAX,
            ..Options::default()
        };
        let client = Client::new(settings.url.clone(), options).map_err(ComfyuiError::Address)?;
        let probe = Probe::system_stats(&settings.url).map_err(ComfyuiError::Probe)?;
        let (owner, host) = host(settings.host.clone(), probe);
        Ok(Self {
            client,
            showcase: Showcase::new(settings.slots),
            shelf: Arc::new(Shelf::new(settings.fallback.clone(), settings.models.clone())),
            host,
            owner: Mutex::new(Some(owner)),
            vitals: Vitals::new(settings.hung_after),
            paces: Paces::default(),
            cashier: cashier.map(Arc::new),
            settings,
        })
    }

    /// How many jobs it is given at the same time.
    pub const fn slots(&self) -> usize {
        self.settings.slots
    }

    /// What it can do, as [`Comfyui::keep_offer`] saw it last.
    pub fn offer(&self) -> BackendOffer {
        self.showcase.offer()
    }

    /// Keeps the offer up to date; does not end.
    pub async fn keep_offer(&self) {
        self.shelf.survey().await;
        tokio::join!(
            self.showcase
                .keep(&self.client, &self.shelf, &self.vitals, self.settings.refresh),
            self.show_host(),
            self.heal(),
        );
    }

    /// Looks after the process until `stop`, which is to be triggered after the last attempt.
    pub async fn keep_host(&self, stop: Stop) {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(owner) = owner {
            owner.run(stop).await;
        }
    }

    async fn show_host(&self) {
        let mut changes = self.host.subscribe();
        loop {
            self.showcase
                .show_host(hosting::told(&changes.borrow_and_update()));
            self.showcase.doubt();
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Restarts a ComfyUI that answers but does not work any more.
    async fn heal(&self) {
        loop {
            let problem = self.vitals.hung().await;
            match self.host.restart(problem.clone()).await {
                Ok(()) => tracing::info!(problem, "comfyui was restarted"),
                Err(error) => tracing::warn!(
                    problem,
                    error = chain(&error),
                    "comfyui has to be restarted by a person"
                ),
            }
            self.showcase.doubt();
        }
    }

    /// Runs one attempt, or goes on with what an earlier one left in ComfyUI.
    ///
    /// Where this is dropped instead of cancelled, ComfyUI goes on with the run, and the next attempt can
    /// adopt it.
    ///
    /// # Errors
    /// Why the attempt failed.
    pub async fn run(&self, work: Work) -> Outcome {
        let Some(Body::Comfyui(request)) = &work.request.body else {
            return Err(FailureCode::WorkerRefused.failure("the job is not for ComfyUI"));
        };
        let paid = paying::paid_classes(request, &self.showcase.catalog().paid);
        if paid.is_empty() {
            self.attempt(request, &work, false).await
        } else {
            self.pay(&paid, request, &work).await
        }
    }
}

impl Comfyui {
    async fn attempt(&self, request: &ComfyUiRequest, work: &Work, is_paid: bool) -> Outcome {
        let errand = Errand {
            request,
            tag: format!("{}-{}", work.id, work.attempt),
            prompt: work.claim.uuid(),
            earlier: work.upstream.as_ref(),
            is_paid,
            origin: Origin {
                job: Some(work.id),
                attempt: work.attempt,
                prompt: String::new(),
                software: self.showcase.versions(),
                devices: self.showcase.offer().devices,
            },
            reporter: &work.reporter,
            uploads: &work.uploads,
            cancel: &work.cancel,
        };
        let run = Run {
            client: &self.client,
            settings: &self.settings,
            errand,
            knowledge: Knowledge {
                showcase: &self.showcase,
                shelf: &self.shelf,
                paces: &self.paces,
                vitals: &self.vitals,
            },
            record: self.record(work, is_paid),
        };
        // large, and kept off the stack of everybody who waits for it
        let span = tracing::info_span!("comfyui", job.id = %work.id, attempt.number = work.attempt);
        let restarts = self.host.status().restarts;
        let mut outcome = Box::pin(run.run().instrument(span)).await;
        if let Err(failure) = &mut outcome {
            self.explain_loss(failure, restarts);
            self.learn(failure).await;
        }
        outcome
    }

    /// What an attempt asks of its job's record.
    fn record<'a>(&'a self, work: &'a Work, is_paid: bool) -> Record<'a> {
        // nobody can ask ComfyUI what a paid run did that it has lost
        let phase = if is_paid {
            UpstreamPhase::Submitting
        } else {
            UpstreamPhase::Submitted
        };
        Record {
            note: Box::new(move |prompt, substitutions| {
                work.note_upstream(Upstream {
                    task_id: prompt.to_string(),
                    place: self.client.origin(),
                    at: Some(timestamp(clock::now())),
                    substitutions,
                    phase: phase.into(),
                    ..Upstream::default()
                })
                .boxed()
            }),
            ours: Box::new(|| is_ours(work).boxed()),
        }
    }

    /// Why a run is lost, where ComfyUI was started anew meanwhile.
    fn explain_loss(&self, failure: &mut Failure, restarts: u32) {
        let of_loss = [FailureCode::ComfyuiLost, FailureCode::ComfyuiUnreachable].map(FailureCode::as_str);
        let host = self.host.status();
        if let Some(why) = host.last_restart
            && host.restarts > restarts
            && of_loss.contains(&failure.code.as_str())
        {
            failure.message = format!("{}. Its last restart: {why}", failure.message);
        }
    }

    /// What a failure tells about ComfyUI itself.
    async fn learn(&self, failure: &Failure) {
        if let Some(poison) = Poison::find(&failure.detail) {
            self.showcase.note_loaded(None);
            if let Err(error) = self.host.poisoned(poison).await {
                tracing::warn!(%poison, error = chain(&error), "comfyui has to be restarted by a person");
            }
        }
        if failure.code == FailureCode::ComfyuiHung.as_str() {
            self.vitals.note_dead();
            self.showcase.withdraw(&failure.message);
        }
        self.showcase.doubt();
    }
}

/// Whether no other attempt can be at what this one has posted: the job is still ours, or over.
async fn is_ours(work: &Work) -> bool {
    match work.records.load(work.id).await {
        Ok(Some(job)) => lifecycle::holder(&job) == Some(work.claim) || lifecycle::is_finished(job.status()),
        Ok(None) => true,
        Err(_) => false,
    }
}
