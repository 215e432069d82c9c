//! A workflow out of a file, and into the form in which it is sent. Pure.

use std::str::FromStr;

use proto::v1::{ComfyUiRequest, JobRequest, Parameter, Workflow, job_request::Body};
use serde_json::{Map, Value};

use super::DeclaredArguments;
use crate::{
    contract,
    problem::{Fault, Problem},
};

/// The types that a parameter may be declared to have; the options of a `choice` need a whole document.
const TYPES: [&str; 6] = ["text", "integer", "number", "boolean", "asset", "seed"];

/// A parameter as the command line declares it: `NAME=NODE.INPUT[:TYPE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    name: String,
    node: String,
    input: String,
    kind: Option<String>,
}

impl FromStr for Declared {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "it is written as NAME=NODE.INPUT or NAME=NODE.INPUT:TYPE";
        let (name, place) = text.split_once('=').ok_or(form)?;
        let (place, kind) = match place.rsplit_once(':') {
            Some((place, kind)) if TYPES.contains(&kind) => (place, Some(kind.to_owned())),
            Some((_, kind)) if !kind.contains('.') => {
                return Err(format!("{kind:?} is none of {}", TYPES.join(", ")));
            }
            _ => (place, None),
        };
        let (node, input) = place.rsplit_once('.').ok_or(form)?;
        if [name, node, input].iter().any(|part| part.trim().is_empty()) {
            return Err(form.to_owned());
        }
        Ok(Self {
            name: name.trim().to_owned(),
            node: node.to_owned(),
            input: input.to_owned(),
            kind,
        })
    }
}

/// A workflow out of the text of a file: one as the gateway gives it, or a bare graph.
///
/// # Errors
/// That it is neither, or every parameter that goes nowhere.
pub(super) fn read(
    text: &str,
    origin: &str,
    name: &str,
    declared: &DeclaredArguments,
) -> Result<Workflow, Problem> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Problem::usage(format!("{origin} is not valid JSON: {error}")))?;
    let mut workflow = match value {
        Value::Object(object) if object.get("nodes").is_some_and(Value::is_array) => {
            return Err(
                Problem::usage(format!("{origin} is in the format of ComfyUI's editor"))
                    .with_remedy("Save it there with \"Export (API)\"."),
            );
        }
        Value::Object(object) if is_document(&object) => of_gateway(Value::Object(object))
            .map_err(|problem| Problem::usage(format!("{origin}: {}", problem.detail)))?,
        Value::Object(object) => Workflow {
            graph: Value::Object(object).to_string(),
            ..Workflow::default()
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(Problem::usage(format!("{origin} is not a JSON object")));
        }
    };
    name.clone_into(&mut workflow.name);
    if let Some(title) = &declared.title {
        workflow.title.clone_from(title);
    }
    if let Some(description) = &declared.description {
        workflow.description.clone_from(description);
    }
    let graph: Value = serde_json::from_str(&workflow.graph)
        .map_err(|error| Problem::usage(format!("{origin}: its graph is not valid JSON: {error}")))?;
    declare(&mut workflow, &graph, &declared.param)?;
    Ok(workflow)
}

/// A workflow as the gateway tells it: graph and defaults are JSON there, not JSON in text.
pub(crate) fn of_gateway(mut value: Value) -> Result<Workflow, Problem> {
    let parameters = value.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        if let Some(default) = parameter.get_mut("default").filter(|default| !default.is_null()) {
            *default = Value::from(default.to_string());
        }
    }
    contract::read(value).map_err(|error| Problem::failed("this is no workflow", &error))
}

/// The form in which it is sent: without what only the gateway says, graph and defaults as JSON.
pub(super) fn json(workflow: &Workflow) -> Result<Value, Problem> {
    let sent = Workflow {
        updated_at: None,
        built_in: false,
        revision: 0,
        ..workflow.clone()
    };
    let mut value = serde_json::to_value(sent)
        .map_err(|error| Problem::failed("the workflow cannot be written as JSON", &error))?;
    if let Ok(graph) = serde_json::from_str::<Value>(&workflow.graph) {
        value["graph"] = graph;
    }
    let parameters = value.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let default = parameter["default"].as_str().map(serde_json::from_str::<Value>);
        if let Some(Ok(default)) = default {
            parameter["default"] = default;
        }
    }
    Ok(value)
}

/// The job that runs its graph as it stands, to see whether it could.
pub(super) fn trial(workflow: Workflow) -> JobRequest {
    JobRequest {
        body: Some(Body::Comfyui(ComfyUiRequest {
            graph: workflow.graph,
            ..ComfyUiRequest::default()
        })),
        ..JobRequest::default()
    }
}

/// A bare graph has nodes only, each with a class; a workflow names its graph.
fn is_document(object: &Map<String, Value>) -> bool {
    object
        .get("graph")
        .is_some_and(|graph| graph.is_string() || graph.get("class_type").is_none())
}

fn declare(workflow: &mut Workflow, graph: &Value, declared: &[Declared]) -> Result<(), Problem> {
    let mut faults = Vec::new();
    let mut fault = |name: &str, message: String| {
        faults.push(Fault {
            pointer: format!("parameter {name}"),
            message,
        });
    };
    for known in &workflow.parameters {
        if let Err(message) = find(graph, &known.node, &known.input) {
            fault(&known.name, message);
        }
    }
    for one in declared {
        match find(graph, &one.node, &one.input).and_then(|value| parameter(one, graph, value)) {
            Ok(parameter) => {
                workflow.parameters.retain(|known| known.name != one.name);
                workflow.parameters.push(parameter);
            }
            Err(message) => fault(&one.name, message),
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(Problem {
        faults,
        ..Problem::usage("some parameters do not fit the graph")
    })
}

fn find<'a>(graph: &'a Value, node: &str, input: &str) -> Result<&'a Value, String> {
    let Some(found) = graph.get(node) else {
        let nodes: Vec<&str> = graph
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        return Err(format!(
            "the graph has no node {node}; it has {}",
            nodes.join(", ")
        ));
    };
    let inputs = found.get("inputs").and_then(Value::as_object);
    inputs.and_then(|inputs| inputs.get(input)).ok_or_else(|| {
        let names: Vec<&str> = inputs
            .into_iter()
            .flat_map(Map::keys)
            .map(String::as_str)
            .collect();
        format!("node {node} has no input {input}; it has {}", names.join(", "))
    })
}

