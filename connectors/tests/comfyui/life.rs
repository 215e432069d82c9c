//! A prompt's life: run, wait, be cancelled, fail, come from the cache.

use connectors::comfyui::double::DoubleOptions;
use connectors::comfyui::{
    ByteRange, Cancellation, Event, GraphProgress, JobLookup, JobStatus, Outcome, Phase, Standing,
};
use uuid::Uuid;

use crate::bench::{Bench, sampler, soon, succeeded, until_over};

#[tokio::test]
async fn a_prompt_runs_and_its_picture_comes() {
    let bench = Bench::new(DoubleOptions {
        previews: true,
        ..DoubleOptions::default()
    })
    .await;
    let mut events = bench.connect().await;
    let graph = sampler(1, 4);
    let id = bench.post(&graph).await;
    let seen = until_over(&mut events, id).await;
    let mut tracker = GraphProgress::new(id, &graph);
    let mut steps = Vec::new();
    for event in &seen {
        tracker.apply(event);
        if let Phase::Sampling { step, .. } = tracker.snapshot().phase {
            steps.push(step);
        }
    }
    steps.dedup();
    assert_eq!(steps, [0, 1, 2, 3, 4]);
    assert!(tracker.has_ended() && tracker.snapshot().fraction >= 1.0);
    let text = id.to_string();
    let own = |event: &&Event| matches!(event, Event::Preview(preview) if preview.prompt_id.as_ref() == Some(&text));
    assert_eq!(
        seen.iter().filter(own).count(),
        4,
        "previews name their prompt, one a step"
    );

    let outputs = succeeded(bench.ends(id).await);
    assert_eq!(outputs[0].node_id, "9");
    let download = bench
        .client
        .view(&outputs[0].file, None)
        .await
        .expect("a download");
    assert_eq!(download.content_type.as_deref(), Some("image/png"));
    let length = download.length;
    let picture = download.bytes().await.expect("the picture");
    assert_eq!(length, Some(picture.len() as u64));
    assert!(picture.starts_with(b"\x89PNG"));
    assert_eq!(
        &picture[16..24],
        [0, 0, 0, 96, 0, 0, 0, 64],
        "as large as the latent"
    );
    let range = Some(ByteRange {
        first: 16,
        last: Some(23),
    });
    let part = bench.client.view(&outputs[0].file, range).await.expect("a part");
    assert!(part.partial && part.length == Some(8));
    assert_eq!(part.bytes().await.expect("the part"), picture.slice(16..24));
    bench.double.stop().await;
}

#[tokio::test]
async fn the_queue_is_in_order_and_waiting_prompts_are_cancelled() {
    for jobs_api in [true, false] {
        let bench = Bench::new(DoubleOptions {
            jobs_api,
            ..DoubleOptions::default()
        })
        .await;
        bench.double.hold();
        let first = bench.post(&sampler(1, 2)).await;
        bench.runs(first).await;
        let (second, third) = (bench.post(&sampler(2, 2)).await, bench.post(&sampler(3, 2)).await);
        let standing = async |id| bench.client.standing(id).await.expect("a standing");
        assert_eq!(standing(first).await, Standing::Running);
        assert_eq!(standing(second).await, Standing::Pending { ahead: 1 });
        assert_eq!(standing(third).await, Standing::Pending { ahead: 2 });
        assert_eq!(
            bench.client.cancel(second).await.expect("an answer"),
            Cancellation::Removed
        );
        assert_eq!(standing(second).await, Standing::Unknown);
        assert_eq!(standing(third).await, Standing::Pending { ahead: 1 });
        assert_eq!(
            bench.client.cancel(Uuid::new_v4()).await.expect("an answer"),
            Cancellation::Unknown
        );
        bench.double.run_freely();
        succeeded(bench.ends(third).await);
        let late = bench.client.cancel(first).await.expect("an answer");
        assert!(
            matches!(late, Cancellation::Ended(Outcome::Succeeded { .. })),
            "{late:?}"
        );
    }
}

