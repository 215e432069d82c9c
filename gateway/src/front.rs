//! The one door for all callers: HTTP and gRPC on the same port, over the same shared state.

use std::{any::Any, ops::Deref, sync::Arc, time::Duration};

use axum::Router;
use prometheus_client::registry::Registry;
use runtime::{admin::Readiness, tasks::Stop};

use crate::{
    files::Files, grants::Grants, grpc, hosts::Hosts, http, ignition::Ignition, jobs::Jobs,
    workflows::Workflows,
};

/// As whom callers submit while there are no API keys; part of what an idempotency key stands for.
pub(crate) const ANYBODY: &str = "local";
/// How long a sender of a body may be silent.
pub(crate) const SILENCE: Duration = Duration::from_mins(1);

/// What every call needs, behind one pointer, because every call clones it several times.
#[derive(Clone)]
pub struct Front(Arc<Parts>);

/// What every call needs.
pub struct Parts {
    /// What can be asked about jobs.
    pub jobs: Jobs,
    /// What jobs made, and what people uploaded.
    pub files: Files,
    /// What single workers are asked.
    pub hosts: Hosts,
    /// What brings everything up.
    pub ignition: Ignition,
    /// Workflows, built-in and stored.
    pub workflows: Workflows,
    /// The most bytes of one answer of a ComfyUI that are passed on.
    pub max_fetch: u64,
    /// Who may upload results.
    pub grants: Grants,
    /// What `/metrics` shows.
    pub registry: Arc<Registry>,
    /// What `/readyz` and the gRPC health service show.
    pub readiness: Readiness,
    /// Ends the streams.
    pub stop: Stop,
}

impl From<Parts> for Front {
    fn from(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Front {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Everything that the gateway serves.
pub fn router(front: Front) -> Router {
    http::routes(front.clone(), grpc::routes(front))
}

/// Logs that a handler crashed; its caller gets `gateway_fault`.
pub(crate) fn note_panic(payload: &(dyn Any + Send)) {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("without a message"), "a call crashed");
}
