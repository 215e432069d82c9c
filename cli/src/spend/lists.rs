//! Money for people: sums, accounts, lines of the ledger. Pure.

use jiff::tz::TimeZone;
use proto::{
    SpendState,
    moment::{Millis, maybe_millis},
    money::MicroDollars,
    v1::{GetSpendResponse, LedgerEntry, SpendAccount},
};

use crate::{moment, table};

/// What was spent in all, and what is left.
pub(super) fn sums(found: &GetSpendResponse) -> String {
    let amount = |micros: u64| MicroDollars(micros).to_string();
    let allowed = if found.allowed {
        "allowed"
    } else {
        "switched off; paid.allow (ALLOW_GENERATION) turns it on"
    };
    let unknown = match found.unknown_jobs {
        0 => String::new(),
        jobs => format!(
            "{} of {jobs} job{}; look at the vendor's account, then orchestrator spend resolve <job>",
            amount(found.unknown_microdollars),
            if jobs == 1 { "" } else { "s" }
        ),
    };
    let mut lines = vec![
        ("unknown", unknown),
        ("spending", allowed.to_owned()),
        ("today", amount(found.charged_today_microdollars)),
        ("in all", amount(found.charged_microdollars)),
        ("set aside", amount(found.reserved_microdollars)),
    ];
    let names = [
        ("total", "budget in all"),
        ("day", "budget today"),
        ("key", "budget of key"),
    ];
    lines.extend(found.budgets.iter().map(|budget| {
        let known = names.iter().find(|(scope, _)| *scope == budget.scope);
        let text = format!(
            "{} left of {}",
            amount(budget.left_microdollars),
            amount(budget.limit_microdollars)
        );
        (known.map_or("budget", |(_, name)| name), text)
    }));
    lines.push(("prices of", found.prices_of.clone()));
    table::details(&lines)
}

/// A line an account.
pub(super) fn accounts(accounts: &[SpendAccount], now: Millis) -> String {
    let rows = accounts.iter().map(|account| {
        let since = maybe_millis(account.since.as_ref()).unwrap_or(now);
        vec![
            account.job.clone(),
            account.state().as_str_name().to_owned(),
            MicroDollars(account.reserved_microdollars).to_string(),
            charged(account),
            account.model.clone(),
            moment::span(now - since),
            account.reason.clone(),
        ]
    });
    table::table(
        &["JOB", "STATE", "SET ASIDE", "CHARGED", "MODEL", "AGE", "WHY"],
        rows,
    )
}

/// All about one account.
pub(super) fn account(account: &SpendAccount, zone: &TimeZone) -> String {
    let at = |timestamp| {
        maybe_millis(timestamp)
            .map(|at| moment::local(at, zone))
            .unwrap_or_default()
    };
    let todo = match account.state() {
        SpendState::Unknown => format!(
            "look at the vendor's account, then orchestrator spend resolve {}",
            account.job
        ),
        SpendState::Open
        | SpendState::Started
        | SpendState::Settled
        | SpendState::Released
        | SpendState::Unspecified => String::new(),
    };
    table::details(&[
        ("job", account.job.clone()),
        ("state", account.state().as_str_name().to_owned()),
        ("backend", account.backend().as_str_name().to_owned()),
        ("model", account.model.clone()),
        (
            "set aside",
            MicroDollars(account.reserved_microdollars).to_string(),
        ),
        ("charged", charged(account)),
        ("since", at(account.since.as_ref())),
        ("changed", at(account.at.as_ref())),
        ("reference", account.reference.clone()),
        ("account", account.account.clone()),
        ("key", account.key.clone()),
        ("why", account.reason.clone()),
        ("to do", todo),
    ])
}

