//! Why ComfyUI does not take a graph: code, message, pointer. Pure.

use connectors::comfyui::{NodeFault, Rejection};
use proto::{
    comfyui::{
        Plan,
        names::{self, kind_of, nearest},
    },
    failure::FailureCode,
    v1::{Failure, Model},
};
use serde_json::Value;

use super::faults::{MAX_DETAIL_CHARS, MAX_MESSAGE_CHARS, cut, node_name};

/// Most faults of a graph, and most names, that a message lists.
const MAX_LISTED: usize = 5;

/// A graph that was refused. `known` are the names that this ComfyUI offers.
pub(super) fn refused(rejection: &Rejection, plan: &Plan, known: &[Model]) -> Failure {
    of_faults(&rejection.faults, plan, known, &rejection.to_string())
}

/// A graph of which ComfyUI would have run only a part, without a word.
pub(super) fn dropped(faults: &[NodeFault], plan: &Plan, known: &[Model]) -> Failure {
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    of_faults(faults, plan, known, &words.join("; "))
}

fn of_faults(faults: &[NodeFault], plan: &Plan, known: &[Model], words: &str) -> Failure {
    let codes: Vec<FailureCode> = faults.iter().map(code_of).collect();
    let first = |wanted: FailureCode| codes.iter().position(|code| *code == wanted);
    // a missing node or file is the more telling reason where there are several
    let main = first(FailureCode::ComfyuiNodeUnknown)
        .or_else(|| first(FailureCode::ComfyuiModelUnknown))
        .unwrap_or_default();
    let Some(fault) = faults.get(main) else {
        // of no node
        let pointer = plan.pointer("", None);
        return Failure {
            detail: cut(words, MAX_DETAIL_CHARS),
            pointer,
            ..FailureCode::ComfyuiRejected.failure(cut(words, MAX_MESSAGE_CHARS))
        };
    };
    let others = faults.iter().enumerate().filter(|(i, _)| *i != main);
    let listed = std::iter::once(fault).chain(others.map(|(_, fault)| fault));
    let mut message: Vec<String> = listed
        .take(MAX_LISTED)
        .map(|fault| in_words(fault, known))
        .collect();
    if faults.len() > MAX_LISTED {
        message.push(format!("and {} more", faults.len() - MAX_LISTED));
    }
    Failure {
        detail: cut(words, MAX_DETAIL_CHARS),
        pointer: plan.pointer(&fault.node_id, fault.input.as_deref()),
        ..codes[main].failure(cut(&message.join("; "), 2 * MAX_MESSAGE_CHARS))
    }
}

fn code_of(fault: &NodeFault) -> FailureCode {
    let unknown_class = match fault.kind.as_str() {
        "missing_node_type" => true,
        // up to January 2026
        "invalid_prompt" => fault.message.contains("does not exist"),
        _ => false,
    };
    if unknown_class && fault.class_type.is_some() {
        FailureCode::ComfyuiNodeUnknown
    } else if fault.kind == "value_not_in_list" && is_model(fault) {
        FailureCode::ComfyuiModelUnknown
    } else {
        FailureCode::ComfyuiRejected
    }
}

fn in_words(fault: &NodeFault, known: &[Model]) -> String {
    let node = node_name(
        &fault.node_id,
        fault.class_type.as_deref(),
        fault.title.as_deref(),
    );
    let place = match &fault.input {
        Some(input) => format!("{node}, input {input}"),
        None => node,
    };
    let received = match &fault.received {
        Some(Value::String(text)) => Some(cut(text, 200)),
        Some(other) => Some(cut(&other.to_string(), 200)),
        None => None,
    };
    if let ("value_not_in_list", Some(received), Some(input)) = (fault.kind.as_str(), &received, &fault.input)
    {
        let offered = known
            .iter()
            .filter(|model| Some(model.kind.as_str()) == kind_of(input));
        let allowed: Vec<&str> = if fault.allowed.is_empty() {
            offered.map(|model| model.name.as_str()).collect()
        } else {
            fault.allowed.iter().map(String::as_str).collect()
        };
        let said = if is_model(fault) {
            "ComfyUI has no file"
        } else {
            "there is no"
        };
        let hint = match nearest(received, &allowed) {
            Some(name) => format!("; the nearest name is {name:?}"),
            None if allowed.is_empty() && is_model(fault) => "; it lists none of this kind".to_owned(),
            None if allowed.is_empty() => String::new(),
            None => format!("; there is {}", listed(&allowed)),
        };
        return format!("{place}: {said} {received:?}{hint}");
    }
    let details = if fault.details.is_empty() || Some(&fault.details) == fault.input.as_ref() {
        String::new()
    } else {
        format!(": {}", cut(&fault.details, 300))
    };
    format!("{place}: {}{details}", cut(&fault.message, 300))
}

fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .take(MAX_LISTED)
        .map(|name| format!("{name:?}"))
        .collect();
    let more = if names.len() > MAX_LISTED {
        " and others"
    } else {
        ""
    };
    format!("{}{more}", quoted.join(", "))
}

