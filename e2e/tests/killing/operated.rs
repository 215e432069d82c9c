//! A person stops, starts and restarts the ComfyUI of a worker over HTTP, and is told what that means for jobs.

use std::time::Duration;

use e2e::{
    patience::{let_pass, until},
    sse::Parser,
};
use proto::v1::host::State;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::supervised::{Workshop, picture};

/// Brings everything up; the events, as name and data.
async fn ignite(shop: &Workshop) -> Vec<(String, Value)> {
    let request = shop.client.request(Method::POST, "/api/system/ignite");
    let answer = request.header("accept", "text/event-stream").send().await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let bytes = answer.bytes().await.expect("all events");
    let frames = Parser::default().push(&bytes);
    let told = frames.into_iter().filter(|frame| !frame.data.is_empty());
    told.map(|frame| (frame.event.clone(), frame.json())).collect()
}

/// The states of a step, in order.
fn states<'a>(steps: impl IntoIterator<Item = &'a Value>, name: &str) -> Vec<&'a str> {
    let steps = steps.into_iter().filter(|step| step["name"] == name);
    steps
        .map(|step| step["state"].as_str().expect("a state"))
        .collect()
}

/// ComfyUI is down, the worker says so, and a job says that it waits for it; the job.
async fn explained(shop: &Workshop) -> String {
    let offer = shop.until_healthy(false).await;
    let problem = until("why ComfyUI is away", || async {
        let offer = shop.until_healthy(false).await;
        let problem = offer["problem"].as_str()?.to_owned();
        problem.contains("stopped").then_some(problem)
    })
    .await;
    assert!(problem.contains("orchestrator comfyui start"), "{offer:#}");
    let id = shop.client.submit(&picture("a lighthouse", 4)).await;
    let job = shop.client.job(&id).await;
    assert_eq!(job["waiting"]["reason"], "unservable", "{job:#}");
    let message = job["waiting"]["message"].as_str().expect("a message");
    assert!(message.contains("w1") && message.contains("stopped"), "{message}");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn comfyui_is_stopped_and_started_by_a_person() {
    let mut shop = Workshop::new("").await;
    let (worker, host) = shop.serving(&[]).await;
    assert_eq!(shop.ask("stop").await["state"], "stopped");
    assert!(shop.running().is_empty(), "it is gone when that is answered");
    assert_eq!(shop.until_state(State::Stopped).await.pid, 0);
    let id = explained(&shop).await;
    assert_eq!(
        shop.ask("stop").await["state"],
        "stopped",
        "a second time is no fault"
    );
    // it is looked at all the time, and told once
    let told = || worker.log().matches("comfyui takes no jobs").count();
    let before = told();
    let_pass(Duration::from_secs(1)).await;
    assert_eq!(told(), before, "{}", worker.log());

    let started = shop.ask("start").await;
    assert_eq!(
        (&started["state"], started["pid"] == host.pid),
        (&"running".into(), false)
    );
    shop.check_success(&id, 1).await;
    let again = shop.ask("start").await;
    assert_eq!(again["pid"], started["pid"], "what runs is left alone");

    let restarted = shop.ask("restart").await;
    assert_eq!(restarted["state"], "running", "{restarted}");
    assert_ne!(restarted["pid"], started["pid"]);
    assert!(restarted["restarts"].as_u64() >= Some(1), "{restarted}");
    assert_eq!(
        restarted["message"], "started anew: somebody asked for it",
        "{restarted}"
    );
    let log = shop.log().await;
    for (text, times) in [
        ("Starting server", 3),
        ("got prompt", 1),
        ("Prompt executed in", 1),
    ] {
        let found = log.iter().filter(|line| line.contains(text)).count();
        assert_eq!(found, times, "{text}: {log:#?}");
    }
    let id = shop.client.submit(&picture("a harbour", 4)).await;
    shop.check_success(&id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_comfyui_is_ignited() {
    let mut shop = Workshop::new("").await;
    let (_worker, _) = shop.serving(&[]).await;
    shop.ask("stop").await;
    let id = explained(&shop).await;
    let told = ignite(&shop).await;
    let steps: Vec<&Value> = told
        .iter()
        .filter(|(name, _)| name == "step")
        .map(|(_, step)| step)
        .collect();
    let start = states(steps.iter().copied(), "start ComfyUI");
    assert_eq!(start, ["started", "done"], "{told:#?}");
    let wait = states(steps.iter().copied(), "wait for ComfyUI");
    assert_eq!(wait.last(), Some(&"done"), "{told:#?}");
    for (name, state) in [
        ("reach the broker", "done"),
        ("reach the artifact store", "done"),
        ("find the worker", "done"),
        ("find models", "done"),
    ] {
        assert_eq!(states(steps.iter().copied(), name), [state], "{told:#?}");
    }
    let (end, summary) = told.last().expect("an end");
    assert_eq!(
        (end.as_str(), &summary["ok"]),
        ("done", &true.into()),
        "{told:#?}"
    );
    shop.check_success(&id, 1).await;

    // the same as one answer: first where nothing is to be done, then where something is
    for expected in [["skipped"].as_slice(), &["started", "done"]] {
        let (status, told) = shop.client.post("/api/system/ignite", &json!({})).await;
        assert_eq!((status, &told["ok"]), (StatusCode::OK, &true.into()), "{told:#}");
        let steps = told["steps"].as_array().expect("steps");
        assert_eq!(states(steps, "start ComfyUI"), expected, "{told:#}");
        shop.ask("stop").await;
    }
}
