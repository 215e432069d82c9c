//! The HTTP side: every route with and without `/api`, as the server has them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::validation::{in_old_words, refusal, validate};
use super::wire::Wires;
use super::world::{Item, World, now_ms};
use super::{ModelKind, Received, fault, files, jobs, live};

/// The server's limit for every request body, bytes.
const MAX_BODY: usize = 100 << 20;

type Shared = State<Arc<World>>;

/// Serves whenever there is a listener, until the world goes down.
pub(super) async fn serve(world: Arc<World>) {
    loop {
        let listener = world.until(|state| state.listener.take()).await;
        let app = router(Arc::clone(&world));
        world.edit(|state| state.serving = true);
        let wires = Wires {
            listener,
            world: Arc::clone(&world),
        };
        tokio::select! {
            biased;
            () = world.until(|state| state.down.then_some(())) => {}
            result = axum::serve(wires, app) => drop(result),
        }
        world.edit(|state| state.serving = false);
    }
}

fn router(world: Arc<World>) -> Router {
    let mut api = plain();
    if world.options.jobs_api {
        api = api
            .route("/jobs/{id}", get(jobs::show))
            .route("/jobs/{id}/cancel", post(jobs::cancel));
    }
    Router::new()
        .merge(plain())
        .nest("/api", api)
        .fallback(|| async {
            (
                StatusCode::NOT_FOUND,
                [(header::CONTENT_TYPE, "application/octet-stream")],
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(&world), fault::inject))
        .layer(from_fn(same_origin))
        .with_state(world)
}

fn plain() -> Router<Arc<World>> {
    Router::new()
        .route("/system_stats", get(system_stats))
        .route("/features", get(|| async { Json(features()) }))
        .route(
            "/object_info",
            get(|State(world): Shared| async move { Json(world.object_info().0) }),
        )
        .route("/object_info/{class}", get(object_info_of))
        .route(
            "/models",
            get(|| async { Json(ModelKind::ALL.map(ModelKind::folder)) }),
        )
        .route("/models/{folder}", get(models))
        .route("/embeddings", get(embeddings))
        .route("/prompt", get(queue_length).post(prompt))
        .route("/queue", get(queue).post(edit_queue))
        .route("/interrupt", post(interrupt))
        .route("/free", post(free))
        .route("/history", get(histories).post(edit_history))
        .route("/history/{id}", get(history))
        .route("/view", get(files::view))
        .route("/upload/image", post(files::upload_image))
        .route("/upload/mask", post(files::upload_mask))
        .route("/ws", get(live::connect))
}

/// Browsers name the page that they ask from; one from elsewhere is refused.
async fn same_origin(request: Request, next: Next) -> Response {
    if is_foreign(request.headers()) {
        StatusCode::FORBIDDEN.into_response()
    } else {
        next.run(request).await
    }
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(header::HOST).unwrap_or_default();
    text(header::ORIGIN).is_some_and(|origin| origin.split("://").nth(1) != Some(host))
}

/// What the server answers to anything that it did not expect.
pub(super) fn trouble() -> Response {
    let words = "500 Internal Server Error\n\nServer got itself in trouble";
    (StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
}

pub(super) fn features() -> Value {
    json!({"supports_preview_metadata": true, "max_upload_size": MAX_BODY})
}

async fn system_stats(State(world): Shared) -> Json<Value> {
    let (total, free) = (8_u64 << 30, 6_u64 << 30);
    let vram_free = free - world.read(|state| state.models.memory()).min(free);
    Json(json!({
        "system": {
            "os": "linux", "ram_total": total, "ram_free": free,
            "comfyui_version": world.options.version, "python_version": "3.11.7",
            "pytorch_version": "2.9.1", "embedded_python": false, "argv": ["main.py", "--cpu"],
        },
        "devices": [{
            "name": "cpu", "type": "cpu", "index": null, "vram_total": total, "vram_free": vram_free,
            "torch_vram_total": total, "torch_vram_free": vram_free,
        }],
    }))
}

async fn object_info_of(State(world): Shared, Path(class): Path<String>) -> Json<Value> {
    let info = world.object_info();
    Json(
        info.class(&class)
            .map_or_else(|| json!({}), |description| json!({ class: description })),
    )
}

async fn models(State(world): Shared, Path(folder): Path<String>) -> Response {
    let Some(kind) = ModelKind::ALL.into_iter().find(|kind| kind.folder() == folder) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    Json(world.read(|state| state.models.files(kind).to_vec())).into_response()
}

async fn embeddings(State(world): Shared) -> Json<Value> {
    // without their extension, as a prompt names them
    let stem = |name: &String| {
        name.rsplit_once('.')
            .map_or(name.as_str(), |(stem, _)| stem)
            .to_owned()
    };
    let files = world.read(|state| state.models.files(ModelKind::Embeddings).to_vec());
    Json(files.iter().map(stem).collect())
}

async fn queue_length(State(world): Shared) -> Json<Value> {
    let remaining = world.read(super::world::State::queue_remaining);
    Json(json!({"exec_info": {"queue_remaining": remaining}}))
}

async fn prompt(State(world): Shared, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return trouble();
    };
    match post_prompt(&world, &body) {
        Posted::Queued(answer) => Json(answer).into_response(),
        Posted::Refused(answer) => (StatusCode::BAD_REQUEST, Json(answer)).into_response(),
        Posted::Trouble => trouble(),
    }
}

enum Posted {
    Queued(Value),
    Refused(Value),
    Trouble,
}

fn post_prompt(world: &World, body: &Value) -> Posted {
    world.edit(|state| state.say("got prompt"));
    let Some((number, shown_number)) = next_number(world, body) else {
        return Posted::Trouble;
    };
    let mut extra_data = match body.get("extra_data") {
        None => Map::new(),
        Some(Value::Object(extra_data)) => extra_data.clone(),
        Some(_) => return Posted::Trouble,
    };
    let Some(graph) = body.get("prompt") else {
        let words = "No prompt provided";
        return Posted::Refused(refusal("no_prompt", words, words, &json!({})));
    };
    if !graph.is_object() {
        return Posted::Trouble;
    }
    if let Some(client_id) = body.get("client_id") {
        extra_data.insert("client_id".to_owned(), client_id.clone());
    }
    if !world.options.old {
        extra_data.insert("create_time".to_owned(), json!(now_ms()));
    }
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let received = |accepted| Received {
        prompt_id: text("prompt_id"),
        client_id: text("client_id"),
        graph: graph.clone(),
        accepted,
    };
    let has_input = |name: &str| {
        let place = files::annotated(name);
        world.read(|state| state.files.contains_key(&place))
    };
    let old = world.options.old;
    let checked = prompt_id(body.get("prompt_id"), old)
        .and_then(|id| Ok((id, validate(graph, &world.object_info(), &has_input)?)));
    let (prompt_id, valid) = match checked {
        Ok(checked) => checked,
        Err(refused) => {
            world.edit(|state| {
                state.received.push(received(false));
                state.say(&format!("invalid prompt: {}", refused["error"]));
            });
            return Posted::Refused(if old { in_old_words(refused) } else { refused });
        }
    };
    let answer = json!({"prompt_id": prompt_id, "number": shown_number, "node_errors": valid.node_errors});
    let (graph, extra_data) = (graph.clone(), Value::Object(extra_data));
    let pushed = world.edit(|state| {
        state.received.push(received(true));
        state.push(Item {
            number,
            shown_number,
            prompt_id,
            graph,
            extra_data,
            outputs: valid.outputs,
        })
    });
    pushed.map_or(Posted::Trouble, |()| Posted::Queued(answer))
}

/// The number that a prompt gets, and how it is shown: whole unless the poster gave it. Every post takes one.
fn next_number(world: &World, body: &Value) -> Option<(f64, Value)> {
    let counted = world.edit(|state| {
        state.next_number += 1;
        state.next_number - 1
    });
    match body.get("number") {
        None if body.get("front").and_then(Value::as_bool) == Some(true) => {
            Some((-(counted as f64), json!(-counted)))
        }
        None => Some((counted as f64, json!(counted))),
        Some(wanted) => wanted.as_f64().map(|wanted| (wanted, json!(wanted))),
    }
}

/// Any text is an id to an old server, and what is no text is turned into some, null too.
fn prompt_id(wanted: Option<&Value>, old: bool) -> Result<String, Value> {
    let wanted = match wanted {
        Some(Value::Null) if old => return Ok("None".to_owned()),
        Some(wanted) if old => return Ok(wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned)),
        None | Some(Value::Null) => return Ok(Uuid::new_v4().to_string()),
        Some(wanted) => wanted,
    };
    let canonical = |text: &&str| Uuid::try_parse(text).is_ok_and(|id| id.to_string() == **text);
    wanted.as_str().filter(canonical).map(str::to_owned).ok_or_else(|| {
        let details = "prompt_id must be a UUID string in canonical lowercase hyphenated form; omit it to let the \
                       server generate one";
        refusal("invalid_prompt_id", "prompt_id must be a valid UUID", details, &json!({}))
    })
}

