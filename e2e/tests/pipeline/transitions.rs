//! The turns of a job's life that a user makes or waits for.

use std::time::Duration;

use e2e::{
    System,
    client::{rehearsal, sketch},
    patience::{until, within},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::story::{in_millis, list, moment, turns};

fn with(mut request: Value, name: &str, value: impl Into<Value>) -> Value {
    request[name] = value.into();
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_job_waits_until_it_is_run() {
    let mut system = System::without_worker(&[]).await;
    let client = system.client.clone();
    let id = client.submit(&with(sketch("held"), "hold", true)).await;
    assert_eq!(client.job(&id).await["status"], "created");
    let (status, job) = client.post(&format!("/api/jobs/{id}/run"), &Value::Null).await;
    assert_eq!(
        (status, &job["status"]),
        (StatusCode::OK, &"queued".into()),
        "{job}"
    );
    let (status, problem) = client.post(&format!("/api/jobs/{id}/run"), &Value::Null).await;
    assert_eq!(
        (status, &problem["code"], &problem["job"]["status"]),
        (StatusCode::CONFLICT, &"job_not_held".into(), &"queued".into())
    );
    system.add_worker("w1", &[]).await;
    let job = client.until_status(&id, "succeeded").await;
    assert_eq!(
        turns(&job),
        ["submitted", "held", "released", "started", "succeeded"]
    );
    let (status, problem) = client.post(&format!("/api/jobs/{id}/run"), &Value::Null).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::CONFLICT, &"job_finished".into())
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_job_is_not_started_by_workers() {
    let system = System::start().await;
    let held = system.client.submit(&with(sketch("held"), "hold", true)).await;
    let later = system.client.submit_sketch("later").await;
    system.client.until_status(&later, "succeeded").await;
    assert_eq!(turns(&system.client.job(&held).await), ["submitted", "held"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_for_later_says_so_and_starts_in_time() {
    let system = System::start().await;
    let due = in_millis(3_000);
    let id = system
        .client
        .submit(&with(sketch("later"), "not_before", due.clone()))
        .await;
    let job = system.client.job(&id).await;
    assert_eq!(
        (&job["status"], &job["waiting"]["reason"]),
        (&"queued".into(), &"not_before".into()),
        "{job:#}"
    );
    assert_eq!(
        moment(&job["waiting"]["until"]).as_millisecond(),
        moment(&due.clone().into()).as_millisecond()
    );
    let job = system.client.until_status(&id, "succeeded").await;
    let late = moment(&job["started_at"])
        .duration_since(moment(&due.into()))
        .as_secs_f64();
    assert!((-0.001..1.0).contains(&late), "{late} s late: {job:#}");
    assert_eq!(turns(&job), ["submitted", "started", "succeeded"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_misses_its_deadline_fails() {
    let mut system = System::without_worker(&[]).await;
    let deadline = in_millis(1_000);
    let id = system
        .client
        .submit(&with(sketch("urgent"), "deadline", deadline.clone()))
        .await;
    let job = system.client.until_over(&id, Duration::from_secs(10)).await;
    assert_eq!(
        (&job["status"], &job["failure"]["code"]),
        (&"failed".into(), &"deadline_passed".into()),
        "{job:#}"
    );
    let late = moment(&job["finished_at"]).duration_since(moment(&deadline.into()));
    assert!((0.0..3.0).contains(&late.as_secs_f64()), "{late} late");

    // a worker that comes later does not find it any more
    system.add_worker("w1", &[]).await;
    let other = system.client.submit_sketch("other").await;
    system.client.until_status(&other, "succeeded").await;
    assert_eq!(system.client.job(&id).await, job);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_does_not_end_what_was_started() {
    let system = System::start().await;
    let request = with(
        e2e::client::slow(Duration::from_secs(2)),
        "deadline",
        in_millis(1_500),
    );
    let id = system.client.submit(&request).await;
    let job = system.client.until_status(&id, "succeeded").await;
    assert!(moment(&job["finished_at"]) > moment(&request["deadline"]));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_a_new_job_and_leaves_the_old_one_alone() {
    let system = System::start().await;
    let client = &system.client;
    let request = with(rehearsal("fail"), "max_attempts", 1);
    let old = client.submit(&with(request, "tags", json!(["a", "b"]))).await;
    let failed = client.until_status(&old, "failed").await;
    let (status, new) = client.post(&format!("/api/jobs/{old}/retry"), &Value::Null).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{new}");
    assert_eq!(new["retry_of"], old.as_str());
    let new = client
        .until_over(new["id"].as_str().expect("an id"), Duration::from_secs(30))
        .await;
    for same in ["request", "status", "priority", "max_attempts"] {
        assert_eq!(new[same], failed[same], "{same}");
    }
    assert_ne!(new["id"], failed["id"]);
    assert_eq!(client.job(&old).await, failed, "the old one is as it was");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_over_cannot_be_retried() {
    let system = System::without_worker(&[]).await;
    for request in [sketch("queued"), with(sketch("held"), "hold", true)] {
        let id = system.client.submit(&request).await;
        let (status, problem) = system
            .client
            .post(&format!("/api/jobs/{id}/retry"), &Value::Null)
            .await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::CONFLICT, &"job_unfinished".into())
        );
    }
    assert_eq!(crate::story::total(&system.client).await, 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_can_serve_says_so_and_starts_when_somebody_comes() {
    let mut system = System::without_worker(&[]).await;
    let client = system.client.clone();
    let id = client.submit_sketch("waiting").await;
    let unservable = async |wanted: &str| {
        within(Duration::from_secs(1), wanted, || async {
            let job = client.job(&id).await;
            let waiting = &job["waiting"];
            (waiting["reason"] == "unservable" && waiting["message"].as_str()?.contains(wanted)).then_some(())
        })
        .await;
    };
    unservable("no worker is here").await;
    let (_, page) = client.get("/api/jobs?status=queued").await;
    assert_eq!(
        list(&page, "jobs")[0]["waiting"]["reason"],
        "unservable",
        "also in the list"
    );

    system.add_worker("w1", &[]).await;
    client.until_status(&id, "succeeded").await;

    let comfyui = json!({"comfyui": {"prompt": "a lake", "checkpoint": "sd15.safetensors"}});
    let other = client.submit(&comfyui).await;
    until("nobody with ComfyUI", || async {
        let job = client.job(&other).await;
        (job["waiting"]["message"]
            .as_str()?
            .contains("no worker offers comfyui"))
        .then_some(())
    })
    .await;

    system.workers.remove(0).stop().await;
    let last = client.submit_sketch("after").await;
    let what = "a stopped worker not to count";
    within(Duration::from_secs(1), what, || async {
        (client.job(&last).await["waiting"]["reason"] == "unservable").then_some(())
    })
    .await;
    system.stop().await;
}
