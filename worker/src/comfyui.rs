//! The ComfyUI backend: text to image from a template, or any graph, on the ComfyUI of this worker.
//!
//! A run is named by the attempt's claim and noted in the job's record before it is posted, so that the next
//! attempt finds it. Reading order: [`settings`], `offer` (what it can do), `run` (one attempt), then what
//! that does: `graph`, `inputs`, `follow` with `live` and `telling`, `outputs`; `refusals` and `faults`
//! say what failures mean.

mod faults;
mod follow;
mod graph;
mod inputs;
mod live;
mod media;
mod names;
mod offer;
mod outputs;
mod patience;
mod refusals;
mod run;
pub mod settings;
mod telling;
#[cfg(test)]
mod tests;

use connectors::comfyui::{Client, Options};
use futures::FutureExt as _;
use proto::{
    failure::FailureCode,
    lifecycle,
    moment::timestamp,
    v1::{BackendOffer, Upstream, job_request::Body},
};
use runtime::clock;
use tracing::Instrument as _;

pub use settings::ComfyuiSettings;

use crate::work::{Outcome, Work};
use offer::Showcase;
use run::{Errand, Record, Run};

/// Why the backend cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ComfyuiError {
    /// No client can be made for the address.
    #[error("comfyui.url cannot be used")]
    Address(#[source] connectors::comfyui::Error),
}

/// The ComfyUI of this worker.
#[derive(Debug)]
pub struct Comfyui {
    client: Client,
    settings: ComfyuiSettings,
    showcase: Showcase,
}

impl Comfyui {
    /// A backend with these settings. ComfyUI is not contacted yet.
    ///
    /// # Errors
    /// If the address cannot be one of a ComfyUI.
    pub fn new(settings: ComfyuiSettings) -> Result<Self, ComfyuiError> {
        connectors::install_tls();
        // how large a result may be is decided where it is stored
        let options = Options {
            max_download: u64::MAX,
            ..Options::default()
        };
        let client = Client::new(settings.url.clone(), options).map_err(ComfyuiError::Address)?;
        Ok(Self {
            client,
            showcase: Showcase::new(settings.slots),
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
        self.showcase.keep(&self.client, self.settings.refresh).await;
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
        let prompt = work.claim.uuid();
        let errand = Errand {
            request,
            tag: format!("{}-{}", work.id, work.attempt),
            prompt,
            earlier: work.upstream.as_ref(),
            known: self.showcase.models(),
            reporter: &work.reporter,
            uploads: &work.uploads,
            cancel: &work.cancel,
        };
        let record = Record {
            note: work
                .note_upstream(Upstream {
                    task_id: prompt.to_string(),
                    place: self.client.origin(),
                    at: Some(timestamp(clock::now())),
                })
                .boxed(),
            ours: is_ours(&work).boxed(),
        };
        let run = Run {
            client: &self.client,
            settings: &self.settings,
            errand,
        };
        // large, and kept off the stack of everybody who waits for it
        let span = tracing::info_span!("comfyui", job.id = %work.id, attempt.number = work.attempt);
        let outcome = Box::pin(run.run(record).instrument(span)).await;
        if run::is_out_of_reach(&outcome) {
            self.showcase.doubt();
        }
        outcome
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
