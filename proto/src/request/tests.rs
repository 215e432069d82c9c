//! What may be asked for, and how faults are told.

use super::*;
use proptest::prelude::*;

fn sketch(sketch: SketchRequest) -> JobRequest {
    JobRequest {
        body: Some(Body::Sketch(sketch)),
        ..JobRequest::default()
    }
}

fn pointers(request: JobRequest) -> Vec<String> {
    accept(request, 7, 0)
        .expect_err("faulty")
        .into_iter()
        .map(|fault| fault.pointer)
        .collect()
}

#[test]
fn defaults_are_filled_in_and_the_hash_is_of_what_was_sent() {
    let request = sketch(SketchRequest {
        prompt: " a  lake ".into(),
        ..SketchRequest::default()
    });
    let accepted = accept(request.clone(), 7, 0).expect("good");
    assert_eq!(accepted.hash, accept(request, 8, 0).expect("good").hash);
    assert_eq!(
        (accepted.summary.as_str(), accepted.lane.as_str()),
        ("a lake", "_")
    );
    let Some(Body::Sketch(sketch)) = accepted.request.body else {
        panic!("still a sketch")
    };
    assert_eq!(
        (sketch.width, sketch.height, sketch.steps, sketch.seed),
        (512, 512, 20, Some(7))
    );
}

#[test]
fn a_dry_run_is_not_kept() {
    let request = JobRequest {
        dry_run: true,
        ..sketch(SketchRequest::default())
    };
    let accepted = accept(request, 7, 0).expect("good");
    assert!(!accepted.request.dry_run);
    assert_eq!(accepted.cost, Cost::Free);
}

#[test]
fn all_faults_are_named_at_once() {
    let mut request = sketch(SketchRequest {
        prompt: "x".repeat(MAX_PROMPT_BYTES + 1),
        width: 5000,
        steps: 1001,
        palette: "/etc/passwd".into(),
        ..SketchRequest::default()
    });
    request.max_attempts = 11;
    request.tags = vec![String::new()];
    assert_eq!(
        pointers(request),
        [
            "/max_attempts",
            "/tags/0",
            "/sketch/prompt",
            "/sketch/width",
            "/sketch/steps",
            "/sketch/palette"
        ]
    );
    assert_eq!(pointers(JobRequest::default()), [""]);
}

