//! The broker is killed with SIGKILL while everything runs, and stays away for long: accepted is finished,
//! and nobody else is told so.

use std::time::Duration;

use e2e::{
    Client, History,
    client::{sketch, slow},
    patience::{let_pass, until, within},
    system::LEASE,
};
use futures::future::join_all;
use proto::EventKind;
use reqwest::{Method, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use crate::scene::{Scene, count, record, total};

const JOBS: u32 = 40;
/// How long a gateway may take until it follows the records again.
const SOON: Duration = Duration::from_secs(3);
const SUBMIT_EVERY: Duration = Duration::from_millis(80);

/// The id of an accepted job; `None` where the gateway says that it cannot now. Nothing else is allowed.
async fn submit(client: &Client, body: &Value) -> Option<String> {
    let request = client.request(Method::POST, "/api/jobs").json(body);
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body: Value = answer.json().await.expect("JSON");
    match status {
        StatusCode::ACCEPTED => Some(body["id"].as_str().expect("an id").to_owned()),
        StatusCode::SERVICE_UNAVAILABLE => {
            assert!(headers.contains_key(RETRY_AFTER), "{headers:?}");
            assert_eq!(body["code"], "broker_unavailable", "{body:#}");
            None
        }
        _ => panic!("{status}: {body:#}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_while_everything_runs() {
    let mut scene = Scene::new().await;
    let mut history = History::of(&scene.broker).await;
    let (_gateway, client) = scene.gateway().await;
    let _workers = [
        scene.worker("w1", &[], &client).await,
        scene.worker("w2", &[], &client).await,
    ];
    let submissions = join_all((0..JOBS).map(|number| {
        let client = &client;
        async move {
            let_pass(SUBMIT_EVERY * number + Duration::from_millis(1)).await;
            let body = if number.is_multiple_of(4) {
                slow(Duration::from_secs(1))
            } else {
                sketch("in between")
            };
            submit(client, &body).await
        }
    }));
    let deaths = async {
        for _ in 0..4 {
            let_pass(SUBMIT_EVERY * JOBS / 5).await;
            scene.broker.restart().await;
        }
    };
    let (submitted, ()) = tokio::join!(submissions, deaths);
    let accepted: Vec<String> = submitted.into_iter().flatten().collect();
    assert!(accepted.len() >= 10, "{} were accepted", accepted.len());
    for id in &accepted {
        client.until_status(id, "succeeded").await;
    }
    // a refusal leaves open whether the job was stored; what was stored is done as well
    let (_, page) = client.get("/api/jobs?limit=100").await;
    for job in page["jobs"].as_array().expect("jobs") {
        client
            .until_status(job["id"].as_str().expect("an id"), "succeeded")
            .await;
    }
    history.check(&accepted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_gateway_follows_soon_after_it_is_back() {
    let mut scene = Scene::new().await;
    let (_first, client) = scene.gateway().await;
    let (_second, other) = scene.gateway().await;
    let body = sketch("after the outage");
    for round in 1..=4 {
        scene.broker.restart().await;
        until("a job to be accepted", || submit(&client, &body)).await;
        within(SOON, "the other gateway to know the job", || async {
            (total(&other).await == round).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn away_for_three_leases() {
    let mut scene = Scene::new().await;
    let mut history = History::of(&scene.broker).await;
    let (mut gateway, client) = scene.gateway().await;
    let mut worker = scene.worker("w1", &[], &client).await;
    let mut accepted = Vec::new();
    for _ in 0..2 {
        // longer than the lease: they cannot end before it is clear that the broker is away
        accepted.push(client.submit(&slow(LEASE * 3)).await);
        accepted.push(client.submit_sketch("queued").await);
    }
    client.until_status(&accepted[0], "running").await;
    scene.broker.kill().await;
    for _ in 0..6 {
        let_pass(LEASE / 2).await;
        assert_eq!(submit(&client, &sketch("meanwhile")).await, None);
    }
    let (live, _) = client.get("/livez").await;
    let (ready, _) = client.get("/readyz").await;
    assert_eq!((live, ready), (StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE));
    assert!(gateway.is_running() && worker.is_running());

    scene.broker.restart().await;
    for id in &accepted {
        let job = record(&client.until_status(id, "succeeded").await);
        let handed_back = count(&job, EventKind::HandedBack);
        assert_eq!(job.attempt - job.handed_back, 1, "no attempt was spent: {job:#?}");
        assert_eq!(handed_back, job.handed_back as usize, "{job:#?}");
    }
    history.check(&accepted).await;
    scene.until_no_tokens().await;
}
