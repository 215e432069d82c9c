//! The checks about services that cost money: whether they may be used, whether their keys work, what is left, and
//! what nobody knows. None of them costs anything, and no key is ever shown.

use connectors::{
    bfl::{self, PollError},
    key::Key,
    v0,
};
use proto::{
    SpendState,
    money::MicroDollars,
    v1::{Budget, GetSpendRequest, GetSpendResponse},
};
use runtime::telemetry;
use url::Url;
use worker::{flux::FluxSettings, v0::V0Settings};

use super::{Finding, checks::PATIENCE};
use crate::{client::Client, settings::Settings};

const CHECK: &str = "paid";
const FLUX: &str = "flux";
const V0: &str = "v0";

/// Whether this machine may spend, and with which keys.
pub(super) async fn keys(settings: &Settings) -> Vec<Finding> {
    let is_allowed = settings.worker.paid.allow;
    let mut findings = vec![allowance(is_allowed)];
    let flux = &settings.worker.flux;
    match (&flux.key, is_allowed) {
        (None, _) => findings.push(unset(FLUX, "BFL_API_KEY")),
        (Some(_), false) => findings.push(unused(FLUX)),
        (Some(key), true) => findings.push(flux_key(flux, key.reveal()).await),
    }
    let site = &settings.worker.v0;
    match (&site.key, is_allowed) {
        (None, _) => findings.push(unset(V0, "V0_API_KEY")),
        (Some(_), false) => findings.push(unused(V0)),
        (Some(key), true) => findings.push(v0_key(site, key.reveal()).await),
    }
    findings
}

fn allowance(is_allowed: bool) -> Finding {
    Finding::good(
        CHECK,
        if is_allowed {
            "generation that costs money is switched on here"
        } else {
            "generation that costs money is switched off here (ALLOW_GENERATION, paid.allow)"
        },
    )
}

/// Another machine may have the key.
fn unset(backend: &'static str, name: &str) -> Finding {
    let message = format!("{name} is not set, so that a worker of this machine does not offer {backend}");
    Finding::good(backend, message)
}

fn unused(backend: &'static str) -> Finding {
    let message = "a key is set, and not used: set ALLOW_GENERATION=true to use it";
    Finding::good(backend, message)
}

async fn flux_key(settings: &FluxSettings, key: &str) -> Finding {
    connectors::install_tls();
    let client = bfl::Client::new(bfl::Settings {
        base: settings.url.clone(),
        key: Key::new(key),
        submit_timeout: PATIENCE,
        poll_timeout: PATIENCE,
    });
    match client {
        Ok(client) => of_credits(&client.origin(), client.credits().await),
        Err(error) => Finding::bad(
            FLUX,
            telemetry::chain(&error),
            "Copy the key anew into BFL_API_KEY.",
        ),
    }
}

/// What the account's balance says about the key.
fn of_credits(origin: &str, credits: Result<f64, PollError>) -> Finding {
    match credits {
        Ok(credits) if credits < 1.0 => Finding::bad(
            FLUX,
            format!("{origin} takes the key, and the account has no credits left"),
            "Buy some at https://dashboard.bfl.ai.",
        ),
        Ok(credits) => {
            let worth =
                MicroDollars::from_cents(credits).map_or_else(String::new, |worth| format!(" ({worth})"));
            Finding::good(
                FLUX,
                format!("{origin} takes the key; {credits} credits{worth} are left"),
            )
        }
        Err(PollError::Refused {
            status: status @ (401 | 403),
            ..
        }) => Finding::bad(
            FLUX,
            format!("{origin} refuses the key ({status})"),
            "Set BFL_API_KEY to a key of https://dashboard.bfl.ai, and restart the worker.",
        ),
        Err(error) => Finding::bad(
            FLUX,
            telemetry::chain(&error),
            "Look whether flux.url can be reached from here, and whether the service works.",
        ),
    }
}

/// v0 tells no balance, so its list of chats is asked for, which costs nothing either.
async fn v0_key(settings: &V0Settings, key: &str) -> Finding {
    connectors::install_tls();
    let options = v0::Options {
        base: settings.url.clone(),
        version: settings.version,
        request_timeout: PATIENCE,
        ..v0::Options::default()
    };
    match v0::Client::new(Key::new(key), options) {
        Ok(client) => {
            let chats = client.chats(1, None, &[]).await;
            let status = |error: &v0::Error| error.refusal().map(|refusal| refusal.status);
            let told = chats
                .map(drop)
                .map_err(|error| (status(&error), telemetry::chain(&error)));
            of_chats(&client.origin(), told)
        }
        Err(error) => Finding::bad(V0, telemetry::chain(&error), "Correct V0_API_KEY and v0.url."),
    }
}

/// What the list of chats says about the key; an error is the status of a refusal, and words.
fn of_chats(origin: &str, told: Result<(), (Option<u16>, String)>) -> Finding {
    match told {
        Ok(()) => Finding::good(V0, format!("{origin} takes the key")),
        Err((Some(status @ (401 | 403)), _)) => Finding::bad(
            V0,
            format!("{origin} refuses the key ({status})"),
            "Set V0_API_KEY to a key of https://v0.app/chat/settings/keys, and restart the worker.",
        ),
        Err((Some(402), words)) => Finding::bad(
            V0,
            words,
            "Buy credits at https://v0.app/chat/settings/billing, or wait until v0 limits less.",
        ),
        Err((_, words)) => Finding::bad(
            V0,
            words,
            "Look whether v0.url can be reached from here, and whether v0.version is what it speaks.",
        ),
    }
}

