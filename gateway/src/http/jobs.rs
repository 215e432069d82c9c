//! Jobs over HTTP.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use proto::{
    failure::FailureCode,
    ids::JobId,
    request::Fault,
    v1::{Job, ValidateResponse},
};
use serde_json::{Value, json};

use super::{
    body::{self, Submission},
    content,
    extract::{JsonBytes, MaybeJsonBytes, Named},
    listing, problem,
};
use crate::{
    admission::{Outcome, Submitted},
    front::{ANYBODY, Front},
    problem::Problem,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// `POST /api/jobs`
pub(crate) async fn submit(
    State(front): State<Front>,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    submitted(&front, &headers, &body::read(&bytes)?).await
}

/// `POST /api/jobs/validate`
pub(crate) async fn validate(
    State(front): State<Front>,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    validated(&front, &body::read(&bytes)?).await
}

/// Checks a request and queues nothing.
pub(super) async fn validated(front: &Front, submission: &Submission) -> Result<Response, Problem> {
    let found = front.jobs.validate(submission.request.clone()).await;
    let found = found.map_err(|problem| submission.relocate(problem))?;
    Ok(Json(checked(&found)).into_response())
}

/// With JSON in the place of JSON in text, and `null` where there is none.
fn checked(found: &ValidateResponse) -> Value {
    let json = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let mut told = json!(found);
    told["graph"] = json(&found.graph);
    told["payload"] = json(&found.payload);
    told["workers"] = json!(found.workers);
    if let Some(estimate) = &found.estimate {
        // nothing is an amount too
        told["estimate"]["microdollars"] = estimate.microdollars.to_string().into();
        told["estimate"]["refusal"] = estimate.refusal.clone().into();
    }
    told
}

/// Submits a request in whichever form it was written.
pub(super) async fn submitted(
    front: &Front,
    headers: &HeaderMap,
    submission: &Submission,
) -> Result<Response, Problem> {
    let key = idempotency_key(headers)?;
    let submitted = front.jobs.submit(submission.request.clone(), key, ANYBODY).await;
    match submitted.map_err(|problem| submission.relocate(problem))? {
        Outcome::Checked(found) => Ok(Json(checked(&found)).into_response()),
        Outcome::Accepted(Submitted { job, repeated: true }) => Ok(located(StatusCode::OK, job)),
        Outcome::Accepted(Submitted { job, repeated: false }) => Ok(located(StatusCode::ACCEPTED, job)),
    }
}

/// `POST /api/generate`: the oldest form, whose answers say `success`.
pub(crate) async fn generate(
    State(front): State<Front>,
    headers: HeaderMap,
    bytes: Result<JsonBytes, Problem>,
) -> Response {
    match generate_job(&front, &headers, bytes).await {
        Ok(Outcome::Accepted(Submitted { job, .. })) => {
            let answer = json!({"success": true, "jobId": job.id});
            (StatusCode::ACCEPTED, [location(&job)], Json(answer)).into_response()
        }
        Ok(Outcome::Checked(found)) => {
            let mut answer = checked(&found);
            answer["success"] = json!(true);
            Json(answer).into_response()
        }
        Err(problem) => {
            let mut document = problem::document(&problem);
            document["success"] = json!(false);
            problem::answer(&problem, &document)
        }
    }
}

async fn generate_job(
    front: &Front,
    headers: &HeaderMap,
    bytes: Result<JsonBytes, Problem>,
) -> Result<Outcome, Problem> {
    let JsonBytes(bytes) = bytes?;
    let key = idempotency_key(headers)?;
    let submission = body::read_short(&bytes)?;
    let submitted = front.jobs.submit(submission.request.clone(), key, ANYBODY).await;
    submitted.map_err(|problem| submission.relocate(problem))
}

/// A `ListResponse` with every field written out, so that an empty page says so.
#[derive(Debug, serde::Serialize)]
struct Page {
    jobs: Vec<Job>,
    next_cursor: String,
    total: String,
}

/// `GET /api/jobs`
pub(crate) async fn list(State(front): State<Front>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let page = front
        .jobs
        .list(&listing::read(query.as_deref().unwrap_or_default())?)?;
    Ok(Json(Page {
        jobs: page.jobs,
        next_cursor: page.next_cursor,
        total: page.total.to_string(),
    })
    .into_response())
}

/// `GET /api/jobs/{id}`
pub(crate) async fn get(State(front): State<Front>, Named(id): Named<JobId>) -> Result<Json<Job>, Problem> {
    front.jobs.get(id).await.map(Json)
}

/// `GET /api/jobs/{id}/events`
pub(crate) async fn events(State(front): State<Front>, Named(id): Named<JobId>) -> Result<Response, Problem> {
    let job = front.jobs.get(id).await?;
    Ok(Json(json!({"events": job.timeline})).into_response())
}

/// `GET /api/jobs/{id}/preview`
pub(crate) async fn preview(
    State(front): State<Front>,
    Named(id): Named<JobId>,
) -> Result<Response, Problem> {
    let preview = front.jobs.preview(id).await?;
    let headers = [
        (header::CONTENT_TYPE, content::media_type(&preview.media_type)),
        (header::CACHE_CONTROL, content::NO_STORE),
        (header::CONTENT_SECURITY_POLICY, content::SANDBOX),
    ];
    Ok((headers, preview.content).into_response())
}

/// `DELETE /api/jobs/{id}` and `POST /api/jobs/{id}/cancel`
pub(crate) async fn cancel(
    State(front): State<Front>,
    Named(id): Named<JobId>,
    MaybeJsonBytes(bytes): MaybeJsonBytes,
) -> Result<Json<Job>, Problem> {
    let reason = bytes.map(|bytes| reason(&bytes)).transpose()?.unwrap_or_default();
    front.jobs.cancel(id, ANYBODY, &reason).await.map(Json)
}

/// `POST /api/jobs/{id}/retry`
pub(crate) async fn retry(State(front): State<Front>, Named(id): Named<JobId>) -> Result<Response, Problem> {
    let job = front.jobs.retry(id).await?;
    Ok(located(StatusCode::ACCEPTED, job))
}

/// `POST /api/jobs/{id}/run`
pub(crate) async fn run(State(front): State<Front>, Named(id): Named<JobId>) -> Result<Json<Job>, Problem> {
    front.jobs.run(id).await.map(Json)
}

/// Why somebody cancels a job.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancellation {
    #[serde(default)]
    reason: String,
}

fn reason(bytes: &Bytes) -> Result<String, Problem> {
    let read: Result<Cancellation, _> = serde_json::from_slice(bytes);
    let cancellation =
        read.map_err(|error| Problem::new(FailureCode::RequestMalformed, error.to_string()))?;
    Ok(cancellation.reason)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let key = headers.get(IDEMPOTENCY_KEY).map(|value| value.to_str());
    key.transpose().map_err(|_| {
        let message = "the header Idempotency-Key must consist of visible ASCII characters".to_owned();
        Problem::invalid(vec![Fault {
            pointer: String::new(),
            message,
        }])
    })
}

fn location(job: &Job) -> (HeaderName, String) {
    (header::LOCATION, format!("/api/jobs/{}", job.id))
}

fn located(status: StatusCode, job: Job) -> Response {
    (status, [location(&job)], Json(job)).into_response()
}
