//! Whether a text is a graph in ComfyUI's API format at all: nodes, links, loops, sizes. In linear time.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{escaped, fault};
use crate::{ids::InputId, request::Fault};

/// Most nodes of a graph.
pub const MAX_NODES: usize = 5_000;
/// Most faults that are told of one graph.
pub const MAX_FAULTS: usize = 50;
/// How deep lists and objects may lie in each other in one input.
const MAX_DEPTH: usize = 32;
/// Most values in the lists and objects of one input.
const MAX_VALUES: usize = 20_000;
/// Longest node id and class name, in bytes.
const MAX_NAME_BYTES: usize = 200;
/// Most nodes of a loop that are named.
const MAX_NAMED: usize = 8;
/// What lies beside the nodes in a file of ComfyUI's editor.
const EDITOR_KEYS: &[&str] = &["last_node_id", "last_link_id", "revision", "version", "id"];

/// The graph in a text. `at` is the pointer of the field that holds it.
///
/// # Errors
/// What is wrong with it, each with a pointer below `at`.
pub fn parse(text: &str, at: &str) -> Result<Value, Vec<Fault>> {
    let graph = serde_json::from_str(text)
        .map_err(|error| vec![fault(at, format!("the graph is not valid JSON: {error}"))])?;
    let faults = check(&graph, at);
    if faults.is_empty() { Ok(graph) } else { Err(faults) }
}

/// What is wrong with the form of a graph; at most [`MAX_FAULTS`] and one more that counts the rest.
pub fn check(graph: &Value, at: &str) -> Vec<Fault> {
    let Value::Object(nodes) = graph else {
        return vec![fault(at, "the graph is not a JSON object of nodes")];
    };
    if let Some(fault) = other_format(nodes, at) {
        return vec![fault];
    }
    if nodes.is_empty() {
        return vec![fault(at, "has no nodes")];
    }
    if nodes.len() > MAX_NODES {
        let message = format!("has {} nodes, at most {MAX_NODES} are possible", nodes.len());
        return vec![fault(at, message)];
    }
    let mut faults = Vec::new();
    for (id, node) in nodes {
        check_node(nodes, id, node, at, &mut faults);
    }
    if let Some(looping) = cycle(nodes) {
        faults.push(loop_fault(&looping, at));
    }
    capped(faults, at)
}

fn capped(mut faults: Vec<Fault>, at: &str) -> Vec<Fault> {
    if faults.len() > MAX_FAULTS {
        let more = faults.len() - MAX_FAULTS;
        faults.truncate(MAX_FAULTS);
        faults.push(fault(at, format!("and {more} more faults")));
    }
    faults
}

fn other_format(nodes: &Map<String, Value>, at: &str) -> Option<Fault> {
    let beside = |key: &&str| nodes.get(*key).is_some_and(|value| !value.is_object());
    if nodes.get("nodes").is_some_and(Value::is_array) || EDITOR_KEYS.iter().any(beside) {
        let message = "is in the format of ComfyUI's editor; export it with \"Export (API)\"";
        return Some(fault(at, message));
    }
    let inner = nodes.get("prompt").and_then(Value::as_object)?;
    let is_node = inner.contains_key("class_type") || inner.contains_key("inputs");
    (!is_node).then(|| {
        let message = "is the body of a request to ComfyUI; the graph is what stands under its `prompt`";
        fault(at, message)
    })
}

fn check_node(nodes: &Map<String, Value>, id: &str, node: &Value, at: &str, faults: &mut Vec<Fault>) {
    let at = format!("{at}/{}", escaped(id));
    if id.len() > MAX_NAME_BYTES {
        let short = format!(
            "the id of a node has {} bytes, at most {MAX_NAME_BYTES} are possible",
            id.len()
        );
        // its own pointer would be as long
        return faults.push(fault(at.chars().take(MAX_NAME_BYTES).collect::<String>(), short));
    }
    if !node.is_object() {
        return faults.push(fault(
            at,
            "a node must be an object with `class_type` and `inputs`",
        ));
    }
    match node.get("class_type").and_then(Value::as_str) {
        Some(class) if class.len() > MAX_NAME_BYTES => {
            let message = format!("has more than {MAX_NAME_BYTES} bytes");
            faults.push(fault(format!("{at}/class_type"), message));
        }
        Some(class) if !class.is_empty() => {}
        Some(_) | None => faults.push(fault(
            format!("{at}/class_type"),
            "every node needs a class_type, which is a text",
        )),
    }
    let Some(inputs) = node.get("inputs").and_then(Value::as_object) else {
        return faults.push(fault(
            format!("{at}/inputs"),
            "every node needs an object `inputs`",
        ));
    };
    for (name, value) in inputs {
        if let Err(message) = check_input(nodes, value) {
            faults.push(fault(format!("{at}/inputs/{}", escaped(name)), message));
        }
    }
}

