//! Workflows: graphs with named parameters, whether they can be kept, and what becomes of them with values.

mod values;

use std::{collections::HashSet, sync::LazyLock};

use serde_json::Value;

use values::accept;
pub use values::{bind, wants_seed};

use super::{
    fault, names, structure,
    template::{Entry, TEMPLATES},
};
use crate::{
    request::Fault,
    v1::{Parameter, Workflow},
};

/// Most parameters of a workflow.
pub const MAX_PARAMETERS: usize = 64;
const MAX_NAME_CHARS: usize = 64;
const MAX_TITLE_BYTES: usize = 200;
const MAX_DESCRIPTION_BYTES: usize = 4 * 1024;
const MAX_OPTIONS: usize = 1_000;

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    /// Any text.
    Text,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// One of the options.
    Choice,
    /// `asset:<id>` of an uploaded file, or `artifact:<id>` of a result.
    Asset,
    /// A whole number that is chosen where none is given.
    Seed,
}

impl ParameterType {
    /// All of them, with their names in the contract.
    pub const ALL: [(&str, Self); 7] = [
        ("text", Self::Text),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("boolean", Self::Boolean),
        ("choice", Self::Choice),
        ("asset", Self::Asset),
        ("seed", Self::Seed),
    ];

    /// The type that the contract names so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
    }
}

/// The workflows that come with the program, under the names of their templates.
pub fn built_in() -> &'static [Workflow] {
    static BUILT_IN: LazyLock<Vec<Workflow>> = LazyLock::new(|| {
        TEMPLATES
            .iter()
            .map(|template| Workflow {
                name: template.name.to_owned(),
                title: template.title.clone(),
                description: template.description.clone(),
                graph: Value::Object(template.graph.clone()).to_string(),
                parameters: template.parameters.iter().map(Entry::parameter).collect(),
                built_in: true,
                ..Workflow::default()
            })
            .collect()
    });
    &BUILT_IN
}

/// Whether a workflow can be kept under this name.
pub fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= MAX_NAME_CHARS
        && name.starts_with(allowed)
        && name.chars().all(|c| allowed(c) || c == '-' || c == '_')
}

/// What is wrong with a workflow that is to be kept; pointers into it.
pub fn check(workflow: &Workflow) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !is_name(&workflow.name) {
        let message = format!(
            "must have 1 to {MAX_NAME_CHARS} of a-z, 0-9, `-` and `_`, beginning with a letter or digit"
        );
        faults.push(fault("/name", message));
    }
    for (at, text, max) in [
        ("/title", &workflow.title, MAX_TITLE_BYTES),
        ("/description", &workflow.description, MAX_DESCRIPTION_BYTES),
    ] {
        if text.len() > max {
            faults.push(fault(
                at,
                format!("has {} bytes, at most {max} are possible", text.len()),
            ));
        }
    }
    let count = workflow.parameters.len();
    if count > MAX_PARAMETERS {
        let message = format!("has {count} entries, at most {MAX_PARAMETERS} are possible");
        faults.push(fault("/parameters", message));
        return faults;
    }
    let graph = match structure::parse(&workflow.graph, "/graph") {
        Ok(graph) => Some(graph),
        Err(found) => {
            faults.extend(found);
            None
        }
    };
    let (mut known, mut places) = (HashSet::new(), HashSet::new());
    for (i, parameter) in workflow.parameters.iter().enumerate() {
        let at = format!("/parameters/{i}");
        if !known.insert(&parameter.name) {
            let message = format!("there is another parameter {:?}", parameter.name);
            faults.push(fault(format!("{at}/name"), message));
        }
        if !places.insert((&parameter.node, &parameter.input)) {
            faults.push(fault(
                format!("{at}/input"),
                "is set by another parameter already",
            ));
        }
        check_parameter(parameter, &at, graph.as_ref(), &mut faults);
    }
    faults
}

fn check_parameter(parameter: &Parameter, at: &str, graph: Option<&Value>, faults: &mut Vec<Fault>) {
    let mut add = |field: &str, message: String| faults.push(fault(format!("{at}/{field}"), message));
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if parameter.name.is_empty()
        || parameter.name.len() > MAX_NAME_CHARS
        || !parameter.name.chars().all(named)
    {
        let message = format!("must have 1 to {MAX_NAME_CHARS} letters, digits, `-`, `_` and `.`");
        add("name", message);
    }
    if parameter.title.len() > MAX_TITLE_BYTES {
        add("title", format!("has more than {MAX_TITLE_BYTES} bytes"));
    }
    if let Some(graph) = graph {
        match graph.get(&parameter.node) {
            None => add(
                "node",
                format!("there is no node {:?} in the graph", parameter.node),
            ),
            Some(node)
                if node
                    .pointer("/inputs")
                    .and_then(|all| all.get(&parameter.input))
                    .is_none() =>
            {
                let known: Vec<&str> = structure::inputs(node).map(|(name, _)| name.as_str()).collect();
                let hint = nearest_hint(&parameter.input, &known);
                let message = format!("node {} has no input {:?}{hint}", parameter.node, parameter.input);
                add("input", message);
            }
            Some(_) => {}
        }
    }
    let Some(kind) = ParameterType::from_name(&parameter.r#type) else {
        let known: Vec<&str> = ParameterType::ALL.iter().map(|(name, _)| *name).collect();
        return add("type", format!("must be one of {}", known.join(", ")));
    };
    let numeric = matches!(
        kind,
        ParameterType::Integer | ParameterType::Number | ParameterType::Seed
    );
    if !numeric && (parameter.min.is_some() || parameter.max.is_some()) {
        add("type", "only numbers have a least and a most".to_owned());
    }
    if let (Some(min), Some(max)) = (parameter.min, parameter.max)
        && min > max
    {
        add("max", format!("{max} is less than `min`, {min}"));
    }
    match (kind == ParameterType::Choice, parameter.options.len()) {
        (true, 0) => add("options", "a choice needs options".to_owned()),
        (true, count) if count > MAX_OPTIONS => {
            add(
                "options",
                format!("has {count} entries, at most {MAX_OPTIONS} are possible"),
            );
        }
        (false, 1..) => add("options", "only a choice has options".to_owned()),
        (true | false, _) => {}
    }
    if parameter.default.is_empty() {
        return;
    }
    match serde_json::from_str(&parameter.default) {
        Err(error) => add("default", format!("is not valid JSON: {error}")),
        Ok(value) => {
            if let Err(message) = accept(parameter, kind, value) {
                add("default", message);
            }
        }
    }
}

fn nearest_hint(wanted: &str, known: &[&str]) -> String {
    names::nearest(wanted, known)
        .map(|name| format!("; the nearest name is {name:?}"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
