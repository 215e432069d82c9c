//! Graphs of every task and family, and what of a request cannot be.

mod any;

use any::any_request;
use proptest::prelude::*;
use serde_json::Value;

use super::{plan::Plan, structure, template::TEMPLATES, *};
use crate::{
    Family, Task,
    ids::AssetId,
    v1::{ComfyUiRequest, ControlNet, Lora, Video},
};

fn asset(number: u8) -> String {
    format!("asset:{}", AssetId::from_sha256(&[number; 32]))
}

fn picture(checkpoint: &str) -> ComfyUiRequest {
    ComfyUiRequest {
        prompt: "a lighthouse".to_owned(),
        negative_prompt: "fog".to_owned(),
        checkpoint: checkpoint.to_owned(),
        seed: Some(u64::MAX),
        ..ComfyUiRequest::default()
    }
}

fn lora(name: &str, weight: Option<f64>) -> Lora {
    Lora {
        name: name.to_owned(),
        weight,
        clip_weight: None,
    }
}

fn control(number: u8) -> ControlNet {
    ControlNet {
        name: format!("canny{number}.safetensors"),
        image: asset(number),
        strength: Some(0.9),
        ..ControlNet::default()
    }
}

fn planned(request: &ComfyUiRequest) -> Plan {
    let plan = plan(request).unwrap_or_else(|faults| panic!("{faults:?}"));
    assert_eq!(structure::check(&plan.graph, ""), [], "it is a whole graph");
    plan
}

/// A node a line, and below them what is needed.
fn shown(request: &ComfyUiRequest) -> String {
    let plan = planned(request);
    let mut lines = Vec::new();
    for (id, node) in plan.graph.as_object().into_iter().flatten() {
        let inputs = structure::inputs(node).map(|(name, value)| format!("{name}={value}"));
        let inputs: Vec<String> = inputs.collect();
        let class = node["class_type"].as_str().unwrap_or_default();
        lines.push(format!("{id} {class} {}", inputs.join(" ")));
    }
    let files = plan.needs.iter().filter(|need| need.kind != "node");
    lines.extend(files.map(|need| format!("needs {} {}", need.kind, need.name)));
    lines.join("\n").replace(&"0".repeat(60), "")
}

fn faults(request: &ComfyUiRequest) -> Vec<String> {
    let faults = plan(request).err().unwrap_or_default();
    faults
        .into_iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.message))
        .collect()
}

#[test]
fn text_to_image() {
    insta::assert_snapshot!("sd15", shown(&picture("dreamshaper_8.safetensors")));
    insta::assert_snapshot!("sdxl", shown(&picture("SDXL/ponyDiffusionV6.safetensors")));
    let encoders = ["clip_l", "clip_g", "t5xxl"].map(|name| format!("{name}.safetensors"));
    let sd35 = ComfyUiRequest {
        text_encoders: encoders.to_vec(),
        controls: vec![control(1)],
        ..picture("sd3.5_large.safetensors")
    };
    insta::assert_snapshot!("sd35_encoders_control", shown(&sd35));
}

#[test]
fn everything_at_once() {
    let request = ComfyUiRequest {
        loras: vec![lora("a.safetensors", Some(0.5)), lora("b.safetensors", None)],
        clip_skip: 2,
        vae: "ft-mse.safetensors".to_owned(),
        controls: vec![control(1), control(2)],
        upscaler: "RealESRGAN_x4plus.pth".to_owned(),
        batch_size: 2,
        sampler: "DPM++ 2M Karras".to_owned(),
        ..picture("v1-5.safetensors")
    };
    insta::assert_snapshot!("sd15_everything", shown(&request));
    let plan = planned(&request);
    for (node, input, pointer) in [
        ("4", "ckpt_name", "/comfyui/checkpoint"),
        ("3", "sampler_name", "/comfyui/sampler"),
        ("50", "lora_name", "/comfyui/loras/0/name"),
        ("51", "strength_clip", "/comfyui/loras/1/clip_weight"),
        ("73", "control_net_name", "/comfyui/controls/1/name"),
        ("74", "image", "/comfyui/controls/1/image"),
        ("75", "end_percent", "/comfyui/controls/1/end"),
        ("42", "model_name", "/comfyui/upscaler"),
        ("31", "vae_name", "/comfyui/vae"),
        ("8", "samples", "/comfyui"),
    ] {
        assert_eq!(plan.pointer(node, Some(input)), pointer, "{node}.{input}");
    }
    assert_eq!(plan.origin("4", None).as_deref(), Some("/comfyui/checkpoint"));
    assert_eq!(plan.origin("8", None), None);
    assert_eq!(plan.inputs.len(), 2);
}