#[tokio::test]
async fn a_running_prompt_is_cancelled_and_no_other() {
    for jobs_api in [true, false] {
        let bench = Bench::new(DoubleOptions {
            jobs_api,
            ..DoubleOptions::default()
        })
        .await;
        let mut events = bench.connect().await;
        bench.double.hold();
        let (first, second) = (bench.post(&sampler(1, 8)).await, bench.post(&sampler(2, 1)).await);
        bench.double.release(3);
        soon(bench.double.until(|seen| seen.steps == 3)).await;
        let cancellation = bench.client.cancel(first).await.expect("an answer");
        let stopped = matches!(
            cancellation,
            Cancellation::Interrupting | Cancellation::Ended(Outcome::Interrupted(_))
        );
        assert!(stopped, "{cancellation:?}");
        let seen = until_over(&mut events, first).await;
        assert!(
            seen.iter()
                .any(|event| matches!(event, Event::ExecutionInterrupted { .. }))
        );
        let Outcome::Interrupted(interruption) = bench.ends(first).await else {
            panic!("not interrupted")
        };
        assert_eq!(interruption.node_type.as_deref(), Some("KSampler"));
        bench.double.run_freely();
        succeeded(bench.ends(second).await);
    }
}

#[tokio::test]
async fn a_failure_names_its_node() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.fail_next(
        "KSampler",
        "torch.OutOfMemoryError",
        "Allocation on device 0 would exceed",
    );
    let mut events = bench.connect().await;
    let mut graph = sampler(1, 2);
    graph["3"]["_meta"] = serde_json::json!({"title": "Second pass"});
    let id = bench.post(&graph).await;
    let seen = until_over(&mut events, id).await;
    assert!(
        seen.iter()
            .any(|event| matches!(event, Event::ExecutionError { .. }))
    );
    let Outcome::Failed(failure) = bench.ends(id).await else {
        panic!("not failed")
    };
    assert_eq!(failure.node_id.as_deref(), Some("3"));
    assert_eq!(failure.title.as_deref(), Some("Second pass"));
    assert!(failure.is_out_of_memory());
    succeeded({
        let again = bench.post(&sampler(1, 2)).await;
        bench.ends(again).await
    });
}

#[tokio::test]
async fn the_jobs_api_is_used_where_it_is() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let id = bench.post(&sampler(1, 2)).await;
    bench.runs(id).await;
    let status = async || {
        let found = bench.client.job(id).await.expect("an answer");
        let JobLookup::Found(job) = found else {
            panic!("{found:?}")
        };
        job.status
    };
    assert_eq!(status().await, JobStatus::InProgress);
    bench.double.run_freely();
    bench.ends(id).await;
    assert_eq!(status().await, JobStatus::Completed);
    assert_eq!(
        bench.client.job(Uuid::new_v4()).await.expect("an answer"),
        JobLookup::NotFound
    );
    let old = Bench::new(DoubleOptions {
        jobs_api: false,
        ..DoubleOptions::default()
    })
    .await;
    assert_eq!(
        old.client.job(id).await.expect("an answer"),
        JobLookup::NotOffered
    );
}

#[tokio::test]
async fn a_repeated_graph_comes_from_the_cache_and_names_the_old_file() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let first = bench.post(&sampler(1, 3)).await;
    let old = succeeded(bench.ends(first).await);
    let mut events = bench.connect().await;
    let again = bench.post(&sampler(1, 3)).await;
    let seen = until_over(&mut events, again).await;
    assert!(!seen.iter().any(|event| matches!(event, Event::Progress { .. })));
    assert_eq!(succeeded(bench.ends(again).await), old);
    assert_eq!(bench.double.observed().steps, 3);
    let other = bench.post(&sampler(2, 3)).await;
    assert_ne!(
        succeeded(bench.ends(other).await),
        old,
        "another seed makes another file"
    );
}
