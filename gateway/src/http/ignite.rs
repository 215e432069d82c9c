//! `POST /api/system/ignite`: brings everything up, step by step.

use std::mem;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use proto::{
    failure::FailureCode,
    v1::{IgniteRequest, IgniteStep, ignite_step},
};
use serde_json::{Value, json};

use super::{
    extract::MaybeJsonBytes,
    hosts::{event, wants_events},
    stream::respond,
};
use crate::{front::Front, ignition, problem::Problem};

/// Events `step`, then `done` or `failed`; without them all steps at once.
pub(crate) async fn ignite(
    State(front): State<Front>,
    headers: HeaderMap,
    MaybeJsonBytes(bytes): MaybeJsonBytes,
) -> Result<Response, Problem> {
    let request: IgniteRequest = match bytes {
        None => IgniteRequest::default(),
        Some(bytes) => serde_json::from_slice::<Option<IgniteRequest>>(&bytes)
            .map_err(|error| Problem::new(FailureCode::RequestMalformed, error.to_string()))?
            .unwrap_or_default(),
    };
    let steps = front.ignition.clone().run(request.workers);
    if !wants_events(&headers) {
        let steps: Vec<IgniteStep> = steps.collect().await;
        let mut told = summary(&steps);
        told["steps"] = steps.iter().map(shown).collect();
        return Ok(Json(told).into_response());
    }
    let mut taken = Vec::new();
    let events = steps.map(Some).chain(stream::iter([None])).map(move |step| {
        let Some(step) = step else {
            let told = summary(&mem::take(&mut taken));
            let name = if told["ok"] == true { "done" } else { "failed" };
            return event(name, &told);
        };
        let told = event("step", &shown(&step));
        taken.push(step);
        told
    });
    Ok(respond(&front, events))
}

fn summary(steps: &[IgniteStep]) -> Value {
    let (failed, message) = ignition::sum_up(steps);
    json!({"ok": failed == 0, "failed": failed, "message": message})
}

/// With every field written out.
fn shown(step: &IgniteStep) -> Value {
    let state: ignite_step::State = step.state();
    json!({
        "worker": step.worker,
        "name": step.name,
        "state": state.as_str_name(),
        "message": step.message,
    })
}
