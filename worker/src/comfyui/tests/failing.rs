//! Runs that fail, and what is told of it.

use connectors::comfyui::double::Fault;
use futures::future::join;
use proto::failure::FailureCode as Code;

use super::bench::{Attempt, Bench, CHECKPOINT, fails, of_graph, plain, template};
use crate::comfyui::outputs::{Shortfall, collect};

#[tokio::test]
async fn a_failing_node_is_named_with_what_it_said() {
    let bench = Bench::new().await;
    let cases = [
        (
            "KSampler",
            "torch.OutOfMemoryError",
            "Allocation on device",
            Code::ComfyuiOutOfMemory,
            "",
        ),
        (
            "3",
            "RuntimeError",
            "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes",
            Code::ComfyuiOutOfMemory,
            "",
        ),
        (
            "CheckpointLoaderSimple",
            "safetensors._safetensors_rust.SafetensorError",
            "Error while deserializing header: incomplete metadata, file not fully covered",
            Code::ComfyuiModelCorrupt,
            CHECKPOINT,
        ),
        (
            "CheckpointLoaderSimple",
            "FileNotFoundError",
            "Model in folder 'checkpoints' with filename 'x' not found",
            Code::ComfyuiModelUnknown,
            "filename 'x'",
        ),
        (
            "KSampler",
            "RuntimeError",
            "mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)",
            Code::ComfyuiFailed,
            "77x2048",
        ),
    ];
    for (node, exception, message, code, named) in cases {
        bench.double.fail_next(node, exception, message);
        let mut request = template();
        request.seed = Some(bench.posts() as u64);
        request.checkpoint = CHECKPOINT.to_owned();
        // another checkpoint's cache would skip the loader
        bench.client.free(true, true).await.expect("an empty cache");
        // what failed before is whole again
        bench.shelf.survey().await;
        let failure = fails(bench.once(&request).await, code);
        assert!(
            failure.message.contains("node ") && failure.message.contains(named),
            "{}",
            failure.message
        );
        assert!(
            failure.detail.starts_with(exception) && failure.detail.contains(message),
            "{}",
            failure.detail
        );
    }
}

#[tokio::test]
async fn a_restart_of_comfyui_loses_the_run() {
    let bench = Bench::new().await;
    bench.double.hold();
    let (attempt, request) = (Attempt::new(1), template());
    let script = async {
        bench.runs(attempt.claim.uuid(), 0).await;
        attempt
            .until(|report| report.step.phase == "sampling" || report.step.phase == "working")
            .await;
        bench.double.restart_empty();
    };
    let (outcome, ()) = join(bench.run(&attempt, &request, None), script).await;
    assert!(fails(outcome, Code::ComfyuiLost).retryable);
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn a_run_outlives_a_short_absence_and_not_a_long_one() {
    let bench = Bench::new().await;
    bench.double.hold();
    let (attempt, request) = (Attempt::new(1), template());
    let script = async {
        bench.runs(attempt.claim.uuid(), 0).await;
        for _ in 0..3 {
            bench
                .double
                .fault_next("/queue", Fault::Status(503, "busy".to_owned()));
        }
        bench.double.run_freely();
    };
    let (outcome, ()) = join(bench.run(&attempt, &request, None), script).await;
    assert!(outcome.is_ok(), "{outcome:?}");

    bench.double.hold();
    let attempt = Attempt::new(2);
    let mut request = template();
    request.seed = Some(8);
    let script = async {
        bench.runs(attempt.claim.uuid(), 0).await;
        bench.double.kill().await;
    };
    let (outcome, ()) = join(bench.run(&attempt, &request, None), script).await;
    fails(outcome, Code::ComfyuiUnreachable);
}

#[tokio::test]
async fn somebody_elses_interrupt_is_told_as_such() {
    let bench = Bench::new().await;
    bench.double.hold();
    let (attempt, request) = (Attempt::new(1), template());
    let script = async {
        bench.runs(attempt.claim.uuid(), 0).await;
        bench
            .client
            .interrupt(attempt.claim.uuid())
            .await
            .expect("an interrupt");
    };
    let (outcome, ()) = join(bench.run(&attempt, &request, None), script).await;
    let failure = fails(outcome, Code::ComfyuiInterrupted);
    assert!(failure.message.contains("node "), "{}", failure.message);
}

#[tokio::test]
async fn a_run_without_files_and_one_whose_files_are_gone_are_told_apart() {
    let bench = Bench::new().await;
    let (attempt, request) = (Attempt::new(1), of_graph(&plain()));
    let artifacts = bench.run(&attempt, &request, None).await.expect("pictures");
    bench.double.delete_output(&artifacts[0].filename);
    let standing = bench
        .client
        .standing(attempt.claim.uuid())
        .await
        .expect("a standing");
    let connectors::comfyui::Standing::Ended(connectors::comfyui::Outcome::Succeeded { outputs }) = standing
    else {
        panic!("{standing:?}")
    };
    let uploads = bench.uploads(&attempt);
    let (reporter, _reports) = crate::report::channel();
    let gone = collect(&bench.client, &bench.settings, &outputs, &uploads, &reporter).await;
    let Err(Shortfall::Gone(failure)) = gone else {
        panic!("{gone:?}")
    };
    assert!(
        failure.message.contains(&artifacts[0].filename),
        "{}",
        failure.message
    );
    let none = collect(&bench.client, &bench.settings, &[], &uploads, &reporter).await;
    let Err(Shortfall::Failed(failure)) = none else {
        panic!("{none:?}")
    };
    assert_eq!(failure.code, Code::ComfyuiNoOutput.as_str());
}

#[tokio::test]
async fn a_download_that_breaks_is_begun_again() {
    let bench = Bench::new().await;
    bench.double.fault_next("/view", Fault::CutAnswer);
    bench
        .double
        .fault_next("/view", Fault::Status(502, "a proxy".to_owned()));
    assert!(bench.once(&of_graph(&plain())).await.is_ok());
    assert_eq!(bench.posts(), 1);
}

#[tokio::test]
async fn after_a_lack_of_memory_comfyui_is_asked_to_let_go() {
    let bench = Bench::new().await;
    bench
        .double
        .fail_next("KSampler", "torch.OutOfMemoryError", "Allocation on device");
    fails(bench.once(&template()).await, Code::ComfyuiOutOfMemory);
    // it would not be read again if it were still held
    bench
        .double
        .fail_next("CheckpointLoaderSimple", "ValueError", "read anew");
    let failure = fails(bench.once(&template()).await, Code::ComfyuiFailed);
    assert!(failure.message.contains("read anew"), "{}", failure.message);
}
