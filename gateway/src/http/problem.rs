//! Problem documents (RFC 9457): how a failure looks over HTTP.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use proto::failure::Severity;
use serde_json::{Value, json};

use super::amounts;
use crate::problem::Problem;

/// The content type of every failure.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The document that tells of a problem.
pub(crate) fn document(problem: &Problem) -> Value {
    let code = problem.code;
    let mut document = json!({
        "type": format!("/docs/codes/{code}"),
        "title": code.title(),
        "status": code.http(),
        "detail": problem.detail,
        "code": code.as_str(),
        "remedy": code.remedy(),
    });
    if !problem.faults.is_empty() {
        let faults = problem.faults.iter();
        document["faults"] = faults
            .map(|fault| json!({"pointer": fault.pointer, "message": fault.message}))
            .collect();
    }
    if let Some(overrun) = &problem.overrun {
        document["scope"] = overrun.scope.into();
        amounts::put(&mut document, "limit", overrun.limit);
        amounts::put(&mut document, "used", overrun.used);
        amounts::put(&mut document, "wanted", overrun.wanted);
    }
    if let Some(job) = &problem.job {
        document["job"] = json!(job);
    }
    document
}

/// An answer with a document that may say more than [`document`] does.
pub(crate) fn answer(problem: &Problem, document: &Value) -> Response {
    if problem.code.severity() >= Severity::Error {
        tracing::warn!(failure.code = %problem.code, detail = problem.detail, "a call failed");
    }
    let status = StatusCode::from_u16(problem.code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let mut response = (status, headers, document.to_string()).into_response();
    if let Some(wait) = problem.retry_after {
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
    }
    response
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        answer(&self, &document(&self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{failure::FailureCode, money::MicroDollars, request::Fault, v1::Job};

    #[test]
    fn a_document_says_what_where_and_what_to_do() {
        let fault = Fault {
            pointer: "/sketch/width".into(),
            message: "5000 is not within 16 to 4096".into(),
        };
        insta::assert_json_snapshot!(document(&Problem::invalid(vec![fault])));
    }

    #[test]
    fn a_refusal_shows_the_job_as_it_is() {
        let job = Job {
            id: "018f0000-0000-7000-8000-000000000000".into(),
            status: proto::Status::Succeeded.into(),
            revision: 7,
            ..Job::default()
        };
        let problem = Problem {
            job: Some(Box::new(job)),
            ..Problem::new(FailureCode::JobFinished, "the job is succeeded")
        };
        insta::assert_json_snapshot!(document(&problem));
    }

    #[test]
    fn a_budget_that_is_used_up_is_told_with_its_figures() {
        let denial = proto::ledger::Denial::OverBudget {
            scope: "day",
            limit: MicroDollars(120_000),
            used: MicroDollars(100_000),
            wanted: MicroDollars(40_000),
        };
        insta::assert_json_snapshot!(document(&Problem::from(denial)));
    }

    #[test]
    fn a_broker_that_is_away_names_when_to_come_back() {
        let response = Problem::new(FailureCode::BrokerUnavailable, "gone").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
    }

    #[test]
    fn every_code_has_a_status_that_http_knows() {
        for code in FailureCode::ALL {
            assert!(
                StatusCode::from_u16(code.http()).is_ok_and(|status| status.as_u16() >= 400),
                "{code}"
            );
        }
    }
}
