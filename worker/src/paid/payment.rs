//! The payment of one attempt: the steps of a call that costs money, in their order.

use std::{sync::Arc, time::Duration};

use futures::future::FutureExt as _;
use proto::{
    UpstreamPhase,
    failure::FailureCode,
    ledger::{Act, Denial},
    lifecycle::Charge,
    money::MicroDollars,
    v1::{Failure, Upstream},
};
use runtime::ledger::LedgerError;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep, timeout},
};

use super::{Answer, Cashier, Standing, Terms, failed};
use crate::{backend::stopped, settings::CrashPoint, work::Pen};

const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Pauses after a refusal that may pass.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The payment of one attempt. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Payment {
    pub(super) cashier: Arc<Cashier>,
    pub(super) pen: Pen,
}

impl Payment {
    /// Where the job stands, by its record and by what this process knows better.
    pub fn standing(&self, recorded: Option<&Upstream>) -> Standing {
        let Some(recorded) = recorded else {
            return Standing::Fresh;
        };
        let known = self.cashier.known().get(&self.pen.job()).cloned();
        let upstream = match recorded.phase() {
            UpstreamPhase::Submitting => known.unwrap_or_else(|| recorded.clone()),
            UpstreamPhase::Submitted | UpstreamPhase::Ended => recorded.clone(),
        };
        match upstream.phase() {
            UpstreamPhase::Ended => Standing::Fresh,
            UpstreamPhase::Submitted => Standing::Submitted(upstream),
            UpstreamPhase::Submitting => Standing::InDoubt(upstream),
        }
    }

    /// Makes a call that costs money, once it may be made, and again where the vendor certainly did not take it and
    /// that may pass. A call that has begun is seen through to its end even if nobody waits for it any more.
    /// `intent` says what is asked, and where.
    ///
    /// # Errors
    /// That of a refused call; `outcome_unknown` where nobody can tell; `spend_unreserved`, `broker_unavailable`;
    /// `worker_lost` where another attempt holds the job.
    pub async fn submit<C>(
        &self,
        terms: &Terms<'_>,
        intent: impl Fn() -> Upstream,
        call: impl Fn() -> C,
    ) -> Result<Upstream, Failure>
    where
        C: Future<Output = Answer> + Send + 'static,
    {
        let until = Instant::now() + terms.patience;
        let mut wait = FIRST_PAUSE;
        loop {
            self.start(terms).await?;
            if terms.cancel.is_cancelled() {
                return Err(stopped());
            }
            terms.reporter.phase("submitting", "");
            let Refusal { failure, after } = match self.ask(intent(), call()).await {
                Ok(upstream) => return Ok(upstream),
                Err(refusal) => refusal,
            };
            let pause = after.unwrap_or(wait).min(LONGEST_PAUSE);
            if !failure.retryable || Instant::now() + pause > until {
                return Err(failure);
            }
            terms.reporter.phase(
                "waiting",
                format!("{}; asks again in {} s", failure.message, pause.as_secs_f32()),
            );
            wait = (wait * 2).min(LONGEST_PAUSE);
            tokio::select! {
                biased;
                () = terms.cancel.cancelled() => return Err(stopped()),
                () = sleep(pause) => {}
            }
        }
    }

    /// Takes a place among the calls that the account may have under way, and waits for one where there is none.
    ///
    /// # Errors
    /// `spend_unreserved`, `outcome_unknown`, `broker_unavailable`.
    pub async fn start(&self, terms: &Terms<'_>) -> Result<(), Failure> {
        let mut changes = self.cashier.ledger.changes();
        let act = Act::Start {
            job: self.pen.job(),
            account: terms.account.to_owned(),
            limits: terms.limits.clone(),
        };
        loop {
            changes.mark_unchanged();
            match self.cashier.ledger.act(&act).await {
                Ok(_) => return Ok(()),
                Err(LedgerError::Denied(denial @ Denial::Full(_))) => {
                    let message = format!("waits for a place: {denial}");
                    terms.reporter.phase("waiting", message);
                }
                Err(error) => return Err(failed(&error)),
            }
            tokio::select! {
                biased;
                () = terms.cancel.cancelled() => return Err(stopped()),
                _ = timeout(LONGEST_WAIT, changes.changed()) => {}
            }
        }
    }

    async fn ask(
        &self,
        intent: Upstream,
        call: impl Future<Output = Answer> + Send + 'static,
    ) -> Result<Upstream, Refusal> {
        let intent = Upstream {
            phase: UpstreamPhase::Submitting.into(),
            ..intent
        };
        if let Err(failure) = self.pen.note_upstream(intent.clone()).await {
            // it may be written all the same, but nothing was asked
            self.cashier.remember(self.pen.job(), &ended(intent));
            return Err(failure.into());
        }
        self.cashier.crash_at.pass(CrashPoint::Asking);
        let (tell, told) = oneshot::channel();
        let payment = self.clone();
        let seen_through = async move {
            let answer = call.await;
            payment.cashier.crash_at.pass(CrashPoint::Answered);
            let outcome = payment.write_down(intent, answer).await;
            if tell.send(outcome).is_err() {
                tracing::info!(job.id = %payment.pen.job(), "a paid call ended without its attempt");
            }
        };
        if self.cashier.begin.send(seen_through.boxed()).await.is_err() {
            return Err(stopped().into());
        }
        told.await.unwrap_or_else(|_| Err(stopped().into()))
    }

