//! The host that takes submissions.

use std::sync::Arc;

use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::faults::Fault;
use super::models::Model;
use super::options::Submission;
use super::polling::{self, Parameters, broken, html};
use super::tasks::{Task, not_found};
use super::validation::{Order, check, megapixels};
use super::wire::Cutter;
use super::world::{Refusal, World};

/// The largest request, bytes.
const LARGEST: usize = 256 << 20;
/// Where a redirect leads.
const ELSEWHERE: &str = "/elsewhere";

type Shared = State<Arc<World>>;

pub(super) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/v1/credits", get(credits))
        .route("/v1/get_result", get(result))
        .route("/v1/{*path}", post(submit))
        .route(ELSEWHERE, any(elsewhere))
        .fallback(|| async { answer(404, json!({"detail": "Not Found"})) })
        .method_not_allowed_fallback(|| async { answer(405, json!({"detail": "Method Not Allowed"})) })
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(world)
}

pub(super) fn answer(status: u16, body: Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(body)).into_response()
}

fn has_key(world: &World, headers: &HeaderMap) -> Result<(), Refusal> {
    let key = world.options.key.as_bytes();
    if headers.get("x-key").is_some_and(|sent| sent.as_bytes() == key) {
        Ok(())
    } else {
        let detail = "Not authenticated - Invalid Authentication";
        Err((403, json!({"detail": detail})))
    }
}

async fn credits(State(world): Shared, headers: HeaderMap) -> Response {
    if let Err((status, body)) = has_key(&world, &headers) {
        return answer(status, body);
    }
    let left = world.read(|state| state.left(Instant::now()));
    answer(200, json!({"credits": left}))
}

/// Polls belong to another host, where a service has several clusters.
async fn result(world: Shared, cutter: ConnectInfo<Cutter>, query: Parameters) -> Response {
    if world.options.poll_at_base {
        polling::poll(world, cutter, query).await
    } else {
        answer(200, not_found(query.get("id").map_or("", String::as_str)))
    }
}

async fn elsewhere(State(world): Shared) -> Response {
    world.edit(|state| state.violate("a redirect was followed".to_owned()));
    answer(404, json!({"detail": "Not Found"}))
}

async fn submit(
    State(world): Shared,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let model = Model::at(&path);
    let (place, fault) = world.edit(|state| {
        let fault = model.and_then(|_| state.submission_fault(&world.options));
        state.submissions.push(Submission {
            path: path.clone(),
            body: serde_json::from_slice(&body).unwrap_or_default(),
            fault,
            status: None,
            task: None,
        });
        (state.submissions.len() - 1, fault)
    });
    let taken = match (model, fault) {
        (None, _) => Err((404, json!({"detail": "Not Found"}))),
        (Some(model), fault) if fault.is_none_or(Fault::takes) => {
            let order = order(&world, model, &headers, &body);
            order.and_then(|order| world.take(order, fault))
        }
        // spoiled before anybody looked at it
        (Some(_), _) => Err((200, Value::Null)),
    };
    let response = match (taken, fault) {
        (Ok(task), fault) => {
            world.edit(|state| state.submissions[place].task = Some(task.id.clone()));
            taken_and(&world, &task, fault, &cutter).await
        }
        (Err(_), Some(fault)) if !fault.takes() => spoiled(fault, &cutter),
        (Err((status, body)), _) => answer(status, body),
    };
    if !cutter.is_cut() {
        world.edit(|state| state.submissions[place].status = Some(response.status().as_u16()));
    }
    response
}

/// What the service checks before it takes anything.
fn order(world: &World, model: &Model, headers: &HeaderMap, body: &[u8]) -> Result<Order, Refusal> {
    has_key(world, headers)?;
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let body: Value = serde_json::from_slice(body)
        .ok()
        .filter(|_| is_json)
        .ok_or_else(|| {
            let fault = json!({"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error"});
            (422, json!({"detail": [fault]}))
        })?;
    check(model, &body).map_err(|body| (422, body))
}

/// The answer to what was not taken on purpose.
fn spoiled(fault: Fault, cutter: &Cutter) -> Response {
    match fault {
        Fault::Busy => answer(429, json!({"detail": "Too many active tasks"})),
        Fault::Status(status) => answer(status, json!({"detail": format!("simulated {status}")})),
        Fault::Redirect => Redirect::temporary(ELSEWHERE).into_response(),
        Fault::BadGateway { .. } => html(502, "502 Bad Gateway"),
        Fault::Html { .. } => html(200, "Please wait"),
        Fault::CutBefore
        | Fault::CutAfter
        | Fault::CutWithin
        | Fault::Slow(_)
        | Fault::Stall
        | Fault::Duplicate
        | Fault::NoPollingUrl
        | Fault::TaskFails => {
            cutter.cut();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The answer to what was taken.
async fn taken_and(world: &World, task: &Task, fault: Option<Fault>, cutter: &Cutter) -> Response {
    let mut body = told(world, task);
    match fault {
        None | Some(Fault::Duplicate | Fault::TaskFails) => {}
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::CutWithin) => return broken(&body.to_string()),
        Some(Fault::NoPollingUrl) => {
            if let Some(body) = body.as_object_mut() {
                body.remove("polling_url");
            }
            return answer(200, body);
        }
        Some(
            fault @ (Fault::CutBefore
            | Fault::CutAfter
            | Fault::BadGateway { .. }
            | Fault::Html { .. }
            | Fault::Busy
            | Fault::Status(_)
            | Fault::Redirect),
        ) => return spoiled(fault, cutter),
    }
    world.edit(|state| {
        if let Some(task) = state.task(&task.id) {
            task.answered = true;
        }
    });
    answer(200, body)
}

/// The answer as the service gives it; with a webhook there is no address to ask at.
fn told(world: &World, task: &Task) -> Value {
    let mut body = json!({
        "id": task.id,
        "cost": task.order.cost as f64 / 10.0,
        "input_mp": task.order.input_megapixels,
        "output_mp": megapixels(task.order.size),
    });
    match &task.order.webhook {
        Some(webhook) => {
            body["status"] = json!("Pending");
            body["webhook_url"] = json!(webhook);
        }
        None => body["polling_url"] = json!(world.polling_url(&task.id)),
    }
    body
}
