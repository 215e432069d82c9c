//! What every long-running process answers to its keepers: `/livez`, `/readyz` and `/metrics`.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::tasks::Stop;

/// What a process can do just now, part by part. Cloning gives another handle.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    parts: Arc<Mutex<BTreeMap<&'static str, Result<(), String>>>>,
}

impl Readiness {
    /// Notes the state of a part: fine, or what is wrong with it.
    pub fn set(&self, part: &'static str, state: Result<(), String>) {
        self.parts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(part, state);
    }

    /// The state of every part.
    pub fn report(&self) -> ReadinessReport {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let text = |state: &Result<(), String>| state.clone().err().unwrap_or_else(|| "ok".to_owned());
        ReadinessReport {
            ready: parts.values().all(Result::is_ok),
            parts: parts.iter().map(|(part, state)| (*part, text(state))).collect(),
        }
    }
}

/// The state of every part of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadinessReport {
    /// Whether all parts are fine.
    pub ready: bool,
    /// Each part: `ok`, or what is wrong.
    pub parts: BTreeMap<&'static str, String>,
}

/// The routes, to be merged into a process's own or served alone.
pub fn routes(registry: Arc<Registry>, readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(readiness)
        .merge(Router::new().route("/metrics", get(metrics)).with_state(registry))
}

/// Serves the routes on an address of their own until `stop`.
///
/// # Errors
/// If the address cannot be bound.
pub async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(listen).await
}

/// Serves routes on a bound listener until `stop`.
pub async fn serve(listener: TcpListener, routes: Router, stop: Stop) {
    let served = axum::serve(listener, routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(%error, "the admin endpoint ended");
    }
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let report = readiness.report();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => (
            [(
                CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        )
            .into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
