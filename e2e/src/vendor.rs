//! Workers that use the doubles of paid services, and what the ledger says about it afterwards.

use connectors::{bfl::double::Double as Bfl, v0::double::Double as V0};
use serde_json::{Value, json};

use crate::{Client, patience};

/// The settings of a worker or gateway that may spend money at a double of the FLUX service.
pub fn flux(double: &Bfl) -> Vec<(&'static str, String)> {
    vec![
        ("ALLOW_GENERATION", "true".to_owned()),
        ("BFL_API_KEY", double.key().to_owned()),
        ("ORCHESTRATOR_FLUX_URL", double.base().to_string()),
        ("ORCHESTRATOR_FLUX_POLL", "30ms".to_owned()),
        ("ORCHESTRATOR_FLUX_LOST_AFTER", "1s".to_owned()),
    ]
}

/// As [`flux`], for v0.
pub fn v0(double: &V0) -> Vec<(&'static str, String)> {
    vec![
        ("ALLOW_GENERATION", "true".to_owned()),
        ("V0_API_KEY", double.key()),
        ("ORCHESTRATOR_V0_URL", double.url().to_string()),
        ("ORCHESTRATOR_V0_POLL", "30ms".to_owned()),
        ("ORCHESTRATOR_V0_LOST_AFTER", "1s".to_owned()),
        ("ORCHESTRATOR_V0_PREVIEW_PATIENCE", "2s".to_owned()),
    ]
}

/// Settings as the tests' helpers take them.
pub fn borrowed<'a>(settings: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

/// A request for a small and cheap picture.
pub fn picture(prompt: &str) -> Value {
    json!({"flux": {"model": "flux-2-klein-4b", "prompt": prompt, "width": 64, "height": 64}})
}

/// A request for a small site.
pub fn site(prompt: &str) -> Value {
    json!({"v0": {"model": "v0-mini", "prompt": prompt}})
}

/// The accounts of the ledger that are in a state, e.g. `unknown`.
///
/// # Panics
/// If the gateway does not tell.
pub async fn accounts(client: &Client, state: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/spend?state={state}&limit=500&cursor={cursor}");
        let (status, page) = client.get(&path).await;
        assert_eq!(status, 200, "{page:#}");
        found.extend(page["accounts"].as_array().cloned().unwrap_or_default());
        match page["next_cursor"].as_str() {
            Some(next) if !next.is_empty() => next.clone_into(&mut cursor),
            Some(_) | None => return found,
        }
    }
}

/// The account of a job.
pub async fn account(client: &Client, job: &str) -> Value {
    let (status, found) = client.get(&format!("/api/spend/{job}")).await;
    assert_eq!(status, 200, "{found:#}");
    found["account"].clone()
}

/// Waits until the account of a job is in a state.
///
/// # Panics
/// If that takes too long.
pub async fn until_state(client: &Client, job: &str, state: &str) -> Value {
    patience::until(&format!("the account of {job} to be {state}"), || async {
        let account = account(client, job).await;
        (account["state"] == state).then_some(account)
    })
    .await
}

/// Waits until every account is closed: settled, released or unknown.
///
/// # Panics
/// If that takes too long.
pub async fn until_closed(client: &Client) {
    patience::within(patience::LONG, "all accounts to be closed", || async {
        let open = accounts(client, "open").await.len() + accounts(client, "started").await.len();
        (open == 0).then_some(())
    })
    .await;
}

/// An amount as JSON has it.
///
/// # Panics
/// If it is none.
pub fn micros(amount: &Value) -> u64 {
    if amount.is_null() {
        return 0;
    }
    let text = amount.as_str().map(|text| text.parse().expect("an amount"));
    text.or_else(|| amount.as_u64()).expect("an amount")
}
