//! The broker is killed and comes back.

use std::time::{Duration, Instant};

use e2e::{
    History, System,
    client::{sketch, slow},
    patience::{let_pass, until},
    system::LEASE,
};
use reqwest::{Method, StatusCode};

use crate::story::total;

#[tokio::test(flavor = "multi_thread")]
async fn who_submits_meanwhile_is_told_at_once() {
    let mut system = System::without_worker(&[]).await;
    let client = system.client.clone();
    let before = client.submit_sketch("before").await;
    system.broker.kill().await;

    let began = Instant::now();
    let request = client
        .request(Method::POST, "/api/jobs")
        .json(&sketch("meanwhile"));
    let response = request.send().await.expect("an answer");
    let took = began.elapsed();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(took < Duration::from_secs(2), "{took:?}");
    let wait = response.headers()["retry-after"].to_str().expect("text");
    assert!(
        wait.parse::<u32>()
            .is_ok_and(|seconds| (1..60).contains(&seconds)),
        "{wait}"
    );
    let problem: serde_json::Value = response.json().await.expect("JSON");
    assert_eq!(problem["code"], "broker_unavailable", "{problem}");
    until("the gateway to say that it is not ready", || async {
        (client.get("/readyz").await.0 == StatusCode::SERVICE_UNAVAILABLE).then_some(())
    })
    .await;
    assert_eq!(
        client.get("/livez").await.0,
        StatusCode::OK,
        "it is alive all the same"
    );
    let (status, problem) = client.get(&format!("/api/jobs/{before}")).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"broker_unavailable".into())
    );

    system.broker.restart().await;
    client.until_ready().await;
    system.add_worker("w1", &[]).await;
    client.until_status(&before, "succeeded").await;
    let after = client.submit(&slow(Duration::from_secs(3))).await;
    // what lay in memory only is made anew
    until("a preview", || async {
        let preview = client.get(&format!("/api/jobs/{after}/preview")).await;
        (preview.0 == StatusCode::OK).then_some(())
    })
    .await;
    client.until_status(&after, "succeeded").await;
    assert_eq!(total(&client).await, 2, "what was refused is nowhere");
    system.stop().await;
}

/// A write that is on its way when the connection breaks has no answer any more.
#[tokio::test(flavor = "multi_thread")]
async fn who_submits_at_that_moment_is_told_soon() {
    let mut system = System::without_worker(&[]).await;
    let client = system.client.clone();
    let caller = || async {
        let mut accepted = Vec::new();
        loop {
            let began = Instant::now();
            let request = client.request(Method::POST, "/api/jobs").json(&sketch("now"));
            let (status, answer) = client.send(request).await;
            let took = began.elapsed();
            assert!(took < Duration::from_secs(2), "{status} after {took:?}");
            match status {
                StatusCode::ACCEPTED => accepted.push(answer["id"].as_str().expect("an id").to_owned()),
                StatusCode::SERVICE_UNAVAILABLE => return accepted,
                other => panic!("{other}: {answer}"),
            }
        }
    };
    let callers = futures::future::join_all((0..20).map(|_| caller()));
    let (accepted, ()) = futures::join!(callers, async {
        let_pass(Duration::from_millis(500)).await;
        system.broker.kill().await;
    });
    system.broker.restart().await;
    system.client.until_ready().await;
    system
        .add_worker("w1", &[("ORCHESTRATOR_SKETCH_SLOTS", "8")])
        .await;
    let accepted: Vec<String> = accepted.into_iter().flatten().collect();
    assert!(accepted.len() >= 20, "{}", accepted.len());
    for id in accepted.iter().rev().take(40) {
        client.until_status(id, "succeeded").await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn for_three_leases_while_jobs_run_and_wait() {
    let mut system = System::start().await;
    let mut history = History::of(&system.broker).await;
    let client = system.client.clone();
    let mut accepted = Vec::new();
    for _ in 0..6 {
        accepted.push(client.submit(&slow(Duration::from_secs(2))).await);
        accepted.push(client.submit_sketch("short").await);
    }
    client.until_status(&accepted[0], "running").await;
    system.broker.kill().await;
    let away = Instant::now();
    let mut refused = 0;
    while away.elapsed() < 3 * LEASE {
        let request = client
            .request(Method::POST, "/api/jobs")
            .json(&sketch("meanwhile"));
        let (status, answer) = client.send(request).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
        refused += 1;
        let_pass(Duration::from_millis(100)).await;
    }
    assert!(refused > 10, "{refused}");
    system.broker.restart().await;
    client.until_ready().await;
    accepted.push(client.submit_sketch("after").await);
    for id in &accepted {
        let job = client.until_over(id, Duration::from_mins(1)).await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
    }
    history.check(&accepted).await;
    assert_eq!(total(&client).await, accepted.len() as u64);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn again_and_again_for_a_moment() {
    let mut system = System::start().await;
    let mut history = History::of(&system.broker).await;
    let client = system.client.clone();
    let mut accepted = Vec::new();
    for round in 0..4_u32 {
        for _ in 0..3 {
            let request = client
                .request(Method::POST, "/api/jobs")
                .json(&slow(Duration::from_millis(600)));
            match client.send(request).await {
                (StatusCode::ACCEPTED, job) => accepted.push(job["id"].as_str().expect("an id").to_owned()),
                (StatusCode::SERVICE_UNAVAILABLE, _) => {}
                (status, answer) => panic!("{status}: {answer}"),
            }
        }
        let_pass(Duration::from_millis(u64::from(round) * 130 + 50)).await;
        system.broker.restart().await;
        until("a job to be accepted again", || async {
            let request = client.request(Method::POST, "/api/jobs").json(&sketch("again"));
            let (status, job) = client.send(request).await;
            (status == StatusCode::ACCEPTED).then(|| job["id"].as_str().map(str::to_owned))
        })
        .await
        .into_iter()
        .for_each(|id| accepted.push(id));
    }
    assert!(accepted.len() >= 12, "{accepted:?}");
    for id in &accepted {
        let job = client.until_over(id, Duration::from_mins(1)).await;
        assert_eq!(job["status"], "succeeded", "{job:#}");
    }
    history.check(&accepted).await;
    system.stop().await;
}
