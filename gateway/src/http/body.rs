//! Reads the JSON of a submission: the form of the contract, the short form, and the oldest form.
//!
//! Pure. Every fault is told with a pointer into what the caller sent, whichever form that was.

use proto::{failure::FailureCode, request::Fault, v1::JobRequest};
use serde_json::{Map, Value};

use super::fields;
use crate::problem::Problem;

/// The backends of the short form: the names of the request's own objects.
const BACKENDS: &[&str] = &["sketch", "comfyui"];
/// What a run of a workflow says about it.
const OF_WORKFLOW: &[&str] = &["parameters", "seed", "allow_fallback"];
const REQUEST: &str = "orchestrator.v1.JobRequest";

/// A request as it was read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Submission {
    /// What is asked for.
    pub(crate) request: JobRequest,
    form: Form,
}

/// How the request was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `{"sketch": {…}}`
    Whole,
    /// `{"backend": "sketch", "prompt": …, "params": {…}}`
    Short(&'static str),
    /// `{"parameters": {…}, "seed": …}` of a workflow
    Run,
}

impl Submission {
    /// Faults of the request as faults of what the caller wrote.
    pub(crate) fn relocate(&self, problem: Problem) -> Problem {
        self.form.relocate(problem)
    }
}

impl Form {
    /// `/sketch/prompt` of the whole form is `/prompt` of the short one, `/sketch/width` is `/params/width`.
    fn relocate(self, mut problem: Problem) -> Problem {
        let backend = match self {
            Self::Whole => return problem,
            Self::Short(backend) => backend,
            Self::Run => "comfyui",
        };
        for fault in &mut problem.faults {
            let within = fault
                .pointer
                .strip_prefix('/')
                .and_then(|rest| rest.strip_prefix(backend));
            if let Some(within) = within.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                fault.pointer = match self {
                    Self::Short(_) if within != "/prompt" => format!("/params{within}"),
                    Self::Whole | Self::Short(_) | Self::Run => within.to_owned(),
                };
            }
        }
        if problem.code == FailureCode::RequestInvalid && problem.faults.len() == 1 {
            problem.detail = Problem::invalid(problem.faults.clone()).detail;
        }
        problem
    }
}

/// Reads the body of `POST /api/jobs`.
///
/// # Errors
/// `request_malformed` with every field that does not fit, `request_invalid` for an unknown backend.
pub(crate) fn read(bytes: &[u8]) -> Result<Submission, Problem> {
    let object = object(bytes)?;
    if object.contains_key("backend") {
        expand(object)
    } else {
        finish(object, Form::Whole)
    }
}

/// Reads the body of `POST /api/generate`, which is always the short form.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_short(bytes: &[u8]) -> Result<Submission, Problem> {
    expand(object(bytes)?)
}

/// Reads the body of `POST /api/workflows/{name}/run`, which may be absent: the values of the workflow's
/// parameters, its seed, and whatever stands beside `comfyui` in the whole form.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_run(workflow: &str, bytes: Option<&[u8]>) -> Result<Submission, Problem> {
    let mut object = bytes.map_or_else(|| Ok(Map::new()), object)?;
    if let Some(twice) = BACKENDS.iter().find(|name| object.contains_key(**name)) {
        let message = "the workflow says what is run; give `parameters`".to_owned();
        return Err(refused(fault(&format!("/{twice}"), message)));
    }
    let mut comfyui = Map::from_iter([("workflow".to_owned(), workflow.into())]);
    for name in OF_WORKFLOW {
        if let Some(value) = object.remove(*name) {
            comfyui.insert((*name).to_owned(), value);
        }
    }
    object.insert("comfyui".to_owned(), Value::Object(comfyui));
    finish(object, Form::Run)
}

/// Reads a body that has to be a JSON object.
///
/// # Errors
/// `request_malformed`.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(malformed("the body is empty".to_owned(), Vec::new()));
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => {
            let message = format!("must be a JSON object, not {}", fields::kind(&other));
            Err(malformed(format!("the body {message}"), vec![fault("", message)]))
        }
        Err(error) => Err(malformed(format!("the body is not JSON: {error}"), Vec::new())),
    }
}

