//! Sees to it that no job is forgotten: looks, lets [`reconcile`] decide, and acts.

use std::{collections::HashSet, time::Duration};

use proto::{
    Status,
    ids::JobId,
    lifecycle::{Change, holder},
    moment::Millis,
    v1::Job,
};
use runtime::{
    admin::Readiness,
    calls::{self, Ownership},
    clock,
    ledger::{Ledger, LedgerError},
    queue::Queue,
    records::{ChangeError, FeedEvent, Records},
    store::Store,
    tasks::Stop,
    telemetry::chain,
    timing::Timing,
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::{
    closing::{self, Closing},
    files::LANDING,
    metrics::Metrics,
    picture::Picture,
    reconcile::{self, Deed, Suspect},
};

/// How often deadlines and claims are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How many leases lie between two looks at what was left behind.
const CLEAN_EVERY_LEASES: u32 = 4;
/// An upload that was not touched for this long has broken off.
const LANDING_AGE: Duration = Duration::from_hours(24);

/// Looks after all jobs. Every gateway has one; their deeds do not disturb each other.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// The records.
    pub records: Records,
    /// The queue.
    pub queue: Queue,
    /// The ledger.
    pub ledger: Ledger,
    /// Where artifacts are.
    pub store: Store,
    /// What is known.
    pub picture: Picture,
    /// What is counted.
    pub metrics: Metrics,
    /// The times of the protocol.
    pub timing: Timing,
    /// Where the state of the parts is noted.
    pub readiness: Readiness,
}

/// What it is time for.
enum Tick {
    Look,
    Sweep,
    Clean,
}

impl Keeper {
    /// Takes records into the picture until nobody sends any; what expired is removed with its files.
    pub async fn take_records(self, mut events: mpsc::Receiver<FeedEvent>) {
        while let Some(event) = events.recv().await {
            match event {
                FeedEvent::Reset => self.picture.clear_records(),
                FeedEvent::Record(job) => self.picture.follow_record(*job),
                FeedEvent::CaughtUp => self.picture.set_caught_up(),
                FeedEvent::Gone(id, revision) => {
                    self.picture.remove_record(id, revision);
                    self.remove_rest(id).await;
                }
            }
        }
    }

