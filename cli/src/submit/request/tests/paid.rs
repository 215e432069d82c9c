//! What command lines for FLUX and v0 become.

use std::collections::HashMap;

use clap::Parser as _;
use proto::v1::{FileChange, FluxRequest, V0Request, job_request::Body};

use super::{Line, faults, request};
use crate::submit::request::{Material, backend, build};

const RESULT: &str = "artifact:0198f3a2-0000-7000-8000-000000000001-1-0";

#[test]
fn options_of_flux_make_a_job_of_flux() {
    let line = [
        "in winter",
        "--model",
        "flux-pro-1.1-ultra",
        "--image",
        RESULT,
        "--image",
        "b.png",
        "--mask",
        "m.png",
        "--width",
        "1024",
        "--height",
        "768",
        "--aspect-ratio",
        "16:9",
        "--format",
        "png",
        "--safety-tolerance",
        "0",
        "--raw",
        "--guidance",
        "3.5",
        "--steps",
        "20",
        "--seed",
        "7",
        "--image-strength",
        "0.25",
        "--top",
        "64",
        "--param",
        "mode=fast",
    ];
    let request = request(&line, None, &[("b.png", "0002"), ("m.png", "0003")]).expect("a request");
    let expected = FluxRequest {
        model: "flux-pro-1.1-ultra".into(),
        prompt: "in winter".into(),
        images: vec![RESULT.into(), "asset:0002".into()],
        mask: "asset:0003".into(),
        width: Some(1024),
        height: Some(768),
        aspect_ratio: "16:9".into(),
        output_format: "png".into(),
        safety_tolerance: Some(0),
        raw: Some(true),
        guidance: Some(3.5),
        steps: Some(20),
        seed: Some(7),
        image_prompt_strength: Some(0.25),
        top: Some(64),
        mode: "fast".into(),
        ..FluxRequest::default()
    };
    assert_eq!(request.body, Some(Body::Flux(expected)));
}

#[test]
fn options_of_v0_make_a_job_of_v0() {
    let line = [
        "warmer",
        "--chat",
        "c1",
        "--model",
        "v0-mini",
        "--system",
        "be brief",
        "--privacy",
        "unlisted",
        "--image",
        "b.png",
        "--change",
        "old.css=",
    ];
    let arguments = Line::try_parse_from([&["submit"], line.as_slice()].concat()).expect("a command line");
    let material = Material {
        prompt: arguments.submit.prompt.clone(),
        assets: HashMap::from([("b.png".to_owned(), "0002".to_owned())]),
        changes: vec![serde_json::json!({"path": "old.css"})],
        ..Material::default()
    };
    let request = build(&arguments.submit, material, 0).expect("a request").request;
    let expected = V0Request {
        prompt: "warmer".into(),
        chat: "c1".into(),
        model: "v0-mini".into(),
        system: "be brief".into(),
        privacy: "unlisted".into(),
        images: vec!["asset:0002".into()],
        changes: vec![FileChange {
            path: "old.css".into(),
            content: None,
        }],
        ..V0Request::default()
    };
    assert_eq!(request.body, Some(Body::V0(expected)));
}

#[test]
fn the_backend_follows_from_the_options() {
    for (line, expected) in [
        (&["x"][..], "sketch"),
        (&["x", "--image", RESULT], "comfyui"),
        (&["x", "--image", RESULT, "--model", "flux-2-pro"], "flux"),
        (&["x", "--raw"], "flux"),
        (&["--chat", "c1"], "v0"),
        (&["x", "--model", "v0-max"], "v0"),
        (&["x", "--checkpoint", "a", "--format", "png"], "comfyui"),
        (&["x", "--backend", "flux"], "flux"),
    ] {
        let arguments = Line::try_parse_from([&["submit"], line].concat()).expect("a command line");
        assert_eq!(backend(&arguments.submit), expected, "{line:?}");
    }
    let two = ["x", "--checkpoint", "a", "--image", RESULT, "--image", RESULT];
    assert_eq!(
        faults(request(&two, None, &[])),
        ["--image: backend comfyui takes one image"]
    );
    let told = faults(request(&["x", "--backend", "sketch", "--raw"], None, &[]));
    assert_eq!(told, ["--raw: backend sketch has no raw"]);
}
