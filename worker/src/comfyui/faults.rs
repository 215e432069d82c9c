//! What ComfyUI's refusals and failures mean for a job: code, message, pointer. Pure.

use connectors::comfyui::{Error, Failure as NodeFailure, Interruption, NodeFault, Rejection};
use proto::{
    failure::FailureCode,
    v1::{Failure, Model},
};
use runtime::telemetry::chain;
use serde_json::Value;

use super::{
    graph::{Source, template_field},
    names::{is_model, kind_of, nearest},
};

/// Most faults of a graph that a message lists.
const MAX_LISTED: usize = 5;
const MAX_MESSAGE_CHARS: usize = 600;
const MAX_DETAIL_CHARS: usize = 2_000;

/// A conversation with ComfyUI that did not work.
pub(super) fn trouble(error: &Error) -> Failure {
    let out_of_reach = matches!(
        error,
        Error::Unreachable { .. }
            | Error::Timeout { .. }
            | Error::Broken { .. }
            | Error::Socket(_)
            | Error::SocketClosed { .. }
            | Error::Silent { .. }
    );
    let code = if out_of_reach {
        FailureCode::ComfyuiUnreachable
    } else {
        FailureCode::ComfyuiProtocol
    };
    code.failure(cut(&chain(error), MAX_MESSAGE_CHARS))
}

/// A graph that was refused. `known` are the names that this ComfyUI offers.
pub(super) fn refused(rejection: &Rejection, source: Source, known: &[Model]) -> Failure {
    of_faults(&rejection.faults, source, known, &rejection.to_string())
}

/// A graph of which ComfyUI would have run only a part, without a word.
pub(super) fn dropped(faults: &[NodeFault], source: Source, known: &[Model]) -> Failure {
    let words: Vec<String> = faults.iter().map(ToString::to_string).collect();
    of_faults(faults, source, known, &words.join("; "))
}

fn of_faults(faults: &[NodeFault], source: Source, known: &[Model], words: &str) -> Failure {
    let codes: Vec<FailureCode> = faults.iter().map(code_of).collect();
    let first = |wanted: FailureCode| codes.iter().position(|code| *code == wanted);
    // a missing node or file is the more telling reason where there are several
    let main = first(FailureCode::ComfyuiNodeUnknown)
        .or_else(|| first(FailureCode::ComfyuiModelUnknown))
        .unwrap_or_default();
    let Some(fault) = faults.get(main) else {
        let pointer = match source {
            Source::Template => "/comfyui",
            Source::Caller => "/comfyui/graph",
        };
        return Failure {
            detail: cut(words, MAX_DETAIL_CHARS),
            pointer: pointer.to_owned(),
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
        pointer: pointer(fault, source),
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
            None if allowed.is_empty() && is_model(fault) => "; it lists no such files at all".to_owned(),
            None => String::new(),
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

fn pointer(fault: &NodeFault, source: Source) -> String {
    let input = fault.input.as_deref();
    match (source, input) {
        (Source::Template, Some(input)) => template_field(&fault.node_id, input)
            .map_or_else(|| "/comfyui".to_owned(), |field| format!("/comfyui/{field}")),
        (Source::Template, None) => "/comfyui".to_owned(),
        (Source::Caller, Some(input)) => {
            format!(
                "/comfyui/graph/{}/inputs/{}",
                escaped(&fault.node_id),
                escaped(input)
            )
        }
        (Source::Caller, None) => format!("/comfyui/graph/{}", escaped(&fault.node_id)),
    }
}

/// A node that failed while it ran.
pub(super) fn broken(failure: &NodeFailure, graph: &Value, source: Source) -> Failure {
    let id = failure.node_id.as_deref().unwrap_or("?");
    let title = graph
        .get(id)
        .and_then(|node| node.pointer("/_meta/title"))
        .and_then(Value::as_str);
    let node = node_name(id, failure.node_type.as_deref(), title);
    let said = cut(failure.message.trim(), MAX_MESSAGE_CHARS);
    let files = model_files(failure);
    let (code, message) = if is_out_of_memory(failure) {
        let what = if failure.message.contains("DefaultCPUAllocator") {
            "memory"
        } else {
            "GPU memory"
        };
        (
            FailureCode::ComfyuiOutOfMemory,
            format!("{node} ran out of {what}: {said}"),
        )
    } else if is_gone(failure) {
        (FailureCode::ComfyuiModelUnknown, format!("{node}: {said}"))
    } else if is_unreadable(failure) && !files.is_empty() {
        (
            FailureCode::ComfyuiModelCorrupt,
            format!("{node} cannot read {}: {said}", files.join(", ")),
        )
    } else if said.is_empty() {
        (
            FailureCode::ComfyuiFailed,
            format!("{node} failed without a message ({})", failure.exception_type),
        )
    } else {
        (FailureCode::ComfyuiFailed, format!("{node}: {said}"))
    };
    let pointer = match source {
        Source::Caller if graph.get(id).is_some() => format!("/comfyui/graph/{}", escaped(id)),
        Source::Template if id == "4" => "/comfyui/checkpoint".to_owned(),
        Source::Caller | Source::Template => String::new(),
    };
    Failure {
        detail: cut(
            format!("{}: {}", failure.exception_type, failure.message).trim_start_matches(": "),
            MAX_DETAIL_CHARS,
        ),
        pointer,
        ..code.failure(message)
    }
}

/// A run that somebody else stopped.
pub(super) fn interrupted(interruption: &Interruption) -> Failure {
    let place = interruption.node_id.as_deref().map(|id| {
        let node = node_name(id, interruption.node_type.as_deref(), None);
        format!(" at {node}")
    });
    FailureCode::ComfyuiInterrupted.failure(format!(
        "the run was interrupted in ComfyUI{}",
        place.unwrap_or_default()
    ))
}

fn is_out_of_memory(failure: &NodeFailure) -> bool {
    let marks = [
        "ot enough memory",
        "would exceed allowed memory",
        "OutOfMemoryError",
    ];
    failure.is_out_of_memory() || marks.iter().any(|mark| failure.message.contains(mark))
}

/// The list that validation used was older than the folder.
fn is_gone(failure: &NodeFailure) -> bool {
    failure.message.contains("Model in folder '") && failure.message.contains("not found")
}

fn is_unreadable(failure: &NodeFailure) -> bool {
    let marks = [
        "SafetensorError",
        "UnpicklingError",
        "PytorchStreamReader",
        "Error while deserializing header",
        "invalid load key",
        "Weights only load failed",
    ];
    marks
        .iter()
        .any(|mark| failure.exception_type.contains(mark) || failure.message.contains(mark))
}

/// The files that a loader was given; the message of an unreadable file does not name it.
fn model_files(failure: &NodeFailure) -> Vec<&str> {
    let named = failure
        .current_inputs
        .iter()
        .filter(|(name, _)| kind_of(name) != Some("sampler"));
    named
        .filter(|(name, _)| name.contains("_name") || name.contains("_file") || *name == "model")
        .filter_map(|(_, values)| values.get(0).unwrap_or(values).as_str())
        .collect()
}

fn node_name(id: &str, class: Option<&str>, title: Option<&str>) -> String {
    match (class, title.filter(|title| Some(*title) != class)) {
        (Some(class), Some(title)) => format!("node {id} ({class}, {title:?})"),
        (Some(class), None) => format!("node {id} ({class})"),
        (None, Some(title)) => format!("node {id} ({title:?})"),
        (None, None) => format!("node {id}"),
    }
}

/// A name as a segment of a JSON pointer.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn cut(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.pop();
        short.push('…');
    }
    short
}
