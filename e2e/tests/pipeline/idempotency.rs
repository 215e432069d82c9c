//! The same submission twice is one job.

use e2e::{Client, System, client::sketch};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::story::total;

async fn submit(client: &Client, key: &str, body: &Value) -> (StatusCode, Value) {
    let request = client
        .request(Method::POST, "/api/jobs")
        .header("idempotency-key", key);
    client.send(request.json(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_and_request_give_the_same_job() {
    let system = System::start().await;
    let client = &system.client;
    let (status, first) = submit(client, "one", &sketch("a lake")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (status, again) = submit(client, "one", &sketch("a lake")).await;
    assert_eq!((status, &again["id"]), (StatusCode::OK, &first["id"]));
    let id = first["id"].as_str().expect("an id");
    client.until_status(id, "succeeded").await;
    let (status, late) = submit(client, "one", &sketch("a lake")).await;
    assert_eq!(
        (status, &late["id"], &late["status"]),
        (StatusCode::OK, &first["id"], &"succeeded".into()),
        "also when it is over"
    );
    let (status, other) = submit(client, "two", &sketch("a lake")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_ne!(other["id"], first["id"]);
    assert_eq!(total(client).await, 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_not_used_for_another_request() {
    let system = System::without_worker(&[]).await;
    let client = &system.client;
    submit(client, "one", &sketch("a lake")).await;
    let (status, problem) = submit(client, "one", &sketch("a mountain")).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &"idempotency_key_reused".into())
    );
    let long = "x".repeat(256);
    let (status, problem) = submit(client, &long, &sketch("a lake")).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &"request_invalid".into())
    );
    assert_eq!(total(client).await, 1);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_make_one_job() {
    let system = System::start().await;
    let client = &system.client;
    // without a seed each submission draws one, and still they are the same
    let mut request = sketch("at once");
    request["sketch"]
        .as_object_mut()
        .expect("an object")
        .remove("seed");
    let calls = (0..50).map(|_| submit(client, "fifty", &request));
    let answers = futures::future::join_all(calls).await;
    let id = answers[0].1["id"].clone();
    assert!(answers.iter().all(|(_, job)| job["id"] == id), "{answers:?}");
    let fresh = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::ACCEPTED);
    let repeated = answers.iter().filter(|(status, _)| *status == StatusCode::OK);
    assert_eq!((fresh.count(), repeated.count()), (1, 49));
    assert_eq!(total(client).await, 1);
    let job = client
        .until_status(id.as_str().expect("an id"), "succeeded")
        .await;
    assert_eq!(job["attempt"], 1, "{job:#}");
    system.stop().await;
}
