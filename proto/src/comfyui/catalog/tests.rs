//! As ComfyUI judges a graph, and not more strictly.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{comfyui, v1::ComfyUiRequest};

fn input(name: &str, kind: &str) -> NodeInput {
    NodeInput {
        name: name.to_owned(),
        r#type: kind.to_owned(),
        required: true,
        ..NodeInput::default()
    }
}

fn choice(name: &str, options: &[&str]) -> NodeInput {
    NodeInput {
        options: options.iter().map(ToString::to_string).collect(),
        ..input(name, "COMBO")
    }
}

fn range(name: &str, kind: &str, min: f64, max: f64) -> NodeInput {
    NodeInput {
        min: Some(min),
        max: Some(max),
        ..input(name, kind)
    }
}

fn class(name: &str, inputs: Vec<NodeInput>, outputs: &[&str]) -> NodeClass {
    NodeClass {
        name: name.to_owned(),
        inputs,
        outputs: outputs.iter().map(ToString::to_string).collect(),
        output_node: outputs.is_empty(),
        api_node: false,
    }
}

/// What a small ComfyUI has.
fn catalog() -> Catalog {
    let mut classes = samplers();
    classes.extend(pictures());
    Catalog { classes }
}

fn samplers() -> Vec<NodeClass> {
    let denoise = NodeInput {
        required: false,
        ..range("denoise", "FLOAT", 0.0, 1.0)
    };
    vec![
        class(
            "CLIPTextEncode",
            vec![input("text", "STRING"), input("clip", "CLIP")],
            &["CONDITIONING"],
        ),
        class(
            "CheckpointLoaderSimple",
            vec![choice(
                "ckpt_name",
                &["v1-5-pruned-emaonly.safetensors", "x.ckpt"],
            )],
            &["MODEL", "CLIP", "VAE"],
        ),
        class(
            "EmptyLatentImage",
            vec![
                range("width", "INT", 16.0, 16384.0),
                range("height", "INT", 16.0, 16384.0),
                range("batch_size", "INT", 1.0, 4096.0),
            ],
            &["LATENT"],
        ),
        class(
            "KSampler",
            vec![
                input("model", "MODEL"),
                range("seed", "INT", 0.0, 18_446_744_073_709_551_615.0),
                range("steps", "INT", 1.0, 10_000.0),
                range("cfg", "FLOAT", 0.0, 100.0),
                choice("sampler_name", &["euler", "euler_ancestral", "dpmpp_2m"]),
                choice("scheduler", &["normal", "karras"]),
                input("positive", "CONDITIONING"),
                input("negative", "CONDITIONING"),
                input("latent_image", "LATENT"),
                denoise,
            ],
            &["LATENT"],
        ),
        class(
            "VAEDecode",
            vec![input("samples", "LATENT"), input("vae", "VAE")],
            &["IMAGE"],
        ),
    ]
}

fn pictures() -> Vec<NodeClass> {
    let open = |input: NodeInput| NodeInput { open: true, ..input };
    vec![
        class(
            "LoadImage",
            vec![open(choice("image", &["a.png"]))],
            &["IMAGE", "MASK"],
        ),
        class(
            "SaveImage",
            vec![input("images", "IMAGE"), input("filename_prefix", "STRING")],
            &[],
        ),
        class(
            "Any",
            vec![
                input("any", "*"),
                input("either", "IMAGE, MASK"),
                choice("number", &["1", "2", "true"]),
                input("yes", "BOOLEAN"),
                open(input("files", "COMFY_AUTOGROW_V3")),
            ],
            &["*", "", "COMBO", "WHO_KNOWS"],
        ),
    ]
}

fn request() -> ComfyUiRequest {
    ComfyUiRequest {
        prompt: "a lake".to_owned(),
        checkpoint: "x.ckpt".to_owned(),
        ..ComfyUiRequest::default()
    }
}

fn told(request: &ComfyUiRequest) -> Vec<String> {
    let plan = comfyui::plan(request).expect("a plan");
    request_faults(&plan, &check(&plan.graph, &catalog()))
        .into_iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.message))
        .collect()
}

fn kinds(graph: &Value) -> Vec<(RejectedKind, String)> {
    check(graph, &catalog())
        .into_iter()
        .map(|one| {
            (
                one.kind,
                format!("{}.{}", one.node, one.input.unwrap_or_default()),
            )
        })
        .collect()
}

#[test]
fn a_request_is_told_the_field_and_the_nearest_name() {
    assert_eq!(told(&request()), [""; 0]);
    let lora = crate::v1::Lora {
        name: "x".to_owned(),
        ..Default::default()
    };
    let wrong = ComfyUiRequest {
        sampler: "euler_b".to_owned(),
        checkpoint: "v1-5-pruned.safetensors".to_owned(),
        scheduler: "polyexponential".to_owned(),
        loras: vec![lora],
        ..request()
    };
    assert_eq!(
        told(&wrong),
        [
            "/comfyui/loras/0 ComfyUI has no class of nodes \"LoraLoader\"; it may come from an extension that is \
             not installed",
            "/comfyui/checkpoint ComfyUI has no file \"v1-5-pruned.safetensors\"; the nearest name is \
             \"v1-5-pruned-emaonly.safetensors\"",
            "/comfyui/sampler there is no \"euler_b\"; the nearest name is \"euler\"",
            "/comfyui/scheduler there is no \"polyexponential\"; there is \"normal\", \"karras\"",
        ]
    );
}

