//! One id twice: not an idempotency key, and with a number of its own the end of the worker thread.

use connectors::comfyui::double::DoubleOptions;
use connectors::comfyui::{Cancellation, Outcome, Standing, Submission};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::{Bench, sampler, soon, succeeded};

async fn again(bench: &Bench, graph: &Value, prompt_id: Uuid) {
    let submission = Submission {
        graph,
        prompt_id,
        client_id: &bench.client_id,
        extra_data: None,
    };
    bench.client.submit(&submission).await.expect("accepted");
}

async fn numbered(bench: &Bench, prompt_id: Uuid, number: f64) -> u16 {
    let body = json!({"prompt": sampler(9, 1), "prompt_id": prompt_id, "number": number}).to_string();
    let url = bench.double.url().join("prompt").expect("a url");
    let answer = reqwest::Client::new().post(url).body(body).send().await;
    answer.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn a_repeated_id_runs_twice_and_the_history_keeps_the_last() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let id = Uuid::new_v4();
    again(&bench, &sampler(1, 4), id).await;
    bench.runs(id).await;
    again(&bench, &sampler(2, 1), id).await;
    let queue = bench.client.queue().await.expect("a queue");
    assert_eq!((queue.running.len(), queue.pending.len()), (1, 1));
    bench.client.interrupt(id).await.expect("interrupted");
    soon(bench.double.until(|seen| seen.finished == 1)).await;
    let standing = bench.client.standing(id).await.expect("a standing");
    assert!(
        matches!(standing, Standing::Running | Standing::Pending { .. }),
        "the history knows an interrupted run of this id, but {standing:?}"
    );
    bench.double.run_freely();
    soon(bench.double.until(|seen| seen.finished == 2)).await;
    assert!(matches!(bench.ends(id).await, Outcome::Succeeded { .. }));
    let runs = bench.double.executed();
    assert!(runs.iter().all(|run| run.prompt_id == id.to_string()) && runs.len() == 2);
}

#[tokio::test]
async fn of_two_waiting_prompts_of_one_id_only_one_is_deleted() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let first = bench.post(&sampler(1, 1)).await;
    bench.runs(first).await;
    let twice = Uuid::new_v4();
    again(&bench, &sampler(2, 1), twice).await;
    again(&bench, &sampler(3, 1), twice).await;
    bench.client.remove_pending(twice).await.expect("removed");
    let standing = bench.client.standing(twice).await.expect("a standing");
    assert_eq!(standing, Standing::Pending { ahead: 1 });
    assert_eq!(
        bench.client.cancel(twice).await.expect("an answer"),
        Cancellation::Removed
    );
}

#[tokio::test]
async fn one_id_and_one_number_twice_kill_the_worker_thread_for_good() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let first = bench.post(&sampler(1, 1)).await;
    bench.runs(first).await;
    let (between, twin, last) = (Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4());
    assert_eq!(numbered(&bench, between, 4999.0).await, 200);
    assert_eq!(numbered(&bench, twin, 5000.0).await, 200);
    assert_eq!(
        numbered(&bench, twin, 5000.0).await,
        200,
        "nobody has compared them yet"
    );
    bench.double.run_freely();
    soon(bench.double.until(|seen| seen.worker_dead)).await;
    succeeded(bench.ends(first).await);
    assert_eq!(numbered(&bench, last, 1.0).await, 200, "HTTP lives");
    let queue = bench.client.queue().await.expect("a queue");
    assert_eq!(
        (queue.running.len(), queue.pending.len()),
        (0, 3),
        "and nothing runs"
    );
    bench.double.restart_empty();
    let id = bench.post(&sampler(1, 1)).await;
    succeeded(bench.ends(id).await);
}

#[tokio::test]
async fn twins_that_meet_at_once_are_a_server_error() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let first = bench.post(&sampler(1, 1)).await;
    bench.runs(first).await;
    let twin = Uuid::new_v4();
    assert_eq!(numbered(&bench, twin, 5000.0).await, 200);
    assert_eq!(numbered(&bench, twin, 5000.0).await, 500);
    assert_eq!(
        bench.double.observed().pending.len(),
        2,
        "it is in the queue all the same"
    );
}

#[tokio::test]
async fn a_dead_worker_thread_shows_its_prompt_as_running_for_ever() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let (id, next) = (bench.post(&sampler(1, 4)).await, bench.post(&sampler(2, 1)).await);
    bench.runs(id).await;
    bench.double.kill_worker_thread();
    bench.double.run_freely();
    bench.double.unhang();
    assert_eq!(
        bench.client.cancel(id).await.expect("an answer"),
        Cancellation::Interrupting
    );
    let cancelled = bench.client.cancel(next).await.expect("an answer");
    assert_eq!(
        cancelled,
        Cancellation::Removed,
        "what waits can still be taken out"
    );
    assert_eq!(
        bench.client.standing(id).await.expect("a standing"),
        Standing::Running
    );
    bench.double.restart_empty();
    assert_eq!(
        bench.client.standing(id).await.expect("a standing"),
        Standing::Unknown
    );
    let runs = bench.double.executed();
    assert!(runs.len() == 1 && !runs[0].succeeded);
}
