//! The attempts that run in this process: for announcements, questions and nudges.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use proto::{
    ids::{ClaimId, JobId},
    v1::RunningClaim,
};
use tokio::sync::{Notify, watch};

/// The running attempts. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Roster {
    entries: Arc<Mutex<HashMap<JobId, Entry>>>,
    changes: Arc<watch::Sender<u64>>,
}

#[derive(Debug)]
struct Entry {
    claim: ClaimId,
    attempt: u32,
    fraction: f64,
    nudge: Arc<Notify>,
}

/// An attempt's place on the roster; it leaves when this is dropped.
#[derive(Debug)]
pub struct Place {
    roster: Roster,
    job: JobId,
    claim: ClaimId,
    nudge: Arc<Notify>,
}

impl Default for Roster {
    fn default() -> Self {
        Self {
            entries: Arc::default(),
            changes: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl Roster {
    /// Enters an attempt.
    pub fn enter(&self, job: JobId, claim: ClaimId, attempt: u32) -> Place {
        let nudge = Arc::new(Notify::new());
        self.lock().insert(
            job,
            Entry {
                claim,
                attempt,
                fraction: 0.0,
                nudge: nudge.clone(),
            },
        );
        self.changes.send_modify(|count| *count += 1);
        Place {
            roster: self.clone(),
            job,
            claim,
            nudge,
        }
    }

    /// The claim by which this process works on a job.
    pub fn claim(&self, job: JobId) -> Option<ClaimId> {
        self.lock().get(&job).map(|entry| entry.claim)
    }

    /// Makes the attempt at a job look at its record at once.
    pub fn nudge(&self, job: JobId) {
        if let Some(entry) = self.lock().get(&job) {
            entry.nudge.notify_one();
        }
    }

    /// Everything that runs.
    pub fn running(&self) -> Vec<RunningClaim> {
        let claim = |(job, entry): (&JobId, &Entry)| RunningClaim {
            job: job.to_string(),
            claim_id: entry.claim.to_string(),
            attempt: entry.attempt,
            fraction: entry.fraction,
        };
        self.lock().iter().map(claim).collect()
    }

    /// Changes when an attempt began or ended.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until somebody wants the attempt to look at its record.
    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }

    /// Notes how far the attempt is.
    pub fn note(&self, fraction: f64) {
        if let Some(entry) = self.roster.lock().get_mut(&self.job) {
            entry.fraction = fraction;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut entries = self.roster.lock();
        if entries
            .get(&self.job)
            .is_some_and(|entry| entry.claim == self.claim)
        {
            entries.remove(&self.job);
        }
        drop(entries);
        self.roster.changes.send_modify(|count| *count += 1);
    }
}
