//! What it means for a job when ComfyUI cannot be talked to or fails in the middle of a run. Pure.

use connectors::comfyui::{Error, Failure as NodeFailure, Interruption};
use proto::{
    comfyui::{Plan, names::kind_of},
    failure::FailureCode,
    v1::Failure,
};
use runtime::telemetry::chain;
use serde_json::Value;

/// Longest part of a message that is not our own.
pub(super) const MAX_MESSAGE_CHARS: usize = 600;
/// Longest `detail` of a failure.
pub(super) const MAX_DETAIL_CHARS: usize = 2_000;

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

/// A node that failed while it ran.
pub(super) fn broken(failure: &NodeFailure, plan: &Plan) -> Failure {
    let id = failure.node_id.as_deref().unwrap_or("?");
    let title = plan
        .graph
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
    } else if failure.exception_type.contains("UnidentifiedImageError") {
        (
            FailureCode::InputMissing,
            format!("{node} was given a file that is no picture: {said}"),
        )
    } else if said.is_empty() {
        (
            FailureCode::ComfyuiFailed,
            format!("{node} failed without a message ({})", failure.exception_type),
        )
    } else {
        (FailureCode::ComfyuiFailed, format!("{node}: {said}"))
    };
    Failure {
        detail: cut(
            format!("{}: {}", failure.exception_type, failure.message).trim_start_matches(": "),
            MAX_DETAIL_CHARS,
        ),
        pointer: plan.origin(id, None).unwrap_or_default(),
        ..code.failure(message)
    }
}

/// The model files that a failed node was given, by kind and name.
pub(super) fn files_by_kind(failure: &NodeFailure) -> Vec<(&'static str, &str)> {
    let values = failure.current_inputs.iter();
    values
        .filter_map(|(input, values)| Some((kind_of(input)?, values.get(0).unwrap_or(values).as_str()?)))
        .filter(|(kind, _)| !matches!(*kind, "sampler" | "scheduler"))
        .collect()
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

/// A node as a message names it.
pub(super) fn node_name(id: &str, class: Option<&str>, title: Option<&str>) -> String {
    match (class, title.filter(|title| Some(*title) != class)) {
        (Some(class), Some(title)) => format!("node {id} ({class}, {title:?})"),
        (Some(class), None) => format!("node {id} ({class})"),
        (None, Some(title)) => format!("node {id} ({title:?})"),
        (None, None) => format!("node {id}"),
    }
}

/// The beginning of a text, with a sign where it goes on.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use proto::{comfyui, v1::ComfyUiRequest};

    use super::*;

    #[test]
    fn long_words_are_cut() {
        let failure = NodeFailure {
            node_id: Some("3".to_owned()),
            message: "ä".repeat(5_000),
            ..NodeFailure::default()
        };
        let request = ComfyUiRequest {
            checkpoint: "a.safetensors".to_owned(),
            ..ComfyUiRequest::default()
        };
        let plan = comfyui::plan(&request).expect("a plan");
        let failure = broken(&failure, &plan);
        assert_eq!(failure.detail.chars().count(), MAX_DETAIL_CHARS);
        assert!(failure.message.chars().count() < 700 && failure.message.ends_with('…'));
    }
}
