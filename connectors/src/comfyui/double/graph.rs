//! Reading a graph: links, order of execution, signatures; and the classes that the double knows. Pure.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Value, json};

use super::models::Models;

/// The classes, as a live server described them.
const OBJECT_INFO: &str = include_str!("object_info.json");

/// The answer of `/object_info`.
#[derive(Debug)]
pub(super) struct ObjectInfoJson(pub(super) Value);

impl ObjectInfoJson {
    pub(super) fn with_files(models: &Models, inputs: &[String]) -> Self {
        let mut info: Value = serde_json::from_str(OBJECT_INFO).expect("the built-in description is JSON");
        models.fill(&mut info);
        for class in ["LoadImage", "LoadImageMask"] {
            info[class]["input"]["required"]["image"][0] = json!(inputs);
        }
        Self(info)
    }

    pub(super) fn class(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn is_output(&self, class: &str) -> bool {
        self.class(class)
            .and_then(|class| class.get("output_node"))
            .and_then(Value::as_bool)
            == Some(true)
    }
}

/// A link in an input: the node and its slot.
pub(super) fn link(input: &Value) -> Option<(&str, usize)> {
    match input.as_array()?.as_slice() {
        [node, slot] => Some((node.as_str()?, slot.as_u64()? as usize)),
        _ => None,
    }
}

pub(super) fn class_of(graph: &Value, id: &str) -> String {
    graph[id]["class_type"].as_str().unwrap_or_default().to_owned()
}

/// The nodes that a node takes from.
pub(super) fn sources<'a>(graph: &'a Value, id: &str) -> Vec<&'a str> {
    let inputs = graph
        .get(id)
        .and_then(|node| node.get("inputs"))
        .and_then(Value::as_object);
    inputs
        .into_iter()
        .flatten()
        .filter_map(|(_, input)| Some(link(input)?.0))
        .collect()
}

/// The nodes that run for these outputs, each after what it takes from. The graph must have no cycle.
pub(super) fn order(graph: &Value, outputs: &[String]) -> Vec<String> {
    fn visit(graph: &Value, id: &str, seen: &mut HashSet<String>, order: &mut Vec<String>) {
        if seen.insert(id.to_owned()) {
            for source in sources(graph, id) {
                visit(graph, source, seen, order);
            }
            order.push(id.to_owned());
        }
    }
    let (mut seen, mut order) = (HashSet::new(), Vec::new());
    for id in outputs {
        visit(graph, id, &mut seen, &mut order);
    }
    order
}

/// What the cache knows a node by: its class and inputs, with those that it takes from; not its id.
pub(super) fn signatures(graph: &Value, order: &[String]) -> BTreeMap<String, u64> {
    let mut signatures = BTreeMap::new();
    for id in order {
        let mut hash = DefaultHasher::new();
        class_of(graph, id).hash(&mut hash);
        for (name, input) in graph[id]["inputs"].as_object().into_iter().flatten() {
            name.hash(&mut hash);
            match link(input) {
                Some((source, slot)) => (signatures.get(source), slot).hash(&mut hash),
                None => input.to_string().hash(&mut hash),
            }
        }
        signatures.insert(id.clone(), hash.finish());
    }
    signatures
}

/// The steps of a sampler node; `None` for others.
pub(super) fn sampler_steps(graph: &Value, id: &str) -> Option<u64> {
    let class = class_of(graph, id);
    if !class.starts_with("KSampler") {
        return None;
    }
    let inputs = &graph[id]["inputs"];
    let number = |name: &str| {
        let value = &inputs[name];
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    };
    let steps = number("steps").unwrap_or(20);
    if class != "KSamplerAdvanced" {
        return Some(steps);
    }
    let end = number("end_at_step").unwrap_or(steps).min(steps);
    Some(end.saturating_sub(number("start_at_step").unwrap_or(0)))
}

/// Whether a class computes on the device, which a broken device then spoils.
pub(super) fn needs_device(class: &str) -> bool {
    [
        "KSampler",
        "SamplerCustom",
        "CLIPTextEncode",
        "VAE",
        "ImageUpscaleWithModel",
    ]
    .iter()
    .any(|start| class.starts_with(start) && !class.ends_with("Loader"))
}
