//! The life of a job: what may happen to its record, decided in one pure function.
//!
//! `created` (held) → `queued` → `running` → `succeeded` | `failed` | `cancelled`; a failed attempt with
//! tries left goes back to `queued`. A finished job stays as it is for ever.

mod endings;
mod timeline;

use endings::{
    end_attempt, end_lost_attempt, expire, fail_attempt, finish_cancelled, hand_back, request_cancel, succeed,
};
use timeline::{record, record_phases};

use crate::{
    EventKind, Priority, Status,
    ids::{ClaimId, JobId},
    moment::{self, Millis, timestamp},
    money::MicroDollars,
    request::{self, Accepted},
    v1::{Artifact, Claim, Failure, Job, Site, Substitution, Upstream},
};

/// Something that happens to a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Somebody lets a held job go.
    Release,
    /// A worker takes a waiting job.
    Claim(Claim),
    /// A worker takes over a job whose claim is dead.
    TakeOver {
        /// The claim that is dead.
        dead: ClaimId,
        /// The new one.
        claim: Claim,
    },
    /// The claim is dead; the job goes back to the queue, or ends if that was its last attempt.
    TakeBack {
        /// The claim that is dead.
        dead: ClaimId,
        /// Why it is known to be dead.
        reason: String,
    },
    /// The claim's worker gives the job back unfinished. Costs no attempt.
    HandBack {
        /// Whose claim.
        claim: ClaimId,
        /// Why.
        reason: String,
        /// How its time was spent.
        phases: Vec<Phase>,
    },
    /// The claim asked another service to do the work.
    NoteUpstream {
        /// Whose claim.
        claim: ClaimId,
        /// What was asked, and where.
        upstream: Upstream,
    },
    /// The claim's attempt succeeded.
    Succeed {
        /// Whose claim.
        claim: ClaimId,
        /// What it made.
        product: Product,
        /// How its time was spent.
        phases: Vec<Phase>,
    },
    /// The claim's attempt failed.
    FailAttempt {
        /// Whose claim.
        claim: ClaimId,
        /// Why.
        failure: Failure,
        /// When to try again, if the failure and the number of attempts allow it.
        retry_at: Millis,
        /// How its time was spent.
        phases: Vec<Phase>,
    },
    /// Somebody wants the job not to go on.
    RequestCancel {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// The claim's worker has stopped the work on a job whose cancellation was requested.
    ConfirmCancel {
        /// Whose claim.
        claim: ClaimId,
        /// How its time was spent.
        phases: Vec<Phase>,
    },
    /// The deadline passed before the job was started.
    Expire,
}

/// What an attempt made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Product {
    /// The results, stored.
    pub outputs: Vec<Artifact>,
    /// All that made them, as a stored file.
    pub recipe: Option<Artifact>,
    /// What was used instead of what was asked for.
    pub substitutions: Vec<Substitution>,
    /// What the vendor took for it.
    pub charge: Option<Charge>,
    /// What a v0 job made beside its files.
    pub site: Option<Site>,
}

impl From<Vec<Artifact>> for Product {
    fn from(outputs: Vec<Artifact>) -> Self {
        Self {
            outputs,
            ..Self::default()
        }
    }
}

/// What a vendor took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// How much.
    pub amount: MicroDollars,
    /// The vendor told no figure.
    pub estimated: bool,
}

/// A part of an attempt's time.
#[derive(Debug, Clone, PartialEq)]
pub struct Phase {
    /// E.g. `sampling`.
    pub name: String,
    /// When it began.
    pub began: Millis,
    /// How long it took.
    pub seconds: f64,
}

/// Why a change is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The job is over.
    #[error("the job is over: {}", .0.as_str_name())]
    Finished(Status),
    /// The change belongs to a claim that does not hold the job (any more).
    #[error("another attempt holds the job")]
    NotHolder,
    /// The job is not in a state in which this can happen.
    #[error("not possible while the job is {}", .0.as_str_name())]
    WrongStatus(Status),
    /// The job waits for its time.
    #[error("not before its time")]
    TooEarly(Millis),
    /// Nothing would change.
    #[error("nothing to change")]
    NothingToDo,
}

/// Whether no change is possible any more.
pub const fn is_finished(status: Status) -> bool {
    matches!(status, Status::Succeeded | Status::Failed | Status::Cancelled)
}

/// The record of a job that was just accepted.
pub fn submitted(id: JobId, accepted: &Accepted, retry_of: Option<JobId>, now: Millis) -> Job {
    let abridged = request::abridged(&accepted.request);
    let hold = accepted.request.hold;
    let mut job = Job {
        id: id.to_string(),
        status: if hold { Status::Created } else { Status::Queued }.into(),
        backend: accepted.backend.into(),
        lane: accepted.lane.clone(),
        priority: accepted.request.priority,
        request_is_abridged: abridged.is_some(),
        max_attempts: accepted.request.max_attempts,
        request: Some(abridged.unwrap_or_else(|| accepted.request.clone())),
        request_hash: accepted.hash.clone(),
        summary: accepted.summary.clone(),
        created_at: Some(timestamp(now)),
        updated_at: Some(timestamp(now)),
        retry_of: retry_of.map(|id| id.to_string()).unwrap_or_default(),
        substitutions: accepted.substitutions.clone(),
        needs: accepted.needs.clone(),
        ..Job::default()
    };
    record(&mut job, now, EventKind::Submitted, "");
    if hold {
        record(&mut job, now, EventKind::Held, "");
    }
    job
}

