//! A workflow with values in it.

use serde_json::{Map, Number, Value, json};

use super::{MAX_NAME_CHARS, MAX_PARAMETERS, MAX_TITLE_BYTES, ParameterType, nearest_hint};
use crate::{
    comfyui::{escaped, fault, plan::reseed},
    ids::InputId,
    request::Fault,
    v1::{Parameter, Workflow},
};

/// Where the parameters of a request stand in it.
const AT: &str = "/comfyui/parameters";

/// Whether a seed is to be chosen for a job that gives these parameters: one has to be, and is absent.
pub fn wants_seed(workflow: &Workflow, parameters: &str) -> bool {
    let given = read_values(parameters).unwrap_or_default();
    workflow
        .parameters
        .iter()
        .any(|one| is_seed(one) && !given.contains_key(&one.name))
}

/// The graph of a workflow with these values in it, as JSON text.
///
/// Where a parameter of the type `seed` is absent, `seed` is used; where the workflow has none of that type,
/// `seed` replaces every seed of the graph. Every other absent value is the parameter's default.
///
/// # Errors
/// Every fault of the values, each with a pointer into the request.
pub fn bind(workflow: &Workflow, parameters: &str, seed: Option<u64>) -> Result<String, Vec<Fault>> {
    let mut graph: Value = serde_json::from_str(&workflow.graph).map_err(|error| {
        let message = format!(
            "the graph of the workflow {} is not valid JSON: {error}",
            workflow.name
        );
        vec![fault("/comfyui/workflow", message)]
    })?;
    let mut given = read_values(parameters)?;
    let mut faults = Vec::new();
    if let Some(seed) = seed.filter(|_| !workflow.parameters.iter().any(is_seed)) {
        reseed(&mut graph, seed);
    }
    for parameter in &workflow.parameters {
        let value = match given.remove(&parameter.name) {
            // over HTTP this is how a value is left out
            Some(Value::Null) | None => absent(parameter, seed),
            Some(value) => Ok(value),
        };
        let value = value.and_then(|value| match ParameterType::from_name(&parameter.r#type) {
            Some(kind) => accept(parameter, kind, value),
            None => Err(format!(
                "the workflow gives it the unknown type {:?}",
                parameter.r#type
            )),
        });
        let put = value.and_then(|value| put(&mut graph, parameter, value));
        if let Err(message) = put {
            faults.push(fault(format!("{AT}/{}", escaped(&parameter.name)), message));
        }
    }
    let known: Vec<&str> = workflow.parameters.iter().map(|one| one.name.as_str()).collect();
    for name in given.keys().take(MAX_PARAMETERS) {
        let hint = nearest_hint(name, &known);
        let short: String = name.chars().take(MAX_NAME_CHARS).collect();
        let message = format!("the workflow {} has no parameter {short:?}{hint}", workflow.name);
        faults.push(fault(format!("{AT}/{}", escaped(&short)), message));
    }
    if faults.is_empty() {
        Ok(graph.to_string())
    } else {
        Err(faults)
    }
}