#[test]
fn from_an_image() {
    let image = ComfyUiRequest {
        image: asset(1),
        ..picture("v1-5.safetensors")
    };
    insta::assert_snapshot!("image_to_image", shown(&image));
    let scaled = ComfyUiRequest {
        width: 1024,
        height: 768,
        batch_size: 3,
        denoise: Some(0.4),
        ..image.clone()
    };
    insta::assert_snapshot!("image_to_image_scaled_batch", shown(&scaled));
    let mask = ComfyUiRequest {
        mask: asset(2),
        ..image.clone()
    };
    insta::assert_snapshot!("inpaint", shown(&mask));
    let soft = ComfyUiRequest {
        denoise: Some(0.5),
        width: 768,
        height: 768,
        ..mask
    };
    insta::assert_snapshot!("inpaint_soft_scaled", shown(&soft));
    let transparent = ComfyUiRequest {
        task: Task::Inpaint.into(),
        width: 768,
        ..image
    };
    insta::assert_snapshot!("inpaint_transparency", shown(&transparent));
}

#[test]
fn video_and_upscaling() {
    let video = |format: &str| ComfyUiRequest {
        image: asset(1),
        checkpoint: "svd_xt.safetensors".to_owned(),
        seed: Some(1),
        video: Some(Video {
            frames: 25,
            fps: 8,
            augmentation: 0.02,
            format: format.to_owned(),
            ..Video::default()
        }),
        ..ComfyUiRequest::default()
    };
    for format in ["webp", "webm", "mp4"] {
        insta::assert_snapshot!(format!("svd_{format}"), shown(&video(format)));
    }
    let plan = planned(&video("mp4"));
    assert_eq!(
        plan.pointer("12", Some("motion_bucket_id")),
        "/comfyui/video/motion_bucket_id"
    );
    assert_eq!(plan.checkpoint.as_deref(), Some("svd_xt.safetensors"));

    let upscale = ComfyUiRequest {
        image: asset(1),
        upscaler: "x4.pth".to_owned(),
        ..ComfyUiRequest::default()
    };
    insta::assert_snapshot!("upscale", shown(&upscale));
    let sized = ComfyUiRequest {
        width: 2048,
        ..upscale
    };
    insta::assert_snapshot!("upscale_sized", shown(&sized));
}

#[test]
fn a_field_that_means_nothing_is_a_fault() {
    let told = faults(&ComfyUiRequest {
        task: Task::TextToImage.into(),
        mask: asset(1),
        denoise: Some(0.5),
        text_encoders: vec!["t5".to_owned()],
        ..ComfyUiRequest::default()
    });
    assert_eq!(
        told,
        [
            "/comfyui/mask means nothing for text to image, only for inpainting",
            "/comfyui/denoise means nothing for text to image, only for image to image, inpainting",
            "/comfyui/checkpoint name a checkpoint (GET /api/models lists them), or give a whole `graph`",
            "/comfyui/text_encoders only checkpoints of the family sd35 take some",
        ]
    );
    let video = ComfyUiRequest {
        video: Some(Video::default()),
        ..picture("svd.safetensors")
    };
    assert_eq!(
        faults(&video),
        [
            "/comfyui/prompt means nothing for image to video, only for text to image, image to image, inpainting",
            "/comfyui/negative_prompt means nothing for image to video, only for text to image, image to image, \
             inpainting",
            "/comfyui/image image to video needs an image: `asset:<id>` of an uploaded file or \
             `artifact:<id>` of a result",
        ]
    );
    let still = faults(&picture("svd.safetensors"));
    assert!(
        still[0].starts_with("/comfyui/checkpoint is one for image to video"),
        "{still:?}"
    );
    let upscale = ComfyUiRequest {
        task: Task::Upscale.into(),
        image: "a.png".to_owned(),
        ..picture("x")
    };
    let told = faults(&upscale);
    for pointer in ["prompt", "checkpoint", "image", "upscaler"] {
        let at = format!("/comfyui/{pointer} ");
        assert!(told.iter().any(|one| one.starts_with(&at)), "{pointer}: {told:?}");
    }
    let parameters = ComfyUiRequest {
        parameters: "{}".to_owned(),
        ..picture("x")
    };
    assert_eq!(
        faults(&parameters),
        ["/comfyui/parameters belong to a `workflow`; name it"]
    );
    let workflow = ComfyUiRequest {
        workflow: "nope".to_owned(),
        ..ComfyUiRequest::default()
    };
    assert_eq!(
        faults(&workflow),
        ["/comfyui/workflow there is no workflow \"nope\""]
    );
}

