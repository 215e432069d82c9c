//! What a ComfyUI would say to a graph, told before it is asked: its own validation, by its catalog.
//!
//! Never refuses what ComfyUI would take; where that cannot be known from a catalog, it passes.

mod values;

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::{
    fault, names,
    plan::{Plan, Source},
    structure::{inputs, link},
};
use values::{goes_into, is_dynamic, number, whole};

use crate::{
    request::Fault,
    v1::{Catalog, NodeClass, NodeInput},
};

/// Most allowed names that are told.
const SAMPLE: usize = 5;
/// Most of a refused value that is told, in characters.
const MAX_VALUE_CHARS: usize = 200;
/// Most rejections that are told.
const MAX_REJECTED: usize = 50;

/// Something that ComfyUI would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Id of the node; empty where the graph as a whole is refused.
    pub node: String,
    /// Its class.
    pub class: String,
    /// Which of its inputs, where it is about one.
    pub input: Option<String>,
    /// In which way.
    pub kind: RejectedKind,
    /// One sentence for a person, without the place.
    pub message: String,
    /// The name that was probably meant.
    pub nearest: Option<String>,
    /// Some of what is allowed instead.
    pub allowed_sample: Vec<String>,
}

/// In which way a graph cannot be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectedKind {
    /// There is no such class of nodes.
    NodeUnknown,
    /// The value is none of the possible ones: a file that is not there, a sampler with another name.
    NotInList,
    /// The number is too small.
    BelowMin,
    /// The number is too large.
    AboveMax,
    /// The value cannot be made one of the input's type.
    WrongType,
    /// A required input is absent.
    Missing,
    /// The link comes from an output of another type, or from one that does not exist.
    LinkType,
    /// No node writes anything down.
    NoOutput,
}

/// All that ComfyUI would refuse. Unknown classes come first; they are refused wherever they are, the rest
/// only in nodes on which an output depends.
pub fn check(graph: &Value, catalog: &Catalog) -> Vec<Rejected> {
    let Some(nodes) = graph.as_object() else {
        return Vec::new();
    };
    let classes: HashMap<&str, &NodeClass> = catalog
        .classes
        .iter()
        .map(|class| (class.name.as_str(), class))
        .collect();
    let mut rejected = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for (id, node) in nodes {
        match classes.get(class_of(node)) {
            None => rejected.push(unknown_class(id, node, catalog)),
            Some(class) if class.output_node => open.push(id),
            Some(_) => {}
        }
        if rejected.len() >= MAX_REJECTED {
            return rejected;
        }
    }
    if open.is_empty() && rejected.is_empty() {
        return vec![no_output()];
    }
    open.reverse();
    let mut seen: HashSet<&str> = open.iter().copied().collect();
    while let Some(id) = open.pop() {
        let Some(node) = nodes.get(id) else {
            continue;
        };
        if let Some(class) = classes.get(class_of(node)) {
            let place = Place { id, class };
            let output = |from: &str, slot: u64| -> Option<Output<'_>> {
                let class = classes.get(class_of(nodes.get(from)?))?;
                Some(
                    match usize::try_from(slot)
                        .ok()
                        .and_then(|slot| class.outputs.get(slot))
                    {
                        Some(of_type) => Output::Type(of_type),
                        None => Output::None(class.outputs.len()),
                    },
                )
            };
            for input in &class.inputs {
                let value = node.get("inputs").and_then(|inputs| inputs.get(&input.name));
                rejected.extend(place.judge(input, value, &output));
            }
        }
        for (from, _) in inputs(node).filter_map(|(_, value)| link(value)) {
            if seen.insert(from) {
                open.push(from);
            }
        }
        if rejected.len() >= MAX_REJECTED {
            rejected.truncate(MAX_REJECTED);
            break;
        }
    }
    rejected
}

/// The faults of a request whose plan was refused.
pub fn request_faults(plan: &Plan, rejected: &[Rejected]) -> Vec<Fault> {
    rejected
        .iter()
        .map(|one| {
            let pointer = plan.pointer(&one.node, one.input.as_deref());
            let message = match (plan.source, &one.input) {
                (Source::Caller, Some(input)) if !one.node.is_empty() => {
                    format!(
                        "node {} ({}), input {input}: {}",
                        one.node, one.class, one.message
                    )
                }
                (Source::Caller, None) if !one.node.is_empty() => {
                    format!("node {}: {}", one.node, one.message)
                }
                (Source::Caller | Source::Template, _) => one.message.clone(),
            };
            fault(pointer, message)
        })
        .collect()
}

/// What a link brings.
enum Output<'a> {
    Type(&'a str),
    /// The node has only so many outputs.
    None(usize),
}

/// A node with its class.
struct Place<'a> {
    id: &'a str,
    class: &'a NodeClass,
}