/// A line a line, with the newest first as it came.
pub(super) fn lines(lines: &[LedgerEntry], zone: &TimeZone) -> String {
    let rows = lines.iter().map(|line| {
        let at = maybe_millis(line.at.as_ref()).map(|at| moment::local(at, zone));
        let amount = match line.amount_microdollars {
            0 => String::new(),
            micros if line.estimated => format!("{} (estimated)", MicroDollars(micros)),
            micros => MicroDollars(micros).to_string(),
        };
        let why = match line.by.as_str() {
            "" => line.reason.clone(),
            by => format!("{} (by {by})", line.reason),
        };
        vec![
            line.number.to_string(),
            at.unwrap_or_default(),
            line.kind().as_str_name().to_owned(),
            amount,
            line.job.clone(),
            line.model.clone(),
            why,
        ]
    });
    table::table(&["#", "AT", "WHAT", "AMOUNT", "JOB", "MODEL", "WHY"], rows)
}

fn charged(account: &SpendAccount) -> String {
    let charged = MicroDollars(account.charged_microdollars);
    match account.state() {
        SpendState::Settled if account.estimated => format!("{charged} (estimated)"),
        SpendState::Settled | SpendState::Released => charged.to_string(),
        SpendState::Unknown => "?".to_owned(),
        SpendState::Open | SpendState::Started | SpendState::Unspecified => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{EntryKind, moment::timestamp, v1::Budget};

    #[test]
    fn sums_begin_with_what_somebody_has_to_do() {
        let mut found = GetSpendResponse {
            allowed: true,
            budgets: vec![Budget {
                scope: "day".into(),
                limit_microdollars: 10_000_000,
                used_microdollars: 80_000,
                left_microdollars: 9_920_000,
            }],
            charged_microdollars: 40_000,
            unknown_microdollars: 40_000,
            unknown_jobs: 1,
            prices_of: "2026-08-22".into(),
            ..GetSpendResponse::default()
        };
        let text = sums(&found);
        assert_eq!(
            text,
            "unknown       $0.04 of 1 job; look at the vendor's account, then orchestrator spend resolve <job>\n\
             spending      allowed\n\
             today         $0.00\n\
             in all        $0.04\n\
             set aside     $0.00\n\
             budget today  $9.92 left of $10.00\n\
             prices of     2026-08-22"
        );
        found.unknown_jobs = 0;
        found.allowed = false;
        assert!(sums(&found).starts_with("spending      switched off; paid.allow"));
    }

    #[test]
    fn an_account_shows_what_was_set_aside_and_what_was_taken() {
        let mut one = SpendAccount {
            job: "018f".into(),
            state: SpendState::Settled.into(),
            model: "flux-2-pro".into(),
            reserved_microdollars: 45_000,
            charged_microdollars: 30_000,
            since: Some(timestamp(0)),
            ..SpendAccount::default()
        };
        let words = |account: &SpendAccount| {
            let text = accounts(std::slice::from_ref(account), 120_000);
            let line = text.lines().nth(1).expect("a line").to_owned();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(words(&one), "018f settled $0.045 $0.03 flux-2-pro 2m");
        one.set_state(SpendState::Unknown);
        one.reason = "the worker died".into();
        assert_eq!(words(&one), "018f unknown $0.045 ? flux-2-pro 2m the worker died");
        let text = account(&one, &TimeZone::UTC);
        assert!(text.contains("then orchestrator spend resolve 018f"), "{text}");
    }

    #[test]
    fn a_line_names_who_said_so() {
        let line = LedgerEntry {
            number: 7,
            kind: EntryKind::Settlement.into(),
            at: Some(timestamp(0)),
            amount_microdollars: 10_000,
            job: "018f".into(),
            reason: "the bill".into(),
            by: "local".into(),
            ..LedgerEntry::default()
        };
        let text = lines(&[line], &TimeZone::UTC);
        let line: Vec<&str> = text.lines().nth(1).expect("a line").split_whitespace().collect();
        assert_eq!(
            line.join(" "),
            "7 1970-01-01 00:00:00 settlement $0.01 018f the bill (by local)"
        );
    }
}
