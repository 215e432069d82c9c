//! Workers over HTTP: who there is, and the ComfyUI of each.

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response, sse::Event},
};
use futures::{StreamExt as _, future, stream};
use proto::{
    Backend,
    ids::WorkerId,
    v1::{
        BackendOffer, ControlCall, Host, LogCall, StatusCall, Worker, control_call::Action, host_call::Call,
        host_reply::Body,
    },
};
use serde_json::{Value, json};

use super::{extract::Named, problem::document, query::Query, stream::respond};
use crate::{
    front::Front,
    hosts::{problem, strange},
    problem::Problem,
};

const EVENT_STREAM: &str = "text/event-stream";
const PLAIN_TEXT: &str = "text/plain";
const MAX_LINES: u32 = 2_000;

/// Whether the caller names a content type among those that it wants.
pub(super) fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let lists = headers.get_all(header::ACCEPT).iter();
    lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|essence| essence.trim().eq_ignore_ascii_case(wanted))
}

/// Whether the caller wants to see each step as it is made.
pub(super) fn wants_events(headers: &HeaderMap) -> bool {
    accepts(headers, EVENT_STREAM)
}

/// An event of one name with JSON.
pub(super) fn event(name: &str, data: &Value) -> Event {
    Event::default().event(name).data(data.to_string())
}

/// A failure as the data of an event.
pub(super) fn failure_of(worker: &str, problem: &Problem) -> Value {
    let mut told = document(problem);
    told["worker"] = worker.into();
    told
}

/// An offer with the number of its node classes, which are hundreds, instead of their names.
pub(super) fn brief(offer: &BackendOffer) -> Value {
    let mut told = json!(BackendOffer {
        node_classes: Vec::new(),
        ..offer.clone()
    });
    told["node_class_count"] = offer.node_classes.len().into();
    told
}

/// `GET /api/workers`
pub(crate) async fn workers(State(front): State<Front>) -> Response {
    let told = front.jobs.workers().into_iter().map(|mut worker| {
        let offers: Vec<Value> = worker.backends.iter().map(brief).collect();
        worker.backends.clear();
        let mut told = json!(worker);
        told["backends"] = offers.into();
        told
    });
    Json(json!({"workers": told.collect::<Vec<_>>()})).into_response()
}

/// `GET /api/workers/{id}`
pub(crate) async fn worker(
    State(front): State<Front>,
    Named(id): Named<WorkerId>,
) -> Result<Json<Worker>, Problem> {
    front.hosts.worker(id.as_str()).map(Json)
}

/// `POST /api/workers/{id}/comfyui/start`
pub(crate) async fn start(
    state: State<Front>,
    id: Named<WorkerId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    control(state, id, &headers, Action::Start).await
}

/// `POST /api/workers/{id}/comfyui/stop`
pub(crate) async fn stop(
    state: State<Front>,
    id: Named<WorkerId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    control(state, id, &headers, Action::Stop).await
}

/// `POST /api/workers/{id}/comfyui/restart`
pub(crate) async fn restart(
    state: State<Front>,
    id: Named<WorkerId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    control(state, id, &headers, Action::Restart).await
}

/// Events `host` for each state, then `done` or `failed`; without them the last state.
async fn control(
    State(front): State<Front>,
    Named(id): Named<WorkerId>,
    headers: &HeaderMap,
    action: Action,
) -> Result<Response, Problem> {
    let name = id.to_string();
    front.hosts.with_comfyui(Some(&name))?;
    tracing::info!(
        worker.id = name,
        action = action.as_str_name(),
        "ComfyUI is to change"
    );
    let call = Call::Control(ControlCall {
        action: action.into(),
    });
    if !wants_events(headers) {
        let Body::Host(host) = front.hosts.last(&name, call).await? else {
            return Err(strange(&name));
        };
        return Ok(Json(shown(&host)).into_response());
    }
    let replies = front.hosts.call(&name, call)?;
    let events = replies.flat_map(move |reply| {
        let last = reply.last;
        let told = match reply.body {
            Some(Body::Host(host)) if last => {
                vec![event("host", &shown(&host)), event("done", &shown(&host))]
            }
            Some(Body::Host(host)) => vec![event("host", &shown(&host))],
            Some(Body::Failure(failure)) => vec![event("failed", &failure_of(&name, &problem(&failure)))],
            _ if last => vec![event("failed", &failure_of(&name, &strange(&name)))],
            _ => Vec::new(),
        };
        stream::iter(told)
    });
    Ok(respond(&front, events))
}

