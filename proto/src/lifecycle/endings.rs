//! How attempts and jobs come to their end, and what is written down about it.

use super::{Product, Refusal, deadline, timeline::record};
use crate::{
    EventKind, Status,
    failure::FailureCode,
    moment::{Millis, timestamp},
    v1::{Attempt, CancelRequest, Failure, Job, upstream},
};

/// Most ended attempts that a record tells of.
pub(super) const MAX_TOLD_ATTEMPTS: usize = 10;

/// How often a worker may be lost that follows a paid task, without a cost in attempts.
const MAX_FREE_LOSSES: u32 = 20;

pub(super) fn request_cancel(job: &mut Job, by: String, reason: String, now: Millis) -> Result<(), Refusal> {
    if job.cancel.is_some() {
        return Err(Refusal::NothingToDo);
    }
    record(job, now, EventKind::CancelRequested, &reason);
    job.cancel = Some(CancelRequest {
        by,
        reason,
        at: Some(timestamp(now)),
    });
    if job.status() != Status::Running {
        finish_cancelled(job, now);
    }
    Ok(())
}

pub(super) fn expire(job: &mut Job, now: Millis) -> Result<(), Refusal> {
    let passed = deadline(job).is_some_and(|deadline| deadline <= now);
    if job.status() == Status::Running || job.started_at.is_some() || !passed {
        return Err(Refusal::WrongStatus(job.status()));
    }
    job.failure = Some(FailureCode::DeadlinePassed.failure("the job was not started by its deadline"));
    finish(
        job,
        Status::Failed,
        EventKind::Failed,
        FailureCode::DeadlinePassed.as_str(),
        now,
    );
    Ok(())
}

pub(super) fn fail_attempt(job: &mut Job, failure: Failure, retry_at: Millis, now: Millis) {
    let retryable = failure.retryable;
    let code = failure.code.clone();
    end_attempt(job, Some(failure.clone()), now);
    job.failure = Some(failure);
    if retryable && has_attempts_left(job) {
        if job.cancel.is_none() {
            record(job, now, EventKind::RetryScheduled, &code);
        }
        requeue_or_cancel(job, Some(retry_at), now);
    } else if job.cancel.is_some() {
        finish_cancelled(job, now);
    } else {
        finish(job, Status::Failed, EventKind::Failed, &code, now);
    }
}

pub(super) fn hand_back(job: &mut Job, reason: &str, now: Millis) {
    end_attempt(job, None, now);
    job.handed_back += 1;
    record(job, now, EventKind::HandedBack, reason);
    requeue_or_cancel(job, None, now);
}

pub(super) fn end_lost_attempt(job: &mut Job, reason: &str, now: Millis) {
    let worker = job
        .claim
        .as_ref()
        .map(|claim| claim.worker.clone())
        .unwrap_or_default();
    let failure = FailureCode::WorkerLost.failure(format!("worker {worker} was lost: {reason}"));
    record(job, now, EventKind::TakenBack, reason);
    if has_paid_task(job) && job.handed_back < MAX_FREE_LOSSES {
        // what is paid for is fetched, however many workers die on the way
        job.handed_back += 1;
    }
    end_attempt(job, Some(failure.clone()), now);
    job.failure = Some(failure);
    if has_attempts_left(job) {
        requeue_or_cancel(job, None, now);
    } else if job.cancel.is_some() {
        finish_cancelled(job, now);
    } else {
        finish(
            job,
            Status::Failed,
            EventKind::Failed,
            FailureCode::WorkerLost.as_str(),
            now,
        );
    }
}

/// Whether a vendor works on it, or has done so, for money.
fn has_paid_task(job: &Job) -> bool {
    let upstream = job.upstream.as_ref();
    job.spend.is_some() && upstream.is_some_and(|upstream| upstream.phase() == upstream::Phase::Submitted)
}

fn has_attempts_left(job: &Job) -> bool {
    job.attempt.saturating_sub(job.handed_back) < job.max_attempts
}

fn requeue_or_cancel(job: &mut Job, retry_at: Option<Millis>, now: Millis) {
    if job.cancel.is_some() {
        finish_cancelled(job, now);
    } else {
        job.set_status(Status::Queued);
        job.retry_at = retry_at.map(timestamp);
    }
}

pub(super) fn end_attempt(job: &mut Job, failure: Option<Failure>, now: Millis) {
    let Some(claim) = job.claim.take() else { return };
    if job.attempts.len() >= MAX_TOLD_ATTEMPTS {
        job.attempts.remove(0);
    }
    job.attempts.push(Attempt {
        number: job.attempt,
        worker: claim.worker,
        started_at: claim.since,
        ended_at: Some(timestamp(now)),
        failure,
    });
}

pub(super) fn finish_cancelled(job: &mut Job, now: Millis) {
    let reason = job
        .cancel
        .as_ref()
        .map(|cancel| cancel.reason.clone())
        .unwrap_or_default();
    job.failure = None;
    finish(job, Status::Cancelled, EventKind::Cancelled, &reason, now);
}

/// The attempt has reached its end.
pub(super) fn succeed(job: &mut Job, product: Product, now: Millis) {
    (job.outputs, job.recipe, job.site) = (product.outputs, product.recipe, product.site);
    job.substitutions.extend(product.substitutions);
    if let Some(charge) = product.charge {
        let spend = job.spend.get_or_insert_default();
        spend.charged_microdollars = Some(charge.amount.0);
        spend.estimated = charge.estimated;
    }
    end_attempt(job, None, now);
    job.failure = None;
    finish(job, Status::Succeeded, EventKind::Succeeded, "", now);
}

pub(super) fn finish(job: &mut Job, status: Status, kind: EventKind, reason: &str, now: Millis) {
    job.set_status(status);
    job.retry_at = None;
    job.claim = None;
    job.finished_at = Some(timestamp(now));
    record(job, now, kind, reason);
}
