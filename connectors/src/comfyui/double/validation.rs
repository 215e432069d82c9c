//! What the server checks before it queues a graph, with its own words. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::graph::{ObjectInfoJson, class_of, link, sources};

/// A graph that may run.
pub(super) struct Valid {
    /// The output nodes that will run.
    pub(super) outputs: Vec<String>,
    /// What is wrong with those that will not.
    pub(super) node_errors: Value,
}

/// Checks a graph; the error is the body of the 400 answer. `has_input` says whether a picture was uploaded.
pub(super) fn validate(
    graph: &Value,
    info: &ObjectInfoJson,
    has_input: &dyn Fn(&str) -> bool,
) -> Result<Valid, Value> {
    for (id, node) in graph.as_object().into_iter().flatten() {
        let class = node.get("class_type").and_then(Value::as_str);
        if class.is_none_or(|class| info.class(class).is_none()) {
            return Err(missing_class(id, node, class));
        }
    }
    let ids = graph.as_object().into_iter().flatten().map(|(id, _)| id);
    let outputs: Vec<&String> = ids.filter(|id| info.is_output(&class_of(graph, id))).collect();
    if outputs.is_empty() {
        return Err(refusal(
            "prompt_no_outputs",
            "Prompt has no outputs",
            "",
            &json!({}),
        ));
    }
    let faults = Faults {
        graph,
        info,
        has_input,
    };
    let mut nodes: BTreeMap<String, FaultyNode> = BTreeMap::new();
    let mut good = Vec::new();
    for output in outputs {
        let faulty = faults.upstream_of(output);
        if faulty.is_empty() {
            good.push(output.clone());
        }
        for (id, errors) in faulty {
            let node = nodes.entry(id).or_default();
            node.errors = errors;
            node.dependents.push(output.clone());
        }
    }
    let json_of = |(id, node): (&String, &FaultyNode)| (id.clone(), node.json(&class_of(graph, id)));
    let node_errors = Value::Object(nodes.iter().map(json_of).collect::<Map<_, _>>());
    if good.is_empty() {
        let own = nodes
            .iter()
            .filter(|(id, _)| info.is_output(&class_of(graph, id)));
        let own: Vec<String> = own.flat_map(|(_, node)| &node.errors).map(in_words).collect();
        let message = "Prompt outputs failed validation";
        let mut body = refusal(
            "prompt_outputs_failed_validation",
            message,
            &own.join("\n"),
            &json!({}),
        );
        body["node_errors"] = node_errors;
        return Err(body);
    }
    Ok(Valid {
        outputs: good,
        node_errors,
    })
}

/// What is wrong with a node, and which outputs that spoils.
#[derive(Default)]
struct FaultyNode {
    errors: Vec<Value>,
    dependents: Vec<String>,
}

impl FaultyNode {
    fn json(&self, class: &str) -> Value {
        json!({"errors": self.errors, "dependent_outputs": self.dependents, "class_type": class})
    }
}

/// The body of a 400 answer.
pub(super) fn refusal(kind: &str, message: &str, details: &str, extra_info: &Value) -> Value {
    let error = json!({"type": kind, "message": message, "details": details, "extra_info": extra_info});
    json!({"error": error, "node_errors": {}})
}

/// The same refusal as v0.3.64 words it: less is said about an unknown class, and nothing about a cycle.
pub(super) fn in_old_words(mut refused: Value) -> Value {
    if refused["error"]["type"] == "missing_node_type" {
        let class = refused["error"]["extra_info"]["class_type"]
            .as_str()
            .unwrap_or_default();
        refused["error"]["message"] = json!(format!("Cannot execute because node {class} does not exist."));
        refused["error"]["type"] = json!("invalid_prompt");
        refused["error"]["extra_info"] = json!({});
    }
    let nodes = refused["node_errors"].as_object_mut();
    if let Some(nodes) = nodes {
        nodes.retain(|_, node| {
            let errors = node["errors"].as_array();
            errors.is_none_or(|errors| errors.iter().any(|error| error["type"] != "dependency_cycle"))
        });
    }
    refused
}

