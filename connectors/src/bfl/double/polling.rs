//! The hosts that tell how tasks stand and give out results, and the one that shows the bill.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::time::Instant;

use super::faults::AnswerFault;
use super::picture;
use super::routes::answer;
use super::tasks::{Task, not_found};
use super::wire::Cutter;
use super::world::World;

type Shared = State<Arc<World>>;

/// The parameters of an address.
pub(super) type Parameters = Query<HashMap<String, String>>;

/// The host for polls, on which the key has no business.
pub(super) fn polls(world: Arc<World>) -> Router {
    Router::new()
        .route("/v1/get_result", get(poll))
        .layer(from_fn_with_state(
            (Arc::clone(&world), "a foreign polling host"),
            watch,
        ))
        .with_state(world)
}

/// The host for results, likewise.
pub(super) fn samples(world: Arc<World>) -> Router {
    Router::new()
        .route("/results/{id}/{file}", get(sample))
        .layer(from_fn_with_state(
            (Arc::clone(&world), "the host of results"),
            watch,
        ))
        .with_state(world)
}

/// The host for the bill.
pub(super) fn admin(world: Arc<World>) -> Router {
    Router::new().route("/bill", get(bill)).with_state(world)
}

/// Notes keys that arrive where they must not.
async fn watch(
    State((world, host)): State<(Arc<World>, &'static str)>,
    request: Request,
    next: Next,
) -> Response {
    let key = world.options.key.as_bytes();
    let has_key = |text: &[u8]| !key.is_empty() && text.windows(key.len()).any(|part| part == key);
    let in_headers = request
        .headers()
        .iter()
        .any(|(name, value)| name == "x-key" || name == header::AUTHORIZATION || has_key(value.as_bytes()));
    if in_headers || has_key(request.uri().to_string().as_bytes()) {
        world.edit(|state| state.violate(format!("the key arrived at {host}")));
    }
    next.run(request).await
}

/// `GET /v1/get_result?id=`, which asks for no key.
pub(super) async fn poll(
    State(world): Shared,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    Query(mut query): Parameters,
) -> Response {
    let Some(id) = query.remove("id") else {
        let fault = json!({"type": "missing", "loc": ["query", "id"], "msg": "Field required"});
        return answer(422, json!({"detail": [fault]}));
    };
    let (fault, task) = world.edit(|state| {
        let fault = state.poll_fault(&world.options);
        let task = state.task(&id).map(|task| {
            task.polls += 1;
            task.clone()
        });
        (fault, task)
    });
    let body = match task {
        None => not_found(&id),
        Some(task) if world.options.late && task.polls == 1 => {
            return answer(404, json!({"detail": "Not Found"}));
        }
        Some(task) => {
            let sample = world.sample_url(&task);
            task.answer(Instant::now(), &sample, world.options.reasoning)
        }
    };
    match fault {
        None => answer(200, body),
        Some(AnswerFault::Cut) => broken(&body.to_string()),
        Some(fault) => spoiled(fault, &cutter).await,
    }
}

/// `GET /results/…?sig=`
async fn sample(
    State(world): Shared,
    ConnectInfo(cutter): ConnectInfo<Cutter>,
    Path((id, _)): Path<(String, String)>,
    Query(query): Parameters,
) -> Response {
    let now = Instant::now();
    let (fault, task) = world.edit(|state| {
        let fault = state.sample_fault(&world.options);
        // what the service has forgotten can still be fetched
        let task = state.tasks.iter_mut().find(|task| task.id == id);
        let signed = |task: &&mut Task| {
            let is_fresh = task.end().is_some_and(|end| now < end + world.options.sample_ttl);
            is_fresh && task.is_ready(now) && query.get("sig") == Some(&task.signature)
        };
        let task = task.filter(signed).map(|task| {
            task.fetches += 1;
            task.clone()
        });
        (fault, task)
    });
    let Some(task) = task else {
        let words = "<?xml version=\"1.0\"?><Error><Code>AuthenticationFailed</Code></Error>";
        return (
            StatusCode::FORBIDDEN,
            [(header::CONTENT_TYPE, "application/xml")],
            words,
        )
            .into_response();
    };
    let (media_type, bytes) = picture::made(&task.order.format, task.order.size, task.seed);
    let whole = |body: Body| ([(header::CONTENT_TYPE, media_type)], body).into_response();
    match fault {
        None => whole(bytes.into()),
        Some(AnswerFault::Cut) => whole(halved(&bytes)),
        Some(fault) => spoiled(fault, &cutter).await,
    }
}

async fn bill(State(world): Shared) -> Response {
    let body = world.read(|state| {
        let mut body = state.bill(Instant::now()).json();
        body["violations"] = json!(state.violations);
        body["submissions"] = json!(state.submissions.len());
        body["connections"] = json!(state.connections);
        body
    });
    answer(200, body)
}

async fn spoiled(fault: AnswerFault, cutter: &Cutter) -> Response {
    match fault {
        AnswerFault::Status(status) => answer(status, json!({"detail": format!("simulated {status}")})),
        AnswerFault::Html => html(200, "Please wait"),
        AnswerFault::Stall => std::future::pending().await,
        AnswerFault::Cut => {
            cutter.cut();
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page as something in between answers it.
pub(super) fn html(status: u16, title: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let page = format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>");
    (status, Html(page)).into_response()
}

/// An answer of JSON that breaks off in the middle.
pub(super) fn broken(body: &str) -> Response {
    let head = [(header::CONTENT_TYPE, "application/json")];
    (head, halved(&Bytes::copy_from_slice(body.as_bytes()))).into_response()
}

/// The first half, and then the connection breaks.
fn halved(bytes: &Bytes) -> Body {
    let broken = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let pieces = [Ok(bytes.slice(..bytes.len() / 2)), broken];
    // the error must come after the head has left, or there would be no head
    let pieces = stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    Body::from_stream(pieces)
}
