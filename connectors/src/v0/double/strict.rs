//! What a body may hold: an unknown field, or one of another kind, is refused as the API refuses it.

use serde_json::{Map, Value};

use super::asked::No;

const MAX_KEY_CHARS: usize = 40;
const MAX_VALUE_CHARS: usize = 500;
const MODELS: [&str; 4] = ["v0-mini", "v0-pro", "v0-max", "v0-max-fast"];
const PRIVACIES: [&str; 5] = ["public", "private", "team", "team-edit", "unlisted"];

/// What a field may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text that is not empty.
    Words,
    /// A text.
    Text,
    /// `true` or `false`.
    Flag,
    /// v0's settings of the model; whether all of its fields are needed.
    Model(bool),
    /// A list of objects with an address.
    Attachments,
    /// Who sees it.
    Privacy,
    /// Texts by short names.
    Metadata,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list, which is looked at elsewhere.
    List,
}

/// Refuses a body that is no object of these fields; those with `true` are needed.
pub(super) fn check(body: &Value, fields: &[(&str, Kind, bool)]) -> Result<(), No> {
    let object = body.as_object().ok_or_else(|| No::invalid("Expected object"))?;
    known(object, &fields.iter().map(|field| field.0).collect::<Vec<_>>())?;
    for (name, kind, needed) in fields {
        match object.get(*name) {
            None if *needed => return Err(No::invalid(format!("Required: \"{name}\""))),
            None => {}
            Some(value) => fits(name, *kind, value)?,
        }
    }
    Ok(())
}

fn known(object: &Map<String, Value>, names: &[&str]) -> Result<(), No> {
    match object.keys().find(|key| !names.contains(&key.as_str())) {
        Some(unknown) => Err(No::invalid(format!("Unrecognized key: \"{unknown}\""))),
        None => Ok(()),
    }
}

fn fits(name: &str, kind: Kind, value: &Value) -> Result<(), No> {
    let fits = match kind {
        Kind::Words => value.as_str().is_some_and(|text| !text.is_empty()),
        Kind::Text => value.is_string(),
        Kind::Flag => value.is_boolean(),
        Kind::Privacy => value.as_str().is_some_and(|word| PRIVACIES.contains(&word)),
        Kind::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Kind::List => value.is_array(),
        Kind::Texts => list(value).is_some_and(|list| list.iter().all(Value::is_string)),
        Kind::Model(strict) => return model(value, strict),
        Kind::Attachments => {
            let list = list(value).ok_or_else(|| No::invalid("Expected array: \"attachments\""))?;
            return list.iter().try_for_each(|one| {
                check(one, &[("url", Kind::Words, true)])?;
                let url = one.get("url").and_then(Value::as_str).unwrap_or_default();
                let known = ["https://", "http://", "data:"]
                    .iter()
                    .any(|scheme| url.starts_with(scheme));
                if known {
                    Ok(())
                } else {
                    Err(No::invalid("Invalid url: \"attachments\""))
                }
            });
        }
        Kind::Metadata => value.as_object().is_some_and(|pairs| {
            pairs.iter().all(|(key, value)| {
                let key = (1..=MAX_KEY_CHARS).contains(&key.chars().count());
                key && value
                    .as_str()
                    .is_some_and(|value| value.chars().count() <= MAX_VALUE_CHARS)
            })
        }),
    };
    if fits {
        Ok(())
    } else {
        Err(No::invalid(format!("Invalid value: \"{name}\"")))
    }
}

fn list(value: &Value) -> Option<&Vec<Value>> {
    value.as_array()
}

fn model(value: &Value, strict: bool) -> Result<(), No> {
    let fields: &[(&str, Kind, bool)] = if strict {
        &[
            ("modelId", Kind::OneOf(&MODELS), true),
            ("imageGenerations", Kind::Flag, true),
        ]
    } else {
        &[
            ("modelId", Kind::OneOf(&MODELS), false),
            ("imageGenerations", Kind::Flag, false),
            ("thinking", Kind::Flag, false),
        ]
    };
    check(value, fields)
}
