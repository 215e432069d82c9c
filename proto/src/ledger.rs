//! The ledger's arithmetic: what its lines come to, and which line an act adds to it. Pure.
//!
//! A job that costs money has one account. `open` (an amount is set aside) → `started` (a paid call is made or
//! about to be) → `settled` | `released` | `unknown`; a call that came to nothing goes back to `open`, and a person
//! turns `unknown` into one of the others. Acts are idempotent: one that has been done already adds nothing.

mod book;

use crate::{Backend, SpendState, ids::JobId, money::MicroDollars};

pub use book::{Account, Book};

/// Something that is to be written into the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Sets an amount aside for a job.
    Reserve(Reservation),
    /// A call that costs money is about to be made.
    Start {
        /// For which job.
        job: JobId,
        /// Which account at the vendor pays; the limits are counted for each.
        account: String,
        /// How many calls may be under way at the same time.
        limits: Vec<Limit>,
    },
    /// The call came to nothing and costs nothing; the reservation stays.
    Withdraw {
        /// Of which job.
        job: JobId,
        /// Why.
        reason: String,
    },
    /// The vendor took an amount.
    Settle {
        /// For which job.
        job: JobId,
        /// How much.
        amount: MicroDollars,
        /// The vendor told no figure.
        estimated: bool,
        /// The vendor's own name for the task.
        reference: String,
    },
    /// Nothing was taken, and nothing will be.
    Release {
        /// Of which job.
        job: JobId,
        /// Why.
        reason: String,
    },
    /// Nobody knows whether a call went through.
    Doubt {
        /// Of which job.
        job: JobId,
        /// Why not.
        reason: String,
    },
    /// A person says what became of a call of which nobody knew.
    Resolve {
        /// Of which job.
        job: JobId,
        /// What the vendor took.
        charge: Charge,
        /// Who says so.
        by: String,
        /// How it was found out.
        note: String,
    },
}

/// What a person found that the vendor took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Nothing.
    Nothing,
    /// An amount of which only the reservation is known.
    AsReserved,
    /// This amount.
    Amount(MicroDollars),
}

/// An amount to be set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// For which job.
    pub job: JobId,
    /// How much.
    pub amount: MicroDollars,
    /// Whose budget it is; empty where there are no keys.
    pub key: String,
    /// Which service is paid.
    pub backend: Backend,
    /// The vendor's name for what is paid for.
    pub model: String,
    /// What may be spent.
    pub budgets: Budgets,
}

/// What may be spent: charged, set aside and unknown amounts together. `None` is without bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budgets {
    /// In all.
    pub total: Option<MicroDollars>,
    /// On one day (UTC).
    pub day: Option<MicroDollars>,
    /// In all by one key.
    pub key: Option<MicroDollars>,
}

/// How many calls of an account may be under way at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The models that are counted together; empty counts all.
    pub models: Vec<String>,
    /// The most that may be under way.
    pub calls: usize,
}

/// Why an act is not possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// It would go over a budget.
    #[error("{wanted} is more than what is left of the {scope} budget: {used} of {limit} are used")]
    OverBudget {
        /// `total`, `day` or `key`.
        scope: &'static str,
        /// What may be spent.
        limit: MicroDollars,
        /// What is charged, set aside or unknown.
        used: MicroDollars,
        /// What was to be set aside.
        wanted: MicroDollars,
    },
    /// As many calls are under way as may be.
    #[error("{0} calls are under way, as many as the vendor's account allows")]
    Full(usize),
    /// Nothing is set aside for the job.
    #[error("nothing is set aside for the job")]
    NotReserved,
    /// The account is closed.
    #[error("the account of the job is {}", .0.as_str_name())]
    Closed(SpendState),
    /// Only what is unknown can be resolved.
    #[error("the account of the job is {}, so there is nothing to resolve", .0.as_str_name())]
    NotUnknown(SpendState),
}
