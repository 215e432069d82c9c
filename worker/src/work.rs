//! What a backend is given for one attempt.

use proto::{
    failure::FailureCode,
    ids::{ClaimId, JobId},
    lifecycle::Change,
    v1::{Artifact, Failure, JobRequest, Substitution, Upstream},
};
use runtime::{
    records::{ChangeError, Records},
    tasks::Stop,
    telemetry::chain,
};

use crate::{report::Reporter, uploads::Uploads};

/// What became of an attempt on a backend.
pub type Outcome = Result<Product, Failure>;

/// What an attempt made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Product {
    /// The results, stored.
    pub outputs: Vec<Artifact>,
    /// All that made them, as a stored file.
    pub recipe: Option<Artifact>,
    /// What was used instead of what was asked for.
    pub substitutions: Vec<Substitution>,
}

impl From<Vec<Artifact>> for Product {
    fn from(outputs: Vec<Artifact>) -> Self {
        Self {
            outputs,
            ..Self::default()
        }
    }
}

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
        match self.records.change(self.id, None, &change).await {
            Ok(_) => Ok(()),
            Err(error @ ChangeError::Bus(_)) => Err(FailureCode::BrokerUnavailable.failure(chain(&error))),
            Err(error) => Err(FailureCode::WorkerLost.failure(chain(&error))),
        }
    }
}
