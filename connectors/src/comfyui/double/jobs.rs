//! The jobs API, of newer servers only.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::heap::Tie;
use super::routes::trouble;
use super::world::{self, Item, World};

pub(super) async fn show(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    match world.read(|state| job(state, &id)) {
        Some(job) => Json(job).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": "Job not found"}))).into_response(),
    }
}

pub(super) async fn cancel(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    let removed = world.edit(|state| {
        state
            .remove_pending(&id)
            .map(|gone| gone || state.interrupt(Some(&id)))
    });
    removed.map_or_else(
        |Tie| trouble(),
        |cancelled| Json(json!({ "cancelled": cancelled })).into_response(),
    )
}

fn job(state: &world::State, id: &str) -> Option<Value> {
    let live = |item: &Item, status: &str| {
        json!({
            "id": id, "status": status, "priority": item.shown_number,
            "create_time": item.extra_data["create_time"], "outputs_count": 0, "previewable_outputs_count": 0,
        })
    };
    if let Some(running) = state
        .running
        .as_ref()
        .filter(|running| running.item.prompt_id == id)
    {
        return Some(live(&running.item, "in_progress"));
    }
    if let Some(item) = state.pending.iter().find(|item| item.prompt_id == id) {
        return Some(live(item, "pending"));
    }
    let (_, entry) = state.history.iter().find(|(ended, _)| ended == id)?;
    Some(ended_job(id, entry))
}

fn ended_job(id: &str, entry: &Value) -> Value {
    let messages = entry["status"]["messages"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let data = |kind: &str| {
        messages
            .iter()
            .find(|message| message[0] == kind)
            .map(|message| &message[1])
    };
    let status = if data("execution_interrupted").is_some() {
        "cancelled"
    } else if data("execution_error").is_some() {
        "failed"
    } else {
        "completed"
    };
    let mut job = json!({
        "id": id, "status": status, "priority": entry["prompt"][0],
        "create_time": entry["prompt"][3]["create_time"],
        "execution_start_time": messages.first().map(|message| &message[1]["timestamp"]),
        "execution_end_time": messages.last().map(|message| &message[1]["timestamp"]),
        "outputs_count": entry["outputs"].as_object().map_or(0, serde_json::Map::len),
        "outputs": entry["outputs"], "execution_status": entry["status"],
        "workflow": {"prompt": entry["prompt"][2], "extra_data": entry["prompt"][3]},
    });
    if let Some(error) = data("execution_error") {
        job["execution_error"] = error.clone();
    }
    job
}
