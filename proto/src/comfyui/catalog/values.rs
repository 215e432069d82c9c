//! What ComfyUI, which is written in Python, makes of values and types.

use serde_json::Value;

use crate::v1::NodeInput;

/// Inputs that stand for several others, whose names the graph makes up.
pub(super) fn is_dynamic(input: &NodeInput) -> bool {
    let plain = matches!(
        input.r#type.as_str(),
        "INT" | "FLOAT" | "STRING" | "BOOLEAN" | "COMBO"
    );
    input.r#type.starts_with("COMFY_") || (input.open && !plain)
}

/// Whether ComfyUI lets an output of one type into an input of another.
pub(super) fn goes_into(given: &str, taken: &str) -> bool {
    let anything = |kind: &str| {
        // lists of choices are compared by what is in them, which the types do not tell
        kind.is_empty() || kind == "COMBO" || kind.contains('*') || kind.starts_with("COMFY_")
    };
    let mut kinds = given.split(',').map(str::trim);
    anything(given) || anything(taken) || kinds.any(|one| taken.split(',').any(|other| other.trim() == one))
}

/// As Python's `int()` reads it.
pub(super) fn whole(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64().map(f64::trunc),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::String(text) => {
            let digits = digits(text)?;
            let unsigned = digits.trim_start_matches(['+', '-']);
            let plain = !unsigned.is_empty()
                && digits.len() - unsigned.len() <= 1
                && unsigned.bytes().all(|byte| byte.is_ascii_digit());
            // digits of other scripts count as well
            if plain || !text.is_ascii() {
                digits.parse().ok().or(Some(0.0))
            } else {
                None
            }
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// As Python's `float()` reads it.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Bool(yes) => Some(f64::from(u8::from(*yes))),
        Value::String(text) => {
            let number = digits(text)?.parse().ok();
            number.or_else(|| (!text.is_ascii()).then_some(0.0))
        }
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Without the spaces around and the single underscores between digits.
fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let lone = !text.starts_with('_') && !text.ends_with('_') && !text.contains("__");
    lone.then(|| text.replace('_', ""))
}
