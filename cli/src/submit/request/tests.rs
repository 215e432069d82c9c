//! What command lines become.

mod paid;

use super::*;
use clap::Parser as _;
use proto::{
    Priority,
    v1::{
        ComfyUiRequest, Parameter, SketchRequest, comfy_ui_task::Value as Task, job_request::Body,
        model_family::Value as Family,
    },
};

#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    submit: SubmitArguments,
}

fn request(line: &[&str], graph: Option<&str>, assets: &[(&str, &str)]) -> Result<JobRequest, Problem> {
    let arguments = Line::try_parse_from([&["submit"], line].concat())
        .expect("a command line")
        .submit;
    let material = Material {
        prompt: arguments.prompt.clone(),
        graph: graph.map(|text| Graph::parse(text, "g.json").expect("a graph")),
        assets: assets
            .iter()
            .map(|(path, id)| (path.to_string(), id.to_string()))
            .collect(),
        ..Material::default()
    };
    build(&arguments, material, 1_000).map(|built| built.request)
}

fn sketch(line: &[&str]) -> SketchRequest {
    match request(line, None, &[]).expect("a request").body {
        Some(Body::Sketch(sketch)) => sketch,
        other => panic!("no sketch: {other:?}"),
    }
}

fn comfyui(request: Result<JobRequest, Problem>) -> ComfyUiRequest {
    match request.expect("a request").body {
        Some(Body::Comfyui(comfyui)) => comfyui,
        other => panic!("no graph: {other:?}"),
    }
}

fn faults(request: Result<JobRequest, Problem>) -> Vec<String> {
    let problem = request.expect_err("faulty");
    problem
        .faults
        .iter()
        .map(|fault| format!("{}: {}", fault.pointer, fault.message))
        .collect()
}

#[test]
fn options_and_parameters_fill_the_same_request() {
    let sketch = sketch(&[
        "a lake",
        "--size",
        "640x480",
        "--seed",
        "7",
        "--param",
        "steps=3",
        "--param",
        "rehearsal.act=slow",
    ]);
    assert_eq!(
        (sketch.prompt.as_str(), sketch.width, sketch.height),
        ("a lake", 640, 480)
    );
    assert_eq!((sketch.seed, sketch.steps), (Some(7), 3));
    assert_eq!(
        sketch.rehearsal.map(|rehearsal| rehearsal.act()),
        Some(proto::Act::Slow)
    );
}

#[test]
fn the_frame_is_filled_by_options_and_by_parameters() {
    let line = [
        "x",
        "--priority",
        "high",
        "--deadline",
        "+9s",
        "--tag",
        "a,b",
        "--tag",
        "c",
        "--hold",
        "--param",
        "max_attempts=5",
    ];
    let request = request(&line, None, &[]).expect("a request");
    assert_eq!(
        (request.priority(), request.max_attempts, request.hold),
        (Priority::High, 5, true)
    );
    assert_eq!(request.tags, ["a,b", "c"]);
    assert_eq!(request.deadline.map(|at| at.seconds), Some(10));
}

#[test]
fn a_checkpoint_or_a_graph_means_comfyui() {
    let with_checkpoint = comfyui(request(
        &["x", "--checkpoint", "sd.safetensors", "--negative", "blur"],
        None,
        &[],
    ));
    assert_eq!(
        (
            with_checkpoint.checkpoint.as_str(),
            with_checkpoint.negative_prompt.as_str()
        ),
        ("sd.safetensors", "blur")
    );
    let graph = r#"{"3":{"class_type":"LoadImage","inputs":{"image":"old"}}}"#;
    let line = [
        "--graph",
        "g.json",
        "--input",
        "3.image=cat.png",
        "--param",
        "3.upload=true",
    ];
    let with_graph = comfyui(request(&line, Some(graph), &[("cat.png", "00ff")]));
    assert_eq!(
        with_graph.graph,
        r#"{"3":{"class_type":"LoadImage","inputs":{"image":"asset:00ff","upload":true}}}"#
    );
}

#[test]
fn an_input_becomes_a_reference_to_the_upload() {
    let request =
        request(&["x", "--input", "palette=cat.png"], None, &[("cat.png", "00ff")]).expect("a request");
    assert!(matches!(request.body, Some(Body::Sketch(sketch)) if sketch.palette == "asset:00ff"));
}

#[test]
fn all_faults_are_told_at_once() {
    let line = [
        "x",
        "--checkpoint",
        "m",
        "--backend",
        "sketch",
        "--deadline",
        "soon",
        "--param",
        "widht=3",
        "--param",
        "tag=a",
    ];
    let told = faults(request(&line, None, &[]));
    assert_eq!(told.len(), 4, "{told:#?}");
    assert_eq!(told[0], "--checkpoint: backend sketch has no checkpoint");
    assert!(
        told[1].starts_with("--deadline: deadline: \"soon\" is neither"),
        "{told:#?}"
    );
    assert!(told[2].contains("did you mean width"), "{told:#?}");
    assert!(told[3].contains("did you mean tags"), "{told:#?}");
    let graph = r#"{"3":{"class_type":"LoadImage","inputs":{}}}"#;
    let told = faults(request(
        &["x", "--graph", "g", "--input", "image=a.png"],
        Some(graph),
        &[("a.png", "00")],
    ));
    assert!(
        told[0].starts_with("PROMPT: a graph brings") && told[1].contains("3 (LoadImage)"),
        "{told:#?}"
    );
}

