//! A worker that is stopped in order.

use std::time::Duration;

use e2e::{System, client::slow};

use crate::story::{list, turns};

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_finished_in_time_is_handed_back_and_costs_nothing() {
    let mut system = System::start().await;
    let mut request = slow(Duration::from_secs(4));
    request["max_attempts"] = 1.into();
    let id = system.client.submit(&request).await;
    system.client.until_status(&id, "running").await;
    system.workers.remove(0).stop().await;
    let job = system.client.job(&id).await;
    assert_eq!(
        (&job["status"], &job["handed_back"]),
        (&"queued".into(), &1.into()),
        "{job:#}"
    );
    assert_eq!(
        turns(&job).last(),
        Some(&"handed_back"),
        "the worker said so before it left"
    );
    assert!(job["claim"].is_null() && job["failure"].is_null(), "{job:#}");

    system.add_worker("w2", &[]).await;
    let job = system.client.until_status(&id, "succeeded").await;
    assert_eq!(
        turns(&job),
        ["submitted", "started", "handed_back", "started", "succeeded"]
    );
    let workers: Vec<_> = list(&job, "attempts")
        .iter()
        .map(|attempt| &attempt["worker"])
        .collect();
    assert_eq!(workers, ["w1", "w2"], "{job:#}");
    assert!(job["attempts"][0]["failure"].is_null(), "{job:#}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_that_is_there_takes_it_at_once() {
    let mut system = System::start().await;
    let id = system.client.submit(&slow(Duration::from_secs(3))).await;
    system.client.until_status(&id, "running").await;
    system.add_worker("w2", &[]).await;
    system.workers.remove(0).stop().await;
    let job = system.client.until_status(&id, "succeeded").await;
    let attempts = list(&job, "attempts");
    let gap = crate::story::seconds(&attempts[0]["ended_at"], &attempts[1]["started_at"]);
    assert!((0.0..2.0).contains(&gap), "{gap} s between the attempts: {job:#}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_finished_in_time_is() {
    let mut system = System::start_with(&[("ORCHESTRATOR_WORKER_DRAIN_GRACE", "20s")]).await;
    let id = system.client.submit(&slow(Duration::from_secs(2))).await;
    system.client.until_status(&id, "running").await;
    system.workers.remove(0).stop().await;
    let job = system.client.job(&id).await;
    assert_eq!(
        (&job["status"], &job["attempt"]),
        (&"succeeded".into(), &1.into()),
        "{job:#}"
    );
    system.stop().await;
}