fn expand(mut object: Map<String, Value>) -> Result<Submission, Problem> {
    let backend = backend(&mut object)?;
    if let Some(twice) = BACKENDS.iter().find(|name| object.contains_key(**name)) {
        let message = format!("give either `backend` with `params`, or an object `{twice}`");
        return Err(refused(fault(&format!("/{twice}"), message)));
    }
    let mut params = match object.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(other) => {
            let message = format!("must be an object, not {}", fields::kind(&other));
            return Err(refused(fault("/params", message)));
        }
    };
    if let Some(prompt) = object.remove("prompt")
        && params.insert("prompt".to_owned(), prompt).is_some()
    {
        let message = "is given twice: here and as `prompt`".to_owned();
        return Err(refused(fault("/params/prompt", message)));
    }
    object.insert(backend.to_owned(), Value::Object(params));
    finish(object, Form::Short(backend))
}

fn backend(object: &mut Map<String, Value>) -> Result<&'static str, Problem> {
    let choices = BACKENDS.join(", ");
    let message = match object.remove("backend") {
        Some(Value::String(name)) => {
            if let Some(known) = BACKENDS.iter().find(|known| **known == name) {
                return Ok(known);
            }
            let meant = fields::nearest(&name, BACKENDS.iter().copied())
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let name: String = name.chars().take(80).collect();
            format!("`{name}` is none of {choices}{meant}")
        }
        Some(other) => {
            return Err(refused(fault(
                "/backend",
                format!("must be text, not {}", fields::kind(&other)),
            )));
        }
        None => format!("name one of {choices}"),
    };
    Err(Problem::invalid(vec![fault("/backend", message)]))
}

fn finish(mut object: Map<String, Value>, form: Form) -> Result<Submission, Problem> {
    for name in ["graph", "parameters"] {
        if let Some(json) = object
            .get_mut("comfyui")
            .and_then(|comfyui| comfyui.get_mut(name))
            .filter(|json| json.is_object())
        {
            *json = Value::String(json.to_string());
        }
    }
    let value = Value::Object(object);
    let faults = fields::check(REQUEST, &value);
    if !faults.is_empty() {
        let problem = form.relocate(unfit(faults));
        return Err(Problem {
            detail: summary(&problem.faults),
            ..problem
        });
    }
    match serde_json::from_value(value) {
        Ok(request) => Ok(Submission { request, form }),
        Err(error) => Err(malformed(error.to_string(), Vec::new())),
    }
}

/// What does not fit the contract.
pub(super) fn unfit(faults: Vec<Fault>) -> Problem {
    malformed(summary(&faults), faults)
}

fn summary(faults: &[Fault]) -> String {
    let texts: Vec<String> = faults
        .iter()
        .take(3)
        .map(|fault| format!("{} {}", fault.pointer, fault.message))
        .collect();
    match faults.len().saturating_sub(texts.len()) {
        0 => texts.join("; "),
        more => format!("{}; and {more} more", texts.join("; ")),
    }
}

fn refused(fault: Fault) -> Problem {
    malformed(summary(std::slice::from_ref(&fault)), vec![fault])
}

fn malformed(detail: String, faults: Vec<Fault>) -> Problem {
    Problem {
        faults,
        ..Problem::new(FailureCode::RequestMalformed, detail)
    }
}

