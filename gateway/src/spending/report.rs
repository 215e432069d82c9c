//! What people ask the ledger, and what they tell it.

use proto::{
    SpendState,
    failure::FailureCode,
    flux,
    ids::JobId,
    ledger::{Account, Act, Charge},
    money::MicroDollars,
    request::Fault,
    v0,
    v1::{
        GetSpendRequest, GetSpendResponse, LedgerEntry, ListLedgerRequest, ResolveSpendRequest, SpendAccount,
    },
};
use runtime::clock;

use super::Spending;
use crate::problem::Problem;

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 500;
/// The most lines of one job that are shown; it has a handful.
const MAX_LINES: usize = 200;
const MAX_NOTE_CHARS: usize = 1_000;

/// What a person found out about a paid call of which nobody knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    charge: Charge,
    note: String,
}

impl Spending {
    /// What was spent, what is set aside, what is left, and one page of accounts, newest first.
    ///
    /// # Errors
    /// If the page cannot be: a bad limit or cursor.
    pub fn overview(&self, request: &GetSpendRequest) -> Result<GetSpendResponse, Problem> {
        let mut faults = Vec::new();
        let limit = page_size(request.limit, &mut faults);
        let before: Option<u64> = match request.cursor.as_str() {
            "" => None,
            text => text.parse().ok().or_else(|| {
                faults.push(fault(
                    "/cursor",
                    "is not a cursor; use `next_cursor` of the page before",
                ));
                None
            }),
        };
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let wanted: Vec<SpendState> = request
            .state()
            .filter(|state| *state != SpendState::Unspecified)
            .collect();
        let matches = |account: &Account| wanted.is_empty() || wanted.contains(&account.state());
        let (spender, now) = (self.anybody(), clock::now());
        Ok(self.ledger.with(|book| {
            let (charged, reserved, unknown) = book.sums();
            let unknown_jobs = book
                .accounts()
                .filter(|(_, account)| account.state() == SpendState::Unknown);
            let mut found = book
                .accounts()
                .filter(|(first, account)| before.is_none_or(|before| *first < before) && matches(account));
            let page: Vec<(u64, &Account)> = found.by_ref().take(limit).collect();
            let next = page.last().filter(|_| found.next().is_some());
            GetSpendResponse {
                allowed: self.is_allowed(),
                budgets: book.budgets(spender.budgets, &spender.key, now),
                charged_microdollars: charged.0,
                charged_today_microdollars: book.charged_today(now).0,
                reserved_microdollars: reserved.0,
                unknown_microdollars: unknown.0,
                unknown_jobs: unknown_jobs.count() as u64,
                accounts: page.iter().map(|(_, account)| account.summary.clone()).collect(),
                next_cursor: next.map(|(first, _)| first.to_string()).unwrap_or_default(),
                prices_of: format!("{} (flux), {} (v0)", flux::prices_of(), v0::prices_of()),
            }
        }))
    }

    /// The ledger itself, newest first.
    ///
    /// # Errors
    /// If the page cannot be, or from the broker.
    pub async fn lines(&self, request: &ListLedgerRequest) -> Result<Vec<LedgerEntry>, Problem> {
        let mut faults = Vec::new();
        let limit = page_size(request.limit, &mut faults);
        let job = match request.job.as_str() {
            "" => None,
            text => text
                .parse::<JobId>()
                .map_err(|error| faults.push(fault("/job", error.to_string())))
                .ok(),
        };
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        Ok(self.ledger.lines(job, request.before, limit).await?)
    }

    /// The account of a job and its lines, newest first.
    ///
    /// # Errors
    /// `spend_unknown`, or from the broker.
    pub async fn account(&self, job: JobId) -> Result<(SpendAccount, Vec<LedgerEntry>), Problem> {
        let account = self.summary(job)?;
        let lines = self.ledger.lines(Some(job), 0, MAX_LINES).await?;
        Ok((account, lines))
    }

