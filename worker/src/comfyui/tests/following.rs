//! Runs that come to an end: progress, files, adoption, cancellation.

use connectors::comfyui::{Options, double::DoubleOptions};
use futures::future::join;
use proto::failure::FailureCode as Code;
use serde_json::json;
use tokio::time::timeout;

use super::bench::{Attempt, Bench, fails, of_graph, plain, soon, template};

#[tokio::test]
async fn text_to_image_with_progress_previews_and_a_picture() {
    let options = DoubleOptions {
        previews: true,
        ..DoubleOptions::default()
    };
    let bench = Bench::with(options, Options::default()).await;
    bench.double.hold();
    let (attempt, request) = (Attempt::new(1), template());
    let script = async {
        bench.double.release(2);
        let report = attempt.until(|report| report.step.step == 2).await;
        assert_eq!((report.step.phase, report.step.steps), ("sampling", 4));
        assert!(
            report.step.fraction > 0.2 && report.step.fraction < 0.9,
            "{}",
            report.step.fraction
        );
        assert_eq!(report.step.message, "step 2 of 4 (KSampler)");
        let report = attempt
            .until(|report| report.glimpse.as_ref().is_some_and(|glimpse| glimpse.number == 2))
            .await;
        let glimpse = report.glimpse.expect("a preview");
        assert!(glimpse.media_type == "image/jpeg" && glimpse.content.starts_with(&[0xff, 0xd8]));
        bench.double.release(1);
        let report = attempt.until(|report| report.step.step == 3).await;
        assert!(
            report.step.eta_seconds.is_some(),
            "the pace of two steps is known"
        );
        bench.double.run_freely();
    };
    let (outcome, ()) = join(bench.run(&attempt, &request, None), script).await;
    let artifacts = outcome.expect("a picture");
    assert_eq!(artifacts.len(), 1);
    let picture = &artifacts[0];
    assert_eq!(
        (picture.width, picture.height, picture.media_type.as_str()),
        (96, 64, "image/png")
    );
    assert_eq!(
        picture.filename,
        format!("orchestrator-{}-1_00001_.png", bench.job)
    );
    assert_eq!(bench.stored(picture).await, picture.size_bytes);
    let phases = attempt.phases();
    let at = |name: &str| {
        phases
            .iter()
            .position(|phase| phase == name)
            .unwrap_or_else(|| panic!("{name}: {phases:?}"))
    };
    assert!(
        at("loading") < at("sampling") && at("sampling") < at("uploading"),
        "{phases:?}"
    );
    let received = bench.double.received();
    assert_eq!(received[0].prompt_id, Some(attempt.claim.to_string()));
}

