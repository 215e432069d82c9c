//! Which jobs need help: decided from what is known, without asking anybody.
//!
//! The record is the truth and the token a hint, so every deed here may be done twice, by two gateways,
//! or too late, without harm.

use std::{collections::HashMap, time::Duration};

use proto::{
    Status,
    ids::{ClaimId, Incarnation, JobId},
    lifecycle,
    moment::{self, Millis},
    v1::{Job, Worker},
    waiting,
};

use crate::{
    fleet::{Fleet, Life},
    index::Index,
};

/// A token that nobody took for this long, though somebody could have, is renewed.
const UNTOUCHED: Duration = Duration::from_mins(2);
/// A finished job's token is removed after this time; until then its holder will do it.
const LEFT_OVER: Duration = Duration::from_mins(1);

/// The subjects of the queue's messages, by job.
pub type Tokens = HashMap<JobId, Vec<String>>;

/// What to do about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Its deadline has passed.
    Expire(JobId),
    /// Ask its holder whether it is alive, and take the job back if it is not.
    Examine(Suspect),
    /// Its token is missing.
    PutToken(JobId),
    /// Its token seems to be stuck.
    RenewToken(JobId),
    /// The token on this subject is left over.
    RemoveToken(String),
}

/// A claim that may be dead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Whose.
    pub job: JobId,
    /// The claim.
    pub claim: ClaimId,
    /// The life of the worker that made it.
    pub incarnation: Incarnation,
    /// Why it is suspected.
    pub why: &'static str,
}

/// Deadlines that passed and claims that may be dead. `listening` is since when this gateway hears the workers
/// without a break: who was not heard while the broker was away may be there all the same.
pub fn urgent(index: &Index, fleet: &Fleet, lease: Duration, listening: Millis, now: Millis) -> Vec<Deed> {
    let of_job = |(id, job): (JobId, &Job)| match job.status() {
        Status::Created | Status::Queued => {
            let passed = lifecycle::deadline(job).is_some_and(|deadline| deadline <= now);
            (passed && job.started_at.is_none()).then_some(Deed::Expire(id))
        }
        Status::Running => suspect(id, job, fleet, lease, listening, now).map(Deed::Examine),
        Status::Unspecified | Status::Succeeded | Status::Failed | Status::Cancelled => None,
    };
    index.live().filter_map(of_job).collect()
}

fn suspect(
    id: JobId,
    job: &Job,
    fleet: &Fleet,
    lease: Duration,
    listening: Millis,
    now: Millis,
) -> Option<Suspect> {
    let claim = job.claim.as_ref()?;
    let incarnation = claim.incarnation.parse().ok()?;
    let since = moment::maybe_millis(claim.since.as_ref()).unwrap_or_default();
    let silent = |heard: Millis| now.saturating_sub(heard) > as_millis(lease);
    let why = match fleet.life(&claim.worker, incarnation) {
        Life::Over => "the worker was started anew",
        Life::Heard(at) if silent(at.max(since).max(listening)) => "the worker went silent",
        Life::Unheard if silent(listening.max(since)) => "the worker was never heard of",
        // what it said before a break may be older than the claim
        Life::Heard(_)
            if silent(since.max(listening)) && !fleet.claims(&claim.worker, incarnation, &job.id) =>
        {
            "the worker does not know of the job"
        }
        Life::Heard(_) | Life::Unheard => return None,
    };
    Some(Suspect {
        job: id,
        claim: lifecycle::holder(job)?,
        incarnation,
        why,
    })
}

/// Whether the queue has to be listed at all: somebody waits longer than is usual. A record that changed
/// less long ago than `settle` is left alone.
pub fn wants_listing(index: &Index, settle: Duration, now: Millis) -> bool {
    index.live().any(|(_, job)| is_settled(job, settle, now))
}

/// What does not fit between records and tokens.
pub fn sweep(index: &Index, tokens: &Tokens, fleet: &Fleet, settle: Duration, now: Millis) -> Vec<Deed> {
    let present: Vec<&Worker> = fleet.present(now).collect();
    let mut deeds = Vec::new();
    for (id, job) in index.live().filter(|(_, job)| is_settled(job, settle, now)) {
        let due = lifecycle::due_at(job).unwrap_or_default();
        let updated = moment::maybe_millis(job.updated_at.as_ref()).unwrap_or_default();
        if !tokens.contains_key(&id) {
            deeds.push(Deed::PutToken(id));
        } else if now.saturating_sub(due.max(updated)) > as_millis(UNTOUCHED)
            && waiting::has_taker(job, present.iter().copied())
        {
            deeds.push(Deed::RenewToken(id));
        }
    }
    for (id, subjects) in tokens {
        let left_over = |at: Millis| now.saturating_sub(at) > as_millis(LEFT_OVER);
        if index.finished_at(*id).is_some_and(left_over) {
            deeds.extend(subjects.iter().cloned().map(Deed::RemoveToken));
        }
    }
    deeds
}

fn is_settled(job: &Job, settle: Duration, now: Millis) -> bool {
    let updated = moment::maybe_millis(job.updated_at.as_ref()).unwrap_or_default();
    job.status() == Status::Queued && now.saturating_sub(updated) > as_millis(settle)
}

