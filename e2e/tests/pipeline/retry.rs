//! Attempts that fail: tried again with patience, but not for ever.

use std::time::Duration;

use e2e::{
    System,
    client::{rehearsal, sketch},
    patience::until,
};
use serde_json::Value;

use crate::story::{list, moment, seconds, turns};

fn codes(job: &Value) -> Vec<&str> {
    let attempts = list(job, "attempts").iter();
    attempts
        .map(|attempt| attempt["failure"]["code"].as_str().unwrap_or_default())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_that_passes_is_tried_again_in_its_time() {
    let system = System::start_with(&[("ORCHESTRATOR_JOBS_RETRY_BASE", "1s")]).await;
    let client = &system.client;
    let mut request = rehearsal("fail");
    request["sketch"]["rehearsal"]["until_attempt"] = 1.into();
    let id = client.submit(&request).await;
    let waiting = until("the job to wait for its second attempt", || async {
        let job = client.job(&id).await;
        job["retry_at"].is_string().then_some(job)
    })
    .await;
    assert_eq!(
        (&waiting["status"], &waiting["waiting"]["reason"]),
        (&"queued".into(), &"retry_at".into()),
        "{waiting:#}"
    );
    assert!(
        waiting["waiting"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("attempt 1 fails")),
        "{waiting:#}"
    );
    let job = client.until_status(&id, "succeeded").await;
    assert_eq!(
        turns(&job),
        ["submitted", "started", "retry_scheduled", "started", "succeeded"]
    );
    assert_eq!(
        (codes(&job), &job["failure"]),
        (vec!["sketch_rehearsed_failure", ""], &Value::Null)
    );
    let attempts = list(&job, "attempts");
    let waited = seconds(&attempts[0]["ended_at"], &attempts[1]["started_at"]);
    assert!(
        (0.8..2.5).contains(&waited),
        "1 s with jitter, not {waited} s: {job:#}"
    );
    assert!(
        moment(&attempts[1]["started_at"]) >= moment(&waiting["retry_at"]),
        "{job:#}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_job_ends_after_its_attempts() {
    let system = System::start().await;
    let id = system.client.submit(&rehearsal("fail")).await;
    let job = system.client.until_over(&id, Duration::from_secs(30)).await;
    assert_eq!(
        (&job["status"], &job["failure"]["code"]),
        (&"failed".into(), &"sketch_rehearsed_failure".into())
    );
    assert_eq!(codes(&job), ["sketch_rehearsed_failure"; 3], "{job:#}");
    assert_eq!(
        turns(&job),
        [
            "submitted",
            "started",
            "retry_scheduled",
            "started",
            "retry_scheduled",
            "started",
            "failed"
        ]
    );
    assert!(job["outputs"].is_null(), "{job:#}");
    let waits: Vec<f64> = list(&job, "attempts")
        .windows(2)
        .map(|pair| seconds(&pair[0]["ended_at"], &pair[1]["started_at"]))
        .collect();
    assert!(
        waits[0] >= 0.16 && waits[1] >= 0.32,
        "200 ms, then 400 ms, less 20 %: {waits:?}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_stays_within_its_attempt() {
    let system = System::start().await;
    let client = &system.client;
    let id = client.submit(&rehearsal("panic")).await;
    let others: Vec<String> = futures::future::join_all((0..6).map(|_| client.submit_sketch("beside"))).await;
    let job = client.until_over(&id, Duration::from_secs(30)).await;
    assert_eq!(codes(&job), ["worker_panicked"; 3], "{job:#}");
    assert_eq!(job["status"], "failed");
    assert!(
        job["failure"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("attempt 3 panics"))
    );
    let life = client.incarnation("w1").await;
    for other in others {
        client.until_status(&other, "succeeded").await;
    }
    let after = client.submit_sketch("after").await;
    let after = client.until_status(&after, "succeeded").await;
    assert_eq!(
        (life.is_some(), after["attempts"][0]["worker"].as_str()),
        (true, Some("w1"))
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_told_from_work() {
    let system = System::start_with(&[("ORCHESTRATOR_WORKER_STALL_TIMEOUT", "1s")]).await;
    let mut request = rehearsal("stall");
    request["max_attempts"] = 1.into();
    let silent = system.client.submit(&request).await;
    // longer than the patience, but it tells of itself
    let busy = system
        .client
        .submit(&e2e::client::slow(Duration::from_secs(3)))
        .await;
    let job = system.client.until_over(&silent, Duration::from_secs(30)).await;
    assert_eq!(codes(&job), ["backend_stalled"], "{job:#}");
    let attempt = &job["attempts"][0];
    let took = seconds(&attempt["started_at"], &attempt["ended_at"]);
    assert!((1.0..4.0).contains(&took), "{took} s");
    system.client.until_status(&busy, "succeeded").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_that_passes_is_tried_again() {
    let system = System::start_with(&[("ORCHESTRATOR_WORKER_STALL_TIMEOUT", "1s")]).await;
    let mut request = rehearsal("stall");
    request["sketch"]["rehearsal"]["until_attempt"] = 1.into();
    let id = system.client.submit(&request).await;
    let job = system.client.until_status(&id, "succeeded").await;
    assert_eq!(codes(&job), ["backend_stalled", ""], "{job:#}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_needs_permission() {
    let system = System::start_with(&[("ORCHESTRATOR_SKETCH_REHEARSALS", "false")]).await;
    let id = system.client.submit(&rehearsal("slow")).await;
    let job = system.client.until_over(&id, Duration::from_secs(30)).await;
    assert_eq!(
        (&job["status"], codes(&job)),
        (&"failed".into(), vec!["sketch_rehearsal_refused"]),
        "another attempt would end the same way: {job:#}"
    );
    let id = system.client.submit(&sketch("a lake")).await;
    system.client.until_status(&id, "succeeded").await;
    system.stop().await;
}