async fn queue(State(world): Shared) -> Json<Value> {
    Json(world.read(|state| {
        let running: Vec<Value> = state.running.iter().map(|running| running.item.json()).collect();
        let pending: Vec<Value> = state.pending.iter().map(Item::json).collect();
        json!({"queue_running": running, "queue_pending": pending})
    }))
}

async fn edit_queue(State(world): Shared, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return trouble();
    };
    let done = world.edit(|state| {
        if body.get("clear").and_then(Value::as_bool) == Some(true) {
            state.pending.clear();
            state.broadcast_status();
        }
        let ids = body.get("delete").and_then(Value::as_array).into_iter().flatten();
        ids.map(|id| state.remove_pending(id.as_str().unwrap_or_default()))
            .collect::<Result<Vec<_>, _>>()
    });
    done.map_or_else(|_| trouble(), |_| StatusCode::OK.into_response())
}

/// Without a readable `prompt_id` it means whatever runs.
async fn interrupt(State(world): Shared, body: Bytes) -> Response {
    let body = serde_json::from_slice::<Value>(&body).unwrap_or_else(|_| json!({}));
    if body.is_array() {
        return trouble();
    }
    world.edit(|state| state.interrupt(body.get("prompt_id").and_then(Value::as_str)));
    StatusCode::OK.into_response()
}

