//! What is posted and what is refused; what is sent along; what happens when the answer to a post is missing.

use std::time::Duration;

use connectors::comfyui::{
    Options,
    double::{DoubleOptions, Fault},
};
use proto::{failure::FailureCode as Code, v1::Lora};
use serde_json::json;

use super::bench::{Bench, fails, of_graph, plain, template};

#[tokio::test]
async fn a_refusal_names_node_and_input() {
    let bench = Bench::new().await;
    let mut request = template();
    request.checkpoint = "v1-5-pruned.safetensors".to_owned();
    let failure = fails(bench.once(&request).await, Code::ComfyuiModelUnknown);
    assert_eq!(failure.pointer, "/comfyui/checkpoint");
    for part in [
        "node 4",
        "CheckpointLoaderSimple",
        "ckpt_name",
        "v1-5-pruned.safetensors",
        "v1-5-pruned-emaonly",
    ] {
        assert!(failure.message.contains(part), "{part}: {}", failure.message);
    }
    assert!(failure.detail.contains("not in"), "{}", failure.detail);

    let mut request = template();
    request.sampler = "euler_b".to_owned();
    let failure = fails(bench.once(&request).await, Code::ComfyuiRejected);
    assert_eq!(failure.pointer, "/comfyui/sampler");
    assert!(failure.message.contains("euler_b"), "{}", failure.message);
    assert_eq!(bench.double.observed().ended.len(), 0, "nothing ran");
}

#[tokio::test]
async fn a_callers_graph_is_refused_with_the_place_in_it() {
    let bench = Bench::new().await;
    let mut graph = plain();
    graph["1"]["inputs"]["width"] = json!(0);
    graph["1"]["_meta"] = json!({"title": "Canvas"});
    let failure = fails(bench.once(&of_graph(&graph)).await, Code::ComfyuiRejected);
    assert_eq!(failure.pointer, "/comfyui/graph/1/inputs/width");
    assert!(
        failure
            .message
            .contains("node 1 (EmptyImage, \"Canvas\"), input width"),
        "{}",
        failure.message
    );

    graph["7"] = json!({"class_type": "FancyNode", "inputs": {}});
    let failure = fails(bench.once(&of_graph(&graph)).await, Code::ComfyuiNodeUnknown);
    assert_eq!(failure.pointer, "/comfyui/graph/7");
    assert!(
        failure.message.contains("node 7 (FancyNode)"),
        "{}",
        failure.message
    );

    let failure = fails(
        bench.once(&of_graph(&json!({"1": plain()["1"]}))).await,
        Code::ComfyuiRejected,
    );
    assert!(failure.message.contains("no outputs"), "{}", failure.message);
}

#[tokio::test]
async fn a_graph_of_which_only_a_part_would_run_is_refused_and_taken_back() {
    let bench = Bench::new().await;
    bench.double.hang();
    let mut graph = plain();
    graph["3"] = json!({"class_type": "SaveImage", "inputs": {"images": ["1", 9], "filename_prefix": "x"}});
    let failure = fails(bench.once(&of_graph(&graph)).await, Code::ComfyuiRejected);
    assert!(
        failure.message.contains("node 3 (SaveImage)"),
        "{}",
        failure.message
    );
    assert_eq!(failure.pointer, "/comfyui/graph/3");
    let seen = bench.double.observed();
    assert!(
        seen.pending.is_empty() && seen.running.is_none() && bench.posts() == 1,
        "{seen:?}"
    );
}

