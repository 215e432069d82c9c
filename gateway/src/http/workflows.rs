//! Workflows over HTTP: graphs, defaults and values are JSON here, not JSON in text.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use proto::{failure::FailureCode, request::Fault, v1::Workflow};
use serde_json::{Map, Value, json};

use super::{
    body,
    extract::{JsonBytes, MaybeJsonBytes},
    fields, jobs,
};
use crate::{front::Front, problem::Problem, workflows::Precondition};

const WORKFLOW: &str = "orchestrator.v1.Workflow";
/// Filled in by the gateway; who sends back what was read need not remove them.
const OURS: &[&str] = &["updated_at", "updatedAt", "revision", "built_in", "builtIn"];

type Name = Result<Path<String>, PathRejection>;

fn name(named: Name) -> Result<String, Problem> {
    let named = named.map(|Path(name)| name);
    named.map_err(|rejection| Problem::new(FailureCode::WorkflowUnknown, rejection.body_text()))
}

/// `GET /api/workflows`
pub(crate) async fn list(State(front): State<Front>) -> Result<Response, Problem> {
    let workflows: Vec<Value> = front.workflows.list().await?.iter().map(shown).collect();
    Ok(Json(json!({"workflows": workflows})).into_response())
}

/// `GET /api/workflows/{name}`
pub(crate) async fn get(State(front): State<Front>, named: Name) -> Result<Response, Problem> {
    let workflow = front.workflows.get(&name(named)?).await?;
    Ok(tagged(StatusCode::OK, &workflow))
}

/// `PUT /api/workflows/{name}`
pub(crate) async fn put(
    State(front): State<Front>,
    named: Name,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    let only = precondition(&headers)?;
    let (workflow, names) = read(&name(named)?, &bytes)?;
    let stored = front.workflows.put(workflow, only).await;
    let stored = stored.map_err(|problem| names.relocate(problem))?;
    Ok(tagged(StatusCode::OK, &stored))
}