    /// Looks after the jobs until `stop`.
    pub async fn run(self, stop: Stop) {
        let mut looks = interval(LOOK_EVERY);
        // two gateways that were started together do not sweep together
        let mut sweeps = interval(self.timing.sweep.mul_f64(0.8 + 0.4 * rand::random::<f64>()));
        let mut cleanings = interval(self.timing.lease * CLEAN_EVERY_LEASES);
        let mut strays = HashSet::new();
        let mut turns = self.picture.turns();
        let mut listening = self.picture.started();
        for ticks in [&mut looks, &mut sweeps, &mut cleanings] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let tick = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = cleanings.tick() => Tick::Clean,
                _ = sweeps.tick() => Tick::Sweep,
                _ = looks.tick() => Tick::Look,
                Ok(()) = turns.changed() => Tick::Look,
            };
            self.note_readiness();
            if !self.records.bus().is_up() {
                // nobody could have been heard
                listening = clock::now();
                continue;
            }
            if !self.picture.is_caught_up() {
                continue;
            }
            self.look(listening).await;
            self.close_accounts().await;
            match tick {
                Tick::Look => {}
                Tick::Sweep => self.sweep().await,
                Tick::Clean => strays = self.clean(&strays).await,
            }
        }
    }

    fn note_readiness(&self) {
        let broker = if self.records.bus().is_up() {
            Ok(())
        } else {
            Err("no connection to NATS".to_owned())
        };
        self.readiness.set("broker", broker);
        let index = if self.picture.is_caught_up() {
            Ok(())
        } else {
            Err("still reading the records".to_owned())
        };
        self.readiness.set("index", index);
        let ledger = if self.ledger.is_read() {
            Ok(())
        } else {
            Err("still reading the ledger".to_owned())
        };
        self.readiness.set("ledger", ledger);
        self.metrics
            .note_jobs(&self.picture.with_index(|index| index.counts().clone()));
    }

    /// `listening` is since when workers could have been heard without a break.
    async fn look(&self, listening: Millis) {
        let (lease, now) = (self.timing.lease, clock::now());
        let deeds = self
            .picture
            .with_index_and_fleet(|index, fleet| reconcile::urgent(index, fleet, lease, listening, now));
        self.act(deeds).await;
    }

    async fn sweep(&self) {
        self.picture.prune_fleet(self.timing.lease * 20);
        let (settle, now) = (self.timing.settle(), clock::now());
        if !self
            .picture
            .with_index(|index| reconcile::wants_listing(index, settle, now))
        {
            return;
        }
        match self.queue.list().await {
            Ok(tokens) => {
                let now = clock::now();
                let deeds = self.picture.with_index_and_fleet(|index, fleet| {
                    reconcile::sweep(index, &tokens, fleet, settle, now)
                });
                self.act(deeds).await;
            }
            Err(error) => tracing::warn!(error = chain(&error), "the queue could not be listed"),
        }
    }

    async fn close_accounts(&self) {
        if !self.ledger.is_read() {
            return;
        }
        let closings = self.ledger.with(|book| {
            let now = clock::now();
            self.picture.with_index(|index| closing::due(book, index, now))
        });
        for Closing { act, unless_recorded } in closings {
            if let Some(id) = unless_recorded
                && !matches!(self.records.load(id).await, Ok(None))
            {
                continue;
            }
            match self.ledger.act(&act).await {
                Ok(true) => {
                    self.metrics.count_closing(&act);
                    tracing::info!(?act, "an account was closed");
                }
                // somebody else was faster
                Ok(false) | Err(LedgerError::Denied(_)) => {}
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(?act, error, "an account cannot be closed now");
                }
            }
        }
    }

    async fn act(&self, deeds: Vec<Deed>) {
        let mut examined = HashSet::new();
        for deed in deeds {
            self.metrics.count_deed(&deed);
            match deed {
                Deed::Expire(id) => self.expire(id).await,
                Deed::Examine(suspect) if examined.insert(suspect.job) => self.examine(suspect).await,
                Deed::Examine(_) => {}
                Deed::PutToken(id) => self.mend_token(id, false).await,
                Deed::RenewToken(id) => self.mend_token(id, true).await,
                Deed::RemoveToken(subject) => {
                    if let Err(error) = self.queue.remove_subject(&subject).await {
                        tracing::warn!(
                            subject,
                            error = chain(&error),
                            "a left-over token could not be removed"
                        );
                    }
                }
            }
        }
    }

    async fn expire(&self, id: JobId) {
        if let Some(job) = self.change(id, &Change::Expire).await {
            tracing::info!(job.id = %id, "the deadline passed");
            if let Err(error) = self.queue.remove(&job).await {
                tracing::debug!(job.id = %id, %error, "the token of an expired job stays for the sweep");
            }
        }
    }

    async fn examine(&self, suspect: Suspect) {
        let id = suspect.job;
        let answer = calls::ask_owner(self.records.bus(), suspect.incarnation, id).await;
        if answer == Ownership::Claimed(suspect.claim) || !self.records.bus().is_up() {
            return;
        }
        let change = Change::TakeBack {
            dead: suspect.claim,
            reason: suspect.why.to_owned(),
        };
        let Some(job) = self.change(id, &change).await else {
            return;
        };
        tracing::warn!(job.id = %id, attempt.number = job.attempt, why = suspect.why, "took a job back");
        let settled = if job.status() == Status::Queued {
            self.queue.renew(&job, clock::now()).await
        } else {
            self.queue.remove(&job).await
        };
        if let Err(error) = settled {
            tracing::warn!(job.id = %id, error = chain(&error), "the job's token waits for the next sweep");
        }
    }

    /// Looks at the record itself before touching its token: the picture may be behind.
    async fn mend_token(&self, id: JobId, renew: bool) {
        let mended = match self.records.load(id).await {
            Ok(Some(job)) if job.status() == Status::Queued && holder(&job).is_none() => {
                tracing::info!(job.id = %id, renew, "putting a token for a waiting job");
                if renew {
                    self.queue.renew(&job, clock::now()).await
                } else {
                    self.queue.put(&job, clock::now()).await
                }
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = mended {
            tracing::warn!(job.id = %id, error = chain(&error), "a token could not be mended");
        }
    }

    async fn change(&self, id: JobId, change: &Change) -> Option<Job> {
        match self.records.change(id, None, change).await {
            Ok(job) => {
                self.picture.take_record(job.clone());
                Some(job)
            }
            Err(ChangeError::Refused { current, .. }) => {
                self.picture.take_record(*current);
                None
            }
            Err(error) => {
                tracing::warn!(job.id = %id, error = chain(&error), "a job could not be helped now");
                None
            }
        }
    }

    /// Removes what calls left behind that never came to their end: requests without a record, which were
    /// `strays` the last time already, and uploads that broke off. Gives the strays of this time.
    async fn clean(&self, strays: &HashSet<JobId>) -> HashSet<JobId> {
        if let Err(error) = self.store.remove_old(LANDING, LANDING_AGE).await {
            tracing::warn!(error = chain(&error), "old uploads that broke off stay");
        }
        let requests = match self.records.list_requests().await {
            Ok(requests) => requests,
            Err(error) => {
                tracing::debug!(error = chain(&error), "requests without a job stay for now");
                return strays.clone();
            }
        };
        let mut found = HashSet::new();
        for id in requests {
            if self.picture.with_index(|index| index.contains(id))
                || !matches!(self.records.load(id).await, Ok(None))
            {
                continue;
            }
            if !strays.contains(&id) {
                found.insert(id);
            } else if let Err(error) = self.records.remove_request(id).await {
                tracing::warn!(job.id = %id, error = chain(&error), "a request without a job stays");
            }
        }
        found
    }

    async fn remove_rest(&self, id: JobId) {
        match self.store.remove_all(&format!("jobs/{id}")).await {
            Ok(files) => tracing::info!(job.id = %id, files, "the job expired and its files were removed"),
            Err(error) => tracing::warn!(job.id = %id, error = chain(&error), "files of an expired job stay"),
        }
        if let Err(error) = self.records.remove_request(id).await {
            tracing::warn!(job.id = %id, error = chain(&error), "the request of an expired job stays");
        }
    }
}