fn check_input(nodes: &Map<String, Value>, value: &Value) -> Result<(), String> {
    let Value::Array(items) = value else {
        return check_value(value);
    };
    match items.as_slice() {
        [Value::String(from), Value::Number(slot)] if slot.is_u64() => {
            if nodes.contains_key(from) {
                Ok(())
            } else {
                Err(format!("is a link to node {from:?}, which is not in the graph"))
            }
        }
        [Value::Number(from), Value::Number(_)] => Err(format!(
            "a link names its node with a text: write [\"{from}\", …]; if a list is meant, write \
             {{\"__value__\": […]}}"
        )),
        _ => Err(
            "a list must be a link [\"<node id>\", <output number>]; if a list is meant, write \
             {\"__value__\": […]}"
                .to_owned(),
        ),
    }
}

/// Looks at all that lies in a value, without going into itself.
fn check_value(value: &Value) -> Result<(), String> {
    let mut open = vec![(value, 0)];
    let mut seen = 0;
    while let Some((value, depth)) = open.pop() {
        seen += 1;
        if seen > MAX_VALUES {
            return Err(format!("has more than {MAX_VALUES} values in it"));
        }
        if depth > MAX_DEPTH {
            return Err(format!(
                "has lists and objects in each other {MAX_DEPTH} deep and deeper"
            ));
        }
        match value {
            Value::String(text) => {
                if let Some(Err(error)) = InputId::from_reference(text) {
                    return Err(error.to_string());
                }
            }
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|field| (field, depth + 1))),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Ok(())
}

/// The node that an input's value is a link to.
pub(super) fn link(value: &Value) -> Option<(&str, u64)> {
    match value.as_array()?.as_slice() {
        [Value::String(from), slot] => Some((from, slot.as_u64()?)),
        _ => None,
    }
}

/// The inputs of a node by name.
pub(super) fn inputs(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    node.get("inputs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// The nodes of one loop, in the order of their links; `None` where there is no loop.
fn cycle(nodes: &Map<String, Value>) -> Option<Vec<&str>> {
    // whoever waits for nobody is done, and so on; who is left waits for a loop
    let mut waits: HashMap<&str, usize> = HashMap::with_capacity(nodes.len());
    let mut takers: HashMap<&str, Vec<&str>> = HashMap::new();
    for (id, node) in nodes {
        let links = inputs(node).filter_map(|(_, value)| link(value));
        let mut count = 0;
        for (from, _) in links.filter(|(from, _)| nodes.contains_key(*from)) {
            takers.entry(from).or_default().push(id);
            count += 1;
        }
        waits.insert(id, count);
    }
    let mut done: Vec<&str> = waits
        .iter()
        .filter(|(_, count)| **count == 0)
        .map(|(id, _)| *id)
        .collect();
    while let Some(id) = done.pop() {
        waits.remove(id);
        for taker in takers.get(id).into_iter().flatten() {
            if let Some(count) = waits.get_mut(taker) {
                *count -= 1;
                if *count == 0 {
                    done.push(taker);
                }
            }
        }
    }
    let first = nodes.keys().find(|id| waits.contains_key(id.as_str()))?;
    let mut path: Vec<&str> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut here = first.as_str();
    loop {
        if let Some(place) = places.get(here) {
            let mut looping = path.split_off(*place);
            looping.reverse();
            return Some(looping);
        }
        places.insert(here, path.len());
        path.push(here);
        here = inputs(nodes.get(here)?)
            .filter_map(|(_, value)| link(value))
            .map(|(from, _)| from)
            .find(|from| waits.contains_key(from))?;
    }
}

fn loop_fault(looping: &[&str], at: &str) -> Fault {
    let first = looping.first().copied().unwrap_or_default();
    let shown = looping.iter().take(MAX_NAMED).chain(
        // back to where it began
        (looping.len() <= MAX_NAMED).then_some(&first),
    );
    let mut way: Vec<&str> = shown.copied().collect();
    let more = format!("… ({} nodes)", looping.len());
    if looping.len() > MAX_NAMED {
        way.push(&more);
    }
    let message = format!("the links make a loop: {}", way.join(" → "));
    fault(format!("{at}/{}", escaped(first)), message)
}

#[cfg(test)]
pub(super) mod tests;