fn missing_class(id: &str, node: &Value, class: Option<&str>) -> Value {
    let title = node.pointer("/_meta/title").and_then(Value::as_str).or(class);
    let message = match title {
        Some(title) => format!("Node '{title}' not found. The custom node may not be installed."),
        None => format!(
            "Node 'ID #{id}' has no class_type. The workflow may be corrupted or a custom node is missing."
        ),
    };
    let extra = json!({"node_id": id, "class_type": class, "node_title": title});
    refusal("missing_node_type", &message, &format!("Node ID '#{id}'"), &extra)
}

/// All that an output takes from, itself included, and those of them that lie on a cycle.
fn upstream(graph: &Value, output: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let reach = |from: &str| {
        let mut reached = BTreeSet::new();
        let mut todo: Vec<String> = vec![from.to_owned()];
        while let Some(id) = todo.pop() {
            for source in sources(graph, &id) {
                if graph.get(source).is_some() && reached.insert(source.to_owned()) {
                    todo.push(source.to_owned());
                }
            }
        }
        reached
    };
    let mut reached = reach(output);
    reached.insert(output.to_owned());
    let cycle = reached
        .iter()
        .filter(|id| reach(id).contains(*id))
        .cloned()
        .collect();
    (reached, cycle)
}

fn cycle_error(graph: &Value, id: &str, cycle: &BTreeSet<String>) -> Value {
    let path: Vec<String> = cycle
        .iter()
        .map(|id| format!("{id} ({})", class_of(graph, id)))
        .collect();
    let extra = json!({"node_id": id, "cycle_nodes": cycle});
    fault(
        "dependency_cycle",
        "Dependency cycle detected",
        &path.join(" -> "),
        &extra,
    )
}

fn fault(kind: &str, message: &str, details: &str, extra_info: &Value) -> Value {
    json!({"type": kind, "message": message, "details": details, "extra_info": extra_info})
}

fn in_words(fault: &Value) -> String {
    let text = |key: &str| fault[key].as_str().unwrap_or_default();
    format!("{}: {}", text("message"), text("details"))
}

struct Faults<'a> {
    graph: &'a Value,
    info: &'a ObjectInfoJson,
    has_input: &'a dyn Fn(&str) -> bool,
}

