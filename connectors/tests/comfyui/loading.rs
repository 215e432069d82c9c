//! Model files: slow to load, broken, given back; and a device that breaks.

use std::time::Duration;

use connectors::comfyui::double::{Corruption, DoubleOptions};
use connectors::comfyui::{Event, Failure, Outcome, Standing};
use serde_json::json;

use crate::bench::{Bench, CHECKPOINT, sampler, soon, succeeded, until_over};

pub(crate) fn failed(outcome: Outcome) -> Failure {
    let Outcome::Failed(failure) = outcome else {
        panic!("{outcome:?} is no failure")
    };
    *failure
}

#[tokio::test]
async fn an_interrupt_waits_for_the_end_of_a_load_and_names_the_next_node() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let mut events = bench.connect().await;
    bench.double.hold_loads();
    let id = bench.post(&sampler(1, 4)).await;
    soon(
        bench
            .double
            .until(|seen| seen.loading.as_deref() == Some(CHECKPOINT)),
    )
    .await;
    bench.client.interrupt(id).await.expect("HTTP lives");
    let standing = bench.client.standing(id).await.expect("HTTP lives");
    assert_eq!(standing, Standing::Running, "the load goes on");
    bench.double.release_loads(1);
    let seen = until_over(&mut events, id).await;
    assert!(!seen.iter().any(|event| matches!(event, Event::Progress { .. })));
    let Outcome::Interrupted(interruption) = bench.ends(id).await else {
        panic!("not interrupted")
    };
    assert!(interruption.node_id.is_some_and(|node| node != "4"));
}

#[tokio::test]
async fn a_checkpoint_loads_once_until_it_is_given_back() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let free = async || bench.client.system_stats().await.expect("stats").devices[0].vram_free;
    let before = free().await;
    bench.double.hold_loads();
    bench.double.release_loads(1);
    for seed in [1, 2] {
        let id = bench.post(&sampler(seed, 1)).await;
        succeeded(bench.ends(id).await);
    }
    assert!(free().await < before, "it takes memory");
    bench.client.free(true, true).await.expect("freed");
    assert_eq!(free().await, before);
    let id = bench.post(&sampler(3, 1)).await;
    soon(bench.double.until(|seen| seen.loading.is_some())).await;
    assert_eq!(
        bench.client.standing(id).await.expect("HTTP lives"),
        Standing::Running
    );
    bench.double.load_freely();
    succeeded(bench.ends(id).await);
}

#[tokio::test]
async fn a_load_takes_its_time() {
    let options = DoubleOptions {
        load_time: Duration::from_millis(300),
        ..DoubleOptions::default()
    };
    let bench = Bench::new(options).await;
    let begin = std::time::Instant::now();
    let id = bench.post(&sampler(1, 1)).await;
    succeeded(bench.ends(id).await);
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_broken_checkpoint_is_accepted_and_fails_as_recorded() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let mut graph = sampler(1, 1);
    graph["4"]["inputs"]["ckpt_name"] = json!("broken.safetensors");
    bench.double.set_checkpoints(&[CHECKPOINT, "broken.safetensors"]);
    for (corruption, words) in [
        (
            Corruption::Truncated,
            "Error while deserializing header: incomplete metadata, file not fully covered",
        ),
        (
            Corruption::Garbage,
            "Error while deserializing header: header too large",
        ),
    ] {
        bench.double.set_corrupt("broken.safetensors", corruption);
        let id = bench.post(&graph).await;
        let failure = failed(bench.ends(id).await);
        assert_eq!(failure.message, words);
        assert_eq!(
            failure.exception_type,
            "safetensors._safetensors_rust.SafetensorError"
        );
        assert_eq!(
            (failure.node_id.as_deref(), failure.node_type.as_deref()),
            (Some("4"), Some("CheckpointLoaderSimple"))
        );
        assert_eq!(failure.unreadable_model(), Some("broken.safetensors"));
    }
    bench.double.set_corrupt("broken.safetensors", None);
    let id = bench.post(&graph).await;
    succeeded(bench.ends(id).await);
}

#[tokio::test]
async fn a_poisoned_device_fails_everything_until_a_restart() {
    let options = DoubleOptions {
        poison: true,
        ..DoubleOptions::default()
    };
    let bench = Bench::new(options).await;
    let outcome = async |text: &str, seed| {
        let mut graph = sampler(seed, 1);
        graph["6"]["inputs"]["text"] = json!(text);
        let id = bench.post(&graph).await;
        bench.ends(id).await
    };
    succeeded(outcome("a cat", 1).await);
    for (text, seed) in [("a poison dart frog", 2), ("a cat", 3)] {
        let failure = failed(outcome(text, seed).await);
        assert_eq!(
            (failure.exception_type.as_str(), failure.message.as_str()),
            (
                "RuntimeError",
                "CUDA error: an illegal memory access was encountered"
            )
        );
    }
    bench.double.restart_empty();
    succeeded(outcome("a cat", 4).await);
    let runs: Vec<bool> = bench.double.executed().iter().map(|run| run.succeeded).collect();
    assert_eq!(
        runs,
        [true, false, false, true],
        "those before the restart count too"
    );
}