fn fault(pointer: &str, message: String) -> Fault {
    Fault {
        pointer: pointer.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::{ComfyUiRequest, SketchRequest, job_request::Body};

    fn body(text: &str) -> Option<Body> {
        read(text.as_bytes()).expect("readable").request.body
    }

    fn complaint(text: &str) -> String {
        let problem = read(text.as_bytes()).expect_err("unreadable");
        format!("{problem}")
    }

    #[test]
    fn the_short_form_is_expanded() {
        let expected = SketchRequest {
            prompt: "a lake".into(),
            width: 64,
            seed: Some(u64::MAX),
            ..SketchRequest::default()
        };
        let short = r#"{"backend":"sketch","prompt":"a lake","tags":["t"],
            "params":{"width":64,"seed":"18446744073709551615"}}"#;
        let whole = r#"{"sketch":{"prompt":"a lake","width":64,"seed":18446744073709551615},"tags":["t"]}"#;
        assert_eq!(body(short), Some(Body::Sketch(expected.clone())));
        assert_eq!(body(whole), Some(Body::Sketch(expected)));
        let request = read(short.as_bytes()).expect("readable").request;
        assert_eq!(request.tags, ["t"]);
        assert_eq!(
            body(r#"{"backend":"sketch","params":null}"#),
            Some(Body::Sketch(SketchRequest::default()))
        );
    }

    #[test]
    fn a_graph_may_be_an_object_in_both_forms() {
        let expected = ComfyUiRequest {
            graph: r#"{"1":{"class_type":"EmptyImage","inputs":{}}}"#.into(),
            ..ComfyUiRequest::default()
        };
        let graph = &expected.graph;
        assert_eq!(
            body(&format!(r#"{{"comfyui":{{"graph":{graph}}}}}"#)),
            Some(Body::Comfyui(expected.clone()))
        );
        assert_eq!(
            body(&format!(
                r#"{{"backend":"comfyui","params":{{"graph":{graph}}}}}"#
            )),
            Some(Body::Comfyui(expected.clone()))
        );
        let quoted = Value::String(graph.clone());
        assert_eq!(
            body(&format!(r#"{{"comfyui":{{"graph":{quoted}}}}}"#)),
            Some(Body::Comfyui(expected))
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        let complaints: Vec<String> = [
            "",
            "[]",
            "{\"sketch\":{\n  \"prompt\":}}",
            r#"{"sketch":{"stepz":3,"width":"wide"},"holt":true}"#,
            r#"{"sketch":{"prompt":7,"rehearsal":{"act":"explode"}},"priority":"hihg"}"#,
            r#"{"sketch":{"prompt":"a"},"not_before":"tomorrow"}"#,
            r#"{"sketch":{},"comfyui":{}}"#,
            r#"{"backend":"sketsh"}"#,
            r#"{"backend":7}"#,
            r#"{"backend":"sketch","sketch":{}}"#,
            r#"{"backend":"sketch","params":[1]}"#,
            r#"{"backend":"sketch","prompt":"a","params":{"prompt":"b"}}"#,
            r#"{"backend":"sketch","prompt":"a","params":{"widht":64}}"#,
        ]
        .into_iter()
        .map(complaint)
        .collect();
        insta::assert_snapshot!(complaints.join("\n"));
    }

    #[test]
    fn faults_of_the_short_form_point_into_the_short_form() {
        let faults = || {
            Problem::invalid(vec![
                fault("/sketch/width", "is too large".into()),
                fault("/sketch/prompt", "is too long".into()),
                fault("/tags", "are too many".into()),
            ])
        };
        let pointers = |body: &str| {
            let submission = read(body.as_bytes()).expect("readable");
            let faults = submission.relocate(faults()).faults;
            faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
        };
        assert_eq!(
            pointers(r#"{"backend":"sketch"}"#),
            ["/params/width", "/prompt", "/tags"]
        );
        assert_eq!(
            pointers(r#"{"sketch":{}}"#),
            ["/sketch/width", "/sketch/prompt", "/tags"]
        );
    }

    #[test]
    fn a_run_of_a_workflow_is_a_job_of_comfyui() {
        let body =
            br#"{"parameters":{"prompt":"a lake","steps":7},"seed":"9","tags":["t"],"priority":"high"}"#;
        let submission = read_run("mine", Some(body)).expect("readable");
        assert_eq!(submission.request.tags, ["t"]);
        assert_eq!(submission.request.priority(), proto::Priority::High);
        let Some(Body::Comfyui(comfyui)) = &submission.request.body else {
            panic!("a job of comfyui");
        };
        assert_eq!((comfyui.workflow.as_str(), comfyui.seed), ("mine", Some(9)));
        let values: Value = serde_json::from_str(&comfyui.parameters).expect("JSON");
        assert_eq!(values["steps"], 7);
        let told = submission.relocate(Problem::invalid(vec![fault(
            "/comfyui/parameters/steps",
            "is too large".into(),
        )]));
        assert_eq!(told.faults[0].pointer, "/parameters/steps");
        assert!(read_run("mine", None).is_ok());
        assert!(read_run("mine", Some(br#"{"comfyui":{}}"#)).is_err());
    }

    #[test]
    fn the_oldest_form_needs_a_backend() {
        assert!(read_short(br#"{"backend":"sketch","prompt":"a"}"#).is_ok());
        let problem = read_short(br#"{"prompt":"a"}"#).expect_err("no backend");
        assert_eq!(problem.faults[0].pointer, "/backend");
    }
}