#[tokio::test]
async fn any_graph_runs_and_every_file_comes() {
    let bench = Bench::new().await;
    let mut graph = plain();
    graph["3"] = json!({"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}});
    let artifacts = bench.once(&of_graph(&graph)).await.expect("two pictures");
    let names: Vec<_> = artifacts
        .iter()
        .map(|artifact| artifact.filename.clone())
        .collect();
    let name = |n: u32| format!("plain-{}-1_{n:05}_.png", bench.job);
    assert_eq!(names, [name(1), name(2)], "what is only shown is left out");
    assert_eq!(artifacts[1].id, format!("{}-1-1", bench.job));

    // the same graph again: nothing is computed, but the files are new ones
    let again = bench
        .run(&Attempt::new(2), &of_graph(&graph), None)
        .await
        .expect("two pictures");
    assert_ne!(again[0].filename, artifacts[0].filename);

    graph.as_object_mut().expect("nodes").remove("2");
    let shown = bench
        .once(&of_graph(&graph))
        .await
        .expect("what is shown counts where nothing is saved");
    assert_eq!(shown.len(), 2);
}

#[tokio::test]
async fn a_running_prompt_is_adopted_with_its_progress() {
    let bench = Bench::new().await;
    bench.double.hold();
    let (first, second, request) = (Attempt::new(1), Attempt::new(2), template());
    let prompt = first.claim.uuid();
    bench.double.release(1);
    tokio::select! {
        outcome = bench.run(&first, &request, None) => panic!("{outcome:?} before its last step"),
        _ = first.until(|report| report.step.step == 1) => {}
    }
    let upstream = bench.upstream(prompt);
    soon(bench.double.until(|seen| seen.sockets == 0)).await;
    let script = async {
        second.until(|report| report.step.phase != "starting").await;
        bench.double.release(2);
        second.until(|report| report.step.step == 3).await;
        bench.double.run_freely();
    };
    let (outcome, ()) = join(bench.run(&second, &request, Some(&upstream)), script).await;
    assert_eq!(outcome.expect("the picture")[0].id, format!("{}-2-0", bench.job));
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn a_finished_prompt_is_adopted_unless_its_file_is_gone() {
    let bench = Bench::new().await;
    let (first, request) = (Attempt::new(1), template());
    let artifacts = bench.run(&first, &request, None).await.expect("a picture");
    let upstream = bench.upstream(first.claim.uuid());
    let adopted = bench
        .run(&Attempt::new(2), &request, Some(&upstream))
        .await
        .expect("the same picture");
    assert_eq!(
        (adopted[0].sha256.as_str(), bench.posts()),
        (artifacts[0].sha256.as_str(), 1)
    );

    bench.double.delete_output(&artifacts[0].filename);
    let anew = bench
        .run(&Attempt::new(3), &request, Some(&upstream))
        .await
        .expect("a new picture");
    assert_ne!(anew[0].filename, artifacts[0].filename);
    assert_eq!(bench.posts(), 2);
}

#[tokio::test]
async fn what_failed_is_elsewhere_or_unknown_is_run_anew() {
    let bench = Bench::new().await;
    let (first, request) = (Attempt::new(1), template());
    bench.double.fail_next("KSampler", "ValueError", "no");
    fails(bench.run(&first, &request, None).await, Code::ComfyuiFailed);
    let failed = bench.upstream(first.claim.uuid());
    let second = Attempt::new(2);
    assert!(bench.run(&second, &request, Some(&failed)).await.is_ok());
    let mut elsewhere = bench.upstream(second.claim.uuid());
    elsewhere.place = "http://another:8188".to_owned();
    assert!(
        bench
            .run(&Attempt::new(3), &request, Some(&elsewhere))
            .await
            .is_ok()
    );
    let unknown = bench.upstream(uuid::Uuid::from_u128(5));
    assert!(
        bench
            .run(&Attempt::new(4), &request, Some(&unknown))
            .await
            .is_ok()
    );
    assert_eq!(bench.posts(), 4);
}

#[tokio::test]
async fn a_cancelled_run_stops_in_comfyui_too() {
    let bench = Bench::new().await;
    bench.double.hold();
    let (running, waiting, request) = (Attempt::new(1), Attempt::new(2), template());
    let script = async {
        bench.runs(running.claim.uuid(), 0).await;
        let both = join(bench.run(&waiting, &request, None), async {
            let report = waiting.until(|report| report.step.phase == "waiting").await;
            assert!(
                report.step.message.contains("1 before it"),
                "{}",
                report.step.message
            );
            waiting.cancel.cancel();
        });
        fails(both.await.0, Code::WorkerLost);
        assert_eq!(bench.double.observed().pending.len(), 0, "taken out of the queue");
        assert!(bench.double.observed().running.is_some(), "the other one goes on");
        running.cancel.cancel();
    };
    let (outcome, ()) = join(bench.run(&running, &request, None), script).await;
    fails(outcome, Code::WorkerLost);
    soon(bench.double.until(|seen| seen.running.is_none())).await;
    assert_eq!(bench.double.observed().steps, 0);
}

#[tokio::test]
async fn a_prompt_that_another_attempt_has_by_now_is_left_alone() {
    let bench = Bench::new().await;
    bench.double.hold();
    let (mut attempt, request) = (Attempt::new(1), template());
    attempt.holds = false;
    let script = async {
        bench.runs(attempt.claim.uuid(), 0).await;
        attempt.cancel.cancel();
    };
    let (outcome, ()) = join(bench.run(&attempt, &request, None), script).await;
    fails(outcome, Code::WorkerLost);
    bench.double.release(1);
    bench.runs(attempt.claim.uuid(), 1).await;
}

#[tokio::test]
async fn cut_and_dead_sockets_change_nothing_but_the_progress() {
    for mute in [false, true] {
        let bench = Bench::new().await;
        bench.double.hold();
        let (attempt, request) = (Attempt::new(1), template());
        let script = async {
            bench.double.release(1);
            attempt.until(|report| report.step.step == 1).await;
            if mute {
                bench.double.mute_sockets();
            } else {
                bench.double.cut_sockets();
                soon(bench.double.until(|seen| seen.sockets == 1)).await;
                bench.double.release(1);
                attempt.until(|report| report.step.step == 2).await;
            }
            bench.double.run_freely();
        };
        let (outcome, ()) = join(bench.run(&attempt, &request, None), script).await;
        assert_eq!(outcome.expect("a picture").len(), 1);
    }
}

#[tokio::test]
async fn silence_is_not_reported_as_life() {
    let bench = Bench::new().await;
    bench.double.hold();
    let (attempt, request) = (Attempt::new(1), template());
    let script = async {
        bench.double.release(1);
        attempt.until(|report| report.step.step == 1).await;
        bench.double.hang();
        // what was on its way may still come; then many polls must pass without a word
        let mut reports = attempt.reports.clone();
        let silence = async { while timeout(bench.settings.poll * 15, reports.changed()).await.is_ok() {} };
        soon(silence).await;
        bench.double.unhang();
        bench.double.run_freely();
    };
    let (outcome, ()) = join(bench.run(&attempt, &request, None), script).await;
    assert!(outcome.is_ok(), "{outcome:?}");
}
