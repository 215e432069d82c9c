//! Workflows that people keep, and requests that nobody could serve.

use e2e::{System, patience::until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    input::refused,
    standin::{CHECKPOINT, StandIn, model, serving},
};

fn workflow() -> Value {
    json!({
        "title": "One colour",
        "graph": {
            "1": { "class_type": "EmptyImage", "inputs": { "width": 64, "color": 0 } },
            "2": { "class_type": "SaveImage", "inputs": { "images": ["1", 0] } },
        },
        "parameters": { "colour": { "type": "integer", "node": "1", "input": "color", "default": 7 } },
    })
}

fn put(system: &System, name: &str, body: &Value) -> reqwest::RequestBuilder {
    system
        .client
        .request(Method::PUT, &format!("/api/workflows/{name}"))
        .json(body)
}

async fn count(system: &System) -> usize {
    let (_, all) = system.client.get("/api/workflows").await;
    all["workflows"].as_array().expect("a list").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_kept_changed_and_removed() {
    let system = System::without_worker(&[]).await;
    let client = &system.client;
    let built_in = count(&system).await;
    assert!(built_in > 0, "some come with the program");
    let (status, kept) = client
        .send(put(&system, "one-colour", &workflow()).header("if-none-match", "*"))
        .await;
    assert_eq!(status, StatusCode::OK, "{kept}");
    refused(
        put(&system, "one-colour", &workflow()).header("if-none-match", "*"),
        412,
        "workflow_changed",
    )
    .await;
    let read = client
        .request(Method::GET, "/api/workflows/one-colour")
        .send()
        .await
        .expect("an answer");
    let tag = read.headers()["etag"].to_str().expect("text").to_owned();
    let read: Value = read.json().await.expect("JSON");
    assert_eq!(
        (
            &read["graph"]["1"]["class_type"],
            &read["parameters"][0]["default"]
        ),
        (&"EmptyImage".into(), &7.into())
    );
    // what was read can be sent back
    let (status, _) = client
        .send(put(&system, "one-colour", &read).header("if-match", &tag))
        .await;
    assert_eq!(status, StatusCode::OK);
    refused(
        put(&system, "one-colour", &read).header("if-match", &tag),
        412,
        "workflow_changed",
    )
    .await;

    let delete = |name: &str| client.request(Method::DELETE, &format!("/api/workflows/{name}"));
    let (status, _) = client.send(delete("one-colour")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    refused(delete("one-colour"), 404, "workflow_unknown").await;
    assert_eq!(count(&system).await, built_in);
    let absent = put(&system, "one-colour", &workflow()).header("if-none-match", "*");
    assert_eq!(
        client.send(absent).await.0,
        StatusCode::OK,
        "nothing of the removed one is left"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_runs_with_values() {
    let system = System::without_worker(&[]).await;
    let client = &system.client;
    let (status, kept) = client.send(put(&system, "one-colour", &workflow())).await;
    assert_eq!(status, StatusCode::OK, "{kept}");
    let run = "/api/workflows/one-colour/run";
    let (status, job) = client
        .post(run, &json!({"parameters": {"colour": 255}, "tags": ["t"]}))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");
    let graph: Value =
        serde_json::from_str(job["request"]["comfyui"]["graph"].as_str().expect("text")).expect("JSON");
    assert_eq!(
        (&graph["1"]["inputs"]["color"], &job["request"]["tags"][0]),
        (&255.into(), &"t".into())
    );
    let wrong = client
        .request(Method::POST, run)
        .json(&json!({"parameters": {"color": 1}}));
    let problem = refused(wrong, 422, "request_invalid").await;
    assert_eq!(problem["faults"][0]["pointer"], "/parameters/color", "{problem}");
    let (status, found) = client
        .post("/api/workflows/one-colour/validate", &json!({}))
        .await;
    assert_eq!(
        (status, &found["graph"]["1"]["inputs"]["color"]),
        (StatusCode::OK, &7.into())
    );

    // what was submitted once counts, also when its workflow is gone
    let other = json!({"comfyui": {"workflow": "one-colour", "parameters": {}}});
    let job = client
        .request(Method::POST, "/api/jobs")
        .header("idempotency-key", "twice")
        .json(&other);
    let (status, first) = client.send(job).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{first}");
    client
        .send(client.request(Method::DELETE, "/api/workflows/one-colour"))
        .await;
    let job = client
        .request(Method::POST, "/api/jobs")
        .header("idempotency-key", "twice")
        .json(&other);
    let (status, again) = client.send(job).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &first["id"]), "{again}");
    refused(
        client.request(Method::POST, "/api/jobs").json(&other),
        404,
        "workflow_unknown",
    )
    .await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_told() {
    let system = System::without_worker(&[]).await;
    let (_, all) = system.client.get("/api/workflows").await;
    let ours = all["workflows"][0]["name"].as_str().expect("a name");
    refused(put(&system, ours, &workflow()), 403, "workflow_built_in").await;
    let delete = system
        .client
        .request(Method::DELETE, &format!("/api/workflows/{ours}"));
    refused(delete, 403, "workflow_built_in").await;
    refused(put(&system, "Not_A_Name", &workflow()), 422, "request_invalid").await;
    let mut broken = workflow();
    broken["parameters"]["colour"]["node"] = "9".into();
    let problem = refused(put(&system, "mine", &broken), 422, "request_invalid").await;
    assert_eq!(
        problem["faults"][0]["pointer"], "/parameters/colour/node",
        "{problem}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_comfyui_could_run_is_refused_before_the_queue() {
    let system = System::without_worker(&[]).await;
    let client = &system.client;
    let ask = |checkpoint: &str| json!({"comfyui": {"prompt": "a lake", "checkpoint": checkpoint}});
    let (status, _) = client
        .post("/api/jobs/validate", &ask("nowhere.safetensors"))
        .await;
    assert_eq!(status, StatusCode::OK, "nobody knows better");
    let worker = StandIn::start(&system, "gpu1", serving()).await;
    let problem = until("the catalog to be known", || async {
        let (status, problem) = client.post("/api/jobs/validate", &ask("sd15.safetensor")).await;
        (status == StatusCode::UNPROCESSABLE_ENTITY).then_some(problem)
    })
    .await;
    let fault = &problem["faults"][0];
    assert_eq!(fault["pointer"], "/comfyui/checkpoint", "{problem:#}");
    assert!(
        fault["message"].as_str().expect("text").contains(CHECKPOINT),
        "{problem:#}"
    );
    let post = client
        .request(Method::POST, "/api/jobs")
        .json(&ask("sd15.safetensor"));
    refused(post, 422, "request_invalid").await;
    let (status, found) = client.post("/api/jobs/validate", &ask(CHECKPOINT)).await;
    assert_eq!(
        (status, &found["workers"]),
        (StatusCode::OK, &json!(["gpu1"])),
        "{found:#}"
    );
    let (status, job) = client.post("/api/jobs", &ask(CHECKPOINT)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");

    // a file that came after the catalog was made
    worker
        .condition
        .lock()
        .expect("no panic")
        .models
        .push(model("checkpoint", "fresh.safetensors"));
    until("the fresh file to be known", || async {
        let (status, _) = client.post("/api/jobs/validate", &ask("fresh.safetensors")).await;
        (status == StatusCode::OK).then_some(())
    })
    .await;
    worker.stop().await;
    system.stop().await;
}
