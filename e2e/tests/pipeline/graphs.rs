//! Graphs and files that are none, with a ComfyUI there that could be troubled by them: each is refused with a
//! place, quickly, and nothing of it is stored.

use std::time::{Duration, Instant};

use reqwest::{
    Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Map, Value, json};

use crate::{
    input::refused,
    story::{list, total},
    studio::{SD15, Studio, colour, double, picture, png},
};

/// A refusal takes no longer than this, however large what is refused.
const QUICKLY: Duration = Duration::from_secs(10);

fn node(class: &str, inputs: Value) -> Value {
    let mut node = json!({"class_type": class});
    node["inputs"] = inputs;
    node
}

fn save(from: &str) -> Value {
    node("SaveImage", json!({"images": [from, 0], "filename_prefix": "a"}))
}

/// A chain of so many nodes.
fn chain(count: usize) -> Value {
    let mut nodes = Map::new();
    for number in 0..count {
        let from = json!([(number + 1).to_string(), 0]);
        nodes.insert(number.to_string(), node("ImageInvert", json!({"image": from})));
    }
    let last = node(
        "EmptyImage",
        json!({"width": 64, "height": 64, "batch_size": 1, "color": 0}),
    );
    nodes.insert(count.to_string(), last);
    nodes.insert("save".to_owned(), save("0"));
    nodes.into()
}

/// Refused graphs with the place and a part of the sentence that is expected of each.
fn graphs() -> Vec<(Value, &'static str, &'static str)> {
    let empty = || colour("EmptyImage", 64.into())["comfyui"]["graph"]["1"].clone();
    vec![
        (chain(10_000), "/comfyui/graph", "at most 5000"),
        (
            json!({
                "1": node("ImageInvert", json!({"image": ["2", 0]})),
                "2": node("ImageInvert", json!({"image": ["1", 0]})),
                "3": save("2"),
            }),
            "/comfyui/graph/2",
            "loop",
        ),
        (
            json!({"1": node("ImageInvert", json!({"image": ["1", 0]})), "2": save("1")}),
            "/comfyui/graph/1",
            "loop",
        ),
        (
            json!({"1": empty(), "2": save("7")}),
            "/comfyui/graph/2/inputs/images",
            "\"7\"",
        ),
        (
            json!({"1": empty(), "2": node("SaveImage", json!({"images": ["1", 9], "filename_prefix": "a"}))}),
            "/comfyui/graph/2/inputs/images",
            "output",
        ),
        (
            json!({
                "1": node("EmptyLatentImage", json!({"width": 64, "height": 64, "batch_size": 1})),
                "2": save("1"),
            }),
            "/comfyui/graph/2/inputs/images",
            "LATENT",
        ),
        (
            json!({"1": empty(), "2": node("SaveImage", json!({"filename_prefix": "a"}))}),
            "/comfyui/graph/2/inputs/images",
            "",
        ),
        (json!({"1": empty()}), "/comfyui/graph", "writes nothing"),
        (json!({"1": 7, "2": save("1")}), "/comfyui/graph/1", "object"),
        (
            json!({"last_node_id": 9, "nodes": [{"id": 1, "type": "SaveImage"}], "links": [], "version": 0.4}),
            "/comfyui/graph",
            "Export (API)",
        ),
        (
            json!({"prompt": {"1": empty(), "2": save("1")}, "client_id": "x"}),
            "/comfyui/graph",
            "`prompt`",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_is_none() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    for (graph, pointer, said) in graphs() {
        let text = graph.to_string();
        let short: String = text.chars().take(200).collect();
        // as an object and as a text
        for graph in [graph, text.into()] {
            let post = studio.client().request(Method::POST, "/api/jobs");
            let begin = Instant::now();
            let body = json!({"comfyui": {"graph": graph}});
            let problem = refused(post.json(&body), 422, "request_invalid").await;
            assert!(begin.elapsed() < QUICKLY, "{short}: {:?}", begin.elapsed());
            let fault = &list(&problem, "faults")[0];
            assert_eq!(fault["pointer"], pointer, "{short}: {problem:#}");
            let message = fault["message"].as_str().expect("a message");
            assert!(message.contains(said), "{short}: {message}");
        }
    }
    let post = studio.client().request(Method::POST, "/api/jobs");
    let cut = json!({"comfyui": {"graph": "{\"1\": {\"class_type\""}});
    let problem = refused(post.json(&cut), 422, "request_invalid").await;
    assert_eq!(problem["faults"][0]["pointer"], "/comfyui/graph", "{problem:#}");
    assert_eq!(total(studio.client()).await, 0);
    assert!(double.received().is_empty(), "ComfyUI was not asked");
    // and a long one that is right runs
    studio.made(&json!({"comfyui": {"graph": chain(100)}})).await;
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_picture() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let whole = png(64, 64, [1, 2, 3]);
    let with =
        |image: String| json!({"comfyui": {"prompt": "a", "checkpoint": SD15, "image": image, "steps": 2}});
    let post = |name: &str, content: Vec<u8>| {
        let part = Part::bytes(content).file_name(name.to_owned());
        let post = studio.client().request(Method::POST, "/api/assets");
        post.multipart(Form::new().part("file", part))
    };
    for (name, content, said) in [
        ("passwd", b"root:x:0:0".to_vec(), "is a text"),
        ("a.png", b"<svg onload=alert(1)>".to_vec(), ""),
        ("cut.png", whole[..20].to_vec(), "cut off"),
        ("half.png", whole[..whole.len() - 12].to_vec(), "cut off"),
        ("long.png", vec![b'x'; 2_000_000], "is a text"),
    ] {
        let problem = refused(post(name, content), 422, "asset_unusable").await;
        let detail = problem["detail"].as_str().expect("a sentence");
        assert!(detail.contains(said), "{name}: {detail}");
    }
    let problem = refused(post("empty.png", Vec::new()), 422, "request_invalid").await;
    assert_eq!(problem["detail"], "the file is empty");
    for name in ["../../../etc/passwd.png", "..\\..\\boot.ini", "/etc/shadow", ".."] {
        let (status, asset) = studio.client().send(post(name, whole.clone())).await;
        assert_eq!(status, StatusCode::CREATED, "{name}: {asset}");
        let stored = asset["filename"].as_str().unwrap_or_default();
        assert!(
            !stored.contains("..") && !stored.contains(['/', '\\']),
            "{name}: {asset}"
        );
    }
    // a file that is whole, and no picture
    let sound = studio
        .upload("a.mp3", [b"ID3".to_vec(), vec![7; 4_000]].concat())
        .await;
    let id = studio.client().submit(&with(sound)).await;
    let job = studio.client().until_status(&id, "failed").await;
    assert_eq!(
        (
            &job["failure"]["code"],
            &job["failure"]["pointer"],
            &job["attempt"],
        ),
        (&"input_missing".into(), &"/comfyui/image".into(), &1.into()),
        "{job:#}"
    );
    let image = studio.upload("good.png", whole).await;
    studio.made(&with(image)).await;
    let nowhere = format!("asset:{}", "0".repeat(64));
    for image in ["asset:../../etc/passwd", "good.png", "/etc/passwd", &nowhere] {
        let post = studio.client().request(Method::POST, "/api/jobs");
        let problem = refused(post.json(&with(image.to_owned())), 422, "request_invalid").await;
        assert_eq!(problem["faults"][0]["pointer"], "/comfyui/image", "{problem:#}");
    }
    studio.made(&picture(SD15, json!({}))).await;
    studio.stop().await;
}
