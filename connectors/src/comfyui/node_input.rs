//! One input of a node class, as `/object_info` declares it. Pure.
//!
//! A declaration is `[type, settings]`. A choice has two forms: the old one, where the options stand in
//! place of the type, and the newer `["COMBO", {"options": […]}]`, of which there is a dynamic kind whose
//! options are objects with a `key` and inputs of their own.

use serde_json::{Number, Value};

/// What may or must be given for an input of a node class.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeInput {
    /// Its name.
    pub name: String,
    /// Whether it must be given.
    pub presence: Presence,
    /// Its type: `INT`, `FLOAT`, `STRING`, `BOOLEAN`, that of a link such as `MODEL`, or `COMBO` for a choice
    /// of the old form (`COMBO`, `COMFY_DYNAMICCOMBO_V3`, … of the newer one).
    pub kind: String,
    /// What may be chosen; `None` if it is no choice.
    pub options: Option<Vec<String>>,
    /// The smallest number.
    pub min: Option<Number>,
    /// The largest number.
    pub max: Option<Number>,
    /// The step between numbers.
    pub step: Option<Number>,
    /// What is taken if nothing is given in the editor; over the API a required input must be given all the
    /// same.
    pub default: Option<Value>,
    /// Whether it is a text of several lines.
    pub multiline: bool,
}

/// Whether an input must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// It may.
    Optional,
    /// The server fills it in.
    Hidden,
}

impl Presence {
    pub(super) const ALL: [Self; 3] = [Self::Required, Self::Optional, Self::Hidden];

    /// The server's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Optional => "optional",
            Self::Hidden => "hidden",
        }
    }
}

impl NodeInput {
    pub(super) fn parse(name: &str, presence: Presence, declared: &Value) -> Self {
        // a hidden input is a bare type, or a list with nothing but it
        let kind = declared.get(0).unwrap_or(declared);
        let setting = |key: &str| declared.get(1)?.get(key);
        let number = |key: &str| setting(key)?.as_number().cloned();
        let kind = kind.as_str().unwrap_or("COMBO").to_owned();
        Self {
            name: name.to_owned(),
            presence,
            kind,
            options: options(declared),
            min: number("min"),
            max: number("max"),
            step: number("step"),
            default: setting("default").cloned(),
            multiline: setting("multiline").and_then(Value::as_bool) == Some(true),
        }
    }

    /// Whether it takes a value that is written into the graph, rather than a link to another node.
    pub fn is_literal(&self) -> bool {
        self.options.is_some() || matches!(self.kind.as_str(), "INT" | "FLOAT" | "STRING" | "BOOLEAN")
    }
}

fn options(declared: &Value) -> Option<Vec<String>> {
    let options = match declared.get(0)? {
        Value::Array(options) => options,
        Value::String(kind) if kind.contains("COMBO") => declared.get(1)?.get("options")?.as_array()?,
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    Some(options.iter().map(option_name).collect())
}

fn option_name(option: &Value) -> String {
    match option {
        Value::String(name) => name.clone(),
        Value::Object(fields) => fields
            .get("key")
            .and_then(Value::as_str)
            .map_or_else(|| option.to_string(), str::to_owned),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => option.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(declared: &Value) -> NodeInput {
        NodeInput::parse("x", Presence::Required, declared)
    }

    #[test]
    fn choices_of_every_form_are_read() {
        let old = of(&json!([["a", "b"], {"default": "b"}]));
        assert_eq!((old.kind.as_str(), old.default), ("COMBO", Some(json!("b"))));
        let new = of(&json!(["COMBO", {"options": ["a", "b"], "multiselect": false}]));
        let dynamic =
            of(&json!(["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "a", "inputs": {}}, {"key": "b"}]}]));
        assert_eq!(dynamic.kind, "COMFY_DYNAMICCOMBO_V3");
        for choice in [old.options, new.options, dynamic.options] {
            assert_eq!(choice, Some(vec!["a".to_owned(), "b".to_owned()]));
        }
        let numbers = of(&json!([[1, 2.5, true], {}]));
        assert_eq!(
            numbers.options,
            Some(vec!["1".to_owned(), "2.5".to_owned(), "true".to_owned()])
        );
        assert_eq!(
            of(&json!([[]])).options,
            Some(Vec::new()),
            "no file is no choice, and yet one"
        );
    }

    #[test]
    fn limits_are_exact() {
        let seed = of(&json!(["INT", {"default": 0, "min": 0, "max": u64::MAX}]));
        assert_eq!(seed.max.and_then(|max| max.as_u64()), Some(u64::MAX));
        let text = of(&json!(["STRING", {"multiline": true}]));
        assert!(text.multiline && text.is_literal() && text.options.is_none());
        let link = of(&json!(["MODEL"]));
        assert!(!link.is_literal() && link.min.is_none());
    }
}
