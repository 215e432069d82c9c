//! Workflows that people keep, run on a ComfyUI; and what of a ComfyUI everybody may read.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    input::refused,
    story::{list, total},
    studio::{SD15, Studio, double},
};

fn workflow() -> Value {
    json!({
        "title": "A picture of one size",
        "graph": {
            "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": SD15}},
            "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
            "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}},
            "3": {"class_type": "KSampler", "inputs": {
                "model": ["4", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["5", 0],
                "seed": 0, "steps": 2, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            }},
            "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
            "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
        },
        "parameters": {
            "text": {"type": "text", "node": "6", "input": "text"},
            "width": {"type": "integer", "node": "5", "input": "width", "default": 64, "min": 16, "max": 256},
            "checkpoint": {"type": "text", "node": "4", "input": "ckpt_name", "default": SD15},
        },
    })
}

async fn keep(studio: &Studio, name: &str) {
    let put = studio
        .client()
        .request(Method::PUT, &format!("/api/workflows/{name}"));
    let (status, kept) = studio.client().send(put.json(&workflow())).await;
    assert_eq!(status, StatusCode::OK, "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_run_with_its_parameters() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    keep(&studio, "one-size").await;
    let run = "/api/workflows/one-size/run";
    let body = json!({"parameters": {"text": "a lake", "width": 128}});
    let (status, job) = studio.client().post(run, &body).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");
    let id = job["id"].as_str().expect("an id");
    let job = studio.client().until_status(id, "succeeded").await;
    assert_eq!(
        (&job["outputs"][0]["width"], &job["outputs"][0]["height"]),
        (&128.into(), &64.into()),
        "{job:#}"
    );
    assert_eq!(job["request"]["comfyui"]["workflow"], "one-size", "{job:#}");
    let ran = &double.received()[0].graph;
    assert_eq!(ran["6"]["inputs"]["text"], "a lake");

    for (parameters, pointer) in [
        (json!({}), "/parameters/text"),
        (json!({"text": "a", "width": 8}), "/parameters/width"),
        (json!({"text": "a", "width": "wide"}), "/parameters/width"),
        (json!({"text": 7}), "/parameters/text"),
        (
            json!({"text": "a", "checkpoint": "v1-5-pruned.safetensors"}),
            "/parameters/checkpoint",
        ),
        (json!({"text": "a", "hight": 64}), "/parameters/hight"),
    ] {
        let body = json!({"parameters": parameters});
        for path in [run, "/api/workflows/one-size/validate"] {
            let post = studio.client().request(Method::POST, path).json(&body);
            let problem = refused(post, 422, "request_invalid").await;
            assert_eq!(
                list(&problem, "faults")[0]["pointer"],
                pointer,
                "{path} {body}: {problem:#}"
            );
        }
    }
    let post = studio
        .client()
        .request(Method::POST, "/api/workflows/no-such-one/run");
    refused(post.json(&body), 404, "workflow_unknown").await;
    assert_eq!(
        total(studio.client()).await,
        1,
        "nothing of the refused is stored"
    );
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_built_in_workflow_is_run() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let (_, all) = studio.client().get("/api/workflows").await;
    let built_in: Vec<&Value> = list(&all, "workflows")
        .iter()
        .filter(|workflow| workflow["built_in"] == true)
        .collect();
    assert!(built_in.len() >= 5, "{all:#}");
    let text = built_in
        .iter()
        .filter_map(|workflow| workflow["name"].as_str())
        .find(|name| name.contains("sd15"));
    let name = text.unwrap_or_else(|| panic!("{all:#}"));
    let body = json!({"parameters": {"prompt": "a lake", "checkpoint": SD15, "steps": 2, "width": 64, "height": 64}});
    let (status, job) = studio
        .client()
        .post(&format!("/api/workflows/{name}/run"), &body)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job}");
    let id = job["id"].as_str().expect("an id");
    let job = studio.client().until_status(id, "succeeded").await;
    assert_eq!(job["outputs"][0]["width"], 64, "{job:#}");
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comfyui_is_read_through_the_gateway() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let path = |rest: &str| format!("/api/comfyui/gpu1/{rest}");
    for (rest, has) in [
        ("system_stats", "/system/comfyui_version"),
        ("queue", "/queue_running"),
        ("object_info/KSampler", "/KSampler/input/required"),
        ("models/checkpoints", "/0"),
    ] {
        let (status, told) = studio.client().get(&path(rest)).await;
        assert_eq!(status, StatusCode::OK, "{rest}: {told}");
        assert!(told.pointer(has).is_some(), "{rest}: {told}");
    }
    let asked = double.requests().len();
    for rest in [
        "interrupt",
        "free",
        "userdata/secret",
        "upload/image",
        "..%2fsystem_stats",
        "models/..%2f..%2fetc",
        "internal/logs",
    ] {
        let get = studio.client().request(Method::GET, &path(rest));
        refused(get, 403, "comfyui_path_refused").await;
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let request = studio.client().request(method, &path("queue"));
        refused(request, 405, "route_method").await;
    }
    let get = studio
        .client()
        .request(Method::GET, "/api/comfyui/nobody/system_stats");
    refused(get, 404, "worker_unknown").await;
    let words = ["interrupt", "free", "userdata", "upload", "passwd", "logs"];
    let strange = double.requests().split_off(asked.min(double.requests().len()));
    assert!(
        strange
            .iter()
            .all(|request| !words.iter().any(|word| request.contains(word))),
        "{strange:?}"
    );
    double.kill().await;
    let get = studio.client().request(Method::GET, &path("system_stats"));
    refused(get, 502, "comfyui_unreachable").await;
    studio.stop().await;
}
