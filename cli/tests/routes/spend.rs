//! Money: what is asked of the gateway, and what a person sees of its answers.

use serde_json::{Value, json};

use crate::stand_in::{Answer, Desk};

const DOUBTFUL: &str = "0192f3c4-5d6e-7f80-8a9b-0c1d2e3f4a5b";
const SETTLED: &str = "0192f3c4-5d6e-7f80-8a9b-0c1d2e3f4a5c";

fn account(job: &str, state: &str) -> Value {
    json!({"job": job, "state": state, "backend": "flux", "model": "flux-2-pro",
        "reserved_microdollars": "45000", "reserved": "$0.045", "reason": "it died"})
}

fn page(accounts: &[Value], next: &str) -> Value {
    json!({"allowed": true, "charged_microdollars": "45000", "charged": "$0.045", "unknown_jobs": "1",
        "unknown_microdollars": "45000", "unknown": "$0.045", "accounts": accounts, "next_cursor": next,
        "budgets": [{"scope": "day", "limit_microdollars": "10000000", "limit": "$10.00",
            "left_microdollars": "9910000", "left": "$9.91"}],
        "prices_of": "2026-08-22"})
}

#[tokio::test]
async fn what_somebody_has_to_clear_up_comes_first() {
    let (settled, doubtful) = (account(SETTLED, "settled"), account(DOUBTFUL, "unknown"));
    let mut desk = Desk::new(vec![
        (
            "GET /api/spend?limit=2",
            Answer::Json(page(&[settled.clone(), doubtful.clone()], "")),
        ),
        (
            "GET /api/spend?state=unknown&limit=2",
            Answer::Json(page(&[doubtful], "")),
        ),
    ])
    .await;
    let said = desk.expect(0, &["spend", "--limit", "2"]).await;
    let lines: Vec<&str> = said.out.lines().collect();
    assert!(
        lines[0].starts_with("unknown       $0.045 of 1 job; look at"),
        "{said:#?}"
    );
    assert!(
        said.out.contains("budget today  $9.91 left of $10.00"),
        "{said:#?}"
    );
    let jobs: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.get(..36))
        .filter(|id| id.starts_with("0192"))
        .collect();
    assert_eq!(jobs, [DOUBTFUL, SETTLED], "{said:#?}");
    let said = desk.expect(0, &["spend", "--limit", "2", "--json"]).await;
    let told = &said.json()[0];
    assert_eq!(
        (
            &told["accounts"][0]["job"],
            &told["accounts"][1]["job"],
            &told["charged"]
        ),
        (&DOUBTFUL.into(), &SETTLED.into(), &"$0.045".into()),
        "{told:#}"
    );
    assert!(told.get("next_cursor").is_none(), "{told:#}");
    desk.lines();
}

#[tokio::test]
async fn lists_go_on_over_pages() {
    let mut desk = Desk::new(vec![
        (
            "GET /api/spend?state=settled&limit=3",
            Answer::Json(page(&[account(SETTLED, "settled")], "9")),
        ),
        (
            "GET /api/spend?state=settled&limit=2&cursor=9",
            Answer::Json(page(&[account(DOUBTFUL, "settled")], "")),
        ),
        (
            "GET /api/spend/ledger?limit=2",
            Answer::Json(json!({"entries": [{"number": "7", "kind": "release", "job": SETTLED}]})),
        ),
        (
            "GET /api/spend/ledger?limit=1&before=7",
            Answer::Json(
                json!({"entries": [{"number": "3", "kind": "reservation", "job": SETTLED,
                "amount_microdollars": "45000"}]}),
            ),
        ),
    ])
    .await;
    let said = desk
        .expect(0, &["spend", "--state", "settled", "-n", "3", "--json"])
        .await;
    assert_eq!(
        said.json()[0]["accounts"].as_array().map(Vec::len),
        Some(2),
        "{said:#?}"
    );
    let said = desk.expect(0, &["spend", "ledger", "-n", "2"]).await;
    let words: Vec<Vec<&str>> = said
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        (words[1][0], words[2][0], words[2][2]),
        ("7", "3", "$0.045"),
        "{said:#?}"
    );
    assert_eq!(desk.lines().len(), 4);
}

#[tokio::test]
async fn one_job_is_shown_with_its_lines() {
    let line = json!({"number": "3", "kind": "doubt", "job": DOUBTFUL, "reason": "it died"});
    let told = json!({"account": account(DOUBTFUL, "unknown"), "entries": [line]});
    let path = "GET /api/spend/0192f3c4-5d6e-7f80-8a9b-0c1d2e3f4a5b";
    let desk = Desk::new(vec![(path, Answer::Json(told.clone()))]).await;
    let said = desk.expect(0, &["spend", "show", DOUBTFUL]).await;
    assert!(said.out.contains("set aside  $0.045"), "{said:#?}");
    assert!(
        said.out
            .contains(&format!("orchestrator spend resolve {DOUBTFUL}")),
        "{said:#?}"
    );
    assert!(
        said.out.lines().last().is_some_and(|line| line.contains("doubt")),
        "{said:#?}"
    );
    let said = desk.expect(0, &["spend", "show", DOUBTFUL, "--json"]).await;
    assert_eq!(said.json(), [told]);
}

#[tokio::test]
async fn a_person_says_what_became_of_a_call() {
    let path = "POST /api/spend/0192f3c4-5d6e-7f80-8a9b-0c1d2e3f4a5b/resolve";
    let mut settled = account(DOUBTFUL, "settled");
    settled["charged_microdollars"] = "40000".into();
    let mut desk = Desk::new(vec![(path, Answer::Json(settled))]).await;
    let resolve = ["spend", "resolve", DOUBTFUL, "--note", "the bill"];
    for (how, body) in [
        (
            &["--charged", "0.04"][..],
            json!({"charged": true, "microdollars": "40000", "note": "the bill"}),
        ),
        (&["--charged"], json!({"charged": true, "note": "the bill"})),
        (&["--not-charged"], json!({"charged": false, "note": "the bill"})),
    ] {
        let said = desk.expect(0, &[&resolve[..], how].concat()).await;
        assert!(said.out.contains("settled: $0.04 charged"), "{said:#?}");
        assert_eq!(desk.asked()[0].body, body);
    }
    for wrong in [
        &["spend", "resolve", DOUBTFUL, "--note", "the bill"][..],
        &["spend", "resolve", DOUBTFUL, "--charged"],
        &[&resolve[..], &["--charged", "--not-charged"]].concat(),
        &[&resolve[..], &["--charged", "four cents"]].concat(),
    ] {
        desk.expect(2, wrong).await;
    }
    assert_eq!(desk.lines(), Vec::<String>::new(), "nothing is sent");
}

#[tokio::test]
async fn a_refusal_leads_to_its_exit() {
    let path = "POST /api/spend/0192f3c4-5d6e-7f80-8a9b-0c1d2e3f4a5b/resolve";
    let document = json!({"code": "spend_resolved", "detail": "it is settled"});
    let desk = Desk::new(vec![(path, Answer::Refusal(409, document))]).await;
    let said = desk
        .expect(6, &["spend", "resolve", DOUBTFUL, "--not-charged", "--note", "x"])
        .await;
    assert!(said.err.contains("it is settled [spend_resolved]"), "{said:#?}");
}
