//! What the server is and has, and what it refuses.

use connectors::comfyui::double::DoubleOptions;
use connectors::comfyui::{Error, ObjectInfo, Presence};
use serde_json::{Value, json};

use crate::bench::{Bench, CHECKPOINT, sampler, succeeded};

#[tokio::test]
async fn a_server_tells_what_it_is_and_has() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let client = &bench.client;
    assert_eq!(
        client
            .system_stats()
            .await
            .expect("stats")
            .comfyui_version
            .as_deref(),
        Some("0.33.0")
    );
    assert_eq!(
        client.features().await.expect("features")["supports_preview_metadata"],
        true
    );
    let info = client.object_info().await.expect("classes");
    assert_eq!(
        info.options("CheckpointLoaderSimple", "ckpt_name"),
        Some(vec![CHECKPOINT.to_owned()])
    );
    assert!(info.options("UpscaleModelLoader", "model_name").is_some());
    assert!(client.node_class("KSampler").await.expect("an answer").is_some());
    assert!(client.node_class("NoSuch").await.expect("an answer").is_none());
    assert_eq!(
        client.models("checkpoints").await.expect("models"),
        Some(vec![CHECKPOINT.to_owned()])
    );
    assert_eq!(client.models("nosuch").await.expect("an answer"), None);
    assert!(
        client
            .model_folders()
            .await
            .expect("folders")
            .contains(&"loras".to_owned())
    );
    assert!(client.embeddings().await.expect("embeddings").is_empty());
    client.free(true, true).await.expect("freed");
}

#[tokio::test]
async fn classes_tell_what_their_inputs_take() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let info = bench.client.object_info().await.expect("classes");
    let class = info.class("KSampler").expect("a class");
    let steps = class.input("steps").expect("an input");
    assert_eq!((steps.kind.as_str(), steps.presence), ("INT", Presence::Required));
    assert_eq!(
        (steps.min.clone(), steps.max.clone(), steps.default.clone()),
        (Some(1.into()), Some(10_000.into()), Some(json!(20)))
    );
    assert!(class.input("model").is_some_and(|input| !input.is_literal()));
    assert!(!class.api_node && !class.output_node);
    let prompt = info.class("CLIPTextEncode").expect("a class").input("text");
    assert!(prompt.is_some_and(|text| text.multiline && text.kind == "STRING"));
    let film = info.class("SaveVideo").expect("a class");
    let formats = film.options("format").expect("a choice");
    assert_eq!(formats, ["auto", "mp4", "mkv", "webm"]);
    assert_eq!(
        film.input("codec").map(|input| input.presence),
        Some(Presence::Optional)
    );
    let hidden = film
        .inputs
        .iter()
        .filter(|input| input.presence == Presence::Hidden);
    let hidden: Vec<_> = hidden
        .map(|input| (input.name.as_str(), input.kind.as_str()))
        .collect();
    assert_eq!(hidden, [("extra_pnginfo", "EXTRA_PNGINFO"), ("prompt", "PROMPT")]);
    assert!(film.input("prompt").is_none(), "nothing that a graph can give");
    let paid = json!({"Veo": {"input": {"required": {}}, "output": [], "api_node": true}});
    let paid = ObjectInfo::parse(&paid).expect("a description");
    assert!(paid.class("Veo").is_some_and(|class| class.api_node));
}

#[tokio::test]
async fn what_cannot_run_is_refused_with_the_reason() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let refused = async |graph: Value| match bench.submit(&graph).await {
        Err(Error::Rejected(rejection)) => rejection,
        other => panic!("{other:?} is no refusal"),
    };
    let mut graph = sampler(1, 4);
    graph["4"]["inputs"]["ckpt_name"] = json!("nope.safetensors");
    let rejection = refused(graph).await;
    assert_eq!(rejection.faults[0].kind, "value_not_in_list");
    assert_eq!(rejection.faults[0].input.as_deref(), Some("ckpt_name"));
    assert_eq!(rejection.faults[0].allowed, [CHECKPOINT]);

    let rejection = refused(json!({"1": {"class_type": "NoSuchNode", "inputs": {}}})).await;
    assert_eq!(
        (rejection.kind.as_str(), rejection.faults[0].node_id.as_str()),
        ("missing_node_type", "1")
    );
    let mut graph = sampler(1, 4);
    graph.as_object_mut().expect("a graph").remove("9");
    assert_eq!(refused(graph).await.kind, "prompt_no_outputs");
    let mut graph = sampler(1, 0);
    graph["3"]["inputs"]["model"] = json!(["77", 0]);
    graph["8"]["inputs"]["samples"] = json!(["4", 0]);
    assert_eq!(refused(graph).await.faults[0].kind, "return_type_mismatch");
    let mut graph = sampler(1, 0);
    graph["3"]["inputs"]
        .as_object_mut()
        .expect("inputs")
        .remove("cfg");
    let kinds: Vec<_> = refused(graph)
        .await
        .faults
        .into_iter()
        .map(|fault| fault.kind)
        .collect();
    assert_eq!(kinds, ["required_input_missing", "value_smaller_than_min"]);
    assert!(bench.double.received().iter().all(|received| !received.accepted));
}

#[tokio::test]
async fn the_double_wants_canonical_ids_and_no_foreign_origin() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let raw = reqwest::Client::new();
    let url = bench.double.url().join("prompt").expect("a url");
    for (id, status) in [("X", 400), ("0193A5B2-0000-7000-8000-000000000000", 400)] {
        let body = json!({"prompt": sampler(1, 1), "prompt_id": id}).to_string();
        let answer = raw.post(url.clone()).body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{id}");
    }
    assert_eq!(
        raw.post(url.clone())
            .body("{")
            .send()
            .await
            .expect("an answer")
            .status(),
        500
    );
    let foreign = raw
        .get(url)
        .header("origin", "http://elsewhere")
        .send()
        .await
        .expect("an answer");
    assert_eq!(foreign.status(), 403);
}

#[tokio::test]
async fn a_partly_valid_graph_runs_and_tells_what_it_drops() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let image = |height: i64| json!({"width": 8, "height": height, "batch_size": 1, "color": 5});
    let save = |from: &str| json!({"images": [from, 0], "filename_prefix": "part"});
    let graph = json!({
        "1": {"class_type": "EmptyImage", "inputs": image(8)},
        "2": {"class_type": "SaveImage", "inputs": save("1")},
        "3": {"class_type": "EmptyImage", "inputs": image(-5)},
        "4": {"class_type": "SaveImage", "inputs": save("3")},
    });
    let accepted = bench.submit(&graph).await.expect("accepted");
    assert_eq!(accepted.dropped[0].node_id, "3");
    assert_eq!(succeeded(bench.ends(accepted.prompt_id).await).len(), 1);
}