    /// Writes down what a person found out about a paid call of which nobody knew.
    ///
    /// # Errors
    /// `spend_unknown`, `spend_resolved` where there is nothing to resolve, or from the broker.
    pub async fn resolve(
        &self,
        job: JobId,
        resolution: Resolution,
        by: &str,
    ) -> Result<SpendAccount, Problem> {
        let act = Act::Resolve {
            job,
            charge: resolution.charge,
            by: by.to_owned(),
            note: resolution.note,
        };
        self.ledger.act(&act).await?;
        tracing::info!(job.id = %job, by, "a person said what became of a paid call");
        self.summary(job)
    }

    fn summary(&self, job: JobId) -> Result<SpendAccount, Problem> {
        let account = self.ledger.with(|book| Some(book.account(job)?.summary.clone()));
        account.ok_or_else(|| {
            let detail = format!("the ledger has nothing about job {job}");
            Problem::new(FailureCode::SpendUnknown, detail)
        })
    }
}

impl Resolution {
    /// Reads what a caller says.
    ///
    /// # Errors
    /// All that cannot be.
    pub fn read(request: &ResolveSpendRequest) -> Result<Self, Problem> {
        let mut faults = Vec::new();
        let charge = match (request.charged, request.microdollars) {
            (true, None) => Charge::AsReserved,
            (true, Some(0)) => {
                faults.push(fault(
                    "/microdollars",
                    "must be more than nothing, or `charged` be false",
                ));
                Charge::Nothing
            }
            (true, Some(amount)) => Charge::Amount(MicroDollars(amount)),
            (false, None) => Charge::Nothing,
            (false, Some(_)) => {
                faults.push(fault(
                    "/microdollars",
                    "cannot be given where nothing was charged",
                ));
                Charge::Nothing
            }
        };
        let note = request.note.trim();
        if note.is_empty() {
            faults.push(fault(
                "/note",
                "must say how it was found out; it stays in the ledger",
            ));
        } else if note.chars().count() > MAX_NOTE_CHARS {
            let message = format!("has more than {MAX_NOTE_CHARS} characters");
            faults.push(fault("/note", message));
        }
        if faults.is_empty() {
            Ok(Self {
                charge,
                note: note.to_owned(),
            })
        } else {
            Err(Problem::invalid(faults))
        }
    }
}

fn page_size(limit: u32, faults: &mut Vec<Fault>) -> usize {
    if limit > MAX_PAGE {
        faults.push(fault("/limit", format!("{limit} is more than {MAX_PAGE}")));
    }
    (if limit == 0 { DEFAULT_PAGE } else { limit }) as usize
}

fn fault(pointer: &str, message: impl Into<String>) -> Fault {
    Fault {
        pointer: pointer.to_owned(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(charged: bool, microdollars: Option<u64>, note: &str) -> Result<Charge, Vec<String>> {
        let request = ResolveSpendRequest {
            charged,
            microdollars,
            note: note.into(),
            ..ResolveSpendRequest::default()
        };
        let read = Resolution::read(&request);
        let pointers = |problem: Problem| problem.faults.into_iter().map(|fault| fault.pointer);
        read.map(|resolution| resolution.charge)
            .map_err(|problem| pointers(problem).collect())
    }

    #[test]
    fn a_person_says_whether_how_much_and_how_it_was_found_out() {
        assert_eq!(read(false, None, "looked"), Ok(Charge::Nothing));
        assert_eq!(read(true, None, "looked"), Ok(Charge::AsReserved));
        assert_eq!(read(true, Some(7), "looked"), Ok(Charge::Amount(MicroDollars(7))));
        let at = |pointers: &[&str]| Err(pointers.iter().map(ToString::to_string).collect());
        assert_eq!(read(true, Some(0), "looked"), at(&["/microdollars"]));
        assert_eq!(read(false, Some(7), " "), at(&["/microdollars", "/note"]));
        assert_eq!(read(true, None, &"x".repeat(1_001)), at(&["/note"]));
    }
}
