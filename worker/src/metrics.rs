//! Every metric of the worker.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use proto::Backend;

use crate::settle::End;

/// The worker's metrics. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Metrics {
    attempts: Family<Labels, Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    backend: &'static str,
    outcome: &'static str,
}

impl Metrics {
    /// Registers all metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let attempts: Family<Labels, Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.01, 4.0, 10)));
        registry.register(
            "orchestrator_worker_attempt_seconds",
            "How long attempts took, by backend and outcome",
            attempts.clone(),
        );
        Self { attempts }
    }

    /// Notes an attempt that came to its end.
    pub fn observe_attempt(&self, backend: Backend, end: &End, took: Duration) {
        let outcome = match end {
            End::Ran(Ok(_)) => "succeeded",
            End::Ran(Err(_)) => "failed",
            End::Cancelled => "cancelled",
            End::HandBack(_) => "handed_back",
            End::Lost => "lost",
        };
        let labels = Labels {
            backend: backend.as_str_name(),
            outcome,
        };
        self.attempts.get_or_create(&labels).observe(took.as_secs_f64());
    }
}
