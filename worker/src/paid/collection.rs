//! Makes the calls, and clears up what they cost where no attempt does: a job that was cancelled after its task was
//! taken still costs what the task costs.

use std::{collections::HashMap, time::Duration};

use proto::{
    Backend as Kind, SpendState, UpstreamPhase,
    failure::FailureCode,
    ids::JobId,
    ledger::{Account, Act, Charge as Found},
    lifecycle::{self, Charge},
    money::MicroDollars,
    v1::{Failure, Upstream},
};
use runtime::tasks::{Stop, panic_message};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use super::Cashier;

/// How often tasks are looked at whose jobs are over.
const COLLECT_EVERY: Duration = Duration::from_secs(5);
/// How long calls may take to end when the worker stops.
const FAREWELL: Duration = Duration::from_secs(8);

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is not over, or cannot be asked about now.
    Open,
    /// It was made, and the vendor took this; `None` where it told no figure.
    Made(Option<MicroDollars>),
    /// It costs nothing, for this reason.
    Free(String),
    /// The vendor does not know it, so a person has to find out.
    Lost(String),
}

/// A service that is paid.
pub trait Vendor: Sync {
    /// Its backend.
    fn kind(&self) -> Kind;

    /// Which of the vendor's accounts pays.
    fn account(&self) -> &str;

    /// What became of a task. Costs nothing.
    fn fate(&self, upstream: &Upstream) -> impl Future<Output = Fate> + Send;
}

impl Cashier {
    /// Makes the calls and clears up, until `stop`; then sees the calls through that have begun.
    pub async fn keep(&self, vendor: &impl Vendor, stop: Stop) {
        let mut begun = self.begun.lock().await;
        let mut calls = JoinSet::new();
        let mut rounds = interval(COLLECT_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(call) = begun.recv() => {
                    calls.spawn(call);
                }
                Some(ended) = calls.join_next() => report(ended),
                _ = rounds.tick() => tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    Some(call) = begun.recv() => {
                        calls.spawn(call);
                    }
                    () = self.collect(vendor) => {}
                }
            }
        }
        let ends = async {
            while let Some(ended) = calls.join_next().await {
                report(ended);
            }
        };
        if timeout(FAREWELL, ends).await.is_err() {
            tracing::warn!("paid calls were under way when the worker stopped; their outcome is not known");
        }
    }

    async fn collect(&self, vendor: &impl Vendor) {
        let mut tasks: HashMap<JobId, Option<Upstream>> = self.ledger.with(|book| {
            let mine = book.unfinished().filter(|(_, account)| {
                account.state() == SpendState::Started
                    && account.summary.backend() == vendor.kind()
                    && account.summary.account == vendor.account()
            });
            mine.map(|(job, _)| (job, None)).collect()
        });
        let known = self.known().clone();
        tasks.extend(known.into_iter().map(|(job, upstream)| (job, Some(upstream))));
        for (job, known) in tasks {
            if let Err(failure) = self.clear_up(vendor, job, known).await {
                tracing::debug!(job.id = %job, failure.message, "a paid task is cleared up later");
            }
        }
    }

    /// Looks at a task whose job is over.
    async fn clear_up(
        &self,
        vendor: &impl Vendor,
        job: JobId,
        known: Option<Upstream>,
    ) -> Result<(), Failure> {
        let record = match self.records.load(job).await {
            Ok(record) => record,
            Err(error) => {
                tracing::debug!(job.id = %job, %error, "the record could not be read");
                return Ok(());
            }
        };
        if record
            .as_ref()
            .is_some_and(|record| !lifecycle::is_finished(record.status()))
        {
            return Ok(());
        }
        let upstream = known.or_else(|| record.and_then(|record| record.upstream));
        let Some(upstream) = upstream else { return Ok(()) };
        if upstream.phase() == UpstreamPhase::Submitting {
            return Ok(());
        }
        let fate = match upstream.phase() {
            UpstreamPhase::Ended => Fate::Free("the call came to nothing".to_owned()),
            UpstreamPhase::Submitted | UpstreamPhase::Submitting => vendor.fate(&upstream).await,
        };
        let told = upstream.cost_microdollars.map(MicroDollars);
        let act = match fate {
            Fate::Open => return Ok(()),
            Fate::Made(later) => {
                let charge = self.charge(job, later.or(told));
                Act::Settle {
                    job,
                    amount: charge.amount,
                    estimated: charge.estimated,
                    reference: upstream.task_id,
                }
            }
            Fate::Free(note) => self.nothing_taken(job, note),
            Fate::Lost(reason) => Act::Doubt { job, reason },
        };
        let done = self.act(&act).await;
        let is_away = |failure: &Failure| failure.code == FailureCode::BrokerUnavailable.as_str();
        if !done.as_ref().is_err_and(is_away) {
            self.known().remove(&job);
        }
        done.map(drop)
    }

    /// Also where a gateway has doubted it meanwhile.
    fn nothing_taken(&self, job: JobId, note: String) -> Act {
        let state = self.ledger.with(|book| {
            let account = book.account(job);
            account.map_or(SpendState::Unspecified, Account::state)
        });
        if state == SpendState::Unknown {
            let by = format!("worker {}", self.worker);
            let charge = Found::Nothing;
            Act::Resolve {
                job,
                charge,
                by,
                note,
            }
        } else {
            Act::Release { job, reason: note }
        }
    }

    /// What the vendor took; what was set aside where it told nothing.
    pub(super) fn charge(&self, job: JobId, told: Option<MicroDollars>) -> Charge {
        let reserved = self.ledger.with(|book| {
            let account = book.account(job);
            account.map_or(0, |account| account.summary.reserved_microdollars)
        });
        Charge {
            amount: told.unwrap_or(MicroDollars(reserved)),
            estimated: told.is_none(),
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            panic = panic_message(error),
            "a paid call crashed; its outcome is not known"
        );
    }
}
