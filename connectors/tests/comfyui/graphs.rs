//! The usual graphs: each is accepted, runs, and makes what it was asked for.

#![expect(
    clippy::needless_pass_by_value,
    reason = "a graph reads best when it is written where it is given"
)]

use std::io::Cursor;

use bytes::Bytes;
use connectors::comfyui::double::{DoubleOptions, ModelKind};
use connectors::comfyui::{Error, OutputFile, Upload};
use image::codecs::{png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder as _, ImageReader};
use serde_json::{Value, json};

use crate::bench::{Bench, sampler, succeeded};

fn node(class: &str, inputs: Value) -> Value {
    json!({"class_type": class, "inputs": inputs})
}

fn ksampler(model: Value, positive: Value, negative: Value, latent: Value) -> Value {
    node(
        "KSampler",
        json!({
            "seed": 1, "steps": 2, "cfg": 7.0, "sampler_name": "dpmpp_2m", "scheduler": "karras", "denoise": 0.8,
            "model": model, "positive": positive, "negative": negative, "latent_image": latent,
        }),
    )
}

fn save(from: Value) -> Value {
    node("SaveImage", json!({"images": from, "filename_prefix": "graph"}))
}

/// The sampler graph with other nodes, those with `null` removed.
fn with(changes: Value) -> Value {
    let mut graph = sampler(1, 2);
    for (id, node) in changes.as_object().expect("nodes") {
        if node.is_null() {
            graph.as_object_mut().expect("a graph").remove(id);
        } else {
            graph[id] = node.clone();
        }
    }
    graph
}

async fn furnished() -> Bench {
    let bench = Bench::new(DoubleOptions::default()).await;
    for (kind, name) in [
        (ModelKind::Controlnet, "canny.safetensors"),
        (ModelKind::ClipVision, "vision.safetensors"),
        (ModelKind::DiffusionModels, "flux1-dev.safetensors"),
        (ModelKind::TextEncoders, "clip_l.safetensors"),
        (ModelKind::Embeddings, "easynegative.safetensors"),
    ] {
        bench.double.set_models(kind, &[name]);
    }
    let mut picture = Cursor::new(Vec::new());
    image::RgbaImage::new(200, 104)
        .write_to(&mut picture, image::ImageFormat::Png)
        .expect("a picture");
    let upload = Upload::new("in.png", picture.into_inner().into());
    bench.client.upload_image(upload).await.expect("uploaded");
    bench
}

async fn outputs(bench: &Bench, graph: &Value) -> Vec<(OutputFile, Bytes)> {
    let accepted = bench.submit(graph).await.expect("accepted");
    assert!(accepted.dropped.is_empty());
    let mut files = Vec::new();
    for output in succeeded(bench.ends(accepted.prompt_id).await) {
        let download = bench.client.view(&output.file, None).await.expect("a download");
        files.push((output, download.bytes().await.expect("a file")));
    }
    files
}

async fn sizes(bench: &Bench, graph: &Value) -> Vec<(u32, u32)> {
    let files = outputs(bench, graph).await.into_iter();
    files
        .map(|(_, file)| {
            let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
            reader.expect("a format").into_dimensions().expect("a picture")
        })
        .collect()
}

