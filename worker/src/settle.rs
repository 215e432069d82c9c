//! Writes down what came of an attempt, then settles its token. In this order: a token that is settled
//! first could be lost before the record says why.

use std::time::Duration;

use proto::{
    Status,
    failure::FailureCode,
    ids::ClaimId,
    lifecycle::{Change, Phase, Refusal},
    moment::{Millis, maybe_millis},
    v1::{Failure, Job},
};
use runtime::{bus::BusError, clock, records::ChangeError, telemetry::chain};
use tokio::time::sleep;

use crate::{claim::Held, intake::Desk, settings::CrashPoint, work::Outcome};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How an attempt came to its end.
#[derive(Debug, Clone)]
pub enum End {
    /// The backend finished, well or not.
    Ran(Outcome),
    /// The job was cancelled.
    Cancelled,
    /// The job goes to somebody else, without fault of its own.
    HandBack(String),
    /// Another attempt holds the job; nothing may be written.
    Lost,
}

/// Writes down the end of the attempt, as often as it takes, unless the job is somebody else's by then.
pub async fn settle(desk: &Desk, held: Held, end: End, phases: Vec<Phase>) {
    let id = held.id;
    let Some(mut change) = change(desk, &held, end, phases) else {
        tracing::warn!(job.id = %id, worker.id = %desk.worker, "another attempt holds the job; this one is dropped");
        return held.delivery.forget();
    };
    desk.attempts.crash_at.pass(CrashPoint::Stored);
    let mut known = Some(held.job);
    let mut wait = FIRST_WAIT;
    loop {
        match desk.records.change(id, known.take(), &change).await {
            Ok(job) => {
                desk.attempts.crash_at.pass(CrashPoint::Recorded);
                report(desk, &job);
                return settle_token(held.delivery, &job).await;
            }
            Err(
                ChangeError::Refused {
                    refusal: Refusal::Finished(_),
                    ..
                }
                | ChangeError::Unknown(_),
            ) => {
                tracing::info!(job.id = %id, worker.id = %desk.worker, "the job ended without this attempt");
                return held.delivery.done().await;
            }
            Err(ChangeError::Refused { .. }) => {
                tracing::warn!(job.id = %id, worker.id = %desk.worker, "the job was taken from this attempt");
                return held.delivery.forget();
            }
            Err(ChangeError::Bus(BusError::TooLarge)) => change = too_large(held.claim),
            Err(error @ (ChangeError::Contended(_) | ChangeError::Bus(_))) => {
                tracing::warn!(job.id = %id, error = chain(&error), "the outcome is written again");
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
        }
    }
}

fn change(desk: &Desk, held: &Held, end: End, phases: Vec<Phase>) -> Option<Change> {
    let claim = held.claim;
    match end {
        End::Ran(Ok(product)) => Some(Change::Succeed {
            claim,
            product,
            phases,
        }),
        End::Ran(Err(failure)) => {
            let retry_at = retry_at(desk, &failure, held.job.attempt - held.job.handed_back);
            Some(Change::FailAttempt {
                claim,
                failure,
                retry_at,
                phases,
            })
        }
        End::Cancelled => Some(Change::ConfirmCancel { claim, phases }),
        End::HandBack(reason) => Some(Change::HandBack {
            claim,
            reason,
            phases,
        }),
        End::Lost => None,
    }
}

/// Instead of an outcome that does not fit into the record.
fn too_large(claim: ClaimId) -> Change {
    let message = "the job made so many files that their list does not fit into its record";
    let failure = FailureCode::ArtifactTooLarge.failure(message);
    Change::FailAttempt {
        claim,
        failure,
        retry_at: 0,
        phases: Vec::new(),
    }
}

fn retry_at(desk: &Desk, failure: &Failure, attempt: u32) -> Millis {
    let code = FailureCode::parse(&failure.code).unwrap_or(FailureCode::GatewayFault);
    let delay = desk.timing.backoff.delay(code, attempt, rand::random());
    clock::now().saturating_add(Millis::try_from(delay.as_millis()).unwrap_or(Millis::MAX))
}

async fn settle_token(delivery: runtime::queue::Delivery, job: &Job) {
    if job.status() == Status::Queued {
        let due = maybe_millis(job.retry_at.as_ref()).unwrap_or_default();
        let wait = u64::try_from(due.saturating_sub(clock::now())).unwrap_or_default();
        delivery.later(Duration::from_millis(wait)).await;
    } else {
        delivery.done().await;
    }
}

fn report(desk: &Desk, job: &Job) {
    let (id, attempt, worker) = (&job.id, job.attempt, &desk.worker);
    let status = job.status().as_str_name();
    match &job.failure {
        Some(failure) => tracing::warn!(
            job.id = id, attempt.number = attempt, worker.id = %worker, job.status = status,
            failure.code, "{}", failure.message
        ),
        None => {
            tracing::info!(job.id = id, attempt.number = attempt, worker.id = %worker, job.status = status, "over");
        }
    }
}
