//! Chats at v0 over HTTP. What costs money becomes a job; the rest is asked of a worker, which has the key.

use std::str::FromStr;

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use proto::{
    failure::FailureCode,
    v0::{self, Action},
    v1::{V0Call, v0_call},
};
use serde_json::{Value, json};

use super::{
    body,
    content::NO_STORE,
    extract::{JsonBytes, MaybeJsonBytes, Named, PathId},
    jobs,
    query::Query,
};
use crate::{front::Front, problem::Problem};

const MAX_LIMIT: u32 = 60;
const MAX_CURSOR_BYTES: usize = 500;

/// The id of a chat in a path.
pub(crate) struct ChatId(String);

/// A text that is no id of a chat.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no id of a chat")]
pub(crate) struct NoChat(String);

impl FromStr for ChatId {
    type Err = NoChat;

    fn from_str(text: &str) -> Result<Self, NoChat> {
        if v0::is_chat_id(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NoChat(text.chars().take(80).collect()))
        }
    }
}

impl PathId for ChatId {
    const UNKNOWN: FailureCode = FailureCode::V0ChatUnknown;
}

/// `GET /api/v0/chats`
pub(crate) async fn list(State(front): State<Front>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    page(&front, v0_call::Action::List, "", query.as_deref()).await
}

/// `GET /api/v0/chats/{id}`
pub(crate) async fn get(
    State(front): State<Front>,
    Named(ChatId(chat)): Named<ChatId>,
) -> Result<Response, Problem> {
    ask(&front, v0_call::Action::Get, chat).await
}

/// `GET /api/v0/chats/{id}/messages`
pub(crate) async fn messages(
    State(front): State<Front>,
    Named(ChatId(chat)): Named<ChatId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    page(&front, v0_call::Action::Messages, &chat, query.as_deref()).await
}

/// `GET /api/v0/chats/{id}/files`
pub(crate) async fn files(
    State(front): State<Front>,
    Named(ChatId(chat)): Named<ChatId>,
) -> Result<Response, Problem> {
    ask(&front, v0_call::Action::Files, chat).await
}

/// `GET /api/v0/chats/{id}/preview`
pub(crate) async fn preview(
    State(front): State<Front>,
    Named(ChatId(chat)): Named<ChatId>,
) -> Result<Response, Problem> {
    ask(&front, v0_call::Action::Preview, chat).await
}

/// `DELETE /api/v0/chats/{id}`
pub(crate) async fn delete(
    State(front): State<Front>,
    Named(ChatId(chat)): Named<ChatId>,
) -> Result<Response, Problem> {
    tracing::info!(v0.chat = chat, "a chat at v0 is to be removed");
    ask(&front, v0_call::Action::Delete, chat).await
}

async fn ask(front: &Front, action: v0_call::Action, chat: String) -> Result<Response, Problem> {
    let call = V0Call {
        action: action.into(),
        chat,
        ..V0Call::default()
    };
    tell(front, call).await
}

async fn page(
    front: &Front,
    action: v0_call::Action,
    chat: &str,
    query: Option<&str>,
) -> Result<Response, Problem> {
    let mut query = Query::read(query, &["limit", "cursor"])?;
    let limit = query.number("limit", 1, MAX_LIMIT)?.unwrap_or_default();
    let cursor = query.text("cursor").unwrap_or_default();
    if cursor.len() > MAX_CURSOR_BYTES {
        let message = "is not a cursor; use `cursor` of the page before".to_owned();
        return Err(Problem::invalid(vec![proto::request::Fault {
            pointer: "/cursor".to_owned(),
            message,
        }]));
    }
    let call = V0Call {
        action: action.into(),
        chat: chat.to_owned(),
        limit,
        cursor,
    };
    tell(front, call).await
}

async fn tell(front: &Front, call: V0Call) -> Result<Response, Problem> {
    let told = front.hosts.ask_v0(call, front.max_fetch).await?;
    let headers = [
        (
            header::CONTENT_TYPE,
            header::HeaderValue::from_static("application/json"),
        ),
        (header::CACHE_CONTROL, NO_STORE),
    ];
    Ok((headers, told).into_response())
}

/// `GET /api/v0/chats/{id}/artifact`
pub(crate) async fn artifact(
    State(front): State<Front>,
    Named(ChatId(chat)): Named<ChatId>,
) -> Result<Json<Value>, Problem> {
    let job = front.jobs.newest_of_chat(&chat)?;
    Ok(Json(json!({
        "job": job.id,
        "site": job.site,
        "outputs": job.outputs,
        "recipe": job.recipe,
        "finished_at": job.finished_at,
    })))
}

/// `POST /api/v0/chats`
pub(crate) async fn create(
    State(front): State<Front>,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    submit(&front, &headers, Action::Create, None, Some(&bytes)).await
}

/// `POST /api/v0/chats/{id}/messages`
pub(crate) async fn say(
    State(front): State<Front>,
    Named(ChatId(chat)): Named<ChatId>,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    submit(&front, &headers, Action::Continue, Some(&chat), Some(&bytes)).await
}

/// `POST /api/v0/chats/{id}/apply`
pub(crate) async fn apply(
    State(front): State<Front>,
    Named(ChatId(chat)): Named<ChatId>,
    headers: HeaderMap,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    submit(&front, &headers, Action::Apply, Some(&chat), Some(&bytes)).await
}

/// `POST /api/v0/chats/{id}/import`
pub(crate) async fn import(
    State(front): State<Front>,
    Named(ChatId(chat)): Named<ChatId>,
    headers: HeaderMap,
    MaybeJsonBytes(bytes): MaybeJsonBytes,
) -> Result<Response, Problem> {
    submit(&front, &headers, Action::Import, Some(&chat), bytes.as_deref()).await
}

async fn submit(
    front: &Front,
    headers: &HeaderMap,
    action: Action,
    chat: Option<&str>,
    bytes: Option<&[u8]>,
) -> Result<Response, Problem> {
    let submission = body::read_chat(action, chat, bytes)?;
    jobs::submitted(front, headers, &submission).await
}
