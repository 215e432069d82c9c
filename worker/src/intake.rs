//! The intake of one backend: takes tokens as slots get free, and lets attempts run side by side.

use std::{sync::Arc, time::Duration};

use proto::{
    Backend as Kind,
    ids::{Incarnation, WorkerId},
    v1::MissingBackend,
};
use runtime::{
    ledger::Ledger,
    queue::{Delivery, Intake, Queue, Taken},
    records::Records,
    tasks::{Stop, panic_message},
    telemetry::chain,
    timing::Timing,
};
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    attempt, backend::Backend, claim, claim::Suspicions, metrics::Metrics, roster::Roster,
    settings::AttemptSettings, uploads::Depot,
};

/// How often the backend is asked for its lanes and its health.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const RETRY_OPEN: Duration = Duration::from_millis(500);

/// What all attempts of a worker share.
#[derive(Debug)]
pub struct Desk {
    /// The worker's name.
    pub worker: WorkerId,
    /// This life of it.
    pub incarnation: Incarnation,
    /// The records.
    pub records: Records,
    /// The queue.
    pub queue: Queue,
    /// What was set aside and spent; followed where something here costs money.
    pub ledger: Ledger,
    /// What runs.
    pub roster: Roster,
    /// Where files go and come from.
    pub depot: Depot,
    /// What is counted.
    pub metrics: Metrics,
    /// The times of the protocol.
    pub timing: Timing,
    /// How one attempt is treated.
    pub attempts: AttemptSettings,
    /// Claims of others that may be dead.
    pub suspicions: Suspicions,
    /// Backends that would be offered if something were set.
    pub not_offered: Vec<MissingBackend>,
    /// Told when the worker is about to stop; attempts hand back when their grace is over.
    pub stop: Stop,
}

/// One backend at work.
#[derive(Debug)]
pub struct Line {
    /// What all attempts share.
    pub desk: Arc<Desk>,
    /// The backend.
    pub backend: Arc<Backend>,
    /// How many slots are busy, for announcements.
    pub busy: watch::Sender<usize>,
}

impl Line {
    /// Takes and runs jobs until the desk's stop; then waits for the attempts.
    pub async fn run(self) {
        let stop = self.desk.stop.clone();
        let Some(mut intake) = self.open(&stop).await else {
            return;
        };
        let mut attempts = JoinSet::new();
        let mut lanes: Vec<String> = Vec::new();
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let mut healthy = false;
        loop {
            self.busy
                .send_if_modified(|busy| std::mem::replace(busy, attempts.len()) != attempts.len());
            let free = if healthy {
                self.backend.slots().saturating_sub(attempts.len())
            } else {
                0
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = attempts.join_next() => {
                    report_crash(ended);
                    // it may have shown that the backend is not well
                    looks.reset_immediately();
                }
                _ = looks.tick() => {
                    let offer = self.backend.offer();
                    healthy = offer.healthy;
                    self.follow_lanes(&mut intake, &mut lanes, offer.lanes).await;
                }
                taken = intake.next(free) => if let Taken::Token(delivery) = taken {
                    healthy = self.backend.offer().healthy;
                    if !healthy {
                        // dropped, it goes to whoever asks next
                        continue;
                    }
                    attempts.spawn(handle(self.desk.clone(), self.backend.clone(), *delivery));
                }
            }
        }
        // no further tokens: what is still on its way comes to somebody else after its time
        drop(intake);
        while let Some(ended) = attempts.join_next().await {
            report_crash(ended);
            self.busy.send_replace(attempts.len());
        }
    }

    async fn open(&self, stop: &Stop) -> Option<Intake> {
        loop {
            match Intake::open(self.desk.queue.clone(), self.backend.kind()).await {
                Ok(intake) => return Some(intake),
                Err(error) => tracing::warn!(error = chain(&error), "the intake opens later"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                () = sleep(RETRY_OPEN) => {}
            }
        }
    }

    async fn follow_lanes(&self, intake: &mut Intake, lanes: &mut Vec<String>, wanted: Vec<String>) {
        if *lanes == wanted {
            return;
        }
        match intake.set_lanes(&wanted).await {
            Ok(()) => {
                let kind: Kind = self.backend.kind();
                tracing::info!(
                    job.backend = kind.as_str_name(),
                    lanes = wanted.len(),
                    "pulling from lanes"
                );
                *lanes = wanted;
            }
            Err(error) => tracing::debug!(error = chain(&error), "the lanes are opened later"),
        }
    }
}

async fn handle(desk: Arc<Desk>, backend: Arc<Backend>, delivery: Delivery) {
    if let Some(held) = claim::take(&desk, &backend.offer(), delivery).await {
        Box::pin(attempt::run(desk, backend, held)).await;
    }
}

/// An attempt contains the panics of its backend, so this is a fault of the worker itself. The job is
/// taken back after its lease.
fn report_crash(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(
            panic = panic_message(error),
            "an attempt crashed; its job is taken back later"
        );
    }
}
