//! How the system is: workers, models, health, and the pages about failures.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use proto::{Status, failure::FailureCode, v1::Worker};
use serde_json::{Value, json};

use crate::{front::Front, problem::Problem};

/// `GET /api/models`
pub(crate) async fn models(State(front): State<Front>) -> Response {
    Json(json!({"models": front.jobs.models()})).into_response()
}

/// `GET /api/health`
pub(crate) async fn health(State(front): State<Front>) -> Response {
    let report = front.readiness.report();
    let open = [Status::Created, Status::Queued, Status::Running];
    let mut queue: BTreeMap<&str, u64> = open.iter().map(|status| (status.as_str_name(), 0)).collect();
    for (status, _, count) in front.jobs.counts() {
        if let Some(sum) = queue.get_mut(status.as_str_name()) {
            *sum += count;
        }
    }
    let not_offered: Vec<Value> = front.jobs.workers().iter().flat_map(not_offered).collect();
    let (status, word) = if report.ready {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unready")
    };
    let answer = json!({
        "status": word,
        "parts": report.parts,
        "version": env!("CARGO_PKG_VERSION"),
        "workers": front.jobs.workers().len(),
        "queue": queue,
        "paid": {"allowed": front.jobs.spending.is_allowed()},
        "not_offered": not_offered,
    });
    (status, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response()
}

/// The backends that a worker would offer if something were set, each with what that is.
fn not_offered(worker: &Worker) -> Vec<Value> {
    let missing = worker.not_offered.iter();
    missing
        .map(|missing| {
            json!({
                "worker": worker.id,
                "backend": missing.backend().as_str_name(),
                "reason": missing.reason,
            })
        })
        .collect()
}

/// `GET /docs/codes/{code}`
pub(crate) async fn code_page(Path(name): Path<String>) -> Result<Response, Problem> {
    let code = FailureCode::parse(&name)
        .ok_or_else(|| Problem::new(FailureCode::RouteUnknown, "there is no failure code of this name"))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], code.page()).into_response())
}