#[test]
fn a_graph_is_told_the_place_in_it() {
    let mut graph = comfyui::plan(&request()).expect("a plan").graph;
    graph["3"]["inputs"]["steps"] = json!(20_000);
    graph["3"]["inputs"]["cfg"] = json!(-1);
    graph["3"]["inputs"]["seed"] = json!("many");
    graph["3"]["inputs"]["model"] = json!(["4", 1]);
    graph["8"]["inputs"]["vae"] = json!(["4", 3]);
    graph["6"]["inputs"] = json!({"clip": ["4", 1]});
    let request = ComfyUiRequest {
        graph: graph.to_string(),
        ..ComfyUiRequest::default()
    };
    assert_eq!(
        told(&request),
        [
            "/comfyui/graph/8/inputs/vae node 8 (VAEDecode), input vae: node 4 has no output 3; its last one is 2",
            "/comfyui/graph/3/inputs/model node 3 (KSampler), input model: takes MODEL but output 1 of node 4 is \
             CLIP",
            "/comfyui/graph/3/inputs/seed node 3 (KSampler), input seed: \"many\" is not a whole number",
            "/comfyui/graph/3/inputs/steps node 3 (KSampler), input steps: 20000 is more than 10000, the most \
             that is possible",
            "/comfyui/graph/3/inputs/cfg node 3 (KSampler), input cfg: -1 is less than 0, the least that is \
             possible",
            "/comfyui/graph/6/inputs/text node 6 (CLIPTextEncode), input text: the input text is missing",
        ]
    );
    let nothing = json!({"1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}}});
    assert_eq!(kinds(&nothing), [(RejectedKind::NoOutput, ".".to_owned())]);
}

#[test]
fn what_comfyui_converts_or_ignores_passes() {
    let mut graph = comfyui::plan(&request()).expect("a plan").graph;
    let inputs = &mut graph["3"]["inputs"];
    inputs["steps"] = json!(" 2_0 ");
    inputs["seed"] = json!(u64::MAX);
    inputs["cfg"] = json!("1e1");
    inputs["denoise"] = json!(true);
    inputs["unheard_of"] = json!({"x": 1});
    graph["5"]["inputs"]["width"] = json!(512.7);
    graph["5"]["inputs"]["height"] = json!({"__value__": 64});
    graph["6"]["inputs"]["text"] = json!(7);
    // a range does not hold for what comes by a link
    graph["5"]["inputs"]["batch_size"] = json!(["99", 3]);
    graph["99"] = json!({"class_type": "Any", "inputs": {
        "any": ["3", 0], "either": ["100", 1], "number": 2, "yes": "no",
    }});
    graph["100"] = json!({"class_type": "LoadImage", "inputs": {"image": "uploaded since.png"}});
    // nobody needs it
    graph["101"] = json!({"class_type": "KSampler", "inputs": {"steps": 0}});
    let mut catalog = catalog();
    let who = catalog.classes.iter_mut().find(|class| class.name == "Any");
    who.expect("it is there").outputs[3] = "INT".to_owned();
    assert_eq!(check(&graph, &catalog), []);

    for (place, value) in [
        ("number", json!(true)),
        ("number", json!(["99", 3])),
        ("either", json!(["99", 1])),
    ] {
        let mut graph = graph.clone();
        graph["99"]["inputs"][place] = value;
        assert_eq!(check(&graph, &catalog), [], "{place}");
    }
}

#[test]
fn what_comfyui_refuses_is_refused() {
    let plain = comfyui::plan(&request()).expect("a plan").graph;
    for (input, value, kind) in [
        ("steps", json!("20.5"), RejectedKind::WrongType),
        ("steps", json!(null), RejectedKind::WrongType),
        ("steps", json!({"a": 1}), RejectedKind::WrongType),
        ("steps", json!(0.9), RejectedKind::BelowMin),
        ("seed", json!(-1), RejectedKind::BelowMin),
        ("cfg", json!("seven"), RejectedKind::WrongType),
        ("cfg", json!(100.5), RejectedKind::AboveMax),
        ("sampler_name", json!("Euler"), RejectedKind::NotInList),
        ("sampler_name", json!(""), RejectedKind::NotInList),
        ("sampler_name", json!(null), RejectedKind::NotInList),
        ("positive", json!(["5", 0]), RejectedKind::LinkType),
        ("positive", json!(["9", 0]), RejectedKind::LinkType),
    ] {
        let mut graph = plain.clone();
        graph["3"]["inputs"][input] = value.clone();
        assert_eq!(kinds(&graph), [(kind, format!("3.{input}"))], "{value}");
    }
    // an unknown class is refused even where nobody needs it
    let mut graph = plain;
    graph["50"] = json!({"class_type": "KSamplr", "inputs": {}});
    let rejected = check(&graph, &catalog());
    assert_eq!(
        (rejected[0].kind, rejected[0].nearest.as_deref()),
        (RejectedKind::NodeUnknown, Some("KSampler"))
    );
}

proptest! {
    #[test]
    fn any_json_is_judged_without_a_panic(graph in comfyui::structure::tests::any_json()) {
        let rejected = check(&graph, &catalog());
        prop_assert!(rejected.len() <= MAX_REJECTED);
    }
}