#[test]
fn a_graph_must_be_in_api_format() {
    let graph = |graph: &str| {
        let body = ComfyUiRequest {
            graph: graph.into(),
            ..ComfyUiRequest::default()
        };
        accept(
            JobRequest {
                body: Some(Body::Comfyui(body)),
                ..JobRequest::default()
            },
            7,
            0,
        )
    };
    assert!(graph(r#"{"1":{"class_type":"EmptyImage","inputs":{"width":64}}}"#).is_ok());
    let editor = graph(r#"{"nodes":[],"links":[]}"#).expect_err("editor format");
    assert!(editor[0].message.contains("Export (API)"), "{editor:?}");
    assert_eq!(
        graph(r#"{"1":{"inputs":{}}}"#).expect_err("no class")[0].pointer,
        "/comfyui/graph/1/class_type"
    );
    assert!(graph("{").is_err() && graph("[]").is_err() && graph("{}").is_err());
}

#[test]
fn a_large_request_is_abridged_in_the_record() {
    let small = sketch(SketchRequest {
        prompt: "x".into(),
        ..SketchRequest::default()
    });
    assert_eq!(abridged(&small), None);
    let large = sketch(SketchRequest {
        prompt: "x".repeat(10_000),
        width: 64,
        ..SketchRequest::default()
    });
    let short = abridged(&large).expect("too large");
    assert!(short.encoded_len() < 300);
}

fn comfyui(body: ComfyUiRequest) -> JobRequest {
    JobRequest {
        body: Some(Body::Comfyui(body)),
        ..JobRequest::default()
    }
}

#[test]
fn a_picture_is_filled_in_from_the_template_of_its_family() {
    let request = comfyui(ComfyUiRequest {
        checkpoint: "sd_xl_base_1.0.safetensors".into(),
        sampler: "Euler a".into(),
        ..ComfyUiRequest::default()
    });
    let accepted = accept(request.clone(), 7, 0).expect("good");
    assert_eq!(accepted.hash, hash(&request));
    assert_eq!(accepted.lane, subjects::lane_key("sd_xl_base_1.0.safetensors"));
    let told: Vec<&str> = accepted
        .substitutions
        .iter()
        .map(|one| one.used.as_str())
        .collect();
    assert_eq!(told, ["euler_ancestral", "normal"]);
    assert_eq!(accepted.needs[0].name, "sd_xl_base_1.0.safetensors");
    let record = crate::lifecycle::submitted(crate::ids::JobId::generate(), &accepted, None, 0);
    assert_eq!(
        (record.needs, record.substitutions),
        (accepted.needs, accepted.substitutions)
    );
    let Some(Body::Comfyui(filled)) = accepted.request.body else {
        panic!("still for ComfyUI")
    };
    assert_eq!(
        (filled.width, filled.height, filled.steps, filled.cfg, filled.seed),
        (1024, 1024, 25, Some(7.0), Some(7))
    );
    assert_eq!(
        (filled.task(), filled.family()),
        (crate::Task::TextToImage, crate::Family::Sdxl)
    );
}

#[test]
fn a_graph_goes_to_the_lane_of_its_checkpoint() {
    let of = |graph: &str, workflow: &str| {
        let request = comfyui(ComfyUiRequest {
            graph: graph.into(),
            workflow: workflow.into(),
            ..ComfyUiRequest::default()
        });
        let accepted = accept(request, 7, 0).expect("good");
        (accepted.lane, accepted.summary)
    };
    let graph = r#"{"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.ckpt"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "  a   lake "}}}"#;
    assert_eq!(of(graph, ""), (subjects::lane_key("a.ckpt"), "a lake".to_owned()));
    assert_eq!(of(graph, "lakes").1, "lakes");
    let plain = r#"{"1": {"class_type": "EmptyImage", "inputs": {}}}"#;
    assert_eq!(of(plain, ""), ("_".to_owned(), "graph".to_owned()));

    let unfilled = comfyui(ComfyUiRequest {
        workflow: "lakes".into(),
        ..ComfyUiRequest::default()
    });
    assert_eq!(pointers(unfilled), ["/comfyui/workflow"]);
}

#[test]
fn what_a_job_keeps_of_a_request_stays_small() {
    let name = |i: usize| format!("{i:0>500}.safetensors");
    let lora = |i| crate::v1::Lora {
        name: name(i),
        ..Default::default()
    };
    let asset = format!("asset:{}", crate::ids::AssetId::from_sha256(&[1; 32]));
    let control = |i| crate::v1::ControlNet {
        name: name(i),
        image: asset.clone(),
        ..Default::default()
    };
    let many = comfyui(ComfyUiRequest {
        prompt: "x".repeat(MAX_PROMPT_BYTES),
        checkpoint: name(1),
        loras: (0..16).map(lora).collect(),
        controls: (0..8).map(control).collect(),
        ..ComfyUiRequest::default()
    });
    let nodes: Vec<String> = (0..3_500)
        .map(|i| format!(r#""{i}": {{"class_type": "{i:0>190}", "inputs": {{}}}}"#))
        .collect();
    let graph = comfyui(ComfyUiRequest {
        graph: format!("{{{}}}", nodes.join(",")),
        ..ComfyUiRequest::default()
    });
    for request in [many, graph] {
        let accepted = accept(request, 7, 0).expect("good");
        let record = crate::lifecycle::submitted(crate::ids::JobId::generate(), &accepted, None, 0);
        assert!(record.request_is_abridged);
        let size = record.encoded_len();
        assert!(size < crate::topology::MAX_RECORD_BYTES / 2, "{size}");
    }
}

proptest! {
    #[test]
    fn no_request_panics(prompt in ".{0,50}", graph in ".{0,50}", width: u32, steps: u32, deadline: i64) {
        let body = ComfyUiRequest { prompt, graph, width, steps, ..ComfyUiRequest::default() };
        let request = JobRequest {
            body: Some(Body::Comfyui(body)),
            deadline: Some(pbjson_types::Timestamp { seconds: deadline, nanos: 0 }),
            ..JobRequest::default()
        };
        drop(accept(request, 1, 0));
    }
}
