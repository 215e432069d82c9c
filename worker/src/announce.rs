//! Tells everybody that this worker is there, what it can do and what it does; answers who asks.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use proto::{
    moment::timestamp,
    subjects,
    v1::{OwnershipAnswer, OwnershipQuestion, Worker},
};
use runtime::{calls, clock, live, tasks::Stop, telemetry::chain};
use tokio::{
    sync::watch,
    time::{interval, sleep},
};

use crate::{backend::Backend, intake::Desk};

/// Changes within this time are announced together.
const GATHER: Duration = Duration::from_millis(100);

/// What is announced.
#[derive(Debug)]
pub struct Announcer {
    /// What the worker is and does.
    pub desk: Arc<Desk>,
    /// Its backends, with the number of their busy slots.
    pub backends: Vec<(Arc<Backend>, watch::Receiver<usize>)>,
    /// When this life began, in milliseconds since 1970.
    pub started: i64,
}

impl Announcer {
    /// Announces regularly and after changes, until `stop`; then says once that the worker stopped.
    ///
    /// `stop` is to be triggered when the last attempt is over.
    pub async fn run(self, stop: Stop) {
        let mut ticks = interval(self.desk.timing.announce);
        let mut changes = self.desk.roster.changes();
        let mut connections = self.desk.records.bus().connections();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                Ok(()) = connections.changed() => {}
                Ok(()) = changes.changed() => {
                    sleep(GATHER).await;
                    changes.mark_unchanged();
                }
            }
            self.announce(false).await;
        }
        self.announce(true).await;
    }

    async fn announce(&self, stopped: bool) {
        let offers = self.backends.iter().map(|(backend, busy)| {
            let mut offer = backend.offer();
            offer.busy = u32::try_from(*busy.borrow()).unwrap_or(u32::MAX);
            offer
        });
        let worker = Worker {
            id: self.desk.worker.to_string(),
            incarnation: self.desk.incarnation.to_string(),
            host: gethostname::gethostname().to_string_lossy().into_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Some(timestamp(self.started)),
            at: Some(timestamp(clock::now())),
            backends: offers.collect(),
            running: self.desk.roster.running(),
            draining: self.desk.stop.is_cancelled(),
            stopped,
            not_offered: self.desk.not_offered.clone(),
        };
        live::announce(self.desk.records.bus(), &self.desk.worker, &worker).await;
    }
}

/// Answers whether this process works on a job, until `stop`.
pub async fn answer_ownership(desk: Arc<Desk>, stop: Stop) {
    let subject = subjects::ownership(desk.incarnation);
    let bus = desk.records.bus().clone();
    let answer = move |question: OwnershipQuestion| {
        let claim = question.job.parse().ok().and_then(|job| desk.roster.claim(job));
        let answer = OwnershipAnswer {
            claim_id: claim.map(|claim| claim.to_string()).unwrap_or_default(),
        };
        std::future::ready(answer)
    };
    calls::serve(bus, subject, None, stop, answer).await;
}

/// Answers to the worker's name, so that no other takes it, until `stop`.
pub async fn answer_to_name(desk: Arc<Desk>, stop: Stop) {
    let subject = subjects::name(&desk.worker);
    let bus = desk.records.bus().clone();
    let answer = |_: OwnershipQuestion| std::future::ready(OwnershipAnswer::default());
    calls::serve(bus, subject, None, stop, answer).await;
}

/// Passes nudges on to the attempts, until `stop`.
pub async fn pass_nudges(desk: Arc<Desk>, stop: Stop) {
    let mut nudges = match calls::listen_for_nudges(desk.records.bus(), desk.incarnation).await {
        Ok(nudges) => std::pin::pin!(nudges),
        Err(error) => {
            tracing::error!(error = chain(&error), "cancellations take up to a heartbeat");
            return stop.cancelled().await;
        }
    };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(job) = nudges.next() => desk.roster.nudge(job),
        }
    }
}
