//! The book: what the ledger's lines come to, and which line an act adds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Act, Budgets, Charge, Denial, Limit, Reservation};
use crate::{
    EntryKind, SpendState,
    ids::JobId,
    moment::{Millis, maybe_millis, timestamp},
    money::MicroDollars,
    v1::{Budget, LedgerEntry, SpendAccount},
};

/// What the ledger's lines come to.
#[derive(Debug, Clone, Default)]
pub struct Book {
    accounts: HashMap<JobId, Account>,
    by_start: BTreeMap<u64, JobId>,
    unfinished: BTreeSet<JobId>,
    charged: MicroDollars,
    set_aside: MicroDollars,
    unknown: MicroDollars,
    /// Used on each day, by the day on which it was set aside (days since 1970, UTC).
    days: HashMap<i64, MicroDollars>,
    /// Charged, likewise.
    charged_on: HashMap<i64, MicroDollars>,
    /// Used by each key.
    keys: HashMap<String, MicroDollars>,
    last: u64,
}

/// The account of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What its lines come to.
    pub summary: SpendAccount,
    /// The number of its first line.
    first: u64,
    day: i64,
}

impl Account {
    /// Where it stands.
    pub fn state(&self) -> SpendState {
        self.summary.state()
    }

    /// What it takes from the budgets now.
    fn used(&self) -> MicroDollars {
        MicroDollars(match self.state() {
            SpendState::Open | SpendState::Started | SpendState::Unknown => {
                self.summary.reserved_microdollars
            }
            SpendState::Settled => self.summary.charged_microdollars,
            SpendState::Released | SpendState::Unspecified => 0,
        })
    }
}

const DAY: Millis = 24 * 60 * 60 * 1000;

impl Book {
    /// The number of the newest line that was taken.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The account of a job.
    pub fn account(&self, job: JobId) -> Option<&Account> {
        self.accounts.get(&job)
    }

    /// All accounts, the newest first.
    pub fn accounts(&self) -> impl Iterator<Item = (u64, &Account)> {
        let newest_first = self.by_start.iter().rev();
        newest_first.filter_map(|(first, job)| Some((*first, self.accounts.get(job)?)))
    }

    /// Jobs whose account is not closed, with where it stands.
    pub fn unfinished(&self) -> impl Iterator<Item = (JobId, &Account)> {
        let jobs = self.unfinished.iter();
        jobs.filter_map(|job| Some((*job, self.accounts.get(job)?)))
    }

    /// Charged, set aside and unknown, in all.
    pub const fn sums(&self) -> (MicroDollars, MicroDollars, MicroDollars) {
        (self.charged, self.set_aside, self.unknown)
    }

    /// What was charged for jobs that were accepted on the day of `now`.
    pub fn charged_today(&self, now: Millis) -> MicroDollars {
        self.charged_on
            .get(&now.div_euclid(DAY))
            .copied()
            .unwrap_or_default()
    }

    /// How much of each bounded budget is used.
    pub fn budgets(&self, budgets: Budgets, key: &str, now: Millis) -> Vec<Budget> {
        let list = self.used(budgets, key, now);
        list.into_iter()
            .map(|(scope, limit, used)| Budget {
                scope: scope.to_owned(),
                limit_microdollars: limit.0,
                used_microdollars: used.0,
                left_microdollars: limit.less(used).0,
            })
            .collect()
    }

    /// Takes a line, in the order of their numbers; one that was taken before changes nothing.
    pub fn take(&mut self, entry: &LedgerEntry) {
        if entry.number <= self.last {
            return;
        }
        self.last = entry.number;
        let Ok(job) = entry.job.parse::<JobId>() else {
            return;
        };
        let mut account = self.accounts.remove(&job).unwrap_or_else(|| opened(entry));
        let is_new = account.first == entry.number;
        if is_new {
            self.by_start.insert(entry.number, job);
        } else {
            self.count(&account, false);
        }
        note(&mut account, entry);
        self.count(&account, true);
        if matches!(account.state(), SpendState::Open | SpendState::Started) {
            self.unfinished.insert(job);
        } else {
            self.unfinished.remove(&job);
        }
        self.accounts.insert(job, account);
    }