#[test]
fn numbers_out_of_range_are_pointed_at() {
    let request = ComfyUiRequest {
        width: 1001,
        height: 5000,
        steps: 1001,
        cfg: Some(f64::NAN),
        batch_size: 65,
        clip_skip: 25,
        family: 99,
        loras: vec![lora("", Some(101.0))],
        controls: vec![ControlNet {
            start: Some(0.8),
            end: Some(0.2),
            ..control(1)
        }],
        ..picture("x")
    };
    let told: Vec<String> = faults(&request)
        .iter()
        .filter_map(|told| Some(told.split_once(' ')?.0.trim_start_matches("/comfyui/").to_owned()))
        .collect();
    assert_eq!(
        told,
        [
            "family",
            "width",
            "height",
            "steps",
            "batch_size",
            "clip_skip",
            "cfg",
            "loras/0/name",
            "loras/0/weight",
            "controls/0/end",
        ]
    );
}

#[test]
fn a_graph_is_used_as_it_came() {
    let graph = serde_json::json!({
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "b.safetensors"}},
        "2": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "unused.safetensors"}},
        "3": {"class_type": "KSampler", "inputs": {
            "model": ["1", 0], "seed": 1, "noise_seed": 2.5, "sampler_name": "Euler a", "scheduler": "Karras",
        }},
        "4": {"class_type": "Odd", "inputs": {"seed": ["3", 0], "noise_seed": "x", "sampler_name": "Euler a"}},
        "5": {"class_type": "VAELoader", "inputs": {"vae_name": "taesd"}},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0]}},
        "7": {"class_type": "LoraLoader", "inputs": {"model": ["1", 0], "clip": ["2", 1], "lora_name": "unused"}},
    });
    let mut request = ComfyUiRequest {
        graph: graph.to_string(),
        seed: Some(9),
        ..ComfyUiRequest::default()
    };
    let replaced: Vec<String> = fill(&mut request, 0)
        .into_iter()
        .map(|one| format!("{} {}", one.pointer, one.used))
        .collect();
    assert_eq!(
        replaced,
        [
            "/comfyui/graph/3/inputs/sampler_name euler_ancestral",
            "/comfyui/graph/3/inputs/scheduler karras"
        ]
    );
    let plan = planned(&request);
    let expected = serde_json::json!({
        "model": ["1", 0], "seed": 9, "noise_seed": 9, "sampler_name": "euler_ancestral", "scheduler": "karras",
    });
    assert_eq!(plan.graph["3"]["inputs"], expected);
    assert_eq!(plan.graph["4"], graph["4"]);
    let needs: Vec<String> = plan
        .needs
        .iter()
        .map(|need| format!("{} {}", need.kind, need.name))
        .collect();
    assert_eq!(
        needs,
        [
            "checkpoint b.safetensors",
            "node CheckpointLoaderSimple",
            "node KSampler",
            "node LoraLoader",
            "node Odd",
            "node SaveImage",
            "node VAELoader"
        ]
    );
    assert_eq!(plan.pointer("4", Some("a/b")), "/comfyui/graph/4/inputs/a~1b");
    assert_eq!(plan.pointer("77", None), "/comfyui/graph");

    request.seed = None;
    assert_eq!(planned(&request).graph["3"]["inputs"]["seed"], 1);
}

#[test]
fn every_template_is_whole() {
    for template in TEMPLATES.iter() {
        let graph = Value::Object(template.graph.clone());
        assert_eq!(structure::check(&graph, ""), [], "{}", template.name);
        for entry in &template.parameters {
            let input = &graph[&entry.node]["inputs"][&entry.input];
            assert!(!input.is_null(), "{}: {}", template.name, entry.name);
            if let Some(default) = &entry.default {
                assert_eq!(input, default, "{}: {}", template.name, entry.name);
            }
        }
        let family = template.family();
        assert!(template.task() == Task::Upscale || family != Family::Unspecified);
        assert!(graph.get(&template.roles.save).is_some(), "{}", template.name);
    }
    for built_in in workflow::built_in() {
        assert_eq!(workflow::check(built_in), [], "{}", built_in.name);
    }
}

proptest! {
    #[test]
    fn a_request_is_filled_in_once_and_gives_one_graph(request in any_request()) {
        let mut filled = request.clone();
        fill(&mut filled, 5);
        let mut again = filled.clone();
        prop_assert_eq!(fill(&mut again, 6), []);
        // compared as text, since a NaN equals nothing
        prop_assert_eq!(format!("{again:?}"), format!("{filled:?}"));
        match plan(&filled) {
            Ok(one) => {
                prop_assert_eq!(structure::check(&one.graph, ""), []);
                prop_assert_eq!(Some(one), plan(&filled).ok());
            }
            Err(faults) => prop_assert!(!faults.is_empty()),
        }
    }
}