#[test]
fn options_of_comfyui_make_a_comfyui_job() {
    let line = [
        "in autumn",
        "--task",
        "inpaint",
        "--family",
        "sdxl",
        "--lora",
        "ink:0.5",
        "--lora",
        "paper",
        "--controlnet",
        "canny=edges.png:0.8:0:0.5",
        "--image",
        "house.png",
        "--mask",
        "asset:00aa",
        "--denoise",
        "0.6",
        "--video-frames",
        "25",
        "--video-format",
        "mp4",
        "--clip-skip",
        "2",
        "--text-encoder",
        "t5",
        "--allow-fallback",
    ];
    let assets = [("house.png", "0001"), ("edges.png", "0002")];
    let made = comfyui(request(&line, None, &assets));
    assert_eq!((made.task(), made.family()), (Task::Inpaint, Family::Sdxl));
    assert_eq!(
        (made.image.as_str(), made.mask.as_str(), made.denoise),
        ("asset:0001", "asset:00aa", Some(0.6))
    );
    let loras: Vec<_> = made
        .loras
        .iter()
        .map(|lora| (lora.name.as_str(), lora.weight))
        .collect();
    assert_eq!(loras, [("ink", Some(0.5)), ("paper", None)]);
    let control = &made.controls[0];
    assert_eq!(
        (control.image.as_str(), control.strength, control.end),
        ("asset:0002", Some(0.8), Some(0.5))
    );
    let video = made.video.expect("settings of the video");
    assert_eq!((video.frames, video.format.as_str()), (25, "mp4"));
    assert_eq!((made.clip_skip, made.allow_fallback), (2, true));
    assert_eq!(made.text_encoders, ["t5"]);
}

#[test]
fn every_file_is_known_before_it_is_uploaded() {
    let line = [
        "x",
        "--image",
        "a.png",
        "--mask",
        "asset:00",
        "--controlnet",
        "c=b.png",
        "--input",
        "image=d.png",
    ];
    let arguments = Line::try_parse_from([&["submit"], line.as_slice()].concat())
        .expect("a command line")
        .submit;
    let built = build(&arguments, Material::default(), 0).expect("a request");
    let files: Vec<_> = built
        .files
        .iter()
        .map(|file| (file.option.as_str(), file.path.as_str()))
        .collect();
    assert_eq!(
        files,
        [
            ("--image", "a.png"),
            ("--controlnet", "b.png"),
            ("--input image", "d.png")
        ]
    );
}

#[test]
fn a_sketch_takes_nothing_of_comfyui() {
    let line = ["x", "--backend", "sketch", "--lora", "a", "--video-fps", "3"];
    let told = faults(request(&line, None, &[]));
    assert_eq!(
        told,
        [
            "--video-fps: backend sketch has no video.fps",
            "--lora: backend sketch has no loras"
        ]
    );
    let told = faults(request(&["x", "--negative", "blur"], None, &[]));
    assert_eq!(told, ["--negative: backend sketch has no negative_prompt"]);
}

#[test]
fn parameters_of_a_workflow_are_filled_in() {
    let parameter = |name: &str, of: &str| Parameter {
        name: name.into(),
        r#type: of.into(),
        ..Parameter::default()
    };
    let workflow = Workflow {
        name: "portrait".into(),
        parameters: vec![
            parameter("prompt", "text"),
            parameter("face", "asset"),
            parameter("steps", "integer"),
        ],
        ..Workflow::default()
    };
    let built = |line: &[&str]| {
        let line = [&["submit", "--workflow", "portrait"], line].concat();
        let arguments = Line::try_parse_from(line).expect("a command line").submit;
        let material = Material {
            prompt: arguments.prompt.clone(),
            workflow: Some(workflow.clone()),
            ..Material::default()
        };
        build(&arguments, material, 0)
    };
    let made = built(&[
        "a sailor",
        "-p",
        "face=s.png",
        "-p",
        "steps=9",
        "-p",
        "tags=a",
        "--seed",
        "7",
    ])
    .expect("a request");
    assert_eq!(made.files[0].path, "s.png");
    assert_eq!(made.request.tags, ["a"]);
    let made = comfyui(Ok(made.request));
    assert_eq!((made.workflow.as_str(), made.seed), ("portrait", Some(7)));
    let values: Value = serde_json::from_str(&made.parameters).expect("JSON");
    assert_eq!(
        values,
        serde_json::json!({"prompt": "a sailor", "face": format!("asset:{NOT_YET}"), "steps": 9})
    );
    let told = faults(built(&["-p", "stps=9", "-p", "steps=many"]).map(|built| built.request));
    assert!(told[0].contains("did you mean steps"), "{told:?}");
    assert!(told[1].contains("a whole number"), "{told:?}");
}
