//! FLUX: pictures for money, against a strict double that keeps a bill.

use connectors::bfl::double::{BROKEN, Double, FORBIDDEN_INPUT, FORBIDDEN_OUTPUT, Fault, Options, Outcome};
use e2e::{
    System,
    vendor::{self, account, borrowed, micros, picture, until_state},
};
use futures::future::join_all;
use serde_json::{Value, json};

async fn double() -> Double {
    double_with(Options::default()).await
}

async fn double_with(options: Options) -> Double {
    connectors::install_tls();
    Double::start(options).await.expect("a double")
}

async fn system(double: &Double) -> System {
    System::start_with(&borrowed(&vendor::flux(double))).await
}

fn code(job: &Value) -> &str {
    job["failure"]["code"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_made_once_and_costs_what_the_service_says() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    let id = client.submit(&picture("a lighthouse at dusk")).await;
    let job = client.until_status(&id, "succeeded").await;
    let bill = double.bill();
    assert_eq!((bill.entries.len(), double.submits().len()), (1, 1));
    assert_eq!(micros(&job["spend"]["charged_microdollars"]), bill.charged());
    let content = client
        .artifact(job["outputs"][0]["id"].as_str().expect("an id"))
        .await;
    assert!(
        content.starts_with(b"\xff\xd8") || content.starts_with(b"\x89PNG"),
        "a picture"
    );
    let recipe = client
        .artifact(job["recipe"]["id"].as_str().expect("a recipe"))
        .await;
    let recipe: Value = serde_json::from_slice(&recipe).expect("json");
    assert_eq!(
        recipe["payload"],
        double.submits()[0].body,
        "the recipe tells what was sent"
    );
    let account = until_state(client, &id, "settled").await;
    assert_eq!(micros(&account["charged_microdollars"]), bill.charged());
    assert_eq!(account["reference"], bill.entries[0].id.as_str());
    assert!(double.violations().is_empty(), "{:?}", double.violations());
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_refuses_is_told_and_costs_nothing() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    for (fault, expected) in [
        (Fault::Status(402), "flux_credits_exhausted"),
        (Fault::Status(403), "flux_key_refused"),
        (Fault::Status(404), "flux_model_unknown"),
        (Fault::Status(422), "flux_request_refused"),
    ] {
        double.fault_next_submit(fault);
        let id = client.submit(&picture("a pier")).await;
        let job = client.until_status(&id, "failed").await;
        assert_eq!(
            (code(&job), job["attempt"].as_u64()),
            (expected, Some(1)),
            "{job:#}"
        );
        until_state(client, &id, "released").await;
    }
    assert_eq!(double.bill().charged(), 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moderation_is_told_with_its_reasons_and_costs_nothing() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    for (prompt, expected) in [
        (FORBIDDEN_INPUT, "flux_request_moderated"),
        (FORBIDDEN_OUTPUT, "flux_content_moderated"),
    ] {
        let id = client.submit(&picture(prompt)).await;
        let job = client.until_status(&id, "failed").await;
        assert_eq!(code(&job), expected, "{job:#}");
        until_state(client, &id, "released").await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_out_within_one_attempt() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    for fault in [Fault::Busy, Fault::Status(500), Fault::Status(503)] {
        double.fault_next_submit(fault);
        let id = client.submit(&picture("a bridge")).await;
        let job = client.until_status(&id, "succeeded").await;
        assert_eq!(job["attempt"], 1, "{job:#}");
    }
    assert_eq!((double.bill().entries.len(), double.submits().len()), (3, 6));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_failed_is_made_anew_and_paid_once() {
    let double = double().await;
    let system = system(&double).await;
    double.fault_next_submit(Fault::TaskFails);
    let id = system.client.submit(&picture("a harbour")).await;
    let job = system.client.until_status(&id, "succeeded").await;
    assert_eq!(job["attempt"], 2);
    let bill = double.bill();
    let outcomes: Vec<Outcome> = bill.entries.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Failed, Outcome::Ready]);
    let account = until_state(&system.client, &id, "settled").await;
    assert_eq!(micros(&account["charged_microdollars"]), bill.charged());
    let id = system.client.submit(&picture(BROKEN)).await;
    let job = system.client.until_status(&id, "failed").await;
    assert_eq!(
        (code(&job), job["attempt"].as_u64()),
        ("flux_task_failed", Some(3))
    );
    until_state(&system.client, &id, "released").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_got_is_never_asked_for_again() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    for (fault, taken, expected) in [
        (Fault::CutAfter, true, "outcome_unknown"),
        // its name was in the part that came, and the service does not know it where it was submitted
        (Fault::CutWithin, true, "flux_task_lost"),
        (Fault::CutBefore, false, "outcome_unknown"),
        (Fault::BadGateway { taken: true }, true, "outcome_unknown"),
        (Fault::Html { taken: false }, false, "outcome_unknown"),
    ] {
        let (tasks, submits) = (double.bill().entries.len(), double.submits().len());
        double.fault_next_submit(fault);
        let id = client.submit(&picture("a cliff")).await;
        let job = client.until_status(&id, "failed").await;
        assert_eq!(
            (code(&job), job["attempt"].as_u64()),
            (expected, Some(1)),
            "{fault:?} {job:#}"
        );
        assert_eq!(double.submits().len(), submits + 1, "{fault:?}");
        assert_eq!(
            double.bill().entries.len() - tasks,
            usize::from(taken),
            "{fault:?}"
        );
        until_state(client, &id, "unknown").await;
        let (status, problem) = client.post(&format!("/api/jobs/{id}/retry"), &json!({})).await;
        assert_eq!(
            (status.as_u16(), problem["code"].as_str()),
            (409, Some("outcome_unknown"))
        );
        let found = json!({"charged": taken, "note": "the account's page"});
        let (status, answer) = client.post(&format!("/api/spend/{id}/resolve"), &found).await;
        assert_eq!(status, 200, "{answer:#}");
        let state = if taken { "settled" } else { "released" };
        assert_eq!(account(client, &id).await["state"], state);
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_of_which_only_the_name_is_known_is_followed() {
    let double = double_with(Options {
        poll_at_base: true,
        ..Options::default()
    })
    .await;
    let system = system(&double).await;
    double.fault_next_submit(Fault::NoPollingUrl);
    let id = system.client.submit(&picture("a dune")).await;
    system.client.until_status(&id, "succeeded").await;
    assert_eq!(double.bill().entries.len(), 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_costs_what_it_costs() {
    let double = double().await;
    let system = system(&double).await;
    double.hold();
    let id = system.client.submit(&picture("a mill")).await;
    double.until(|bill| bill.entries.len() == 1).await;
    system.client.until_status(&id, "running").await;
    system.client.cancel(&id).await;
    system.client.until_status(&id, "cancelled").await;
    double.release();
    let account = until_state(&system.client, &id, "settled").await;
    assert_eq!(micros(&account["charged_microdollars"]), double.bill().charged());
    assert!(double.bill().charged() > 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_for_three_makes_three_calls() {
    let double = double().await;
    // 1.4 credits each
    let mut settings = vendor::flux(&double);
    settings.push(("ORCHESTRATOR_PAID_BUDGET_TOTAL", "0.05".to_owned()));
    let system = System::start_with(&borrowed(&settings)).await;
    let client = &system.client;
    let body = picture("a race for three places");
    let answers = join_all((0..100).map(|_| client.post("/api/jobs", &body))).await;
    let accepted = answers.iter().filter(|(status, _)| *status == 202);
    let accepted: Vec<&str> = accepted
        .map(|(_, job)| job["id"].as_str().expect("an id"))
        .collect();
    let refused = answers.iter().filter(|(status, problem)| {
        *status == 402
            && problem["code"] == "budget_exceeded"
            && micros(&problem["limit_microdollars"]) == 50_000
    });
    assert_eq!((accepted.len(), refused.count()), (3, 97));
    for id in accepted {
        client.until_status(id, "succeeded").await;
    }
    assert_eq!((double.submits().len(), double.bill().charged()), (3, 42_000));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_leaves_with_the_settings_as_shipped() {
    let double = double().await;
    let url = double.base().to_string();
    let settings = [
        ("ORCHESTRATOR_FLUX_URL", url.as_str()),
        ("BFL_API_KEY", double.key()),
    ];
    let system = System::start_with(&settings).await;
    let client = &system.client;
    let (status, problem) = client.post("/api/jobs", &picture("a quarry")).await;
    assert_eq!(
        (status.as_u16(), problem["code"].as_str()),
        (403, Some("generation_disabled"))
    );
    assert!(problem.to_string().contains("ALLOW_GENERATION"), "{problem:#}");
    let mut dry = picture("a quarry");
    dry["dry_run"] = true.into();
    let (status, answer) = client.post("/api/jobs", &dry).await;
    assert_eq!(status, 200, "{answer:#}");
    assert_eq!(answer["payload"]["prompt"], "a quarry");
    assert!(!answer.to_string().contains(double.key()));
    let sketch = client.submit_sketch("something else").await;
    client.until_status(&sketch, "succeeded").await;
    assert_eq!(double.connections(), 0, "nobody was called");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_the_job_says_what_is_missing() {
    let system = System::start_with(&[("ALLOW_GENERATION", "true")]).await;
    let id = system.client.submit(&picture("a fjord")).await;
    let job = system.client.job(&id).await;
    assert_eq!(job["waiting"]["reason"], "unservable", "{job:#}");
    assert!(
        job["waiting"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("BFL_API_KEY is not set")),
        "{job:#}"
    );
    let (_, health) = system.client.get("/api/health").await;
    assert!(
        health.to_string().contains("BFL_API_KEY is not set"),
        "{health:#}"
    );
    system.client.cancel(&id).await;
    until_state(&system.client, &id, "released").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_an_account_hold_across_workers() {
    let double = double().await;
    let mut settings = vendor::flux(&double);
    settings.push(("ORCHESTRATOR_FLUX_MAX_TASKS", "4".to_owned()));
    let mut system = System::start_with(&borrowed(&settings)).await;
    system.add_worker("w2", &[]).await;
    double.hold();
    let mut jobs = Vec::new();
    for number in 0..10 {
        jobs.push(system.client.submit(&picture(&format!("wave {number}"))).await);
    }
    double.until(|bill| bill.entries.len() == 4).await;
    e2e::patience::until("the others to wait for a place", || async {
        let mut waiting = 0;
        for id in &jobs {
            let progress = system.client.job(id).await;
            waiting += usize::from(progress["status"] == "running");
        }
        (waiting == 10).then_some(())
    })
    .await;
    assert_eq!(double.submits().len(), 4, "nobody asks beyond the limit");
    double.release();
    for id in &jobs {
        system.client.until_status(id, "succeeded").await;
    }
    assert_eq!((double.bill().entries.len(), double.submits().len()), (10, 10));
    system.stop().await;
}
