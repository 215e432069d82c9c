//! How a call that costs money is made: at most once, whatever dies meanwhile.
//!
//! In this order: the ledger says that a call is about to be made, the record says `submitting`, the call is made,
//! the record says `submitted` and under which name, the task is followed, the ledger says what it cost, and then
//! the job ends. Whoever finds `submitting` and does not know better cannot tell whether the call went through, and
//! never makes it again.

mod collection;
mod payment;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use proto::{
    SpendState,
    failure::FailureCode,
    ids::{JobId, WorkerId},
    ledger::{Act, Denial, Limit},
    v1::{Failure, Upstream},
};
use runtime::{
    ledger::{Ledger, LedgerError},
    records::Records,
    tasks::Stop,
    telemetry::chain,
};
use tokio::sync::{Mutex as Turn, mpsc};

pub use collection::{Fate, Vendor};
pub use payment::Payment;

use crate::{intake::Desk, report::Reporter, settings::CrashPoint, work::Work};

/// Calls that wait to be begun; each is of an attempt that waits for it.
const MAX_CALLS: usize = 1024;

/// What all paid calls of one backend share.
#[derive(Debug)]
pub struct Cashier {
    ledger: Ledger,
    records: Records,
    worker: WorkerId,
    crash_at: CrashPoint,
    /// What this process knows of a job's task and its record may not say.
    known: Mutex<HashMap<JobId, Upstream>>,
    /// Calls outlive the attempts that want them: a reply that nobody reads is money lost.
    begin: mpsc::Sender<BoxFuture<'static, ()>>,
    begun: Turn<mpsc::Receiver<BoxFuture<'static, ()>>>,
}

/// What came of a call.
#[derive(Debug)]
pub enum Answer {
    /// The vendor has it, under this name.
    Taken(Upstream),
    /// The vendor certainly did not take it, and it costs nothing.
    Refused {
        /// Why not. Where that may pass, it is tried again.
        failure: Failure,
        /// When the vendor wants to be asked again.
        after: Option<Duration>,
    },
    /// Nobody can tell.
    Unclear(String),
}

/// Under which terms a call is made.
#[derive(Debug)]
pub struct Terms<'a> {
    /// Which of the vendor's accounts pays.
    pub account: &'a str,
    /// How many calls it may have under way.
    pub limits: Vec<Limit>,
    /// How long a refusal that may pass is waited out.
    pub patience: Duration,
    /// Told about waiting.
    pub reporter: &'a Reporter,
    /// Tells to stop.
    pub cancel: &'a Stop,
}

/// Where a job stands with its vendor.
#[derive(Debug, PartialEq)]
pub enum Standing {
    /// Nothing was asked, or it came to nothing: the call may be made.
    Fresh,
    /// The vendor has it: it is to be followed.
    Submitted(Upstream),
    /// It was being asked, and nobody wrote down what came of it.
    InDoubt(Upstream),
}

impl Cashier {
    /// For a backend of a worker; [`Cashier::keep`] makes the calls.
    pub fn new(desk: &Desk) -> Self {
        let (begin, begun) = mpsc::channel(MAX_CALLS);
        Self {
            ledger: desk.ledger.clone(),
            records: desk.records.clone(),
            worker: desk.worker.clone(),
            crash_at: desk.attempts.crash_at,
            known: Mutex::default(),
            begin,
            begun: Turn::new(begun),
        }
    }

    /// The payment of an attempt.
    pub fn payment(self: &Arc<Self>, work: &Work) -> Payment {
        Payment {
            cashier: self.clone(),
            pen: work.pen(),
        }
    }

    fn remember(&self, job: JobId, upstream: &Upstream) {
        self.known().insert(job, upstream.clone());
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Upstream>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn act(&self, act: &Act) -> Result<bool, Failure> {
        self.ledger.act(act).await.map_err(|error| failed(&error))
    }
}

fn failed(error: &LedgerError) -> Failure {
    match error {
        LedgerError::Denied(Denial::Closed(SpendState::Unknown)) => {
            FailureCode::OutcomeUnknown.failure("an earlier call of this job was never cleared up")
        }
        LedgerError::Denied(_) => FailureCode::SpendUnreserved.failure(chain(error)),
        LedgerError::Contended | LedgerError::Bus(_) => FailureCode::BrokerUnavailable.failure(chain(error)),
    }
}