    /// The line that an act adds; `None` where nothing is left to do.
    ///
    /// # Errors
    /// Why it is not possible.
    pub fn decide(&self, act: &Act, now: Millis) -> Result<Option<LedgerEntry>, Denial> {
        match act {
            Act::Reserve(wish) => self.reserve(wish, now),
            Act::Start { job, account, limits } => self.start(*job, account, limits, now),
            Act::Withdraw { job, reason } => match self.state(*job)? {
                SpendState::Started => Ok(Some(with_reason(*job, EntryKind::Withdrawal, reason, now))),
                SpendState::Open | SpendState::Unspecified => Ok(None),
                closed @ (SpendState::Settled | SpendState::Released | SpendState::Unknown) => {
                    Err(Denial::Closed(closed))
                }
            },
            Act::Settle {
                job,
                amount,
                estimated,
                reference,
            } => match self.state(*job)? {
                SpendState::Settled => Ok(None),
                // a call of which nobody knew has shown up, or money was taken for what was given back
                SpendState::Open
                | SpendState::Started
                | SpendState::Unknown
                | SpendState::Released
                | SpendState::Unspecified => Ok(Some(LedgerEntry {
                    amount_microdollars: amount.0,
                    estimated: *estimated,
                    reference: reference.clone(),
                    ..line(*job, EntryKind::Settlement, now)
                })),
            },
            Act::Release { job, reason } => match self.state(*job)? {
                SpendState::Open | SpendState::Started | SpendState::Unspecified => {
                    Ok(Some(with_reason(*job, EntryKind::Release, reason, now)))
                }
                SpendState::Released => Ok(None),
                closed @ (SpendState::Settled | SpendState::Unknown) => Err(Denial::Closed(closed)),
            },
            Act::Doubt { job, reason } => match self.state(*job)? {
                SpendState::Open | SpendState::Started | SpendState::Unspecified => {
                    Ok(Some(with_reason(*job, EntryKind::Doubt, reason, now)))
                }
                SpendState::Unknown => Ok(None),
                closed @ (SpendState::Settled | SpendState::Released) => Err(Denial::Closed(closed)),
            },
            Act::Resolve {
                job,
                charge,
                by,
                note,
            } => self.resolve(*job, *charge, by, note, now),
        }
    }

    fn state(&self, job: JobId) -> Result<SpendState, Denial> {
        let account = self.accounts.get(&job).ok_or(Denial::NotReserved)?;
        Ok(account.state())
    }

    fn used(
        &self,
        budgets: Budgets,
        key: &str,
        now: Millis,
    ) -> Vec<(&'static str, MicroDollars, MicroDollars)> {
        let total = self.charged.plus(self.set_aside).plus(self.unknown);
        let of_day = self.days.get(&now.div_euclid(DAY)).copied().unwrap_or_default();
        let of_key = self.keys.get(key).copied().unwrap_or_default();
        [
            ("total", budgets.total, total),
            ("day", budgets.day, of_day),
            ("key", budgets.key, of_key),
        ]
        .into_iter()
        .filter_map(|(scope, limit, used)| limit.map(|limit| (scope, limit, used)))
        .collect()
    }

    fn reserve(&self, wish: &Reservation, now: Millis) -> Result<Option<LedgerEntry>, Denial> {
        match self.accounts.get(&wish.job).map(Account::state) {
            None | Some(SpendState::Released) => {}
            Some(_) => return Ok(None),
        }
        for (scope, limit, used) in self.used(wish.budgets, &wish.key, now) {
            if used.plus(wish.amount) > limit {
                return Err(Denial::OverBudget {
                    scope,
                    limit,
                    used,
                    wanted: wish.amount,
                });
            }
        }
        Ok(Some(LedgerEntry {
            amount_microdollars: wish.amount.0,
            key: wish.key.clone(),
            backend: wish.backend.into(),
            model: wish.model.clone(),
            ..line(wish.job, EntryKind::Reservation, now)
        }))
    }