/// `DELETE /api/workflows/{name}`
pub(crate) async fn delete(
    State(front): State<Front>,
    named: Name,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let only = precondition(&headers)?;
    front.workflows.delete(&name(named)?, only).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/workflows/{name}/validate`
pub(crate) async fn validate(
    State(front): State<Front>,
    named: Name,
    MaybeJsonBytes(bytes): MaybeJsonBytes,
) -> Result<Response, Problem> {
    let name = name(named)?;
    front.workflows.get(&name).await?;
    jobs::validated(&front, &body::read_run(&name, bytes.as_deref())?).await
}

/// `POST /api/workflows/{name}/run`
pub(crate) async fn run(
    State(front): State<Front>,
    named: Name,
    headers: HeaderMap,
    MaybeJsonBytes(bytes): MaybeJsonBytes,
) -> Result<Response, Problem> {
    let name = name(named)?;
    front.workflows.get(&name).await?;
    jobs::submitted(&front, &headers, &body::read_run(&name, bytes.as_deref())?).await
}

/// `If-Match` and `If-None-Match`, of which a change understands one revision or `*`.
fn precondition(headers: &HeaderMap) -> Result<Precondition, Problem> {
    let text = |name| headers.get(name).map(HeaderValue::to_str);
    let revision = |tag: &str| tag.trim().trim_matches('"').parse::<u64>().ok();
    let unreadable = |name: &str| {
        Problem::invalid(vec![Fault {
            pointer: String::new(),
            message: format!(
                "the header {name} must be {}",
                match name {
                    "If-Match" => "an ETag that reading the workflow gave",
                    _ => "`*`",
                }
            ),
        }])
    };
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Precondition::None),
        (None, Some(Ok("*"))) => Ok(Precondition::Absent),
        (None, Some(_)) => Err(unreadable("If-None-Match")),
        (Some(tag), _) => tag
            .ok()
            .and_then(revision)
            .map(Precondition::Revision)
            .ok_or_else(|| unreadable("If-Match")),
    }
}

fn tagged(status: StatusCode, workflow: &Workflow) -> Response {
    let mut response = (status, Json(shown(workflow))).into_response();
    let tag = format!("\"{}\"", workflow.revision);
    if let Some(tag) = HeaderValue::from_str(&tag).ok().filter(|_| !workflow.built_in) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// With JSON in the place of JSON in text. What cannot be read stays text.
fn shown(workflow: &Workflow) -> Value {
    let mut told = json!(workflow);
    if let Ok(graph) = serde_json::from_str::<Value>(&workflow.graph) {
        told["graph"] = graph;
    }
    let parameters = workflow.parameters.iter().map(|parameter| {
        let mut told = json!(parameter);
        if let Ok(default) = serde_json::from_str::<Value>(&parameter.default) {
            told["default"] = default;
        }
        told
    });
    told["parameters"] = parameters.collect();
    told
}

/// The names of parameters that were written as an object, so that faults point into it.
#[derive(Debug, PartialEq)]
struct Names(Option<Vec<String>>);

impl Names {
    fn relocate(&self, mut problem: Problem) -> Problem {
        for fault in &mut problem.faults {
            fault.pointer = self.pointer(&fault.pointer);
        }
        if problem.code == FailureCode::RequestInvalid {
            problem.detail = Problem::invalid(problem.faults.clone()).detail;
        }
        problem
    }

    fn pointer(&self, pointer: &str) -> String {
        let found = pointer.strip_prefix("/parameters/").and_then(|rest| {
            let (index, rest) = rest.split_once('/').unwrap_or((rest, ""));
            let name = self.0.as_ref()?.get(index.parse::<usize>().ok()?)?;
            let slash = if rest.is_empty() { "" } else { "/" };
            Some(format!(
                "/parameters/{}{slash}{rest}",
                proto::comfyui::escaped(name)
            ))
        });
        found.unwrap_or_else(|| pointer.to_owned())
    }
}

/// Reads a workflow: `parameters` may be a list or an object by name.
fn read(name: &str, bytes: &[u8]) -> Result<(Workflow, Names), Problem> {
    let mut object = body::object(bytes)?;
    for ours in OURS {
        object.remove(*ours);
    }
    match object.insert("name".to_owned(), name.into()) {
        Some(Value::String(other)) if other != name => {
            let message = format!("is not the name in the address, {name}");
            return Err(Problem::invalid(vec![Fault {
                pointer: "/name".to_owned(),
                message,
            }]));
        }
        _ => {}
    }
    if let Some(graph) = object.get_mut("graph").filter(|graph| graph.is_object()) {
        *graph = Value::String(graph.to_string());
    }
    let names = Names(list_parameters(&mut object));
    let value = Value::Object(object);
    let faults = fields::check(WORKFLOW, &value);
    if !faults.is_empty() {
        return Err(names.relocate(body::unfit(faults)));
    }
    match serde_json::from_value(value) {
        Ok(workflow) => Ok((workflow, names)),
        Err(error) => Err(Problem::new(FailureCode::RequestMalformed, error.to_string())),
    }
}

/// Makes the parameters a list, with their defaults as text; gives their names where they were an object.
fn list_parameters(object: &mut Map<String, Value>) -> Option<Vec<String>> {
    let mut names = None;
    let parameters = object.get_mut("parameters")?;
    if let Value::Object(by_name) = parameters {
        let mut list = Vec::new();
        let mut order = Vec::new();
        for (name, parameter) in std::mem::take(by_name) {
            let mut parameter = parameter;
            if let Value::Object(fields) = &mut parameter {
                fields.insert("name".to_owned(), name.as_str().into());
            }
            list.push(parameter);
            order.push(name);
        }
        *parameters = Value::Array(list);
        names = Some(order);
    }
    for parameter in parameters.as_array_mut().into_iter().flatten() {
        match parameter.get_mut("default") {
            None | Some(Value::Null) => {}
            Some(default) => *default = Value::String(default.to_string()),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAPH: &str = r#"{"1":{"class_type":"EmptyImage","inputs":{"width":64}}}"#;

    #[test]
    fn both_forms_of_parameters_are_one_workflow() {
        let by_name = format!(
            r#"{{"title":"T","graph":{GRAPH},"parameters":{{"side":{{"type":"integer","node":"1","input":"width","default":64}}}}}}"#
        );
        let listed = format!(
            r#"{{"name":"mine","title":"T","graph":{GRAPH},"revision":"7",
                "parameters":[{{"name":"side","type":"integer","node":"1","input":"width","default":64}}]}}"#
        );
        let (first, names) = read("mine", by_name.as_bytes()).expect("readable");
        let (second, _) = read("mine", listed.as_bytes()).expect("readable");
        assert_eq!(first, second);
        assert_eq!(
            (first.graph.as_str(), first.parameters[0].default.as_str()),
            (GRAPH, "64")
        );
        assert_eq!(names.pointer("/parameters/0/type"), "/parameters/side/type");
        assert_eq!(names.pointer("/graph/1"), "/graph/1");
        let shown = shown(&first);
        assert_eq!(shown["parameters"][0]["default"], 64);
        assert_eq!(shown["graph"]["1"]["class_type"], "EmptyImage");
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let problem = read("mine", br#"{"parameters":{"side":{"typ":"integer"}}}"#).expect_err("misspelt");
        assert_eq!(problem.faults[0].pointer, "/parameters/side/typ");
        assert_eq!(problem.code, FailureCode::RequestMalformed);
        let problem = read("mine", br#"{"name":"yours"}"#).expect_err("another name");
        assert_eq!(problem.faults[0].pointer, "/name");
    }

    #[test]
    fn preconditions_are_read_from_headers() {
        let headers =
            |name, value: &'static str| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        assert_eq!(precondition(&HeaderMap::new()), Ok(Precondition::None));
        assert_eq!(
            precondition(&headers(header::IF_MATCH, "\"12\"")),
            Ok(Precondition::Revision(12))
        );
        assert_eq!(
            precondition(&headers(header::IF_NONE_MATCH, "*")),
            Ok(Precondition::Absent)
        );
        assert!(precondition(&headers(header::IF_MATCH, "\"x\"")).is_err());
        assert!(precondition(&headers(header::IF_NONE_MATCH, "\"12\"")).is_err());
    }
}
