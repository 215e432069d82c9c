//! A server of v0.3.64, and how it differs.

use connectors::comfyui::double::{DoubleOptions, Fault};
use connectors::comfyui::{Error, JobLookup, Rejection, Standing};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::{Bench, sampler, succeeded};

async fn refused(bench: &Bench, graph: Value) -> Rejection {
    match bench.submit(&graph).await {
        Err(Error::Rejected(rejection)) => *rejection,
        other => panic!("{other:?} is no refusal"),
    }
}

#[tokio::test]
async fn prompts_run_without_the_jobs_api() {
    let bench = Bench::new(DoubleOptions::old()).await;
    let version = bench.client.system_stats().await.expect("stats").comfyui_version;
    assert_eq!(version.as_deref(), Some("0.3.64"));
    let id = bench.post(&sampler(1, 2)).await;
    succeeded(bench.ends(id).await);
    assert_eq!(
        bench.client.job(id).await.expect("an answer"),
        JobLookup::NotOffered
    );
    assert_eq!(
        bench.client.standing(Uuid::new_v4()).await.expect("a standing"),
        Standing::Unknown
    );
    let entry = bench
        .client
        .history(id)
        .await
        .expect("an answer")
        .expect("an entry");
    assert!(entry["prompt"][3].get("create_time").is_none());
}

#[tokio::test]
async fn the_jobs_api_is_looked_for_once_and_again_after_a_restart() {
    let bench = Bench::new(DoubleOptions::old()).await;
    bench.double.hold();
    let id = bench.post(&sampler(1, 2)).await;
    bench.runs(id).await;
    let asked = || {
        let requests = bench.double.requests();
        requests
            .iter()
            .filter(|request| request.starts_with("GET /jobs"))
            .count()
    };
    for _ in 0..3 {
        assert_eq!(
            bench.client.standing(id).await.expect("a standing"),
            Standing::Running
        );
    }
    assert_eq!(asked(), 1, "the answer is remembered");
    bench.double.restart_empty();
    assert_eq!(
        bench.client.standing(id).await.expect("a standing"),
        Standing::Unknown
    );
    bench.client.standing(id).await.expect("a standing");
    assert_eq!(asked(), 2, "it may be another server now");
}

#[tokio::test]
async fn a_running_prompt_is_seen_without_the_whole_queue() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let (id, waiting) = (bench.post(&sampler(1, 2)).await, bench.post(&sampler(2, 2)).await);
    bench.runs(id).await;
    let standing = async |id| bench.client.standing(id).await.expect("a standing");
    assert_eq!(standing(id).await, Standing::Running);
    let requests = bench.double.requests();
    assert!(!requests.contains(&"GET /queue".to_owned()), "{requests:?}");
    assert_eq!(standing(waiting).await, Standing::Pending { ahead: 1 });
    let path = format!("/jobs/{id}");
    bench
        .double
        .fault_next(&path, Fault::Status(500, "trouble".to_owned()));
    assert_eq!(standing(id).await, Standing::Running, "the queue knows it too");
}

#[tokio::test]
async fn refusals_say_less() {
    let bench = Bench::new(DoubleOptions::old()).await;
    let rejection = refused(&bench, json!({"7": {"class_type": "NoSuchNode", "inputs": {}}})).await;
    assert_eq!(rejection.kind, "invalid_prompt");
    assert_eq!(
        (
            rejection.faults[0].node_id.as_str(),
            rejection.faults[0].class_type.as_deref()
        ),
        ("7", Some("NoSuchNode")),
        "the node is in the details only"
    );
    let invert = |from: &str| json!({"class_type": "ImageInvert", "inputs": {"image": [from, 0]}});
    let save = json!({"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "c"}});
    let cycle = json!({"1": invert("2"), "2": invert("1"), "3": save});
    let rejection = refused(&bench, cycle.clone()).await;
    assert_eq!(rejection.kind, "prompt_outputs_failed_validation");
    assert!(rejection.faults.is_empty(), "{rejection:?}");
    let new = Bench::new(DoubleOptions::default()).await;
    assert!(!refused(&new, cycle).await.faults.is_empty());
}

#[tokio::test]
async fn any_text_is_an_id_and_null_becomes_one() {
    let bench = Bench::new(DoubleOptions::old()).await;
    let url = bench.double.url().join("prompt").expect("a url");
    for (wanted, given) in [(json!("my-id"), "my-id"), (Value::Null, "None")] {
        let body = json!({"prompt": sampler(1, 1), "prompt_id": wanted}).to_string();
        let answer = reqwest::Client::new().post(url.clone()).body(body).send().await;
        let answer = answer.expect("an answer").bytes().await.expect("a body");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(answer["prompt_id"], given);
    }
}
