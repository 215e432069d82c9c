//! Reads the query of a list. Pure.

use proto::{Backend, Status, request::Fault, v1::ListRequest};
use url::form_urlencoded;

use super::fields::nearest;
use crate::problem::Problem;

const PARAMETERS: &[&str] = &["status", "backend", "limit", "cursor"];
const STATUSES: &[&str] = &["created", "queued", "running", "succeeded", "failed", "cancelled"];
const BACKENDS: &[&str] = &["sketch", "comfyui", "flux", "v0"];

/// What `?status=queued,running&backend=sketch&limit=10&cursor=…` asks for.
///
/// # Errors
/// `request_invalid` with every parameter that cannot be.
pub(crate) fn read(query: &str) -> Result<ListRequest, Problem> {
    let mut request = ListRequest::default();
    let mut faults = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let outcome = match name.as_ref() {
            "status" => words(&value, STATUSES).map(|words| {
                let known = words.iter().filter_map(|word| Status::from_str_name(word));
                request.status.extend(known.map(i32::from));
            }),
            "backend" => words(&value, BACKENDS).map(|words| {
                let known = words.iter().filter_map(|word| Backend::from_str_name(word));
                request.backend.extend(known.map(i32::from));
            }),
            "limit" => match value.parse() {
                Ok(limit @ 1..) => {
                    request.limit = limit;
                    Ok(())
                }
                _ => Err(format!("`{value}` is not a number from 1 to 500")),
            },
            "cursor" => {
                request.cursor = value.into_owned();
                Ok(())
            }
            other => Err(unknown("parameter", other, PARAMETERS)),
        };
        if let Err(message) = outcome {
            faults.push(Fault {
                pointer: format!("/{name}"),
                message,
            });
        }
    }
    if faults.is_empty() {
        Ok(request)
    } else {
        Err(Problem::invalid(faults))
    }
}

/// The words of a list that is separated by commas, all of which must be among the choices.
pub(super) fn words<'a>(value: &'a str, choices: &[&str]) -> Result<Vec<&'a str>, String> {
    let words: Vec<&str> = value
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect();
    match words.iter().find(|word| !choices.contains(word)) {
        None => Ok(words),
        Some(odd) => Err(unknown("word", odd, choices)),
    }
}

fn unknown(what: &str, found: &str, choices: &[&str]) -> String {
    let meant = nearest(found, choices.iter().copied())
        .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
    let found: String = found.chars().take(80).collect();
    format!(
        "`{found}` is an unknown {what}; there are {}{meant}",
        choices.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_is_read() {
        let request =
            read("status=queued,running&status=failed&backend=sketch&limit=7&cursor=a%2Fb").expect("good");
        let expected = ListRequest {
            status: vec![
                Status::Queued.into(),
                Status::Running.into(),
                Status::Failed.into(),
            ],
            backend: vec![Backend::Sketch.into()],
            limit: 7,
            cursor: "a/b".into(),
        };
        assert_eq!(request, expected);
        assert_eq!(read("").expect("good"), ListRequest::default());
    }

    #[test]
    fn the_choices_are_those_of_the_contract() {
        assert!(STATUSES.iter().all(|name| Status::from_str_name(name).is_some()));
        assert!(BACKENDS.iter().all(|name| Backend::from_str_name(name).is_some()));
    }

    #[test]
    fn all_faults_are_told() {
        let problem = read("status=runing&backend=dalle&limit=0&curser=x").expect_err("faulty");
        let faults = problem
            .faults
            .iter()
            .map(|fault| format!("{} {}", fault.pointer, fault.message));
        insta::assert_snapshot!(faults.collect::<Vec<_>>().join("\n"));
    }
}
