//! From a token to a claim: the record decides whose job it is.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use proto::{
    Status,
    ids::{ClaimId, Incarnation, JobId},
    lifecycle::{self, Change, Refusal},
    moment::{Millis, timestamp},
    v1::{self, BackendOffer, Job},
    waiting,
};
use runtime::{
    calls::{self, Ownership},
    clock,
    queue::Delivery,
    records::ChangeError,
    telemetry::chain,
};
use tokio::time::Instant;

use crate::{intake::Desk, settings::CrashPoint};

/// How often a holder has to be silent before its job is taken over.
const SILENT_TIMES: u32 = 3;
/// After trouble with the broker a token is looked at again after this time.
const AGAIN: Duration = Duration::from_secs(1);

/// A job that needs what this worker does not have is shown to it again after this time.
const ELSEWHERE: Duration = Duration::from_secs(2);

/// A job that is ours.
#[derive(Debug)]
pub struct Held {
    /// Its record, with our claim.
    pub job: Job,
    /// Its id.
    pub id: JobId,
    /// Our claim.
    pub claim: ClaimId,
    /// Its token.
    pub delivery: Delivery,
}

/// Holders that did not answer, how often, and since when.
#[derive(Debug, Default)]
pub struct Suspicions {
    entries: Mutex<HashMap<ClaimId, (u32, Instant)>>,
}

impl Suspicions {
    /// Counts a silence; tells whether the holder was silent often enough and long enough.
    fn confirm(&self, claim: ClaimId, long: Duration) -> bool {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, (_, since)| since.elapsed() < long * 20);
        let (times, since) = entries.entry(claim).or_insert_with(|| (0, Instant::now()));
        *times += 1;
        *times >= SILENT_TIMES && since.elapsed() >= long
    }

    fn clear(&self, claim: ClaimId) {
        self.entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&claim);
    }
}

/// Makes the job of a token ours, or settles the token as the record demands. A job that `offer` cannot
/// serve is left to others.
pub async fn take(desk: &Desk, offer: &BackendOffer, mut delivery: Delivery) -> Option<Held> {
    let id = delivery.job;
    let known = delivery.record.take().filter(|record| record.revision > 0);
    if let Some(lack) = known.as_ref().and_then(|job| waiting::lacks(job, offer)) {
        tracing::debug!(job.id = %id, worker.id = %desk.worker, lack, "left to others");
        delivery.later(ELSEWHERE).await;
        return None;
    }
    let claim = ClaimId::generate();
    let now = clock::now();
    let taken = desk
        .records
        .change(id, known, &Change::Claim(ours(desk, claim, now)))
        .await;
    match settle_claim(desk, taken, claim, delivery).await? {
        Next::Run(job, delivery) => Some(begin(desk, *job, claim, delivery)),
        Next::Examine(job, delivery) => take_over(desk, *job, claim, delivery).await,
    }
}

enum Next {
    Run(Box<Job>, Delivery),
    Examine(Box<Job>, Delivery),
}

async fn settle_claim(
    desk: &Desk,
    taken: Result<Job, ChangeError>,
    claim: ClaimId,
    delivery: Delivery,
) -> Option<Next> {
    let id = delivery.job;
    match taken {
        Ok(job) if lifecycle::holder(&job) == Some(claim) => return Some(Next::Run(Box::new(job), delivery)),
        // its deadline had passed
        Ok(_) | Err(ChangeError::Unknown(_)) => delivery.done().await,
        Err(ChangeError::Refused { current, .. }) if lifecycle::holder(&current) == Some(claim) => {
            return Some(Next::Run(current, delivery));
        }
        Err(ChangeError::Refused { refusal, current }) => match refusal {
            Refusal::Finished(_) | Refusal::WrongStatus(Status::Created) => delivery.done().await,
            Refusal::WrongStatus(Status::Running) => return Some(Next::Examine(current, delivery)),
            Refusal::TooEarly(due) => delivery.later(until(due)).await,
            Refusal::WrongStatus(_) | Refusal::NotHolder | Refusal::NothingToDo => {
                delivery.later(AGAIN).await;
            }
        },
        Err(error @ (ChangeError::Contended(_) | ChangeError::Bus(_))) => {
            tracing::warn!(job.id = %id, worker.id = %desk.worker, error = chain(&error), "not claimed now");
            delivery.later(AGAIN).await;
        }
    }
    None
}

/// The job is held by another attempt. If that is an earlier life of this worker, or does not answer for
/// long enough, the job is taken over.
async fn take_over(desk: &Desk, job: Job, claim: ClaimId, delivery: Delivery) -> Option<Held> {
    let id = delivery.job;
    let held = job.claim.as_ref()?;
    let (Some(dead), Ok(incarnation)) = (lifecycle::holder(&job), held.incarnation.parse::<Incarnation>())
    else {
        delivery.later(AGAIN).await;
        return None;
    };
    if incarnation == desk.incarnation {
        // a second token of a job that this process works on, or is about to
        delivery.later(desk.timing.beat).await;
        return None;
    }
    let earlier_life = held.worker == desk.worker.as_str();
    if !earlier_life {
        match calls::ask_owner(desk.records.bus(), incarnation, id).await {
            Ownership::Claimed(other) if other == dead => {
                desk.suspicions.clear(dead);
                delivery.later(desk.timing.beat).await;
                return None;
            }
            Ownership::Claimed(_) | Ownership::NotClaimed | Ownership::Silent => {
                if !desk.suspicions.confirm(dead, desk.timing.lease * 2 / 3) {
                    delivery.later(desk.timing.lease / 4).await;
                    return None;
                }
            }
        }
    }
    desk.suspicions.clear(dead);
    tracing::warn!(job.id = %id, worker.id = %desk.worker, lost = held.worker, "taking over a job");
    let change = Change::TakeOver {
        dead,
        claim: ours(desk, claim, clock::now()),
    };
    match settle_claim(
        desk,
        desk.records.change(id, None, &change).await,
        claim,
        delivery,
    )
    .await?
    {
        Next::Run(job, delivery) => Some(begin(desk, *job, claim, delivery)),
        Next::Examine(_, delivery) => {
            delivery.later(AGAIN).await;
            None
        }
    }
}

fn begin(desk: &Desk, job: Job, claim: ClaimId, delivery: Delivery) -> Held {
    let id = delivery.job;
    desk.attempts.crash_at.pass(CrashPoint::Claimed);
    tracing::info!(job.id = %id, attempt.number = job.attempt, worker.id = %desk.worker, "started");
    Held {
        job,
        id,
        claim,
        delivery,
    }
}

fn ours(desk: &Desk, claim: ClaimId, now: Millis) -> v1::Claim {
    v1::Claim {
        claim_id: claim.to_string(),
        worker: desk.worker.to_string(),
        incarnation: desk.incarnation.to_string(),
        since: Some(timestamp(now)),
    }
}

fn until(due: Millis) -> Duration {
    Duration::from_millis(
        u64::try_from(due.saturating_sub(clock::now()))
            .unwrap_or_default()
            .max(1),
    )
}