/// What becomes of `job` when `change` happens at `now`.
///
/// # Errors
/// The reason why it cannot happen; the record is then to be left as it is.
pub fn apply(job: &Job, change: Change, now: Millis) -> Result<Job, Refusal> {
    if is_finished(job.status()) {
        return Err(Refusal::Finished(job.status()));
    }
    let mut next = job.clone();
    next.revision = 0;
    next.waiting = None;
    next.updated_at = Some(timestamp(now));
    match change {
        Change::Release => release(&mut next, now)?,
        Change::Claim(claim) => take(&mut next, claim, now)?,
        Change::TakeOver { dead, claim } => {
            must_hold(job, dead)?;
            end_lost_attempt(&mut next, "the worker went silent", now);
            if next.status() == Status::Queued {
                next.retry_at = None;
                take(&mut next, claim, now)?;
            }
        }
        Change::TakeBack { dead, reason } => {
            must_hold(job, dead)?;
            end_lost_attempt(&mut next, &reason, now);
        }
        Change::HandBack {
            claim,
            reason,
            phases,
        } => {
            must_hold(job, claim)?;
            record_phases(&mut next, phases);
            hand_back(&mut next, &reason, now);
        }
        Change::NoteUpstream { claim, upstream } => {
            must_hold(job, claim)?;
            next.upstream = Some(upstream);
        }
        Change::Succeed {
            claim,
            product,
            phases,
        } => {
            must_hold(job, claim)?;
            record_phases(&mut next, phases);
            succeed(&mut next, product, now);
        }
        Change::FailAttempt {
            claim,
            failure,
            retry_at,
            phases,
        } => {
            must_hold(job, claim)?;
            record_phases(&mut next, phases);
            fail_attempt(&mut next, failure, retry_at, now);
        }
        Change::RequestCancel { by, reason } => request_cancel(&mut next, by, reason, now)?,
        Change::ConfirmCancel { claim, phases } => {
            must_hold(job, claim)?;
            if next.cancel.is_none() {
                return Err(Refusal::WrongStatus(job.status()));
            }
            record_phases(&mut next, phases);
            end_attempt(&mut next, None, now);
            finish_cancelled(&mut next, now);
        }
        Change::Expire => expire(&mut next, now)?,
    }
    Ok(next)
}

/// The earliest time at which a waiting job may start.
pub fn due_at(job: &Job) -> Option<Millis> {
    let not_before = moment::maybe_millis(
        job.request
            .as_ref()
            .and_then(|request| request.not_before.as_ref()),
    );
    not_before.max(moment::maybe_millis(job.retry_at.as_ref()))
}

/// The time by which the job must have been started, if it has one.
pub fn deadline(job: &Job) -> Option<Millis> {
    moment::maybe_millis(job.request.as_ref().and_then(|request| request.deadline.as_ref()))
}

/// The claim that holds the job now.
pub fn holder(job: &Job) -> Option<ClaimId> {
    job.claim.as_ref().and_then(|claim| claim.claim_id.parse().ok())
}

/// The job's priority; `normal` where the record has one of a newer version.
pub fn priority(job: &Job) -> Priority {
    Priority::try_from(job.priority).unwrap_or_default()
}

fn must_hold(job: &Job, claim: ClaimId) -> Result<(), Refusal> {
    if job.status() == Status::Running && holder(job) == Some(claim) {
        Ok(())
    } else {
        Err(Refusal::NotHolder)
    }
}

fn release(job: &mut Job, now: Millis) -> Result<(), Refusal> {
    if job.status() != Status::Created {
        return Err(Refusal::WrongStatus(job.status()));
    }
    job.set_status(Status::Queued);
    record(job, now, EventKind::Released, "");
    Ok(())
}

fn take(job: &mut Job, claim: Claim, now: Millis) -> Result<(), Refusal> {
    if job.status() != Status::Queued {
        return Err(Refusal::WrongStatus(job.status()));
    }
    if let Some(due) = due_at(job).filter(|due| *due > now) {
        return Err(Refusal::TooEarly(due));
    }
    if job.started_at.is_none() {
        if deadline(job).is_some_and(|deadline| deadline <= now) {
            return expire(job, now);
        }
        job.started_at = Some(timestamp(now));
    }
    job.set_status(Status::Running);
    job.attempt += 1;
    job.retry_at = None;
    job.claim = Some(claim);
    record(job, now, EventKind::Started, "");
    Ok(())
}

#[cfg(test)]
mod tests;
