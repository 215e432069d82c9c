//! The gateway's picture of everything: jobs, workers, progress; and who wants to hear of changes.
//!
//! Written by the tasks that follow the broker and read by the handlers. The lock is held for look-ups
//! only, never across an await.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use proto::{
    Status,
    ids::JobId,
    lifecycle,
    v1::{Job, Progress, Update, Worker, update},
    waiting,
};
use runtime::clock;
use tokio::sync::{broadcast, mpsc, watch};

use crate::{fleet::Fleet, index::Index};

/// Changes that a slow listener may fall behind before it has to start from the records again.
const LISTENER_BACKLOG: usize = 1024;

/// The picture. Cloning gives another handle to the same one.
#[derive(Debug, Clone)]
pub struct Picture {
    state: Arc<RwLock<State>>,
    /// Listeners to single jobs.
    listeners: Arc<Mutex<HashMap<JobId, broadcast::Sender<Update>>>>,
    everything: broadcast::Sender<Update>,
    /// Changes when a worker came, went or began another life.
    turns: Arc<watch::Sender<u64>>,
    started: i64,
}

#[derive(Debug)]
struct State {
    index: Index,
    fleet: Fleet,
    caught_up: bool,
    /// Every change up to this revision was told to those who listen to all jobs.
    told: u64,
}

impl Picture {
    /// An empty picture of workers that announce themselves every so often.
    pub fn new(announce_every: Duration) -> Self {
        let state = State {
            index: Index::default(),
            fleet: Fleet::new(announce_every),
            caught_up: false,
            told: 0,
        };
        Self {
            state: Arc::new(RwLock::new(state)),
            listeners: Arc::default(),
            everything: broadcast::Sender::new(LISTENER_BACKLOG),
            turns: Arc::new(watch::Sender::new(0)),
            started: clock::now(),
        }
    }

    /// When this picture began, in milliseconds since 1970.
    pub const fn started(&self) -> i64 {
        self.started
    }

    /// Takes a record that was just written or read; a newer one that is known already stays. Who listens
    /// to all jobs hears of it when its turn comes, so that no revision is passed over.
    pub fn take_record(&self, job: Job) {
        if !self.read().index.is_news(&job) {
            return;
        }
        let changed = self.write().index.take(job.clone());
        if changed && let Ok(id) = job.id.parse() {
            self.tell_of_one(id, &of_job(job));
        }
    }

    /// Takes the next record in the order of revisions.
    pub fn follow_record(&self, job: Job) {
        let mut state = self.write();
        let changed = state.index.take(job.clone());
        state.told = job.revision;
        drop(state);
        if let Ok(id) = job.id.parse() {
            let update = of_job(job);
            if changed {
                self.tell_of_one(id, &update);
            }
            self.tell_all(&update);
        }
    }

    /// The jobs that changed after `revision`, as far as all listeners were told.
    pub fn since(&self, revision: u64) -> Vec<Job> {
        let state = self.read();
        let mut jobs = state.index.since(revision);
        jobs.retain(|job| job.revision <= state.told);
        jobs
    }

    /// The record expired at this revision.
    pub fn remove_record(&self, id: JobId, revision: u64) {
        self.write().index.remove(id, revision);
    }

    /// Everything known about jobs does not hold any more.
    pub fn clear_records(&self) {
        let mut state = self.write();
        state.index.clear();
        state.caught_up = false;
        state.told = 0;
    }

    /// The past has been told.
    pub fn set_caught_up(&self) {
        self.write().caught_up = true;
    }

    /// Whether the past has been told.
    pub fn is_caught_up(&self) -> bool {
        self.read().caught_up
    }

    /// Takes progress from the broker until nobody sends any.
    pub async fn take_progress(self, mut progress: mpsc::Receiver<Progress>) {
        while let Some(progress) = progress.recv().await {
            if let Ok(id) = progress.job.parse() {
                let update = Update {
                    update: Some(update::Update::Progress(progress)),
                };
                self.tell_of_one(id, &update);
                self.tell_all(&update);
            }
        }
    }

    /// Takes announcements from the broker until nobody sends any.
    pub async fn take_workers(self, mut workers: mpsc::Receiver<Worker>) {
        while let Some(worker) = workers.recv().await {
            if self.write().fleet.take(worker, clock::now()) {
                self.turns.send_modify(|turn| *turn += 1);
            }
        }
    }

    /// Tells when a worker came, went or began another life.
    pub fn turns(&self) -> watch::Receiver<u64> {
        self.turns.subscribe()
    }

    /// Hears of everything that happens to one job from now on.
    pub fn listen(&self, id: JobId) -> broadcast::Receiver<Update> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|_, sender| sender.receiver_count() > 0);
        listeners
            .entry(id)
            .or_insert_with(|| broadcast::Sender::new(LISTENER_BACKLOG))
            .subscribe()
    }

    /// Hears of everything that happens to all jobs from now on.
    pub fn listen_to_all(&self) -> broadcast::Receiver<Update> {
        self.everything.subscribe()
    }

    /// Reads the index.
    pub fn with_index<T>(&self, look: impl FnOnce(&Index) -> T) -> T {
        look(&self.read().index)
    }

    /// Reads the fleet.
    pub fn with_fleet<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T {
        look(&self.read().fleet)
    }

    /// Reads both under one lock. Taking the lock a second time while a writer waits would never end.
    pub fn with_index_and_fleet<T>(&self, look: impl FnOnce(&Index, &Fleet) -> T) -> T {
        let state = self.read();
        look(&state.index, &state.fleet)
    }

    /// Forgets workers that were not heard of for this long.
    pub fn prune_fleet(&self, keep: Duration) {
        self.write().fleet.prune(clock::now(), keep);
    }

    /// The job with the reason why it waits, if it does.
    pub fn explained(&self, mut job: Job) -> Job {
        if job.status() == Status::Queued {
            let now = clock::now();
            job.waiting = waiting::explain(&job, self.read().fleet.present(now), now);
        }
        job
    }

    fn tell_of_one(&self, id: JobId, update: &Update) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = listeners.get(&id)
            && sender.send(update.clone()).is_err()
        {
            listeners.remove(&id);
        }
    }

    fn tell_all(&self, update: &Update) {
        if self.everything.receiver_count() > 0 {
            // without a listener there is nobody to tell
            self.everything.send(update.clone()).ok();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_job(job: Job) -> Update {
    Update {
        update: Some(update::Update::Job(Box::new(job))),
    }
}

/// Whether nothing more will happen to the job of this update.
pub fn is_last(update: &Update) -> bool {
    matches!(&update.update, Some(update::Update::Job(job)) if lifecycle::is_finished(job.status()))
}