#[tokio::test]
async fn pictures_into_pictures() {
    let bench = furnished().await;
    let load = node("LoadImage", json!({"image": "in.png"}));
    let encode = node("VAEEncode", json!({"pixels": ["10", 0], "vae": ["4", 2]}));
    let sample = |latent: Value| ksampler(json!(["4", 0]), json!(["6", 0]), json!(["7", 0]), latent);
    let img2img = with(json!({"10": load, "5": encode, "3": sample(json!(["5", 0]))}));
    assert_eq!(sizes(&bench, &img2img).await, [(200, 104)]);
    let inpaint = json!({"pixels": ["10", 0], "vae": ["4", 2], "mask": ["10", 1], "grow_mask_by": 6});
    let inpaint = with(json!({"10": load, "5": node("VAEEncodeForInpaint", inpaint)}));
    assert_eq!(sizes(&bench, &inpaint).await, [(200, 104)]);
    let masked = with(json!({
        "10": load, "5": encode,
        "11": node("LoadImageMask", json!({"image": "in.png", "channel": "alpha"})),
        "12": node("SetLatentNoiseMask", json!({"samples": ["5", 0], "mask": ["11", 0]})),
        "3": sample(json!(["12", 0])),
    }));
    assert_eq!(sizes(&bench, &masked).await, [(200, 104)]);
    let scaled = json!({"image": ["10", 0], "upscale_method": "lanczos", "width": 512, "height": 512, "crop": "center"});
    let scaled = with(json!({
        "10": load, "11": node("ImageScale", scaled),
        "12": node("Canny", json!({"image": ["11", 0], "low_threshold": 0.4, "high_threshold": 0.8})),
        "13": node("ControlNetLoader", json!({"control_net_name": "canny.safetensors"})),
        "14": node("ControlNetApplyAdvanced", json!({"positive": ["6", 0], "negative": ["15", 0],
            "control_net": ["13", 0], "image": ["12", 0], "strength": 0.9, "start_percent": 0.0,
            "end_percent": 1.0, "vae": ["4", 2]})),
        "15": node("ConditioningZeroOut", json!({"conditioning": ["6", 0]})),
        "5": node("EmptyLatentImage", json!({"width": 512, "height": 768, "batch_size": 3})),
        "3": ksampler(json!(["4", 0]), json!(["14", 0]), json!(["14", 1]), json!(["5", 0])),
    }));
    assert_eq!(sizes(&bench, &scaled).await, [(512, 768); 3]);
}

#[tokio::test]
async fn larger_and_in_two_passes() {
    let bench = furnished().await;
    let again = |latent: Value| ksampler(json!(["4", 0]), json!(["6", 0]), json!(["7", 0]), latent);
    let model = node(
        "UpscaleModelLoader",
        json!({"model_name": "RealESRGAN_x4plus.safetensors"}),
    );
    let upscale = node(
        "ImageUpscaleWithModel",
        json!({"upscale_model": ["20", 0], "image": ["8", 0]}),
    );
    let upscaled = with(json!({
        "20": model, "21": upscale, "9": save(json!(["23", 0])),
        "22": node("ImageInvert", json!({"image": ["21", 0]})),
        "23": node("ImageScaleBy", json!({"image": ["22", 0], "upscale_method": "area", "scale_by": 0.5})),
    }));
    assert_eq!(sizes(&bench, &upscaled).await, [(192, 128)]);
    let bigger = json!({"samples": ["3", 0], "upscale_method": "nearest-exact", "width": 144, "height": 96,
        "crop": "disabled"});
    let latent = with(json!({
        "10": node("LatentUpscale", bigger), "11": again(json!(["10", 0])),
        "8": node("VAEDecodeTiled", json!({"samples": ["11", 0], "vae": ["24", 0], "tile_size": 512,
            "overlap": 64, "temporal_size": 64, "temporal_overlap": 8})),
        "24": node("VAELoader", json!({"vae_name": "random_sd15_vae.safetensors"})),
    }));
    assert_eq!(sizes(&bench, &latent).await, [(144, 96)]);
    let by = json!({"samples": ["3", 0], "upscale_method": "bislerp", "scale_by": 2.0});
    let by = with(json!({
        "10": node("LatentUpscaleBy", by), "11": again(json!(["10", 0])),
        "8": node("VAEDecode", json!({"samples": ["11", 0], "vae": ["4", 2]})),
    }));
    assert_eq!(sizes(&bench, &by).await, [(192, 128)]);
    let pass = |noise: &str, latent: &str, start: u64, end: u64| {
        node(
            "KSamplerAdvanced",
            json!({"model": ["4", 0], "add_noise": noise, "noise_seed": 1, "steps": 5, "cfg": 8.0,
                "sampler_name": "euler", "scheduler": "normal", "positive": ["6", 0], "negative": ["7", 0],
                "latent_image": [latent, 0], "start_at_step": start, "end_at_step": end,
                "return_with_leftover_noise": noise}),
        )
    };
    let before = bench.double.observed().steps;
    let refined = with(json!({"3": pass("disable", "10", 4, 10_000), "10": pass("enable", "5", 0, 4)}));
    assert_eq!(sizes(&bench, &refined).await, [(96, 64)]);
    assert_eq!(
        bench.double.observed().steps - before,
        5,
        "the passes share the steps"
    );
}