/// The state is written out also where it is the default.
fn shown(host: &Host) -> Value {
    let mut told = json!(host);
    told["state"] = host.state().as_str_name().into();
    told
}

/// `GET /api/workers/{id}/comfyui/status`
pub(crate) async fn status(
    State(front): State<Front>,
    Named(id): Named<WorkerId>,
) -> Result<Response, Problem> {
    let name = id.to_string();
    let worker = front.hosts.worker(&name)?;
    let Body::Host(host) = front.hosts.last(&name, Call::Status(StatusCall {})).await? else {
        return Err(strange(&name));
    };
    let mut told = shown(&host);
    let mut offers = worker.backends.iter();
    let offer = offers.find(|offer| offer.backend() == Backend::Comfyui);
    told["offer"] = offer.map_or(Value::Null, brief);
    Ok(Json(told).into_response())
}

/// `GET /api/workers/{id}/comfyui/logs`
pub(crate) async fn logs(
    State(front): State<Front>,
    Named(id): Named<WorkerId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = Query::read(query.as_deref(), &["lines"])?;
    let lines = query.number("lines", 1, MAX_LINES)?.unwrap_or_default();
    let name = id.to_string();
    let Body::Log(log) = front.hosts.last(&name, Call::Log(LogCall { lines })).await? else {
        return Err(strange(&name));
    };
    let no_store = (header::CACHE_CONTROL, "no-store");
    if accepts(&headers, PLAIN_TEXT) {
        let mut text = log.lines.join("\n");
        text.push('\n');
        let headers = [no_store, (header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        return Ok((headers, text).into_response());
    }
    Ok(([no_store], Json(json!({"lines": log.lines}))).into_response())
}

/// `POST /api/models/rescan`: what each worker says, beside each other.
pub(crate) async fn rescan(
    State(front): State<Front>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut query = Query::read(query.as_deref(), &["worker"])?;
    let named = query.text("worker");
    let workers = front.hosts.with_comfyui(named.as_deref())?;
    let asked = workers.into_iter().map(|worker| {
        let front = front.clone();
        async move {
            let told = front
                .hosts
                .last(&worker, Call::Rescan(proto::v1::RescanCall {}))
                .await;
            (worker, told)
        }
    });
    let mut answers = Vec::new();
    for (worker, told) in future::join_all(asked).await {
        match told {
            Ok(Body::Offer(offer)) => answers.push(json!({"worker": worker, "offer": brief(&offer)})),
            Ok(_) => return Err(strange(&worker)),
            Err(problem) if named.is_some() => return Err(problem),
            Err(problem) => answers.push(json!({"worker": worker, "failure": document(&problem)})),
        }
    }
    Ok(Json(json!({"workers": answers})).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_says_what_it_wants() {
        let accept =
            |text: &'static str| HeaderMap::from_iter([(header::ACCEPT, text.parse().expect("a header"))]);
        assert!(wants_events(&accept("application/json, Text/Event-Stream;q=0.5")));
        assert!(!wants_events(&accept("*/*")));
        assert!(!wants_events(&HeaderMap::new()));
    }

    #[test]
    fn hundreds_of_node_classes_are_told_as_a_number() {
        let offer = BackendOffer {
            software: "ComfyUI".into(),
            node_classes: vec!["KSampler".into(); 812],
            ..BackendOffer::default()
        };
        assert_eq!(
            brief(&offer),
            json!({"software": "ComfyUI", "node_class_count": 812})
        );
    }
}
