//! What is posted: the graph of a request, with the names of files that only the worker knows. Pure.

use std::collections::HashMap;

use proto::{
    comfyui::{self, Plan},
    failure::FailureCode,
    ids::InputId,
    request::Fault,
    v1::{ComfyUiRequest, Failure},
};
use serde_json::Value;

/// Most faults of a request that a message tells.
const MAX_TOLD: usize = 5;

/// The plan for a request. `tag` goes into the names of the files that ComfyUI writes, so that a run whose
/// results are all cached cannot point at the file of an earlier run, which may be gone.
pub(super) fn plan(request: &ComfyUiRequest, tag: &str) -> Result<Plan, Failure> {
    let mut plan = comfyui::plan(request).map_err(|faults| unusable(&faults))?;
    tag_files(&mut plan.graph, tag);
    Ok(plan)
}

/// A request that no gateway of this version would have taken.
fn unusable(faults: &[Fault]) -> Failure {
    let mut told: Vec<String> = faults
        .iter()
        .take(MAX_TOLD)
        .map(|fault| format!("{}: {}", fault.pointer, fault.message))
        .collect();
    if faults.len() > MAX_TOLD {
        told.push(format!("and {} more", faults.len() - MAX_TOLD));
    }
    Failure {
        pointer: faults
            .first()
            .map(|fault| fault.pointer.clone())
            .unwrap_or_default(),
        ..FailureCode::ComfyuiRejected.failure(told.join("; "))
    }
}

fn tag_files(graph: &mut Value, tag: &str) {
    for inputs in inputs(graph) {
        if let Some(Value::String(prefix)) = inputs.get_mut("filename_prefix") {
            prefix.push('-');
            prefix.push_str(tag);
        }
    }
}

/// Puts the names that ComfyUI gave the files in place of `asset:<id>` and `artifact:<id>`.
pub(super) fn put_files(graph: &mut Value, names: &HashMap<InputId, String>) {
    for inputs in inputs(graph) {
        for value in inputs.values_mut() {
            each_text(value, &mut |text| {
                if let Some(Ok(input)) = InputId::from_reference(text)
                    && let Some(name) = names.get(&input)
                {
                    text.clone_from(name);
                }
            });
        }
    }
}

fn inputs(graph: &mut Value) -> impl Iterator<Item = &mut serde_json::Map<String, Value>> {
    let nodes = graph.as_object_mut().into_iter().flatten();
    nodes.filter_map(|(_, node)| node.get_mut("inputs")?.as_object_mut())
}

fn each_text(value: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, visit)),
        Value::Object(fields) => fields.values_mut().for_each(|field| each_text(field, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use proto::ids::AssetId;
    use serde_json::json;

    use super::*;

    fn of_graph(graph: &Value) -> Result<Plan, Failure> {
        let request = ComfyUiRequest {
            graph: graph.to_string(),
            ..ComfyUiRequest::default()
        };
        plan(&request, "t1")
    }

    #[test]
    fn files_are_tagged_and_inputs_replaced_wherever_they_are() {
        let asset = InputId::Asset(AssetId::from_sha256(&[7; 32]));
        let reference = asset.to_string();
        let result = "artifact:0198f3a2-0000-7000-8000-000000000001-1-0";
        let graph = json!({
            "1": {"class_type": "LoadImage", "inputs": {"image": reference}},
            "2": {"class_type": "Many", "inputs": {
                "list": {"__value__": [{"file": reference}]}, "text": "asset", "other": result,
            }},
            "3": {"class_type": "SaveVideo", "inputs": {"filename_prefix": "video/%date%"}},
            "4": {"class_type": "SaveImage", "inputs": {"filename_prefix": ["2", 0]}},
        });
        let mut plan = of_graph(&graph).expect("a plan");
        let result: InputId = result.parse().expect("a reference");
        assert_eq!(plan.inputs, [result.clone(), asset.clone()]);
        assert_eq!(plan.graph["3"]["inputs"]["filename_prefix"], "video/%date%-t1");
        assert_eq!(plan.graph["4"], graph["4"]);
        let names = [(asset, "a (1).png".to_owned()), (result, "b.png".to_owned())];
        put_files(&mut plan.graph, &HashMap::from(names));
        assert_eq!(plan.graph["1"]["inputs"]["image"], "a (1).png");
        assert_eq!(
            plan.graph["2"]["inputs"]["list"]["__value__"][0]["file"],
            "a (1).png"
        );
        assert_eq!(plan.graph["2"]["inputs"]["other"], "b.png");
        assert_eq!(plan.graph["2"]["inputs"]["text"], "asset");
    }

    #[test]
    fn what_is_no_graph_is_refused_with_its_place() {
        let request = |graph: &str| ComfyUiRequest {
            graph: graph.to_owned(),
            ..ComfyUiRequest::default()
        };
        for graph in ["[]", "{", "3"] {
            let failure = plan(&request(graph), "t").expect_err("refused");
            assert_eq!(
                (failure.code.as_str(), failure.pointer.as_str()),
                ("comfyui_rejected", "/comfyui/graph")
            );
        }
        let graph = json!({"a/b": {"class_type": "A", "inputs": {"x": "asset:nonsense"}}});
        let failure = of_graph(&graph).expect_err("refused");
        assert_eq!(failure.pointer, "/comfyui/graph/a~1b/inputs/x");
        assert!(failure.message.contains("asset id"), "{}", failure.message);
    }
}