impl Place<'_> {
    fn reject(&self, input: &NodeInput, kind: RejectedKind, message: String) -> Rejected {
        Rejected {
            node: self.id.to_owned(),
            class: self.class.name.clone(),
            input: Some(input.name.clone()),
            kind,
            message,
            nearest: None,
            allowed_sample: Vec::new(),
        }
    }

    fn judge<'a>(
        &self,
        input: &NodeInput,
        value: Option<&Value>,
        output: &impl Fn(&str, u64) -> Option<Output<'a>>,
    ) -> Option<Rejected> {
        let Some(value) = value else {
            let absent = input.required && !is_dynamic(input);
            return absent.then(|| {
                let message = format!("the input {} is missing", input.name);
                self.reject(input, RejectedKind::Missing, message)
            });
        };
        if let Value::Array(_) = value {
            let (from, slot) = link(value)?;
            return self.judge_link(input, from, slot, &output(from, slot)?);
        }
        let value = match value {
            Value::Object(fields) => fields.get("__value__").unwrap_or(value),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => value,
        };
        if input.open || is_reference(value) {
            return None;
        }
        match input.r#type.as_str() {
            "INT" => self.judge_number(input, value, whole(value)),
            "FLOAT" => self.judge_number(input, value, number(value)),
            "COMBO" => self.judge_choice(input, value),
            _ => None,
        }
    }

    fn judge_link(&self, input: &NodeInput, from: &str, slot: u64, output: &Output<'_>) -> Option<Rejected> {
        let message = match output {
            Output::None(0) => format!("node {from} has no outputs"),
            Output::None(count) => {
                format!("node {from} has no output {slot}; its last one is {}", count - 1)
            }
            Output::Type(given) if !goes_into(given, &input.r#type) => format!(
                "takes {} but output {slot} of node {from} is {given}",
                input.r#type
            ),
            Output::Type(_) => return None,
        };
        Some(self.reject(input, RejectedKind::LinkType, message))
    }

    fn judge_number(&self, input: &NodeInput, value: &Value, number: Option<f64>) -> Option<Rejected> {
        let Some(number) = number else {
            let kind = if input.r#type == "INT" {
                "a whole number"
            } else {
                "a number"
            };
            let message = format!("{} is not {kind}", shown(value));
            return Some(self.reject(input, RejectedKind::WrongType, message));
        };
        if let Some(min) = input.min.filter(|min| number < *min) {
            let message = format!("{number} is less than {min}, the least that is possible");
            return Some(self.reject(input, RejectedKind::BelowMin, message));
        }
        if let Some(max) = input.max.filter(|max| number > *max) {
            let message = format!("{number} is more than {max}, the most that is possible");
            return Some(self.reject(input, RejectedKind::AboveMax, message));
        }
        None
    }

    fn judge_choice(&self, input: &NodeInput, value: &Value) -> Option<Rejected> {
        let text = match value {
            Value::String(text) => text.clone(),
            // what is no text in Python's list is told as text here
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            // some choices take several at once
            Value::Array(_) | Value::Object(_) => return None,
            Value::Null => String::new(),
        };
        let same =
            |option: &String| *option == text || (!value.is_string() && option.eq_ignore_ascii_case(&text));
        if input.options.iter().any(same) {
            return None;
        }
        let options: Vec<&str> = input.options.iter().map(String::as_str).collect();
        let nearest = names::nearest(&text, &options);
        let is_file = names::is_model(Some(&self.class.name), &input.name, &text);
        let said = if is_file {
            "ComfyUI has no file"
        } else {
            "there is no"
        };
        let hint = match nearest {
            Some(name) => format!("; the nearest name is {name:?}"),
            None if options.is_empty() => "; it lists none of this kind".to_owned(),
            None => format!("; there is {}", listed(&options)),
        };
        let mut rejected = self.reject(
            input,
            RejectedKind::NotInList,
            format!("{said} {}{hint}", shown(value)),
        );
        rejected.nearest = nearest.map(str::to_owned);
        rejected.allowed_sample = options.iter().take(SAMPLE).map(ToString::to_string).collect();
        Some(rejected)
    }
}

fn class_of(node: &Value) -> &str {
    node.get("class_type").and_then(Value::as_str).unwrap_or_default()
}

fn unknown_class(id: &str, node: &Value, catalog: &Catalog) -> Rejected {
    let class = class_of(node);
    let all: Vec<&str> = catalog.classes.iter().map(|class| class.name.as_str()).collect();
    let nearest = names::nearest_class(class, &all);
    let hint = nearest.map(|name| format!("; the nearest name is {name:?}"));
    Rejected {
        node: id.to_owned(),
        class: class.to_owned(),
        input: None,
        kind: RejectedKind::NodeUnknown,
        message: format!(
            "ComfyUI has no class of nodes {class:?}{}",
            hint.unwrap_or_else(|| "; it may come from an extension that is not installed".to_owned())
        ),
        nearest: nearest.map(str::to_owned),
        allowed_sample: Vec::new(),
    }
}

fn no_output() -> Rejected {
    Rejected {
        node: String::new(),
        class: String::new(),
        input: None,
        kind: RejectedKind::NoOutput,
        message: "the graph writes nothing down; add a node such as SaveImage".to_owned(),
        nearest: None,
        allowed_sample: Vec::new(),
    }
}

/// Several names for people.
fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .take(SAMPLE)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = if names.len() > SAMPLE { " and others" } else { "" };
    format!("{}{more}", quoted.join(", "))
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => format!("{text:?}"),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    if text.chars().count() <= MAX_VALUE_CHARS {
        return text;
    }
    let short: String = text.chars().take(MAX_VALUE_CHARS).collect();
    format!("{short}…")
}

/// It is replaced by the name of a file before ComfyUI sees it.
fn is_reference(value: &Value) -> bool {
    let text = value.as_str();
    text.is_some_and(|text| crate::ids::InputId::from_reference(text).is_some())
}

#[cfg(test)]
mod tests;