impl Faults<'_> {
    /// The faulty nodes among those that an output takes from, itself included.
    fn upstream_of(&self, output: &str) -> Vec<(String, Vec<Value>)> {
        let (reached, cycle) = upstream(self.graph, output);
        let errors = |id: String| {
            let on_cycle = cycle.contains(&id);
            let errors = if on_cycle {
                vec![cycle_error(self.graph, &id, &cycle)]
            } else {
                self.of(&id)
            };
            (id, errors)
        };
        reached
            .into_iter()
            .map(errors)
            .filter(|(_, errors)| !errors.is_empty())
            .collect()
    }

    /// What is wrong with the inputs of one node.
    fn of(&self, id: &str) -> Vec<Value> {
        let class = class_of(self.graph, id);
        let required = self
            .info
            .class(&class)
            .and_then(|class| class["input"]["required"].as_object());
        let inputs = &self.graph[id]["inputs"];
        let checks = required
            .into_iter()
            .flatten()
            .filter_map(|(name, config)| match inputs.get(name) {
                None => {
                    let extra = json!({"input_name": name});
                    Some(fault(
                        "required_input_missing",
                        "Required input is missing",
                        name,
                        &extra,
                    ))
                }
                Some(value) => self.given_fault(&class, name, config, value),
            });
        let optional = self
            .info
            .class(&class)
            .and_then(|class| class["input"]["optional"].as_object());
        let given = optional.into_iter().flatten();
        let given =
            given.filter_map(|(name, config)| self.given_fault(&class, name, config, inputs.get(name)?));
        checks.chain(given).collect()
    }

    fn given_fault(&self, class: &str, name: &str, config: &Value, value: &Value) -> Option<Value> {
        if value.is_array() {
            self.link_fault(name, config, value)
        } else if class.starts_with("LoadImage") && name == "image" {
            self.picture_fault(name, value)
        } else {
            value_fault(name, config, value)
        }
    }

    fn link_fault(&self, name: &str, config: &Value, value: &Value) -> Option<Value> {
        let extra = |rest: Value| {
            let mut extra = json!({"input_name": name, "input_config": config});
            if let (Some(extra), Value::Object(rest)) = (extra.as_object_mut(), rest) {
                extra.extend(rest);
            }
            extra
        };
        let Some((source, slot)) = link(value) else {
            let message = "Bad linked input, must be a length-2 list of [node_id, slot_index]";
            return Some(fault(
                "bad_linked_input",
                message,
                name,
                &extra(json!({"received_value": value})),
            ));
        };
        let raised = |kind: &str, words: &str| {
            let extra = json!({"exception_type": kind, "traceback": []});
            Some(fault(
                "exception_during_validation",
                "Exception when validating node",
                words,
                &extra,
            ))
        };
        if self.graph.get(source).is_none() {
            return raised("KeyError", &format!("'{source}'"));
        }
        let outputs = self
            .info
            .class(&class_of(self.graph, source))
            .map(|class| &class["output"]);
        let Some(received) = outputs
            .and_then(|outputs| outputs.get(slot))
            .and_then(Value::as_str)
        else {
            return raised("IndexError", "tuple index out of range");
        };
        let wanted = config[0].as_str().unwrap_or("COMBO");
        if received == wanted {
            return None;
        }
        let details = format!("{name}, received_type({received}) mismatch input_type({wanted})");
        let extra = extra(json!({"received_type": received, "linked_node": value}));
        Some(fault(
            "return_type_mismatch",
            "Return type mismatch between linked nodes",
            &details,
            &extra,
        ))
    }

    fn picture_fault(&self, name: &str, value: &Value) -> Option<Value> {
        let file = value.as_str().unwrap_or_default();
        if (self.has_input)(file) {
            return None;
        }
        let details = format!("{name} - Invalid image file: {file}");
        let extra = json!({"input_name": name});
        Some(fault(
            "custom_validation_failed",
            "Custom validation failed for node",
            &details,
            &extra,
        ))
    }
}

fn value_fault(name: &str, config: &Value, value: &Value) -> Option<Value> {
    let extra = json!({"input_name": name, "input_config": config, "received_value": value});
    let options = match &config[0] {
        Value::Array(options) => Some(options),
        Value::String(kind) if kind == "COMBO" => config[1]["options"].as_array(),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    if let Some(options) = options {
        return if options.contains(value) {
            None
        } else {
            Some(not_in_list(name, options, value, extra))
        };
    }
    let kind = config[0].as_str().unwrap_or_default();
    if !matches!(kind, "INT" | "FLOAT") {
        return None;
    }
    let coerced = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
    let Some(number) = coerced else {
        let message = format!("Failed to convert an input value to a {kind} value");
        let details = format!("{name}, {value}, invalid literal");
        return Some(fault("invalid_input_type", &message, &details, &extra));
    };
    let bound = |which: &str| config[1][which].as_f64();
    if let Some(min) = bound("min").filter(|min| number < *min) {
        let message = format!("Value {value} smaller than min of {min}");
        return Some(fault("value_smaller_than_min", &message, name, &extra));
    }
    let max = bound("max").filter(|max| number > *max)?;
    Some(fault(
        "value_bigger_than_max",
        &format!("Value {value} bigger than max of {max}"),
        name,
        &extra,
    ))
}

fn not_in_list(name: &str, options: &[Value], value: &Value, mut extra: Value) -> Value {
    let quoted = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), |text| format!("'{text}'"))
    };
    let listed = if options.len() > 20 {
        extra["input_config"] = Value::Null;
        format!("(list of length {})", options.len())
    } else {
        format!("[{}]", options.iter().map(quoted).collect::<Vec<_>>().join(", "))
    };
    let details = format!("{name}: {} not in {listed}", quoted(value));
    fault("value_not_in_list", "Value not in list", &details, &extra)
}