#[tokio::test]
async fn uploaded_files_go_along() {
    let bench = Bench::new().await;
    let asset = bench.upload(b"\x89PNG\r\n\x1a\nnot much of a picture").await;
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": format!("asset:{asset}")}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
    });
    let artifacts = bench.once(&of_graph(&graph)).await.expect("a copy");
    assert_eq!(artifacts.len(), 1);
    let posted = &bench.double.received()[0].graph;
    assert_eq!(posted["1"]["inputs"]["image"], format!("{asset}.png"));

    let again = format!("artifact:{}", artifacts[0].id);
    let made = graph.to_string().replace(&format!("asset:{asset}"), &again);
    let made = serde_json::from_str(&made).expect("JSON");
    bench.once(&of_graph(&made)).await.expect("a copy of the copy");
    let posted = &bench.double.received()[1].graph;
    let name = format!("{}.png", artifacts[0].sha256);
    assert_eq!(posted["1"]["inputs"]["image"], name);

    let missing = graph.to_string().replace(asset.as_str(), &"0".repeat(64));
    let request = of_graph(&serde_json::from_str(&missing).expect("JSON"));
    fails(bench.once(&request).await, Code::InputMissing);
    let missing = made.to_string().replace("-1-0", "-1-7");
    let request = of_graph(&serde_json::from_str(&missing).expect("JSON"));
    let failure = fails(bench.once(&request).await, Code::InputMissing);
    assert!(
        failure.message.contains("-1-7 is not there"),
        "{}",
        failure.message
    );
    assert_eq!(bench.posts(), 2, "nothing is posted without its inputs");
}

#[tokio::test]
async fn an_image_is_painted_over_with_all_that_is_asked_for() {
    let bench = Bench::new().await;
    let asset = bench.upload(b"\x89PNG\r\n\x1a\nnot much of a picture").await;
    let mut request = template();
    request.image = format!("asset:{asset}");
    request.denoise = Some(0.5);
    request.vae = "random_sd15_vae.safetensors".to_owned();
    request.upscaler = "RealESRGAN_x4plus.safetensors".to_owned();
    request.loras = vec![Lora {
        name: "tiny.safetensors".to_owned(),
        weight: Some(0.8),
        clip_weight: None,
    }];
    assert_eq!(bench.once(&request).await.expect("a picture").len(), 1);
    let posted = &bench.double.received()[0].graph;
    let images: Vec<&str> = posted
        .as_object()
        .into_iter()
        .flat_map(|nodes| nodes.values())
        .filter(|node| node["class_type"] == "LoadImage")
        .filter_map(|node| node["inputs"]["image"].as_str())
        .collect();
    assert_eq!(images, [format!("{asset}.png")]);

    request.loras[0].name = "tinny.safetensors".to_owned();
    let failure = fails(bench.once(&request).await, Code::ComfyuiModelUnknown);
    assert_eq!(failure.pointer, "/comfyui/loras/0/name");
    assert!(
        failure
            .message
            .contains("the nearest name is \"tiny.safetensors\""),
        "{}",
        failure.message
    );
}

fn impatient() -> Options {
    Options {
        request_timeout: Duration::from_millis(250),
        ..Options::default()
    }
}

#[tokio::test]
async fn a_post_without_an_answer_is_looked_for_and_not_repeated() {
    for fault in [Fault::Unanswered, Fault::CutAnswer, Fault::Garbage] {
        let bench = Bench::with(DoubleOptions::default(), impatient()).await;
        let arrives = fault != Fault::Garbage;
        bench.double.fault_next("/prompt", fault);
        let outcome = bench.once(&of_graph(&plain())).await;
        if arrives {
            assert_eq!(outcome.expect("found and followed").len(), 2);
        } else {
            fails(outcome, Code::ComfyuiProtocol);
        }
        assert_eq!(bench.posts(), usize::from(arrives));
    }
}

#[tokio::test]
async fn a_post_that_did_not_arrive_fails_the_attempt_and_no_more() {
    let bench = Bench::with(DoubleOptions::default(), impatient()).await;
    bench.double.fault_next("/prompt", Fault::Stall);
    let failure = fails(bench.once(&of_graph(&plain())).await, Code::ComfyuiUnreachable);
    assert!(failure.retryable && bench.posts() == 0);
    assert!(bench.once(&of_graph(&plain())).await.is_ok());
}

#[tokio::test]
async fn a_comfyui_that_is_not_there_is_waited_for_and_then_told() {
    let bench = Bench::new().await;
    bench.double.kill().await;
    let failure = fails(bench.once(&template()).await, Code::ComfyuiUnreachable);
    assert!(failure.message.contains("no connection"), "{}", failure.message);
}