fn is_seed(parameter: &Parameter) -> bool {
    ParameterType::from_name(&parameter.r#type) == Some(ParameterType::Seed)
}

fn read_values(parameters: &str) -> Result<Map<String, Value>, Vec<Fault>> {
    if parameters.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(parameters) {
        Ok(Value::Object(values)) => Ok(values),
        Ok(_) => Err(vec![fault(AT, "must be a JSON object of values by name")]),
        Err(error) => Err(vec![fault(AT, format!("is not valid JSON: {error}"))]),
    }
}

fn absent(parameter: &Parameter, seed: Option<u64>) -> Result<Value, String> {
    if let Some(seed) = seed.filter(|_| is_seed(parameter)) {
        return Ok(json!(seed));
    }
    if parameter.default.is_empty() {
        return Err(format!("give a value; it must be {}", wanted(parameter)));
    }
    serde_json::from_str(&parameter.default)
        .map_err(|error| format!("the workflow's default is not valid JSON: {error}"))
}

fn put(graph: &mut Value, parameter: &Parameter, value: Value) -> Result<(), String> {
    let inputs = graph
        .get_mut(&parameter.node)
        .and_then(|node| node.get_mut("inputs"))
        .and_then(Value::as_object_mut);
    let inputs = inputs.ok_or_else(|| format!("the workflow has no node {:?}", parameter.node))?;
    inputs.insert(parameter.input.clone(), value);
    Ok(())
}

/// The value as it goes into the graph.
pub(super) fn accept(parameter: &Parameter, kind: ParameterType, value: Value) -> Result<Value, String> {
    let wrong = || format!("must be {}", wanted(parameter));
    match kind {
        ParameterType::Text => match value.as_str() {
            // as a reference it would be replaced by a file
            Some(text) if InputId::from_reference(text).is_some() => {
                Err("must not be a reference to a file".to_owned())
            }
            Some(_) => Ok(value),
            None => Err(wrong()),
        },
        ParameterType::Boolean => value.is_boolean().then_some(value).ok_or_else(wrong),
        ParameterType::Asset => match value.as_str().and_then(InputId::from_reference) {
            Some(Ok(_)) => Ok(value),
            Some(Err(error)) => Err(error.to_string()),
            None => Err(wrong()),
        },
        ParameterType::Choice => {
            let text = value.as_str().ok_or_else(wrong)?;
            if parameter.options.iter().any(|option| option == text) {
                return Ok(value);
            }
            let options: Vec<&str> = parameter.options.iter().map(String::as_str).collect();
            let short: String = text.chars().take(MAX_TITLE_BYTES).collect();
            Err(format!("there is no {short:?}{}", nearest_hint(text, &options)))
        }
        ParameterType::Number => in_range(parameter, value, false).ok_or_else(wrong),
        ParameterType::Integer => in_range(parameter, value, true).ok_or_else(wrong),
        ParameterType::Seed => in_range(parameter, value, true)
            .filter(|value| value.as_u64().is_some())
            .ok_or_else(wrong),
    }
}

fn in_range(parameter: &Parameter, value: Value, whole: bool) -> Option<Value> {
    let number = value.as_f64()?;
    let fits = parameter.min.is_none_or(|min| number >= min) && parameter.max.is_none_or(|max| number <= max);
    if !fits {
        return None;
    }
    if !whole || value.is_i64() || value.is_u64() {
        return Some(value);
    }
    // 20.0 is 20; beyond this a float is no exact number
    let exact = number.fract() == 0.0 && number.abs() < 9e15;
    exact.then(|| Value::Number(Number::from(number as i64)))
}

/// What a parameter takes, in words.
fn wanted(parameter: &Parameter) -> String {
    let kind = match ParameterType::from_name(&parameter.r#type) {
        None | Some(ParameterType::Text) => return "a text".to_owned(),
        Some(ParameterType::Boolean) => return "true or false".to_owned(),
        Some(ParameterType::Choice) => return format!("one of {}", listed(&parameter.options)),
        Some(ParameterType::Asset) => {
            return "`asset:<id>` of an uploaded file or `artifact:<id>` of a result".to_owned();
        }
        Some(ParameterType::Integer) => "a whole number",
        Some(ParameterType::Number) => "a number",
        Some(ParameterType::Seed) => "a whole number from 0",
    };
    match (parameter.min, parameter.max) {
        (Some(min), Some(max)) => format!("{kind} within {min} to {max}"),
        (Some(min), None) => format!("{kind}, {min} at least"),
        (None, Some(max)) => format!("{kind}, {max} at most"),
        (None, None) => kind.to_owned(),
    }
}

fn listed(options: &[String]) -> String {
    let quoted: Vec<String> = options
        .iter()
        .take(10)
        .map(|option| format!("{option:?}"))
        .collect();
    let more = if options.len() > 10 { " and others" } else { "" };
    format!("{}{more}", quoted.join(", "))
}