    async fn write_down(&self, intent: Upstream, answer: Answer) -> Result<Upstream, Refusal> {
        match answer {
            Answer::Taken(upstream) => {
                let upstream = Upstream {
                    phase: UpstreamPhase::Submitted.into(),
                    ..upstream
                };
                self.adopt(upstream.clone()).await?;
                Ok(upstream)
            }
            Answer::Refused { failure, after } => {
                self.end_task(intent, &failure.message).await?;
                Err(Refusal { failure, after })
            }
            Answer::Unclear(why) => Err(self.give_up(&why).await.into()),
        }
    }

    /// Writes down that the vendor has it, as often as it takes.
    ///
    /// # Errors
    /// `worker_lost` where another attempt holds the job.
    pub async fn adopt(&self, upstream: Upstream) -> Result<(), Failure> {
        self.insist(upstream).await
    }

    /// Writes down that the task came to nothing and costs nothing, so that a further attempt may ask anew.
    ///
    /// # Errors
    /// `worker_lost` where another attempt holds the job, `broker_unavailable` where the ledger was not written.
    pub async fn end_task(&self, upstream: Upstream, reason: &str) -> Result<(), Failure> {
        self.insist(ended(upstream)).await?;
        self.withdraw(reason).await
    }

    /// Writes down that the call came to nothing and costs nothing; the reservation stays.
    ///
    /// # Errors
    /// `broker_unavailable`, `spend_unreserved`.
    pub async fn withdraw(&self, reason: &str) -> Result<(), Failure> {
        let act = Act::Withdraw {
            job: self.pen.job(),
            reason: reason.to_owned(),
        };
        self.cashier.act(&act).await.map(drop)
    }

    /// Whether the record says that something was asked; also where that cannot be known.
    pub async fn is_asked(&self) -> bool {
        let record = self.cashier.records.load(self.pen.job()).await;
        !matches!(record, Ok(Some(record)) if record.upstream.is_none())
    }

    /// The failure of a job of which nobody knows whether a call went through. The ledger says so too.
    pub async fn give_up(&self, why: &str) -> Failure {
        self.doubt(why).await;
        FailureCode::OutcomeUnknown.failure(format!(
            "it is not known whether the paid call went through: {why}"
        ))
    }

    /// Writes down that a person has to find out what became of the money.
    pub async fn doubt(&self, why: &str) {
        let act = Act::Doubt {
            job: self.pen.job(),
            reason: why.to_owned(),
        };
        // where this does not work, the gateways do it: they see the record
        if let Err(failure) = self.cashier.act(&act).await {
            tracing::warn!(job.id = %self.pen.job(), failure.message, "the doubt is written later");
        }
    }

    /// Writes down what the vendor took; what was set aside where it told nothing.
    ///
    /// # Errors
    /// `broker_unavailable`, `spend_unreserved`.
    pub async fn settle(&self, told: Option<MicroDollars>, reference: &str) -> Result<Charge, Failure> {
        let charge = self.cashier.charge(self.pen.job(), told);
        let act = Act::Settle {
            job: self.pen.job(),
            amount: charge.amount,
            estimated: charge.estimated,
            reference: reference.to_owned(),
        };
        self.cashier.act(&act).await?;
        Ok(charge)
    }

    /// Writes down that nothing was taken, and nothing will be.
    ///
    /// # Errors
    /// `broker_unavailable`, `spend_unreserved`.
    pub async fn release(&self, reason: &str) -> Result<(), Failure> {
        let act = Act::Release {
            job: self.pen.job(),
            reason: reason.to_owned(),
        };
        self.cashier.act(&act).await.map(drop)
    }

    /// Writes into the record, however long the broker is away. Until that is done, this process remembers it.
    async fn insist(&self, upstream: Upstream) -> Result<(), Failure> {
        self.cashier.remember(self.pen.job(), &upstream);
        let mut wait = FIRST_WAIT;
        loop {
            match self.pen.note_upstream(upstream.clone()).await {
                Ok(()) => {
                    self.cashier.known().remove(&self.pen.job());
                    return Ok(());
                }
                Err(failure) if failure.code == FailureCode::BrokerUnavailable.as_str() => {
                    tracing::warn!(job.id = %self.pen.job(), failure.message, "a paid task is written down again");
                    sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

fn ended(upstream: Upstream) -> Upstream {
    Upstream {
        phase: UpstreamPhase::Ended.into(),
        ..upstream
    }
}

/// A call that was refused.
#[derive(Debug)]
struct Refusal {
    failure: Failure,
    after: Option<Duration>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, after: None }
    }
}
