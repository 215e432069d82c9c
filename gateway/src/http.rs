//! The HTTP surface. Handlers read, call and wrap; whatever goes wrong is told as a problem document.

mod amounts;
mod body;
mod chats;
mod comfyui;
mod content;
mod extract;
mod fields;
mod flux;
mod frames;
mod hosts;
mod ignite;
mod jobs;
mod listing;
mod origin;
mod page;
pub(crate) mod problem;
mod query;
mod range;
mod spend;
mod status;
mod stream;
mod uploads;
mod verify;
mod workflows;

use std::any::Any;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    http::{HeaderMap, HeaderValue, Method, Uri, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use proto::failure::FailureCode;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

use crate::{
    front::{Front, note_panic},
    grpc,
    problem::Problem,
};

/// All routes, with those of gRPC among them.
pub(crate) fn routes(front: Front, grpc: Router) -> Router {
    let admin = runtime::admin::routes(front.registry.clone(), front.readiness.clone());
    pages()
        .merge(job_routes())
        .merge(host_routes())
        .merge(workflow_routes())
        .merge(spend_routes())
        .merge(chat_routes())
        .merge(file_routes())
        .with_state(front)
        .merge(admin)
        .merge(grpc)
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(origin::guard))
        .layer(middleware::map_response(no_guessing))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TraceLayer::new_for_http())
}

fn pages() -> Router<Front> {
    Router::new()
        .merge(page::routes())
        .route("/docs/codes/{code}", get(status::code_page))
        .route("/api/models", get(status::models))
        .route("/api/flux/models", get(flux::models))
        .route("/api/health", get(status::health))
}

fn job_routes() -> Router<Front> {
    Router::new()
        .route("/api/generate", post(jobs::generate))
        .route("/api/jobs", post(jobs::submit).get(jobs::list))
        .route("/api/jobs/stream", get(stream::all))
        .route("/api/jobs/validate", post(jobs::validate))
        .route("/api/jobs/{id}", get(jobs::get).delete(jobs::cancel))
        .route("/api/jobs/{id}/cancel", post(jobs::cancel))
        .route("/api/jobs/{id}/retry", post(jobs::retry))
        .route("/api/jobs/{id}/run", post(jobs::run))
        .route("/api/jobs/{id}/events", get(jobs::events))
        .route("/api/jobs/{id}/preview", get(jobs::preview))
        .route("/api/jobs/{id}/stream", get(stream::one))
}

fn host_routes() -> Router<Front> {
    Router::new()
        .route("/api/models/rescan", post(hosts::rescan))
        .route("/api/models/verify", get(verify::verify))
        .route("/api/system/ignite", post(ignite::ignite))
        .route("/api/workers", get(hosts::workers))
        .route("/api/workers/{id}", get(hosts::worker))
        .route("/api/workers/{id}/comfyui/start", post(hosts::start))
        .route("/api/workers/{id}/comfyui/stop", post(hosts::stop))
        .route("/api/workers/{id}/comfyui/restart", post(hosts::restart))
        .route("/api/workers/{id}/comfyui/status", get(hosts::status))
        .route("/api/workers/{id}/comfyui/logs", get(hosts::logs))
        .route("/api/comfyui/{worker}/{*path}", get(comfyui::pass))
}

fn workflow_routes() -> Router<Front> {
    Router::new()
        .route("/api/workflows", get(workflows::list))
        .route(
            "/api/workflows/{name}",
            get(workflows::get).put(workflows::put).delete(workflows::delete),
        )
        .route("/api/workflows/{name}/validate", post(workflows::validate))
        .route("/api/workflows/{name}/run", post(workflows::run))
}

fn spend_routes() -> Router<Front> {
    Router::new()
        .route("/api/spend", get(spend::overview))
        .route("/api/spend/ledger", get(spend::ledger))
        .route("/api/spend/{job}", get(spend::account))
        .route("/api/spend/{job}/resolve", post(spend::resolve))
}

fn chat_routes() -> Router<Front> {
    Router::new()
        .route("/api/v0/chats", get(chats::list).post(chats::create))
        .route("/api/v0/chats/{id}", get(chats::get).delete(chats::delete))
        .route(
            "/api/v0/chats/{id}/messages",
            get(chats::messages).post(chats::say),
        )
        .route("/api/v0/chats/{id}/files", get(chats::files))
        .route("/api/v0/chats/{id}/preview", get(chats::preview))
        .route("/api/v0/chats/{id}/artifact", get(chats::artifact))
        .route("/api/v0/chats/{id}/apply", post(chats::apply))
        .route("/api/v0/chats/{id}/import", post(chats::import))
}

/// Their bodies are streamed, and limited where they are stored.
fn file_routes() -> Router<Front> {
    Router::new()
        .route("/api/artifacts/{id}", get(content::artifact))
        .route("/api/artifacts/{id}/content", get(content::artifact_content))
        .route("/api/assets", post(uploads::asset))
        .route("/api/assets/{id}", get(content::asset))
        .route("/api/assets/{id}/content", get(content::asset_content))
        .route("/internal/artifacts", put(uploads::artifact))
        .layer(DefaultBodyLimit::disable())
}

async fn unknown(uri: Uri, headers: HeaderMap, request: Request) -> Response {
    if grpc::is_call(&headers) {
        return grpc::unknown(uri.path());
    }
    extract::discard(request.into_body()).await;
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(FailureCode::RouteUnknown, format!("there is nothing at {path}")).into_response()
}

async fn wrong_method(method: Method, uri: Uri, request: Request) -> Problem {
    extract::discard(request.into_body()).await;
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(FailureCode::RouteMethod, format!("{path} does not take {method}"))
}

/// A browser must not guess that a file is something else than its content type says.
async fn no_guessing(mut response: Response) -> Response {
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer wants")]
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    note_panic(payload.as_ref());
    Problem::new(
        FailureCode::GatewayFault,
        "the call crashed; the gateway's log says where",
    )
    .into_response()
}
