//! The parameters of a stored workflow, filled in from the command line. Pure.

use proto::v1::{Parameter, Workflow};
use serde_json::{Map, Value};

use super::{graph, request};
use crate::contract::unknown;

/// A workflow, and what its parameters were set to.
#[derive(Debug, Clone)]
pub(super) struct Filling {
    workflow: Workflow,
    values: Map<String, Value>,
}

impl Filling {
    pub(super) fn of(workflow: Workflow) -> Self {
        Self {
            workflow,
            values: Map::new(),
        }
    }

    /// Whether a name is none of the workflow's, but one of the request's.
    pub(super) fn leaves(&self, name: &str) -> bool {
        let first = name.split('.').next().unwrap_or(name);
        self.parameter(name).is_none() && request::frame_fields().any(|field| field == first)
    }

    /// Whether a parameter is an uploaded file.
    pub(super) fn takes_file(&self, name: &str) -> bool {
        self.parameter(name)
            .is_some_and(|parameter| parameter.r#type == "asset")
    }

    /// Sets a parameter.
    ///
    /// # Errors
    /// That there is none of this name, or what would be right for it.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        let Some(parameter) = self.parameter(name) else {
            let known = self.workflow.parameters.iter();
            if known.len() == 0 {
                return Err(format!("workflow {} has no parameters", self.workflow.name));
            }
            return Err(unknown(name, known.map(|parameter| parameter.name.as_str())));
        };
        let value = typed(parameter, text)?;
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// The form in which the values are sent; nothing where none was set.
    pub(super) fn into_text(self) -> Option<String> {
        (!self.values.is_empty()).then(|| Value::Object(self.values).to_string())
    }

    fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.workflow
            .parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }
}

fn typed(parameter: &Parameter, text: &str) -> Result<Value, String> {
    let wrong = |right: &str| format!("{}: {text:?} is not {right}", parameter.name);
    match parameter.r#type.as_str() {
        "text" | "asset" => Ok(Value::from(text)),
        "integer" => text
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| text.parse::<u64>().map(Value::from))
            .map_err(|_| wrong("a whole number")),
        "seed" => text
            .parse::<u64>()
            .map(Value::from)
            .map_err(|_| wrong("a whole number from 0")),
        "number" => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Value::from(number)),
            _ => Err(wrong("a number")),
        },
        "boolean" => text
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| wrong("true or false")),
        "choice" if parameter.options.iter().any(|option| option == text) => Ok(Value::from(text)),
        "choice" => Err(wrong(&format!("one of {}", parameter.options.join(", ")))),
        // a newer gateway may have more; it has the last word
        _ => Ok(graph::value(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filling() -> Filling {
        let parameter = |name: &str, of: &str| Parameter {
            name: name.into(),
            r#type: of.into(),
            options: vec!["day".into(), "night".into()],
            ..Parameter::default()
        };
        Filling::of(Workflow {
            name: "portrait".into(),
            parameters: [
                ("prompt", "text"),
                ("count", "integer"),
                ("cfg", "number"),
                ("tiled", "boolean"),
                ("light", "choice"),
                ("face", "asset"),
                ("noise", "seed"),
            ]
            .map(|(name, of)| parameter(name, of))
            .to_vec(),
            ..Workflow::default()
        })
    }

    #[test]
    fn a_value_has_the_type_that_its_parameter_declares() {
        let mut filling = filling();
        for (name, text) in [
            ("prompt", "42"),
            ("count", "-3"),
            ("cfg", "7"),
            ("tiled", "true"),
            ("light", "night"),
            ("noise", "18446744073709551615"),
        ] {
            filling.set(name, text).expect(name);
        }
        let read: Value = serde_json::from_str(&filling.into_text().expect("values")).expect("JSON");
        let wanted = serde_json::json!({
            "prompt": "42", "count": -3, "cfg": 7.0, "tiled": true, "light": "night", "noise": u64::MAX
        });
        assert_eq!(read, wanted);
    }

    #[test]
    fn what_does_not_fit_is_told_before_anything_is_sent() {
        let mut filling = filling();
        for (name, text, told) in [
            ("count", "x", "a whole number"),
            ("noise", "-1", "a whole number from 0"),
            ("cfg", "NaN", "a number"),
            ("tiled", "yes", "true or false"),
            ("light", "dusk", "one of day, night"),
            ("promt", "x", "did you mean prompt"),
        ] {
            let fault = filling.set(name, text).expect_err(name);
            assert!(fault.contains(told), "{fault}");
        }
        assert!(filling.takes_file("face") && !filling.takes_file("prompt"));
        assert!(filling.leaves("tags") && !filling.leaves("prompt") && !filling.leaves("zzz"));
        assert_eq!(filling.into_text(), None);
    }
}