fn as_millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{
        Backend,
        moment::timestamp,
        v1::{BackendOffer, Claim, RunningClaim},
    };

    const LEASE: Duration = Duration::from_secs(45);
    const SETTLE: Duration = Duration::from_secs(20);

    fn running(incarnation: Incarnation, since: Millis) -> Job {
        Job {
            id: JobId::generate().to_string(),
            status: Status::Running.into(),
            backend: Backend::Sketch.into(),
            revision: 1,
            claim: Some(Claim {
                claim_id: ClaimId::generate().to_string(),
                worker: "w1".into(),
                incarnation: incarnation.to_string(),
                since: Some(timestamp(since)),
            }),
            ..Job::default()
        }
    }

    fn queued(updated: Millis) -> Job {
        Job {
            id: JobId::generate().to_string(),
            status: Status::Queued.into(),
            backend: Backend::Sketch.into(),
            lane: "_".into(),
            updated_at: Some(timestamp(updated)),
            revision: 1,
            ..Job::default()
        }
    }

    fn index(job: &Job) -> Index {
        let mut index = Index::default();
        index.take(job.clone());
        index
    }

    fn worker(incarnation: Incarnation, running: &[&Job]) -> Worker {
        let offer = BackendOffer {
            backend: Backend::Sketch.into(),
            slots: 1,
            healthy: true,
            ..BackendOffer::default()
        };
        let claim = |job: &&Job| RunningClaim {
            job: job.id.clone(),
            ..RunningClaim::default()
        };
        Worker {
            id: "w1".into(),
            incarnation: incarnation.to_string(),
            backends: vec![offer],
            running: running.iter().map(claim).collect(),
            ..Worker::default()
        }
    }

    fn why(job: &Job, fleet: &Fleet, started: Millis, now: Millis) -> Option<&'static str> {
        let deed = urgent(&index(job), fleet, LEASE, started, now).pop()?;
        let Deed::Examine(suspect) = deed else {
            panic!("{deed:?}")
        };
        Some(suspect.why)
    }

    #[test]
    fn a_claim_is_suspected_when_its_holder_is_silent_gone_or_ignorant() {
        let life = Incarnation::generate();
        let job = running(life, 0);
        let mut fleet = Fleet::new(Duration::from_secs(5));
        assert_eq!(why(&job, &fleet, 0, 45_000), None);
        assert_eq!(
            why(&job, &fleet, 0, 45_001),
            Some("the worker was never heard of")
        );
        assert_eq!(
            why(&job, &fleet, 30_000, 45_001),
            None,
            "a young gateway waits until it could have heard"
        );
        fleet.take(worker(life, &[&job]), 40_000);
        assert_eq!(why(&job, &fleet, 0, 60_000), None);
        assert_eq!(why(&job, &fleet, 0, 85_001), Some("the worker went silent"));
        assert_eq!(why(&job, &fleet, 85_000, 85_001), None, "the broker was away");
        fleet.take(worker(life, &[]), 90_000);
        assert_eq!(
            why(&job, &fleet, 45_000, 90_000),
            None,
            "what it said before the broker was away is no proof"
        );
        assert_eq!(
            why(&job, &fleet, 0, 90_000),
            Some("the worker does not know of the job")
        );
        fleet.take(worker(Incarnation::generate(), &[]), 91_000);
        assert_eq!(why(&job, &fleet, 0, 91_000), Some("the worker was started anew"));
    }

    #[test]
    fn a_missing_token_is_put_and_a_stuck_one_renewed() {
        let job = queued(0);
        let id = job.id.parse().unwrap();
        let mut fleet = Fleet::new(Duration::from_secs(5));
        let index = index(&job);
        let none = HashMap::new();
        assert!(!wants_listing(&index, SETTLE, 20_000) && wants_listing(&index, SETTLE, 20_001));
        assert_eq!(sweep(&index, &none, &fleet, SETTLE, 20_001), [Deed::PutToken(id)]);
        let there = HashMap::from([(id, vec!["orch.q.sketch.normal._.x".to_owned()])]);
        assert_eq!(
            sweep(&index, &there, &fleet, SETTLE, 130_000),
            [],
            "nobody could have taken it"
        );
        fleet.take(worker(Incarnation::generate(), &[]), 130_000);
        assert_eq!(
            sweep(&index, &there, &fleet, SETTLE, 130_000),
            [Deed::RenewToken(id)]
        );
    }

    #[test]
    fn a_left_over_token_is_removed_in_time() {
        let job = Job {
            status: Status::Succeeded.into(),
            finished_at: Some(timestamp(0)),
            ..queued(0)
        };
        let tokens = HashMap::from([(job.id.parse().unwrap(), vec!["orch.q.x".to_owned()])]);
        let fleet = Fleet::new(Duration::from_secs(5));
        assert_eq!(sweep(&index(&job), &tokens, &fleet, SETTLE, 60_000), []);
        assert_eq!(
            sweep(&index(&job), &tokens, &fleet, SETTLE, 60_001),
            [Deed::RemoveToken("orch.q.x".into())]
        );
    }

    #[test]
    fn a_deadline_ends_only_what_never_started() {
        let mut job = queued(0);
        job.request.get_or_insert_default().deadline = Some(timestamp(1_000));
        let fleet = Fleet::new(Duration::from_secs(5));
        let id = job.id.parse().unwrap();
        assert_eq!(urgent(&index(&job), &fleet, LEASE, 0, 999), []);
        assert_eq!(urgent(&index(&job), &fleet, LEASE, 0, 1_000), [Deed::Expire(id)]);
        job.started_at = Some(timestamp(500));
        assert_eq!(urgent(&index(&job), &fleet, LEASE, 0, 1_000), []);
    }
}