/// What the gateway's ledger says; nothing where the gateway does not answer, which was told before.
pub(super) async fn ledger(gateway: &Url, settings: &Settings) -> Vec<Finding> {
    let Ok(client) = Client::connect(gateway).await else {
        return Vec::new();
    };
    let question = GetSpendRequest {
        state: vec![SpendState::Unknown.into()],
        ..GetSpendRequest::default()
    };
    match client.spend(question).await {
        Ok(told) => {
            let worker = &settings.worker;
            of_spend(&told, worker.flux_key().or(worker.v0_key()).is_some())
        }
        Err(problem) => vec![Finding::bad(
            "ledger",
            problem.detail,
            problem
                .remedy
                .unwrap_or_else(|| "Look at the gateway's log.".to_owned()),
        )],
    }
}

/// `spends_here` is whether the worker of this machine offers a service that costs money.
fn of_spend(told: &GetSpendResponse, spends_here: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    if spends_here && !told.allowed {
        findings.push(Finding::bad(
            "ledger",
            "the gateway refuses jobs that cost money, which the worker of this machine would run",
            "Set ALLOW_GENERATION=true (paid.allow) for the gateway too, and restart it.",
        ));
    }
    if told.allowed {
        findings.extend(told.budgets.iter().map(budget));
    }
    if let Some(first) = told.accounts.first().filter(|_| told.unknown_jobs > 0) {
        let amount = MicroDollars(told.unknown_microdollars);
        let message = match told.unknown_jobs {
            1 => format!(
                "it is not known whether a paid call went through: {amount} of job {}",
                first.job
            ),
            jobs => format!(
                "it is not known of {jobs} paid calls whether they went through: {amount}; the newest is of job {}",
                first.job
            ),
        };
        let remedy = format!(
            "Look at the account at the service, then say what you found: orchestrator spend resolve {}",
            first.job
        );
        findings.push(Finding::bad("ledger", message, remedy));
    }
    findings
}

fn budget(budget: &Budget) -> Finding {
    let (left, limit) = (
        MicroDollars(budget.left_microdollars),
        MicroDollars(budget.limit_microdollars),
    );
    let (scope, remedy) = match budget.scope.as_str() {
        "day" => ("today", "Wait for the next day (UTC), or raise paid.budget_day."),
        "total" => ("in all", "Raise paid.budget_total if more is to be spent."),
        _ => ("with this key", "Raise paid.budget_key if more is to be spent."),
    };
    let message = format!("{left} of {limit} are left {scope}");
    if left == MicroDollars::ZERO {
        Finding::bad("budget", message, remedy)
    } else {
        Finding::good("budget", message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::SpendAccount;

    fn lines(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(Finding::line).collect()
    }

    fn refused(status: u16) -> PollError {
        PollError::Refused {
            status,
            detail: bfl::Detail::default(),
        }
    }

    #[test]
    fn a_key_is_told_by_what_the_account_has() {
        let origin = "https://api.bfl.ai";
        let told = of_credits(origin, Ok(812.5));
        assert_eq!(
            told.line(),
            "✓ flux: https://api.bfl.ai takes the key; 812.5 credits ($8.125) are left"
        );
        assert!(!of_credits(origin, Ok(0.0)).ok);
        let told = of_credits(origin, Err(refused(403))).line();
        assert!(
            told.contains("refuses the key") && told.contains("BFL_API_KEY"),
            "{told}"
        );
        assert!(!of_credits(origin, Err(refused(500))).ok);
    }

    #[test]
    fn a_key_of_v0_is_told_by_whether_its_chats_are_shown() {
        let told = |answer| of_chats("https://api.v0.dev", answer);
        assert!(told(Ok(())).ok);
        let refusal = |status| told(Err((status, "v0 answered so".to_owned()))).line();
        assert!(refusal(Some(401)).contains("https://api.v0.dev refuses the key (401)\n  → Set V0_API_KEY"));
        assert!(refusal(Some(402)).contains("✗ v0: v0 answered so\n  → Buy credits"));
        assert!(refusal(None).contains("v0.url"));
    }

    #[test]
    fn a_key_that_is_missing_or_not_used_is_no_fault() {
        assert!(unset("flux", "BFL_API_KEY").ok && unused("flux").ok && allowance(false).ok);
    }

    #[test]
    fn used_up_budgets_and_unknown_outcomes_are_found() {
        let told = GetSpendResponse {
            allowed: true,
            budgets: vec![
                Budget {
                    scope: "total".into(),
                    limit_microdollars: 100_000_000,
                    left_microdollars: 1_500_000,
                    ..Budget::default()
                },
                Budget {
                    scope: "day".into(),
                    limit_microdollars: 10_000_000,
                    ..Budget::default()
                },
            ],
            unknown_jobs: 1,
            unknown_microdollars: 45_000,
            accounts: vec![SpendAccount {
                job: "j1".into(),
                ..SpendAccount::default()
            }],
            ..GetSpendResponse::default()
        };
        let found = lines(&of_spend(&told, true));
        assert_eq!(found[0], "✓ budget: $1.50 of $100.00 are left in all");
        assert!(
            found[1].starts_with("✗ budget: $0.00 of $10.00 are left today\n  → Wait"),
            "{found:?}"
        );
        assert!(
            found[2].contains("$0.045 of job j1") && found[2].ends_with("orchestrator spend resolve j1"),
            "{found:?}"
        );
    }

    #[test]
    fn a_gateway_that_refuses_what_this_worker_offers_is_found() {
        let told = GetSpendResponse::default();
        assert_eq!(of_spend(&told, false), []);
        let found = of_spend(&told, true);
        assert!(found.len() == 1 && !found[0].ok, "{found:?}");
    }
}
