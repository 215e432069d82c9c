//! Every metric of the gateway.

use std::collections::BTreeMap;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use proto::{Backend, Status, ledger::Act};

use crate::{
    admission::{Outcome, Submitted},
    problem::Problem,
    reconcile::Deed,
};

/// The gateway's metrics. Cloning gives another handle.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    submissions: Family<Submission, Counter>,
    deeds: Family<Kind, Counter>,
    jobs: Family<JobLabels, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Submission {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    status: &'static str,
    backend: &'static str,
}

impl Metrics {
    /// Registers all metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "orchestrator_gateway_submissions",
            "Calls that submit a job, by outcome: accepted, repeated, checked (a dry run), or the failure code",
            metrics.submissions.clone(),
        );
        registry.register(
            "orchestrator_gateway_reconciliations",
            "What was done for jobs that needed help, by kind",
            metrics.deeds.clone(),
        );
        registry.register(
            "orchestrator_gateway_jobs",
            "Jobs that this gateway knows, by status and backend",
            metrics.jobs.clone(),
        );
        metrics
    }

    /// Counts a call that submits a job.
    pub fn count_submission(&self, outcome: &Result<Outcome, Problem>) {
        let outcome = match outcome {
            Ok(Outcome::Accepted(Submitted { repeated: false, .. })) => "accepted",
            Ok(Outcome::Accepted(Submitted { repeated: true, .. })) => "repeated",
            Ok(Outcome::Checked(_)) => "checked",
            Err(problem) => problem.code.as_str(),
        };
        self.submissions.get_or_create(&Submission { outcome }).inc();
    }

    /// Counts what was done for a job that needed help.
    pub fn count_deed(&self, deed: &Deed) {
        let kind = match deed {
            Deed::Expire(_) => "expire",
            Deed::Examine(_) => "examine",
            Deed::PutToken(_) => "put_token",
            Deed::RenewToken(_) => "renew_token",
            Deed::RemoveToken(_) => "remove_token",
        };
        self.deeds.get_or_create(&Kind { kind }).inc();
    }

    /// Counts what was written about an account that nobody closed.
    pub fn count_closing(&self, act: &Act) {
        let kind = match act {
            Act::Settle { .. } => "settle",
            Act::Release { .. } => "release",
            Act::Doubt { .. } => "doubt",
            // not what a gateway does by itself
            Act::Reserve(_) | Act::Start { .. } | Act::Withdraw { .. } | Act::Resolve { .. } => return,
        };
        self.deeds.get_or_create(&Kind { kind }).inc();
    }

    /// Notes how many jobs there are.
    pub fn note_jobs(&self, counts: &BTreeMap<(Status, Backend), u64>) {
        for ((status, backend), count) in counts {
            let labels = JobLabels {
                status: status.as_str_name(),
                backend: backend.as_str_name(),
            };
            self.jobs
                .get_or_create(&labels)
                .set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
    }
}
