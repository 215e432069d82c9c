//! Which workflows can be kept, and what values make of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ids::AssetId;

fn parameter(name: &str, kind: &str, node: &str, input: &str) -> Parameter {
    Parameter {
        name: name.to_owned(),
        r#type: kind.to_owned(),
        node: node.to_owned(),
        input: input.to_owned(),
        ..Parameter::default()
    }
}

fn workflow() -> Workflow {
    let graph = json!({
        "1": {"class_type": "A", "inputs": {
            "text": "", "steps": 3, "cfg": 1.5, "on": true, "mode": "a", "file": "", "seed": 7,
        }},
        "2": {"class_type": "B", "inputs": {"from": ["1", 0], "noise_seed": 8}},
    });
    let with = |default: &str, parameter: Parameter| Parameter {
        default: default.to_owned(),
        ..parameter
    };
    let steps = Parameter {
        min: Some(1.0),
        max: Some(50.0),
        ..parameter("steps", "integer", "1", "steps")
    };
    let mode = Parameter {
        options: vec!["fast".to_owned(), "careful".to_owned()],
        ..parameter("mode", "choice", "1", "mode")
    };
    Workflow {
        name: "my-flow_2".to_owned(),
        graph: graph.to_string(),
        parameters: vec![
            parameter("prompt", "text", "1", "text"),
            with("20", steps),
            with("7.5", parameter("cfg", "number", "1", "cfg")),
            with("false", parameter("on", "boolean", "1", "on")),
            with("\"fast\"", mode),
            parameter("file", "asset", "1", "file"),
            parameter("seed", "seed", "1", "seed"),
        ],
        ..Workflow::default()
    }
}

fn told(faults: Vec<Fault>) -> Vec<String> {
    faults
        .into_iter()
        .map(|fault| format!("{} {}", fault.pointer, fault.message))
        .collect()
}

fn refused(values: &Value) -> Vec<String> {
    told(bind(&workflow(), &values.to_string(), Some(1)).expect_err("refused"))
}

#[test]
fn values_come_to_their_places() {
    let file = format!("asset:{}", AssetId::from_sha256(&[1; 32]));
    let values = json!({"prompt": "a lake", "steps": 12.0, "mode": "careful", "file": file, "cfg": null});
    let bound = bind(&workflow(), &values.to_string(), Some(u64::MAX)).expect("a graph");
    let bound: Value = serde_json::from_str(&bound).expect("JSON");
    assert_eq!(
        bound["1"]["inputs"],
        json!({"text": "a lake", "steps": 12, "cfg": 7.5, "on": false, "mode": "careful", "file": file,
            "seed": u64::MAX})
    );
    assert_eq!(bound["2"]["inputs"]["noise_seed"], 8);
    assert!(wants_seed(&workflow(), &values.to_string()));

    let given = json!({"prompt": "", "file": file, "seed": 5});
    let bound = bind(&workflow(), &given.to_string(), Some(6)).expect("a graph");
    assert!(bound.contains("\"seed\":5"), "{bound}");
    assert!(!wants_seed(&workflow(), &given.to_string()));
    assert_eq!(
        told(
            bind(
                &workflow(),
                &json!({"prompt": "", "file": file}).to_string(),
                None
            )
            .expect_err("refused")
        ),
        ["/comfyui/parameters/seed give a value; it must be a whole number from 0"]
    );

    let mut without = workflow();
    without.parameters.clear();
    let bound = bind(&without, "", Some(6)).expect("a graph");
    assert!(
        bound.contains("\"seed\":6") && bound.contains("\"noise_seed\":6"),
        "{bound}"
    );
    assert!(bind(&without, "", None).expect("a graph").contains("\"seed\":7"));
}