/// Whether a refused value is the name of a model file.
fn is_model(fault: &NodeFault) -> bool {
    let input = fault.input.as_deref().unwrap_or_default();
    let value = fault
        .received
        .as_ref()
        .and_then(Value::as_str)
        .unwrap_or_default();
    names::is_model(fault.class_type.as_deref(), input, value)
}

#[cfg(test)]
mod tests {
    use proto::{comfyui, v1::ComfyUiRequest};
    use serde_json::json;

    use super::*;

    fn template() -> Plan {
        let request = ComfyUiRequest {
            checkpoint: "a.safetensors".to_owned(),
            ..ComfyUiRequest::default()
        };
        comfyui::plan(&request).expect("a plan")
    }

    fn of_node(id: &str, class: &str) -> Plan {
        let request = ComfyUiRequest {
            graph: json!({id: {"class_type": class, "inputs": {}}}).to_string(),
            ..ComfyUiRequest::default()
        };
        comfyui::plan(&request).expect("a plan")
    }

    /// A refusal of the shape that a server of v0.33 sends.
    fn rejection(node: &str, class: &str, errors: &Value) -> Rejection {
        let body = json!({
            "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation",
                "details": "", "extra_info": {}},
            "node_errors": {node: {"errors": errors, "dependent_outputs": ["9"], "class_type": class}},
        });
        Rejection::parse(&body, &json!({})).expect("a refusal")
    }

    fn not_in_list(input: &str, value: &str, options: &Value) -> Value {
        json!({"type": "value_not_in_list", "message": "Value not in list",
            "details": format!("{input}: '{value}' not in (list of length 40)"),
            "extra_info": {"input_name": input, "input_config": options, "received_value": value}})
    }

    fn model(kind: &str, name: &str) -> Model {
        Model {
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..Model::default()
        }
    }

    #[test]
    fn names_that_the_server_does_not_list_come_from_the_offer() {
        let known = [
            model("sampler", "euler"),
            model("sampler", "euler_ancestral"),
            model("lora", "euler_a.pt"),
        ];
        let errors = json!([not_in_list("sampler_name", "euler_a", &Value::Null)]);
        let failure = refused(&rejection("3", "KSampler", &errors), &template(), &known);
        assert_eq!(
            (failure.code.as_str(), failure.pointer.as_str()),
            ("comfyui_rejected", "/comfyui/sampler")
        );
        assert_eq!(
            failure.message,
            "node 3 (KSampler), input sampler_name: there is no \"euler_a\"; the nearest name is \
             \"euler_ancestral\""
        );
    }

    #[test]
    fn a_missing_file_counts_more_than_a_wrong_number() {
        let wrong = json!({"type": "value_smaller_than_min", "message": "Value 0 smaller than min of 1",
            "details": "a_number", "extra_info": {"input_name": "a_number", "received_value": 0}});
        let options = json!([["one.safetensors", "two.safetensors"], {}]);
        let errors = json!([wrong, not_in_list("lora_name", "three.safetensors", &options)]);
        let failure = refused(
            &rejection("a/b", "LoraLoader", &errors),
            &of_node("a/b", "LoraLoader"),
            &[],
        );
        assert_eq!(failure.code, "comfyui_model_unknown");
        assert_eq!(failure.pointer, "/comfyui/graph/a~1b/inputs/lora_name");
        assert_eq!(
            failure.message,
            "node a/b (LoraLoader), input lora_name: ComfyUI has no file \"three.safetensors\"; there is \
             \"one.safetensors\", \"two.safetensors\"; node a/b (LoraLoader), input a_number: Value 0 smaller \
             than min of 1"
        );
    }

    #[test]
    fn an_unknown_class_is_told_from_a_graph_of_another_format() {
        let body = |class: &Value, message: &str| {
            json!({"error": {"type": "missing_node_type", "message": message, "details": "Node ID '#1'",
                "extra_info": {"node_id": "1", "class_type": class, "node_title": class}}, "node_errors": {}})
        };
        let code = |body: &Value| {
            let rejection = Rejection::parse(body, &json!({})).expect("a refusal");
            refused(&rejection, &of_node("1", "Fancy"), &[]).code
        };
        assert_eq!(
            code(&body(&json!("Fancy"), "Node 'Fancy' not found.")),
            "comfyui_node_unknown"
        );
        assert_eq!(
            code(&body(&Value::Null, "Node 'ID #1' has no class_type.")),
            "comfyui_rejected"
        );
        let old = json!({"error": {"type": "invalid_prompt", "details": "Node ID '#1'", "extra_info": {},
            "message": "Cannot execute because node Fancy does not exist."}, "node_errors": {}});
        let graph = json!({"1": {"class_type": "Fancy", "inputs": {}}});
        let rejection = Rejection::parse(&old, &graph).expect("a refusal");
        assert_eq!(
            refused(&rejection, &of_node("1", "Fancy"), &[]).code,
            "comfyui_node_unknown"
        );
    }
}
