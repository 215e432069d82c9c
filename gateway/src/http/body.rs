//! Reads the JSON of a submission: the form of the contract, the short form, and the oldest form.
//!
//! Pure. Every fault is told with a pointer into what the caller sent, whichever form that was.

use proto::{failure::FailureCode, request::Fault, v0::Action, v1::JobRequest};
use serde_json::{Map, Value};

use super::fields;
use crate::problem::Problem;

/// The backends of the short form: the names of the request's own objects.
const BACKENDS: &[&str] = &["sketch", "comfyui", "flux", "v0"];
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
    /// `{"parameters": {…}, "seed": …}` of a workflow, `{"prompt": …}` of a chat
    Flat(&'static str),
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
            Self::Short(backend) | Self::Flat(backend) => backend,
        };
        for fault in &mut problem.faults {
            let within = fault
                .pointer
                .strip_prefix('/')
                .and_then(|rest| rest.strip_prefix(backend));
            if let Some(within) = within.filter(|rest| rest.is_empty() || rest.starts_with('/')) {
                fault.pointer = match self {
                    Self::Short(_) if within != "/prompt" => format!("/params{within}"),
                    Self::Whole | Self::Short(_) | Self::Flat(_) => within.to_owned(),
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
    finish(object, Form::Flat("comfyui"))
}

/// Reads the body of what is asked of a chat at v0, which may be absent: the fields of `v0`, and whatever stands
/// beside `v0` in the whole form.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_chat(
    action: Action,
    chat: Option<&str>,
    bytes: Option<&[u8]>,
) -> Result<Submission, Problem> {
    let object = bytes.map_or_else(|| Ok(Map::new()), object)?;
    let twice = BACKENDS.iter().chain(&["action", "chat"]);
    if let Some(twice) = twice.copied().find(|name| object.contains_key(*name)) {
        let message = "is said by the address; leave it out".to_owned();
        return Err(refused(fault(&format!("/{twice}"), message)));
    }
    let mut v0 = Map::from_iter([("action".to_owned(), action.as_str_name().into())]);
    if let Some(chat) = chat {
        v0.insert("chat".to_owned(), chat.into());
    }
    let frame = fields::names(REQUEST);
    let (frame, of_v0) = object
        .into_iter()
        .partition::<Map<_, _>, _>(|(name, _)| frame.contains(name));
    v0.extend(of_v0);
    let mut object = frame;
    object.insert("v0".to_owned(), Value::Object(v0));
    finish(object, Form::Flat("v0"))
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
mod tests;
