//! Cancellation in every state, and in a race with completion.

use std::{collections::BTreeMap, time::Duration};

use e2e::{
    History, System,
    client::{rehearsal, sketch, slow},
    patience::{let_pass, until},
    system::LEASE,
};
use futures::{StreamExt as _, stream};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::story::{list, turns};

#[tokio::test(flavor = "multi_thread")]
async fn while_it_waits_for_a_worker() {
    let mut system = System::without_worker(&[]).await;
    let client = system.client.clone();
    let id = client.submit(&sketch("unwanted")).await;
    let (status, job) = client.cancel(&id).await;
    assert_eq!(
        (status, &job["status"]),
        (StatusCode::OK, &"cancelled".into()),
        "{job:#}"
    );
    assert_eq!(turns(&job), ["submitted", "cancel_requested", "cancelled"]);
    assert_eq!(job["cancel"]["reason"], "a test");
    let (status, again) = client.cancel(&id).await;
    assert_eq!((status, &again), (StatusCode::OK, &job), "twice is fine");
    let (status, again) = client
        .send(client.request(Method::DELETE, &format!("/api/jobs/{id}")))
        .await;
    assert_eq!((status, &again), (StatusCode::OK, &job), "by DELETE as well");

    system.add_worker("w1", &[]).await;
    let other = client.submit_sketch("wanted").await;
    client.until_status(&other, "succeeded").await;
    assert_eq!(client.job(&id).await, job, "no worker touched it");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_held() {
    let system = System::start().await;
    let mut request = sketch("held");
    request["hold"] = true.into();
    let id = system.client.submit(&request).await;
    let (status, job) = system.client.cancel(&id).await;
    assert_eq!((status, &job["status"]), (StatusCode::OK, &"cancelled".into()));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_waits_for_its_next_attempt() {
    let system = System::start_with(&[("ORCHESTRATOR_JOBS_RETRY_BASE", "10m")]).await;
    let client = &system.client;
    let id = client.submit(&rehearsal("fail")).await;
    until("the first attempt to fail", || async {
        client.job(&id).await["retry_at"].is_string().then_some(())
    })
    .await;
    let (status, job) = client.cancel(&id).await;
    assert_eq!(
        (status, &job["status"]),
        (StatusCode::OK, &"cancelled".into()),
        "{job:#}"
    );
    assert_eq!(list(&job, "attempts").len(), 1);
    assert!(job["retry_at"].is_null() && job["failure"].is_null(), "{job:#}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_runs() {
    let system = System::start().await;
    let client = &system.client;
    let id = client.submit(&slow(Duration::from_mins(1))).await;
    client.until_status(&id, "running").await;
    let (status, job) = client.cancel(&id).await;
    assert_eq!(status, StatusCode::OK, "{job}");
    let (status, again) = client.cancel(&id).await;
    assert_eq!(status, StatusCode::OK, "twice is fine: {again}");
    let job = client.until_over(&id, LEASE).await;
    assert_eq!(job["status"], "cancelled", "{job:#}");
    assert_eq!(
        turns(&job),
        ["submitted", "started", "cancel_requested", "cancelled"]
    );
    assert!(job["outputs"].is_null() && job["claim"].is_null(), "{job:#}");

    let other = client.submit_sketch("next").await;
    client.until_status(&other, "succeeded").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_backend_that_does_not_listen() {
    let system = System::start_with(&[("ORCHESTRATOR_SKETCH_SLOTS", "1")]).await;
    let client = &system.client;
    let id = client.submit(&rehearsal("deaf")).await;
    client.until_status(&id, "running").await;
    client.cancel(&id).await;
    let grace = Duration::from_millis(500);
    let job = client.until_over(&id, grace + LEASE).await;
    assert_eq!(job["status"], "cancelled", "{job:#}");
    let other = client.submit_sketch("the slot is free again").await;
    client.until_status(&other, "succeeded").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_over() {
    let system = System::start().await;
    let id = system.client.submit_sketch("done").await;
    let done = system.client.until_status(&id, "succeeded").await;
    let (status, problem) = system.client.cancel(&id).await;
    assert_eq!(
        (status, &problem["code"], &problem["job"]["status"]),
        (StatusCode::CONFLICT, &"job_finished".into(), &"succeeded".into())
    );
    assert_eq!(system.client.job(&id).await, done);
    system.stop().await;
}

/// Each of the jobs does nothing; it is let go, and cancelled a moment of its own later.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_races_with_completion_have_one_end_each() {
    const RACES: u64 = 1_000;
    let system = System::start_with(&[("ORCHESTRATOR_SKETCH_SLOTS", "32")]).await;
    let mut history = History::of(&system.broker).await;
    let client = &system.client;
    let race = |number: u64| async move {
        let mut request = rehearsal("noop");
        request["hold"] = true.into();
        let id = client.submit(&request).await;
        let path = format!("/api/jobs/{id}/run");
        let (_, (status, answer)) = futures::join!(client.post(&path, &Value::Null), async {
            match number % 24 {
                0 => {}
                millis => let_pass(Duration::from_millis(millis)).await,
            }
            client.cancel(&id).await
        });
        match status {
            StatusCode::OK => {}
            StatusCode::CONFLICT => assert_eq!(answer["code"], "job_finished", "{answer}"),
            other => panic!("{other}: {answer}"),
        }
        (id, status, answer["status"] == "cancelled")
    };
    let races: Vec<_> = stream::iter(0..RACES)
        .map(race)
        .buffer_unordered(32)
        .collect()
        .await;

    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    for (id, answer, was_cancelled) in &races {
        let job = client.until_over(id, Duration::from_secs(30)).await;
        let end = job["status"].as_str().expect("a status");
        assert!(
            !was_cancelled || end == "cancelled",
            "what was cancelled stays so: {job:#}"
        );
        assert!(
            *answer == StatusCode::OK || end == "succeeded",
            "what was over was a success: {job:#}"
        );
        *ends.entry(end.to_owned()).or_default() += 1;
    }
    assert_eq!(
        ends.keys().collect::<Vec<_>>(),
        ["cancelled", "succeeded"],
        "{ends:?}"
    );
    let ids: Vec<String> = races.into_iter().map(|(id, ..)| id).collect();
    history.check(&ids).await;
    system.stop().await;
}