#[tokio::test]
async fn loras_and_split_models() {
    let bench = furnished().await;
    let lora = json!({"model": ["4", 0], "clip": ["4", 1], "lora_name": "tiny.safetensors",
        "strength_model": 0.8, "strength_clip": 1.0});
    let only = json!({"model": ["10", 0], "lora_name": "tiny.safetensors", "strength_model": 0.5});
    let chain = with(json!({
        "10": node("LoraLoader", lora), "11": node("LoraLoaderModelOnly", only),
        "12": node("CLIPSetLastLayer", json!({"clip": ["10", 1], "stop_at_clip_layer": -2})),
        "6": node("CLIPTextEncode", json!({"text": "a cat", "clip": ["12", 0]})),
        "13": node("ModelSamplingSD3", json!({"model": ["11", 0], "shift": 3.0})),
        "3": ksampler(json!(["13", 0]), json!(["6", 0]), json!(["7", 0]), json!(["5", 0])),
    }));
    assert_eq!(sizes(&bench, &chain).await, [(96, 64)]);
    let clip = "clip_l.safetensors";
    for encoder in [
        node("CLIPLoader", json!({"clip_name": clip, "type": "sd3"})),
        node(
            "DualCLIPLoader",
            json!({"clip_name1": clip, "clip_name2": clip, "type": "flux"}),
        ),
        node(
            "TripleCLIPLoader",
            json!({"clip_name1": clip, "clip_name2": clip, "clip_name3": clip}),
        ),
    ] {
        let flux = with(json!({
            "10": encoder,
            "4": node("UNETLoader", json!({"unet_name": "flux1-dev.safetensors", "weight_dtype": "default"})),
            "11": node("VAELoader", json!({"vae_name": "random_sd15_vae.safetensors"})),
            "5": node("EmptySD3LatentImage", json!({"width": 128, "height": 64, "batch_size": 2})),
            "6": node("CLIPTextEncode", json!({"text": "a cat", "clip": ["10", 0]})),
            "7": node("CLIPTextEncode", json!({"text": "", "clip": ["10", 0]})),
            "12": node("FluxGuidance", json!({"conditioning": ["6", 0], "guidance": 3.5})),
            "3": ksampler(json!(["4", 0]), json!(["12", 0]), json!(["7", 0]), json!(["5", 0])),
            "8": node("VAEDecode", json!({"samples": ["3", 0], "vae": ["11", 0]})),
        }));
        assert_eq!(sizes(&bench, &flux).await, [(128, 64); 2]);
    }
}

#[tokio::test]
async fn films_come_as_animated_images() {
    let bench = furnished().await;
    let film = |saver: Value| {
        json!({
            "15": node("ImageOnlyCheckpointLoader", json!({"ckpt_name": crate::bench::CHECKPOINT})),
            "23": node("LoadImage", json!({"image": "in.png"})),
            "12": node("SVD_img2vid_Conditioning", json!({"clip_vision": ["15", 1], "init_image": ["23", 0],
                "vae": ["15", 2], "width": 128, "height": 72, "video_frames": 5, "motion_bucket_id": 127,
                "fps": 6, "augmentation_level": 0.0})),
            "14": node("VideoLinearCFGGuidance", json!({"model": ["15", 0], "min_cfg": 1.0})),
            "3": ksampler(json!(["14", 0]), json!(["12", 0]), json!(["12", 1]), json!(["12", 2])),
            "8": node("VAEDecode", json!({"samples": ["3", 0], "vae": ["15", 2]})),
            "9": node("CreateVideo", json!({"images": ["8", 0], "fps": 6.0})),
            "10": saver,
        })
    };
    let webp = json!({"images": ["8", 0], "filename_prefix": "f", "fps": 10.0, "lossless": false, "quality": 85,
        "method": "default"});
    let png = json!({"images": ["8", 0], "filename_prefix": "f", "fps": 10.0, "compress_level": 4});
    let webm = json!({"images": ["8", 0], "filename_prefix": "f", "codec": "vp9", "fps": 10.0, "crf": 32.0});
    let mp4 = json!({"video": ["9", 0], "filename_prefix": "video/f", "format": "auto", "codec": "auto"});
    let mut files = Vec::new();
    for (class, inputs, extension) in [
        ("SaveAnimatedWEBP", webp, "webp"),
        ("SaveAnimatedPNG", png, "png"),
        ("SaveWEBM", webm, "webm"),
        ("SaveVideo", mp4, "mp4"),
    ] {
        let graph = film(node(class, inputs));
        let mut made = outputs(&bench, &graph).await;
        let (output, content) = made.pop().expect("a film");
        assert!(
            made.is_empty() && output.animated && output.key == "images",
            "{output:?}"
        );
        assert!(output.file.filename.ends_with(extension), "{output:?}");
        files.push((output.file, content));
    }
    let frames = WebPDecoder::new(Cursor::new(&files[0].1))
        .expect("a webp")
        .into_frames();
    let frames = frames.collect_frames().expect("whole frames");
    assert_eq!(frames.len(), 5);
    assert_eq!(frames[0].buffer().dimensions(), (128, 72));
    assert_ne!(
        frames[0].buffer().get_pixel(5, 5),
        frames[1].buffer().get_pixel(5, 5)
    );
    assert_eq!(frames[0].delay().numer_denom_ms(), (100, 1));
    let animated = PngDecoder::new(Cursor::new(&files[1].1))
        .expect("a png")
        .apng()
        .expect("animated");
    assert_eq!(animated.into_frames().count(), 5);
    assert_eq!(&files[2].1[..4], b"\x1a\x45\xdf\xa3");
    assert_eq!(&files[3].1[4..8], b"ftyp");
    assert_eq!(files[3].0.subfolder, "video");
}

