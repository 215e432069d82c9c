//! Each task of ComfyUI from the request to the artifact.

use connectors::comfyui::double::{Double, ModelKind};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    story::{list, output},
    studio::{SD15, Studio, double, picture, png},
};

const SVD: &str = "svd_xt.safetensors";

/// The graph of the newest prompt.
fn graph(double: &Double) -> Value {
    let received = double.received();
    let newest = received.last().expect("a prompt");
    assert!(newest.accepted, "{newest:#?}");
    newest.graph.clone()
}

/// The inputs of the only node of a class.
fn node<'a>(graph: &'a Value, class: &str) -> &'a Value {
    let nodes = graph.as_object().expect("nodes").values();
    let found: Vec<&Value> = nodes.filter(|node| node["class_type"] == class).collect();
    assert_eq!(found.len(), 1, "{class}: {graph:#}");
    &found[0]["inputs"]
}

/// Media type, width and height of the only output, and its content.
async fn shown(studio: &Studio, job: &Value) -> (String, (u64, u64), bytes::Bytes) {
    let content = studio.client().artifact(output(job)).await;
    let artifact = &job["outputs"][0];
    assert_eq!(artifact["size_bytes"], content.len().to_string(), "{job:#}");
    let side = |name: &str| artifact[name].as_u64().unwrap_or_default();
    let media_type = artifact["media_type"].as_str().expect("a media type");
    (media_type.to_owned(), (side("width"), side("height")), content)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_from_a_picture() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let image = studio.upload("../../a b.png", png(96, 64, [200, 40, 10])).await;
    let request = json!({"comfyui": {
        "prompt": "at night", "checkpoint": SD15, "image": image, "denoise": 0.4, "steps": 2,
    }});
    let job = studio.made(&request).await;
    let (media_type, size, content) = shown(&studio, &job).await;
    assert_eq!((media_type.as_str(), size), ("image/png", (96, 64)), "{job:#}");
    assert!(content.starts_with(b"\x89PNG"));
    let ran = graph(&double);
    assert_eq!(node(&ran, "KSampler")["denoise"], 0.4);
    node(&ran, "VAEEncode");
    let file = node(&ran, "LoadImage")["image"].as_str().expect("a file");
    assert!(!file.contains("..") && !file.contains("asset:"), "{file}");
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_picture_anew() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let image = studio.upload("a.png", png(64, 64, [10, 40, 200])).await;
    let mask = studio.upload("m.png", png(64, 64, [255, 255, 255])).await;
    let request = json!({"comfyui": {
        "prompt": "a boat", "checkpoint": SD15, "image": image, "mask": mask, "steps": 2,
    }});
    let job = studio.made(&request).await;
    let (media_type, size, _) = shown(&studio, &job).await;
    assert_eq!((media_type.as_str(), size), ("image/png", (64, 64)), "{job:#}");
    let ran = graph(&double);
    let loaders = ran.as_object().expect("nodes").values().filter(|node| {
        node["class_type"]
            .as_str()
            .is_some_and(|class| class.starts_with("LoadImage"))
    });
    assert_eq!(loaders.count(), 2, "the picture and its mask: {ran:#}");
    assert_eq!(job["request"]["comfyui"]["task"], "inpaint", "{job:#}");
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_from_a_picture() {
    let double = double(&[SD15, SVD]).await;
    let studio = Studio::on(&double).await;
    let image = studio.upload("a.png", png(64, 64, [10, 40, 200])).await;
    for (format, expected, magic) in [
        ("webp", "image/webp", b"RIFF".as_slice()),
        ("webm", "video/webm", b"\x1a\x45\xdf\xa3"),
        ("mp4", "video/mp4", b"\x00\x00\x00"),
    ] {
        let request = json!({"comfyui": {
            "checkpoint": SVD, "image": image, "width": 64, "height": 64, "steps": 2, "seed": "3",
            "video": {"frames": 5, "fps": 10, "format": format},
        }});
        let job = studio.made(&request).await;
        let (media_type, size, content) = shown(&studio, &job).await;
        assert_eq!(media_type, expected, "{job:#}");
        assert!(content.starts_with(magic), "{format}: {:?}", &content[..16]);
        assert!(size.0 > 0 && size.1 > 0, "{format}: {job:#}");
        let seconds = job["outputs"][0]["duration_seconds"].as_f64();
        let seconds = seconds.unwrap_or_else(|| panic!("{format} lasts: {job:#}"));
        if format == "webp" {
            assert!((seconds - 0.5).abs() < 0.05, "{seconds}");
            assert_eq!(job["outputs"][0]["frames"], 5, "{job:#}");
        } else {
            assert!(seconds > 0.0, "{seconds}");
        }
        let name = job["outputs"][0]["filename"].as_str().expect("a name");
        assert!(name.ends_with(format), "{name}");
    }
    let ran = graph(&double);
    assert_eq!(node(&ran, "SVD_img2vid_Conditioning")["video_frames"], 5);
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_picture() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let image = studio.upload("a.png", png(32, 24, [10, 40, 200])).await;
    let request = json!({"comfyui": {"image": image, "upscaler": "RealESRGAN_x4plus.safetensors"}});
    let job = studio.made(&request).await;
    let (_, size, _) = shown(&studio, &job).await;
    assert_eq!(size, (128, 96), "{job:#}");
    assert_eq!(job["request"]["comfyui"]["task"], "upscale", "{job:#}");
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_all_that_a_checkpoint_can_be_given() {
    let double = double(&[SD15]).await;
    double.set_models(ModelKind::Controlnet, &["canny.safetensors"]);
    double.set_models(ModelKind::Loras, &["tiny.safetensors", "ink.safetensors"]);
    let studio = Studio::on(&double).await;
    let control = studio.upload("lines.png", png(64, 64, [0, 0, 0])).await;
    let job = studio
        .made(&picture(
            SD15,
            json!({
                "loras": [
                    {"name": "tiny.safetensors", "weight": 0.5},
                    {"name": "ink.safetensors", "weight": -1, "clip_weight": 0},
                ],
                "controls": [{"name": "canny.safetensors", "image": control, "strength": 0.7, "end": 0.5}],
                "vae": "random_sd15_vae.safetensors",
                "upscaler": "RealESRGAN_x4plus.safetensors",
                "clip_skip": 2,
            }),
        ))
        .await;
    let (_, size, _) = shown(&studio, &job).await;
    assert_eq!(size, (256, 256), "{job:#}");
    let ran = graph(&double);
    let loras: Vec<&Value> = ran
        .as_object()
        .expect("nodes")
        .values()
        .filter(|node| node["class_type"] == "LoraLoader")
        .map(|node| &node["inputs"])
        .collect();
    assert_eq!(loras.len(), 2, "{ran:#}");
    let ink = loras.iter().find(|lora| lora["lora_name"] == "ink.safetensors");
    let ink = ink.expect("the second LoRA");
    assert_eq!(
        (ink["strength_model"].as_f64(), ink["strength_clip"].as_f64()),
        (Some(-1.0), Some(0.0))
    );
    assert_eq!(node(&ran, "CLIPSetLastLayer")["stop_at_clip_layer"], -2);
    assert_eq!(node(&ran, "VAELoader")["vae_name"], "random_sd15_vae.safetensors");
    let applied = node(&ran, "ControlNetApplyAdvanced");
    assert_eq!(
        (applied["strength"].as_f64(), applied["end_percent"].as_f64()),
        (Some(0.7), Some(0.5))
    );
    node(&ran, "ImageUpscaleWithModel");
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_pictures_at_once() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let job = studio.made(&picture(SD15, json!({"batch_size": 3}))).await;
    let outputs = list(&job, "outputs");
    assert_eq!(outputs.len(), 3, "{job:#}");
    let mut hashes: Vec<&str> = outputs.iter().filter_map(|one| one["sha256"].as_str()).collect();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 3, "three different ones: {job:#}");
    for one in outputs {
        let content = studio.client().artifact(one["id"].as_str().expect("an id")).await;
        assert!(content.starts_with(b"\x89PNG"));
    }
    assert_eq!(double.executed().len(), 1);
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_family_in_its_own_way() {
    let checkpoints = [
        ("sd_xl_base_1.0.safetensors", "EmptyLatentImage", "dpmpp_2m"),
        ("sd3.5_medium.safetensors", "EmptySD3LatentImage", "euler"),
    ];
    let double = double(&checkpoints.map(|(name, ..)| name)).await;
    let studio = Studio::on(&double).await;
    for (checkpoint, latent, sampler) in checkpoints {
        let request = json!({"comfyui": {"prompt": "a lake", "checkpoint": checkpoint, "steps": 2}});
        let job = studio.made(&request).await;
        let (_, size, _) = shown(&studio, &job).await;
        assert_eq!(size, (1024, 1024), "{job:#}");
        let ran = graph(&double);
        node(&ran, latent);
        assert_eq!(node(&ran, "KSampler")["sampler_name"], sampler, "{ran:#}");
        assert_eq!(node(&ran, "CheckpointLoaderSimple")["ckpt_name"], checkpoint);
    }
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_tells_how_it_was_made() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let lora = json!({"loras": [{"name": "tiny.safetensors"}], "seed": "123456789"});
    let job = studio.made(&picture(SD15, lora)).await;
    let id = job["recipe"]["id"].as_str().expect("a recipe");
    let (status, recipe) = studio
        .client()
        .send(
            studio
                .client()
                .request(Method::GET, &format!("/api/artifacts/{id}/content")),
        )
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&recipe["job"], &recipe["seed"], &recipe["attempt"]),
        (&job["id"], &123_456_789.into(), &1.into()),
        "{recipe:#}"
    );
    assert_eq!(node(&recipe["graph"], "KSampler")["seed"], 123_456_789);
    let models: Vec<&str> = list(&recipe, "models")
        .iter()
        .filter_map(|model| model["name"].as_str())
        .collect();
    assert!(
        models.contains(&SD15) && models.contains(&"tiny.safetensors"),
        "{recipe:#}"
    );
    assert_eq!(recipe["outputs"][0]["sha256"], job["outputs"][0]["sha256"]);
    assert_eq!(recipe["software"]["comfyui"], "0.33.0", "{recipe:#}");

    // what it says can be run again, and makes the same
    let again = json!({"comfyui": {"graph": recipe["graph"]}});
    let again = studio.made(&again).await;
    assert_eq!(again["outputs"][0]["width"], job["outputs"][0]["width"]);
    studio.stop().await;
}