#[test]
fn every_wrong_value_is_told() {
    assert_eq!(
        refused(
            &json!({"promt": "x", "steps": 51, "cfg": "7", "on": 1, "mode": "carefull", "file": "a.png", "seed": -1})
        ),
        [
            "/comfyui/parameters/prompt give a value; it must be a text",
            "/comfyui/parameters/steps must be a whole number within 1 to 50",
            "/comfyui/parameters/cfg must be a number",
            "/comfyui/parameters/on must be true or false",
            "/comfyui/parameters/mode there is no \"carefull\"; the nearest name is \"careful\"",
            "/comfyui/parameters/file must be `asset:<id>` of an uploaded file or `artifact:<id>` of a result",
            "/comfyui/parameters/seed must be a whole number from 0",
            "/comfyui/parameters/promt the workflow my-flow_2 has no parameter \"promt\"; the nearest name is \
             \"prompt\"",
        ]
    );
    let steps = refused(&json!({"steps": 1.5}));
    assert!(steps.contains(&"/comfyui/parameters/steps must be a whole number within 1 to 50".to_owned()));
    for text in ["[]", "{", "3"] {
        assert_eq!(
            bind(&workflow(), text, None).expect_err("refused")[0].pointer,
            "/comfyui/parameters"
        );
    }
}

#[test]
fn what_cannot_be_kept_is_told() {
    assert_eq!(check(&workflow()), []);
    let mut broken = workflow();
    broken.name = "My Flow".to_owned();
    broken.parameters[0].node = "9".to_owned();
    broken.parameters[1].input = "step".to_owned();
    broken.parameters[1].default = "60".to_owned();
    broken.parameters[2].r#type = "float".to_owned();
    broken.parameters[3].name = "steps".to_owned();
    broken.parameters[4].options.clear();
    broken.parameters[5].default = "\"x\"".to_owned();
    broken.parameters[6].min = Some(2.0);
    broken.parameters[6].max = Some(1.0);
    let faults = told(check(&broken));
    for (pointer, words) in [
        ("/name", "1 to 64 of a-z"),
        ("/parameters/0/node", "no node \"9\""),
        ("/parameters/1/input", "the nearest name is \"steps\""),
        ("/parameters/1/default", "within 1 to 50"),
        ("/parameters/2/type", "must be one of text, integer"),
        ("/parameters/3/name", "another parameter \"steps\""),
        ("/parameters/4/options", "needs options"),
        ("/parameters/5/default", "uploaded file"),
        ("/parameters/6/max", "less than `min`"),
    ] {
        let found = faults
            .iter()
            .any(|told| told.starts_with(&format!("{pointer} ")) && told.contains(words));
        assert!(found, "{pointer} {words}: {faults:#?}");
    }
    let mut many = workflow();
    many.parameters = vec![many.parameters[0].clone(); MAX_PARAMETERS + 1];
    assert_eq!(check(&many)[0].pointer, "/parameters");
    let editor = Workflow {
        graph: "{\"nodes\": []}".to_owned(),
        parameters: Vec::new(),
        ..workflow()
    };
    assert!(told(check(&editor))[0].starts_with("/graph is in the format of ComfyUI's editor"));
}

#[test]
fn what_comes_with_the_program_can_be_run() {
    let values = json!({"prompt": "a lake", "checkpoint": "x.safetensors"});
    let sdxl = built_in()
        .iter()
        .find(|one| one.name == "sdxl")
        .expect("it is built in");
    let bound = bind(sdxl, &values.to_string(), Some(3)).expect("a graph");
    let request = crate::v1::ComfyUiRequest {
        workflow: "sdxl".to_owned(),
        graph: bound,
        ..Default::default()
    };
    let plan = crate::comfyui::plan(&request).expect("a plan").of_workflow(sdxl);
    assert_eq!(plan.checkpoint.as_deref(), Some("x.safetensors"));
    assert_eq!(
        (
            plan.pointer("4", Some("ckpt_name")),
            plan.pointer("8", Some("samples"))
        ),
        (
            "/comfyui/parameters/checkpoint".to_owned(),
            "/comfyui/graph/8/inputs/samples".to_owned()
        )
    );
}

proptest! {
    #[test]
    fn no_values_panic(
        values in structure::tests::any_json(), number: f64, whole: u64, text in ".{0,9}",
    ) {
        drop(bind(&workflow(), &values.to_string(), Some(whole)));
        for name in ["prompt", "steps", "cfg", "on", "mode", "file", "seed"] {
            for value in [values.clone(), json!(number), json!(whole), json!(text)] {
                drop(bind(&workflow(), &json!({name: value}).to_string(), None));
            }
        }
        drop(bind(&workflow(), &text, None));
    }
}