/// What is not declared follows from the value that the graph has there.
fn parameter(declared: &Declared, graph: &Value, value: &Value) -> Result<Parameter, String> {
    let class = graph[&declared.node]["class_type"].as_str().unwrap_or_default();
    let loads = class.starts_with("LoadImage") && declared.input == "image";
    let kind = match (&declared.kind, value) {
        (Some(kind), _) => kind.clone(),
        (None, Value::String(_)) if loads => "asset".to_owned(),
        (None, Value::String(_)) => "text".to_owned(),
        (None, Value::Bool(_)) => "boolean".to_owned(),
        (None, Value::Number(_)) if matches!(declared.input.as_str(), "seed" | "noise_seed") => {
            "seed".to_owned()
        }
        (None, Value::Number(number)) if number.is_f64() => "number".to_owned(),
        (None, Value::Number(_)) => "integer".to_owned(),
        (None, Value::Array(_)) => {
            return Err(format!(
                "{}.{} is the result of another node; name an input that has a value",
                declared.node, declared.input
            ));
        }
        (None, Value::Null | Value::Object(_)) => {
            return Err(format!(
                "{}.{} has no value to tell its type by; write it behind: {}={}.{}:TYPE",
                declared.node, declared.input, declared.name, declared.node, declared.input
            ));
        }
    };
    // a file of the machine where the graph was made is no default here
    let default = if kind == "asset" {
        String::new()
    } else {
        value.to_string()
    };
    Ok(Parameter {
        name: declared.name.clone(),
        r#type: kind,
        node: declared.node.clone(),
        input: declared.input.clone(),
        default,
        ..Parameter::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const GRAPH: &str = r#"{"3": {"class_type": "KSampler", "inputs": {"seed": 5, "steps": 20, "cfg": 7.5, "model": ["4", 0]}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lake"}},
        "9": {"class_type": "LoadImage", "inputs": {"image": "old.png"}}}"#;

    fn declared(params: &[&str]) -> DeclaredArguments {
        DeclaredArguments {
            param: params
                .iter()
                .map(|text| text.parse().expect("a declaration"))
                .collect(),
            ..DeclaredArguments::default()
        }
    }

    #[test]
    fn a_bare_graph_becomes_a_workflow_with_typed_parameters() {
        let declared = declared(&[
            "prompt=6.text",
            "noise=3.seed",
            "steps=3.steps",
            "cfg=3.cfg",
            "face=9.image",
            "count=3.steps:number",
        ]);
        let workflow = read(GRAPH, "g.json", "portrait", &declared).expect("a workflow");
        let told: Vec<_> = workflow
            .parameters
            .iter()
            .map(|one| (one.name.as_str(), one.r#type.as_str(), one.default.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("prompt", "text", "\"a lake\""),
                ("noise", "seed", "5"),
                ("steps", "integer", "20"),
                ("cfg", "number", "7.5"),
                ("face", "asset", ""),
                ("count", "number", "20"),
            ]
        );
        let sent = json(&workflow).expect("JSON");
        assert_eq!(sent["name"], "portrait");
        assert_eq!(sent["graph"]["6"]["inputs"]["text"], "a lake");
        assert_eq!(sent["parameters"][0]["default"], "a lake");
        assert_eq!(sent["parameters"][1]["default"], 5);
        assert!(sent["parameters"][4].get("default").is_none());
    }

    #[test]
    fn what_was_saved_can_be_stored_again() {
        let saved = json!({
            "name": "old", "title": "Old", "built_in": true, "revision": "7", "newer": 1,
            "graph": serde_json::from_str::<Value>(GRAPH).expect("JSON"),
            "parameters": [{"name": "steps", "type": "integer", "node": "3", "input": "steps", "default": 20}],
        });
        let workflow = read(&saved.to_string(), "w.json", "new", &declared(&[])).expect("a workflow");
        assert_eq!((workflow.name.as_str(), workflow.title.as_str()), ("new", "Old"));
        assert_eq!(workflow.parameters[0].default, "20");
        let sent = json(&workflow).expect("JSON");
        assert!(
            sent.get("revision").is_none() && sent.get("built_in").is_none(),
            "{sent}"
        );
    }

    #[test]
    fn a_parameter_that_goes_nowhere_is_told() {
        let wrong = declared(&["a=7.text", "b=6.txt", "c=3.model"]);
        let problem = read(GRAPH, "g.json", "x", &wrong).expect_err("faulty");
        let told: Vec<&str> = problem
            .faults
            .iter()
            .map(|fault| fault.message.as_str())
            .collect();
        assert_eq!(told[0], "the graph has no node 7; it has 3, 6, 9");
        assert_eq!(told[1], "node 6 has no input txt; it has text");
        assert!(told[2].contains("the result of another node"), "{told:?}");
        assert!(read(r#"{"nodes": []}"#, "g.json", "x", &declared(&[])).is_err());
        for text in ["a", "a=3", "=3.a", "a=3.", "a=3.seed:word"] {
            assert!(text.parse::<Declared>().is_err(), "{text}");
        }
    }
}
