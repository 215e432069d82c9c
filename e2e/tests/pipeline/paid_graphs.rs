//! Graphs for ComfyUI with a node that calls a service for money.

use connectors::comfyui::double::{Double, DoubleOptions};
use e2e::{
    System,
    vendor::{account, micros, until_state},
};
use serde_json::{Value, json};

const COMFYUI: &str = "ORCHESTRATOR_COMFYUI_URL";

/// A ComfyUI whose `ImageInvert` calls a service for money.
async fn double() -> Double {
    connectors::install_tls();
    let options = DoubleOptions {
        api_nodes: vec!["ImageInvert".to_owned()],
        ..DoubleOptions::default()
    };
    Double::start(options).await.expect("a double")
}

fn graph() -> Value {
    let node = |class: &str, inputs: Value| json!({"class_type": class, "inputs": inputs});
    json!({"comfyui": {"graph": {
        "1": node("EmptyImage", json!({"width": 64, "height": 64, "batch_size": 1, "color": 0})),
        "2": node("ImageInvert", json!({"image": ["1", 0]})),
        "3": node("SaveImage", json!({"images": ["2", 0], "filename_prefix": "x"})),
    }}})
}

async fn system(double: &Double, settings: &[(&str, &str)]) -> System {
    let url = double.url().to_string();
    let mut all = vec![(COMFYUI, url.as_str()), ("ORCHESTRATOR_COMFYUI_REFRESH", "200ms")];
    all.extend_from_slice(settings);
    let system = System::start_with(&all).await;
    // until its catalog is here, the gateway cannot know what the graph would do
    e2e::patience::until("the catalog to be known", || async {
        let (status, _) = system
            .client
            .post(
                "/api/jobs/validate",
                &json!({"comfyui": {"graph": {
                    "1": {"class_type": "NoSuchNode", "inputs": {}},
                }}}),
            )
            .await;
        (status == 422).then_some(())
    })
    .await;
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_refused_where_money_may_not_be_spent() {
    let double = double().await;
    let system = system(&double, &[]).await;
    let (status, problem) = system.client.post("/api/jobs", &graph()).await;
    assert_eq!(
        (status.as_u16(), problem["code"].as_str()),
        (403, Some("generation_disabled")),
        "{problem:#}"
    );
    assert!(double.received().is_empty());
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_price_they_need_one_by_setting() {
    let double = double().await;
    let system = system(&double, &[("ALLOW_GENERATION", "true")]).await;
    let (status, problem) = system.client.post("/api/jobs", &graph()).await;
    assert_eq!(
        (status.as_u16(), problem["code"].as_str()),
        (422, Some("spend_unpriced")),
        "{problem:#}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn they_are_run_once_and_what_was_set_aside_counts_as_spent() {
    let double = double().await;
    let settings = [
        ("ALLOW_GENERATION", "true"),
        ("ORCHESTRATOR_PAID_UNPRICED", "0.05"),
    ];
    let system = system(&double, &settings).await;
    let id = system.client.submit(&graph()).await;
    let job = system.client.until_status(&id, "succeeded").await;
    assert_eq!(
        (
            micros(&job["spend"]["charged_microdollars"]),
            &job["spend"]["estimated"]
        ),
        (50_000, &json!(true))
    );
    let account = until_state(&system.client, &id, "settled").await;
    assert_eq!(micros(&account["charged_microdollars"]), 50_000);
    assert_eq!(double.received().len(), 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_not_spend_does_not_run_them() {
    let double = double().await;
    let url = double.url().to_string();
    let gateway = [
        ("ALLOW_GENERATION", "true"),
        ("ORCHESTRATOR_PAID_UNPRICED", "0.05"),
    ];
    let mut system = System::without_worker(&gateway).await;
    let worker = [(COMFYUI, url.as_str()), ("ALLOW_GENERATION", "false")];
    system.add_worker("w1", &worker).await;
    let id = e2e::patience::until("the graph to be accepted as one that costs money", || async {
        let (status, job) = system.client.post("/api/jobs", &graph()).await;
        let is_paid = status == 202 && job["spend"].is_object();
        is_paid.then(|| job["id"].as_str().expect("an id").to_owned())
    })
    .await;
    let job = system.client.until_status(&id, "failed").await;
    assert_eq!(job["failure"]["code"], "generation_disabled", "{job:#}");
    assert_eq!(
        until_state(&system.client, &id, "released").await,
        account(&system.client, &id).await
    );
    assert!(double.received().is_empty(), "nothing was posted");
    system.stop().await;
}