#[tokio::test]
async fn lists_and_checks_follow_the_files() {
    let bench = furnished().await;
    let info = bench.client.object_info().await.expect("classes");
    for (class, input, folder, name) in [
        (
            "ControlNetLoader",
            "control_net_name",
            "controlnet",
            "canny.safetensors",
        ),
        (
            "CLIPVisionLoader",
            "clip_name",
            "clip_vision",
            "vision.safetensors",
        ),
        (
            "UNETLoader",
            "unet_name",
            "diffusion_models",
            "flux1-dev.safetensors",
        ),
        (
            "TripleCLIPLoader",
            "clip_name3",
            "text_encoders",
            "clip_l.safetensors",
        ),
        ("LoraLoaderModelOnly", "lora_name", "loras", "tiny.safetensors"),
        (
            "UpscaleModelLoader",
            "model_name",
            "upscale_models",
            "RealESRGAN_x4plus.safetensors",
        ),
    ] {
        assert_eq!(info.options(class, input), Some(vec![name.to_owned()]), "{class}");
        let listed = bench.client.models(folder).await.expect("models");
        assert_eq!(listed, Some(vec![name.to_owned()]), "{folder}");
    }
    let forms = ["UpscaleModelLoader", "LoraLoaderModelOnly"].map(|class| {
        let inputs = &info.class(class).expect("a class").raw["input"]["required"];
        inputs["model_name"][0] == "COMBO" || inputs["lora_name"][0] == "COMBO"
    });
    assert_eq!(forms, [true, false], "both forms of a choice");
    assert_eq!(
        bench.client.embeddings().await.expect("embeddings"),
        ["easynegative"]
    );
    let graph = with(
        json!({"24": node("VAELoader", json!({"vae_name": "random_sd15_vae.safetensors"})),
        "8": node("VAEDecode", json!({"samples": ["3", 0], "vae": ["24", 0]}))}),
    );
    assert_eq!(sizes(&bench, &graph).await, [(96, 64)]);
    bench.double.set_models(ModelKind::Vae, &[]);
    let Err(Error::Rejected(rejection)) = bench.submit(&graph).await else {
        panic!("the file is gone")
    };
    assert_eq!(rejection.faults[0].input.as_deref(), Some("vae_name"));
    assert_eq!(rejection.faults[0].allowed, ["pixel_space"]);
}

#[tokio::test]
async fn optional_inputs_are_checked_when_given() {
    let bench = furnished().await;
    let clip = |device: &str| json!({"clip_name": "clip_l.safetensors", "type": "sd3", "device": device});
    let graph = |device: &str| {
        with(json!({"10": node("CLIPLoader", clip(device)),
            "6": node("CLIPTextEncode", json!({"text": "a cat", "clip": ["10", 0]}))}))
    };
    assert_eq!(sizes(&bench, &graph("cpu")).await, [(96, 64)]);
    let Err(Error::Rejected(rejection)) = bench.submit(&graph("abacus")).await else {
        panic!("there is no such device")
    };
    assert_eq!(rejection.faults[0].input.as_deref(), Some("device"));
}
