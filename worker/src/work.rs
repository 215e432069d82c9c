//! What a backend is given for one attempt.

use proto::{
    failure::FailureCode,
    ids::{ClaimId, JobId},
    lifecycle::Change,
    v1::{Failure, JobRequest, Spend, Upstream},
};
use runtime::{
    records::{ChangeError, Records},
    tasks::Stop,
    telemetry::chain,
};

use crate::{report::Reporter, uploads::Uploads};

pub use proto::lifecycle::Product;

/// What became of an attempt on a backend.
pub type Outcome = Result<Product, Failure>;

/// One attempt, as a backend sees it.
#[derive(Debug)]
pub struct Work {
    /// The job.
    pub id: JobId,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// The claim, new for each attempt; also a good name for what is asked of other services.
    pub claim: ClaimId,
    /// What is asked for, with all defaults filled in.
    pub request: JobRequest,
    /// What an earlier attempt asked another service to do.
    pub upstream: Option<Upstream>,
    /// What was set aside for it, where it costs money.
    pub spend: Option<Spend>,
    /// Takes progress and previews. Without a report for `worker.stall_timeout` the attempt is ended.
    pub reporter: Reporter,
    /// Fetches inputs and stores results.
    pub uploads: Uploads,
    /// When this is triggered, the backend undoes what it can and returns soon; whatever it returns does
    /// not count any more.
    pub cancel: Stop,
    pub(crate) records: Records,
}

impl Work {
    /// What writes into the record of the job, for as long as the claim holds it.
    pub fn pen(&self) -> Pen {
        Pen {
            records: self.records.clone(),
            job: self.id,
            claim: self.claim,
        }
    }

    /// As [`Pen::note_upstream`].
    ///
    /// # Errors
    /// Likewise.
    pub async fn note_upstream(&self, upstream: Upstream) -> Result<(), Failure> {
        self.pen().note_upstream(upstream).await
    }
}

/// Writes into the record of a job on behalf of one attempt, which it may outlive. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Pen {
    records: Records,
    job: JobId,
    claim: ClaimId,
}

impl Pen {
    /// Which job.
    pub const fn job(&self) -> JobId {
        self.job
    }

    /// Writes down what another service is about to be asked, so that the next attempt can find it. Has to
    /// return before the service is asked.
    ///
    /// # Errors
    /// `worker_lost` where another attempt holds the job, `broker_unavailable` where nothing was written.
    pub async fn note_upstream(&self, upstream: Upstream) -> Result<(), Failure> {
        let change = Change::NoteUpstream {
            claim: self.claim,
            upstream,
        };
        match self.records.change(self.job, None, &change).await {
            Ok(_) => Ok(()),
            Err(error @ (ChangeError::Bus(_) | ChangeError::Contended(_))) => {
                Err(FailureCode::BrokerUnavailable.failure(chain(&error)))
            }
            Err(error @ (ChangeError::Refused { .. } | ChangeError::Unknown(_))) => {
                Err(FailureCode::WorkerLost.failure(chain(&error)))
            }
        }
    }
}
