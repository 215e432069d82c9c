//! The way of a message: followed to its end, paid, and turned into a result.

use std::time::Duration;

use connectors::v0::{Activity, Ended, Error, Finish, Standing};
use proto::{
    lifecycle::Charge,
    money::MicroDollars,
    v1::{Failure, Upstream, V0Request},
};
use tokio::time::{Instant, timeout};

use super::{Place, V0, dollars, pause, recipe::Told, refusals};
use crate::{
    backend::stopped,
    paid::Payment,
    report::Step,
    work::{Outcome, Work},
};

/// The part of the progress that is left for fetching and storing.
const MAKING_SHARE: f64 = 0.85;
/// So many things done are about half of it.
const HALF_WAY: f64 = 12.0;
const BOOK_PAUSE: Duration = Duration::from_secs(1);
/// How often v0's books are asked for a cost that they do not show yet.
const BOOK_TRIES: usize = 3;
/// How long v0 may take to stop a message; the attempt has little time left then.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

impl V0 {
    /// Follows a message to its end, writes down what it cost, and stores what came of it.
    pub(super) async fn follow(
        &self,
        request: &V0Request,
        upstream: Upstream,
        payment: &Payment,
        work: &Work,
    ) -> Outcome {
        let Some(place) = Place::of(&upstream) else {
            return Err(payment.give_up("the record does not name the chat").await);
        };
        let ended = match self.end_of(&place, work).await {
            Ok(ended) => ended,
            Err(Lost::Attempt(failure)) => return Err(failure),
            Err(Lost::Chat(failure)) => {
                self.write_off(&place, &failure, payment, work).await?;
                return Err(failure);
            }
        };
        // it was made, so it costs, whatever came of it
        let cost = self.cost(&place.chat, &ended).await;
        let charge = settle(payment, cost, &upstream.task_id, work).await?;
        if ended.finish != Finish::Stop {
            return Err(refusals::of_ending(&place.chat, &ended));
        }
        let told = Told {
            request,
            upstream: Some(&upstream),
            charge: Some(charge),
        };
        self.deliver(&place.chat, &ended.message, told, work).await
    }

    /// Waits for the end of a message.
    async fn end_of(&self, place: &Place, work: &Work) -> Result<Ended, Lost> {
        let (mut trouble, mut unknown) = (None::<Instant>, None::<Instant>);
        let lasts = |since: &mut Option<Instant>| since.get_or_insert_with(Instant::now).elapsed();
        loop {
            let standing = tokio::select! {
                biased;
                () = work.cancel.cancelled() => {
                    self.stop_if_unwanted(place, work).await;
                    return Err(Lost::Attempt(stopped()));
                }
                standing = self.client.standing(&place.chat, place.message.as_deref()) => standing,
            };
            match standing {
                Ok(Standing::Ended(ended)) => return Ok(ended),
                Ok(Standing::Running(activity)) => {
                    (trouble, unknown) = (None, None);
                    report(&activity, work);
                }
                Err(error) if error.is_refused_with(404) => {
                    if lasts(&mut unknown) > self.settings.lost_after {
                        return Err(Lost::Chat(refusals::of(&error)));
                    }
                    work.reporter.phase("waiting", "v0 does not know the chat yet");
                }
                Err(error) => self.weigh(&error, lasts(&mut trouble), work)?,
            }
            if let Err(failure) = pause(self.settings.poll, work).await {
                self.stop_if_unwanted(place, work).await;
                return Err(Lost::Attempt(failure));
            }
        }
    }

    /// Whether the patience with v0 is over.
    fn weigh(&self, error: &Error, lasts: Duration, work: &Work) -> Result<(), Lost> {
        let failure = refusals::of(error);
        if lasts > self.settings.patience {
            return Err(Lost::Attempt(failure));
        }
        work.reporter.phase("waiting", failure.message);
        Ok(())
    }

    /// Stops the message at v0 where the job is not wanted any more: what a drained worker leaves goes on, and the
    /// next attempt follows it. What it has cost is cleared up without the attempt.
    async fn stop_if_unwanted(&self, place: &Place, work: &Work) {
        let Some(message) = &place.message else { return };
        let is_unwanted = async {
            let record = work.records.load(work.id).await;
            matches!(record, Ok(Some(job)) if job.cancel.is_some())
        };
        let stop = async {
            if is_unwanted.await
                && let Err(error) = self.client.stop(&place.chat, message).await
            {
                tracing::info!(job.id = %work.id, %error, "v0 was not told to stop");
            }
        };
        if timeout(STOP_TIMEOUT, stop).await.is_err() {
            tracing::info!(job.id = %work.id, "v0 took too long to stop");
        }
    }

    /// What a message cost: as v0 says with it, or by v0's books; `None` where neither tells.
    pub(super) async fn cost(&self, chat: &str, ended: &Ended) -> Option<MicroDollars> {
        if let Some(usage) = ended.usage {
            return dollars(usage.credits);
        }
        for left in (0..BOOK_TRIES).rev() {
            match self.client.charged(chat, &ended.message).await {
                Ok(Some(credits)) => return dollars(credits),
                Ok(None) | Err(_) if left > 0 => tokio::time::sleep(BOOK_PAUSE).await,
                Ok(None) | Err(_) => {}
            }
        }
        None
    }

    /// The chat is gone, and with it what it came to; what it cost may still stand in the books.
    async fn write_off(
        &self,
        place: &Place,
        failure: &Failure,
        payment: &Payment,
        work: &Work,
    ) -> Result<(), Failure> {
        let message = place.message.as_deref().unwrap_or_default();
        let charged = self.client.charged(&place.chat, message).await;
        if let Some(cost) = charged.ok().flatten().and_then(dollars) {
            return settle(payment, Some(cost), &place.name(), work).await.map(drop);
        }
        payment.doubt(&failure.message).await;
        Ok(())
    }
}

/// Why the end of a message was not seen.
enum Lost {
    /// This attempt is over.
    Attempt(Failure),
    /// The chat is not there any more.
    Chat(Failure),
}

fn report(activity: &Activity, work: &Work) {
    let steps = activity.steps as f64;
    let doing = if activity.doing.is_empty() {
        "v0 is at it"
    } else {
        &activity.doing
    };
    let message = match activity.files {
        0 => doing.to_owned(),
        1 => format!("{doing}; 1 file so far"),
        files => format!("{doing}; {files} files so far"),
    };
    work.reporter.step(Step {
        phase: "generating",
        fraction: steps / (steps + HALF_WAY) * MAKING_SHARE,
        step: u32::try_from(activity.steps).unwrap_or(u32::MAX),
        message,
        ..Step::default()
    });
}

/// Writes down what it cost, however long the broker is away.
async fn settle(
    payment: &Payment,
    cost: Option<MicroDollars>,
    reference: &str,
    work: &Work,
) -> Result<Charge, Failure> {
    loop {
        match payment.settle(cost, reference).await {
            Err(failure) if failure.retryable => {
                work.reporter.alive();
                pause(BOOK_PAUSE, work).await?;
            }
            settled => return settled,
        }
    }
}
