//! Dry runs: what would happen, and what it would cost; nothing is kept, and nobody is called.

use e2e::{
    client::sketch,
    vendor::{micros, picture},
};
use proto::v1::{JobRequest, SubmitRequest, ValidateRequest, orchestrator_client::OrchestratorClient};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    money::{lines, price, shop, with_key},
    story::total,
};

fn rehearsal() -> (Value, Value) {
    let mut whole = picture("a rehearsal");
    whole["flux"]["seed"] = "7".into();
    let mut dry = whole.clone();
    dry["dry_run"] = true.into();
    (whole, dry)
}

/// A refusal says why, by which code, and what to do.
fn check_refusal(estimate: &Value) {
    let text = |name: &str| estimate[name].as_str().unwrap_or_default();
    let refusal = text("refusal");
    assert!(
        refusal.contains("total budget") && refusal.contains(&price().to_string()),
        "{refusal}"
    );
    assert_eq!(text("refusal_code"), "budget_exceeded", "{estimate:#}");
    assert!(text("remedy").contains("paid.budget_total"), "{estimate:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_price_and_leaves_nothing() {
    let system = shop(1).await;
    let client = &system.client;
    let (whole, dry) = rehearsal();
    let short = json!({"backend": "flux", "prompt": "a rehearsal", "dry_run": true,
        "params": {"model": "flux-2-klein-4b", "width": 64, "height": 64, "seed": "7"}});

    let (status, told) = client.post("/api/jobs", &dry).await;
    assert_eq!(status, StatusCode::OK, "{told:#}");
    assert_eq!(micros(&told["estimate"]["microdollars"]), price().0, "{told:#}");
    assert_eq!(told["estimate"]["text"], price().to_string(), "{told:#}");
    assert_eq!(told["estimate"]["refusal"], "", "{told:#}");
    let basis = told["estimate"]["basis"].as_str().expect("a basis");
    assert!(basis.contains(proto::flux::prices_of()), "{basis}");
    assert_eq!(told["payload"]["prompt"], "a rehearsal", "{told:#}");
    assert!(
        told["request"].get("dry_run").is_none(),
        "as it would be queued: {told:#}"
    );

    let (status, again) = with_key(client, "one", &dry).await;
    assert_eq!((status, &again), (StatusCode::OK, &told), "a key has no effect");
    let (status, of_short) = client.post("/api/jobs", &short).await;
    assert_eq!((status, &of_short), (StatusCode::OK, &told));
    let (status, mut generated) = client.post("/api/generate", &short).await;
    assert_eq!(
        (status, generated["success"].take()),
        (StatusCode::OK, true.into())
    );
    assert_eq!(generated["payload"], told["payload"]);
    let (status, validated) = client.post("/api/jobs/validate", &whole).await;
    assert_eq!((status, &validated), (StatusCode::OK, &told));
    let mut free = sketch("a rehearsal");
    free["dry_run"] = true.into();
    let (status, found) = client.post("/api/jobs", &free).await;
    assert_eq!(status, StatusCode::OK, "{found:#}");
    assert!(
        found["payload"].is_null() && found.get("estimate").is_none(),
        "{found:#}"
    );
    assert_eq!((total(client).await, lines(client).await.len()), (0, 0));

    // the key that was given to a dry run is free, and the money is there
    let (status, job) = with_key(client, "one", &whole).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job:#}");
    assert!(job["request"].get("dry_run").is_none(), "{job:#}");
    let (_, told) = client.post("/api/jobs", &dry).await;
    check_refusal(&told["estimate"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_over_grpc_is_a_validation() {
    let system = shop(1).await;
    let client = &system.client;
    let (_, dry) = rehearsal();
    let (_, told) = client.post("/api/jobs", &dry).await;
    let mut grpc = OrchestratorClient::connect(client.base().to_owned())
        .await
        .expect("a connection");
    let request: JobRequest = serde_json::from_value(dry.clone()).expect("a request");
    let submit = SubmitRequest {
        request: Some(request.clone()),
        idempotency_key: "one".into(),
    };
    let submitted = grpc.submit(submit).await.expect("checked").into_inner();
    assert_eq!(submitted.job, None);
    let validate = ValidateRequest {
        request: Some(request),
    };
    let validated = grpc.validate(validate).await.expect("checked").into_inner();
    assert_eq!(submitted.validation.as_ref(), Some(&validated));
    let estimate = validated.estimate.expect("an estimate");
    assert_eq!(
        (estimate.microdollars, estimate.refusal.as_str()),
        (price().0, "")
    );
    let payload: Value = serde_json::from_str(&validated.payload).expect("JSON");
    assert_eq!(payload, told["payload"]);
    assert_eq!((total(client).await, lines(client).await.len()), (0, 0));
    system.stop().await;
}
