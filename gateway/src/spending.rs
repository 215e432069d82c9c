//! What a job would cost, whether it may, and what is set aside for it. Knows neither HTTP nor gRPC.

mod bill;
mod report;

use proto::{
    Backend, SpendState,
    failure::FailureCode,
    ids::JobId,
    ledger::{Act, Budgets, Denial, Reservation},
    money::Cost,
    v1::{Estimate, Job, Spend},
};
use runtime::{clock, ledger::Ledger, paid::PaidSettings, telemetry::chain};

use crate::problem::{Overrun, Problem};
pub use bill::Bill;
pub use report::Resolution;

/// What the gateway knows of money. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Spending {
    ledger: Ledger,
    settings: PaidSettings,
}

/// Who wants to spend. What an API key may spend belongs here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spender {
    /// Name of the key; empty while there are none.
    pub key: String,
    /// Whether jobs that cost money are taken from it.
    pub may_spend: bool,
    /// What it may spend.
    pub budgets: Budgets,
}

/// What was set aside for a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reserved {
    /// For the job's record; `None` where nothing is set aside.
    pub spend: Option<Spend>,
    /// It was set aside just now, and not by an earlier call for the same job.
    pub is_new: bool,
}

impl Spending {
    /// Over this ledger, by these settings.
    pub const fn new(ledger: Ledger, settings: PaidSettings) -> Self {
        Self { ledger, settings }
    }

    /// Whether jobs that cost money are accepted.
    pub const fn is_allowed(&self) -> bool {
        self.settings.allow
    }

    /// Everybody, since there are no keys: the settings alone decide.
    pub fn anybody(&self) -> Spender {
        Spender {
            key: String::new(),
            may_spend: self.settings.allow,
            budgets: self.settings.budgets,
        }
    }

    /// What a job of this cost comes to.
    pub fn bill(&self, backend: Backend, cost: &Cost) -> Bill {
        Bill::of(backend, cost, self.settings.unpriced)
    }

    /// What is told to who asks beforehand; `None` where it is not about money.
    pub fn estimate(&self, bill: &Bill, backend: Backend, spender: &Spender) -> Option<Estimate> {
        let estimate = bill.estimate()?;
        let refusal = bill
            .refusal(backend, spender)
            .or_else(|| self.overrun(bill, backend, spender));
        let Some(refusal) = refusal else {
            return Some(estimate);
        };
        Some(Estimate {
            refusal: refusal.detail,
            refusal_code: refusal.code.as_str().to_owned(),
            remedy: refusal.code.remedy().to_owned(),
            ..estimate
        })
    }

    /// Sets aside what a job may cost, unless that has been done already.
    ///
    /// # Errors
    /// `generation_disabled`, `spend_unpriced`, `budget_exceeded`, or from the broker, then it is not known whether it
    /// was set aside.
    pub async fn reserve(
        &self,
        job: JobId,
        bill: &Bill,
        backend: Backend,
        spender: &Spender,
    ) -> Result<Reserved, Problem> {
        if let Some(refusal) = bill.refusal(backend, spender) {
            return Err(refusal);
        }
        let Some(wish) = reservation(job, bill, backend, spender) else {
            return Ok(Reserved::default());
        };
        let is_new = self.ledger.act(&Act::Reserve(wish.clone())).await?;
        if !is_new && !self.is_reserved(&wish) {
            // two requests with one idempotency key, of which only one can become the job
            let detail = "another request with this idempotency key is being accepted; try again";
            return Err(Problem::new(FailureCode::JobContended, detail));
        }
        Ok(Reserved {
            spend: Some(Spend {
                reserved_microdollars: wish.amount.0,
                key: wish.key,
                ..Spend::default()
            }),
            is_new,
        })
    }

    /// Gives back what was set aside for a job that was not accepted. What stays is given back by the keeper.
    pub async fn give_back(&self, job: JobId) {
        let act = Act::Release {
            job,
            reason: "the job was not accepted".to_owned(),
        };
        if let Err(error) = self.ledger.act(&act).await {
            tracing::warn!(job.id = %job, error = chain(&error), "what was set aside stays for the keeper");
        }
    }

    /// The job with what it came to, where the ledger knows that and the record does not.
    pub fn informed(&self, mut job: Job) -> Job {
        let Some(spend) = job
            .spend
            .as_mut()
            .filter(|spend| spend.charged_microdollars.is_none())
        else {
            return job;
        };
        let Ok(id) = job.id.parse() else { return job };
        self.ledger.with(|book| {
            let Some(account) = book.account(id) else { return };
            match account.state() {
                SpendState::Settled => {
                    spend.charged_microdollars = Some(account.summary.charged_microdollars);
                    spend.estimated = account.summary.estimated;
                }
                SpendState::Released => spend.charged_microdollars = Some(0),
                SpendState::Open | SpendState::Started | SpendState::Unknown | SpendState::Unspecified => {}
            }
        });
        job
    }

    /// Whether somebody has to find out what became of a paid call of this job.
    pub fn is_unknown(&self, job: JobId) -> bool {
        let state = self.ledger.with(|book| Some(book.account(job)?.state()));
        state == Some(SpendState::Unknown)
    }

    fn is_reserved(&self, wish: &Reservation) -> bool {
        self.ledger.with(|book| {
            book.account(wish.job).is_some_and(|account| {
                let known = &account.summary;
                (known.reserved_microdollars, known.model.as_str()) == (wish.amount.0, wish.model.as_str())
            })
        })
    }

    /// Why a budget would not allow it now, as far as is known here.
    fn overrun(&self, bill: &Bill, backend: Backend, spender: &Spender) -> Option<Problem> {
        let wish = reservation(JobId::generate(), bill, backend, spender)?;
        let decision = self
            .ledger
            .with(|book| book.decide(&Act::Reserve(wish), clock::now()));
        decision.err().map(Problem::from)
    }
}

fn reservation(job: JobId, bill: &Bill, backend: Backend, spender: &Spender) -> Option<Reservation> {
    let (amount, model) = bill.amount()?;
    Some(Reservation {
        job,
        amount,
        key: spender.key.clone(),
        backend,
        model: model.to_owned(),
        budgets: spender.budgets,
    })
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        let detail = denial.to_string();
        match denial {
            Denial::OverBudget {
                scope,
                limit,
                used,
                wanted,
            } => Self {
                overrun: Some(Overrun {
                    scope,
                    limit,
                    used,
                    wanted,
                }),
                ..Self::new(FailureCode::BudgetExceeded, detail)
            },
            Denial::NotReserved => Self::new(FailureCode::SpendUnknown, detail),
            Denial::NotUnknown(_) | Denial::Closed(_) | Denial::Full(_) => {
                Self::new(FailureCode::SpendResolved, detail)
            }
        }
    }
}