async fn free(State(world): Shared, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return trouble();
    };
    let wanted = |key: &str| body.get(key).and_then(Value::as_bool) == Some(true);
    world.edit(|state| {
        state.to_free.0 |= wanted("unload_models");
        state.to_free.1 |= wanted("free_memory");
        if state.running.is_none() && !state.stands_still() {
            state.free();
        }
    });
    StatusCode::OK.into_response()
}

async fn history(State(world): Shared, Path(id): Path<String>) -> Json<Value> {
    Json(world.read(|state| {
        let entries = state.history.iter().filter(|(ended, _)| *ended == id);
        Value::Object(entries.cloned().collect())
    }))
}

/// The newest entries, or from an offset on; the oldest first in either case.
async fn histories(State(world): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
    let number = |key: &str| query.get(key).map(|text| text.parse::<usize>()).transpose();
    let (Ok(max_items), Ok(offset)) = (number("max_items"), number("offset")) else {
        return trouble();
    };
    let entries = world.read(|state| state.history.clone());
    let max_items = max_items.unwrap_or(entries.len());
    let first = offset.unwrap_or(entries.len().saturating_sub(max_items));
    let chosen = entries.into_iter().skip(first).take(max_items);
    Json(Value::Object(chosen.collect())).into_response()
}

async fn edit_history(State(world): Shared, body: Bytes) -> Response {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return trouble();
    };
    world.edit(|state| {
        if body.get("clear").and_then(Value::as_bool) == Some(true) {
            state.history.clear();
        }
        for id in body.get("delete").and_then(Value::as_array).into_iter().flatten() {
            state
                .history
                .retain(|(ended, _)| Some(ended.as_str()) != id.as_str());
        }
    });
    StatusCode::OK.into_response()
}