    fn start(
        &self,
        job: JobId,
        account: &str,
        limits: &[Limit],
        now: Millis,
    ) -> Result<Option<LedgerEntry>, Denial> {
        match self.state(job)? {
            SpendState::Open => {}
            SpendState::Started => return Ok(None),
            closed @ (SpendState::Settled
            | SpendState::Released
            | SpendState::Unknown
            | SpendState::Unspecified) => return Err(Denial::Closed(closed)),
        }
        let model = self
            .accounts
            .get(&job)
            .map_or("", |account| account.summary.model.as_str());
        let covers = |limit: &Limit, model: &str| {
            limit.models.is_empty() || limit.models.iter().any(|covered| covered == model)
        };
        for limit in limits.iter().filter(|limit| covers(limit, model)) {
            let under_way = self.unfinished().filter(|(_, other)| {
                other.state() == SpendState::Started
                    && other.summary.account == account
                    && covers(limit, &other.summary.model)
            });
            if under_way.count() >= limit.calls {
                return Err(Denial::Full(limit.calls));
            }
        }
        Ok(Some(LedgerEntry {
            account: account.to_owned(),
            ..line(job, EntryKind::Call, now)
        }))
    }

    fn resolve(
        &self,
        job: JobId,
        charge: Charge,
        by: &str,
        note: &str,
        now: Millis,
    ) -> Result<Option<LedgerEntry>, Denial> {
        let account = self.accounts.get(&job).ok_or(Denial::NotReserved)?;
        if account.state() != SpendState::Unknown {
            return Err(Denial::NotUnknown(account.state()));
        }
        let (kind, amount) = match charge {
            Charge::Nothing => (EntryKind::Release, 0),
            Charge::AsReserved => (EntryKind::Settlement, account.summary.reserved_microdollars),
            Charge::Amount(amount) => (EntryKind::Settlement, amount.0),
        };
        Ok(Some(LedgerEntry {
            amount_microdollars: amount,
            estimated: charge == Charge::AsReserved,
            by: by.to_owned(),
            ..with_reason(job, kind, note, now)
        }))
    }

    /// Adds an account to the sums, or takes it out of them.
    fn count(&mut self, account: &Account, add: bool) {
        let used = account.used();
        let change = |sum: &mut MicroDollars| *sum = if add { sum.plus(used) } else { sum.less(used) };
        match account.state() {
            SpendState::Settled => {
                change(&mut self.charged);
                change(self.charged_on.entry(account.day).or_default());
            }
            SpendState::Unknown => change(&mut self.unknown),
            SpendState::Open | SpendState::Started | SpendState::Released | SpendState::Unspecified => {
                change(&mut self.set_aside);
            }
        }
        change(self.days.entry(account.day).or_default());
        change(self.keys.entry(account.summary.key.clone()).or_default());
    }
}

/// The account that a first line opens, before that line is noted.
fn opened(entry: &LedgerEntry) -> Account {
    Account {
        summary: SpendAccount {
            job: entry.job.clone(),
            since: entry.at,
            ..SpendAccount::default()
        },
        first: entry.number,
        day: maybe_millis(entry.at.as_ref())
            .unwrap_or_default()
            .div_euclid(DAY),
    }
}

fn note(account: &mut Account, entry: &LedgerEntry) {
    let summary = &mut account.summary;
    summary.at = entry.at;
    summary.reason.clone_from(&entry.reason);
    match entry.kind() {
        EntryKind::Reservation => {
            summary.reserved_microdollars = entry.amount_microdollars;
            summary.key.clone_from(&entry.key);
            summary.backend = entry.backend;
            summary.model.clone_from(&entry.model);
            account.day = maybe_millis(entry.at.as_ref())
                .unwrap_or_default()
                .div_euclid(DAY);
            summary.set_state(SpendState::Open);
        }
        EntryKind::Call => {
            summary.account.clone_from(&entry.account);
            summary.set_state(SpendState::Started);
        }
        EntryKind::Withdrawal => summary.set_state(SpendState::Open),
        EntryKind::Settlement => {
            summary.charged_microdollars = entry.amount_microdollars;
            summary.estimated = entry.estimated;
            summary.reference.clone_from(&entry.reference);
            summary.set_state(SpendState::Settled);
        }
        EntryKind::Release => summary.set_state(SpendState::Released),
        EntryKind::Doubt => summary.set_state(SpendState::Unknown),
        EntryKind::Unspecified => {}
    }
}

fn line(job: JobId, kind: EntryKind, now: Millis) -> LedgerEntry {
    LedgerEntry {
        job: job.to_string(),
        kind: kind.into(),
        at: Some(timestamp(now)),
        ..LedgerEntry::default()
    }
}

fn with_reason(job: JobId, kind: EntryKind, reason: &str, now: Millis) -> LedgerEntry {
    LedgerEntry {
        reason: reason.to_owned(),
        ..line(job, kind, now)
    }
}

#[cfg(test)]
mod tests;
