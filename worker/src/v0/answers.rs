//! Answers what people ask about chats at v0: nothing of it costs money. What is told is put together from what is
//! known, so that no token and nothing else of v0's answers gets out by the way.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use connectors::v0::{Chat, Error, Files, Message};
use futures::{Stream, StreamExt as _, future::Either, stream};
use proto::{
    failure::FailureCode,
    v0,
    v1::{FetchHead, FetchPiece, HostReply, V0Call, host_reply::Body, v0_call::Action},
};
use runtime::calls::{KEEP_ALIVE, PIECE_BYTES, failed, last, more};
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at};

use super::{V0, dollars, message::JOB, refusals};
use crate::backend::Backend;

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 60;

/// The answer to one call, by a backend that is v0.
pub fn answer(backend: Arc<Backend>, call: V0Call) -> impl Stream<Item = HostReply> + Send + 'static {
    let work = async move {
        let Backend::V0(v0) = backend.as_ref() else {
            return vec![failed(FailureCode::V0Unoffered, "this worker has no v0")];
        };
        match v0.tell(&call).await {
            Ok(told) => pieces(&told),
            Err(reply) => vec![reply],
        }
    };
    // v0 may take its time: whoever asks is told that the worker is at it
    let alive = interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    let state = Either::Left((Box::pin(work), alive));
    let replies = stream::unfold(Some(state), |state| async move {
        let (mut work, mut alive) = match state? {
            Either::Left(both) => both,
            Either::Right(rest) => return next(rest),
        };
        tokio::select! {
            biased;
            told = &mut work => next(told.into_iter()),
            _ = alive.tick() => Some((HostReply::default(), Some(Either::Left((work, alive))))),
        }
    });
    replies.boxed()
}

type Rest = std::vec::IntoIter<HostReply>;

/// The next of the replies that are there.
fn next<T>(mut rest: Rest) -> Option<(HostReply, Option<Either<T, Rest>>)> {
    let reply = rest.next()?;
    Some((reply, Some(Either::Right(rest))))
}

/// JSON, as the answer of a server would be.
fn pieces(told: &Value) -> Vec<HostReply> {
    let body = Bytes::from(told.to_string());
    let head = FetchHead {
        status: 200,
        content_type: "application/json".to_owned(),
        size_bytes: body.len() as u64,
    };
    let mut replies = vec![more(Body::Head(head))];
    let mut chunks = body.chunks(PIECE_BYTES).peekable();
    while let Some(chunk) = chunks.next() {
        let piece = Body::Piece(FetchPiece {
            content: Bytes::copy_from_slice(chunk),
        });
        replies.push(if chunks.peek().is_some() {
            more(piece)
        } else {
            last(piece)
        });
    }
    replies
}

impl V0 {
    async fn tell(&self, call: &V0Call) -> Result<Value, HostReply> {
        let action = call.action();
        if !matches!(action, Action::List | Action::Unspecified) && !v0::is_chat_id(&call.chat) {
            let chat: String = call.chat.chars().take(80).collect();
            return Err(failed(
                FailureCode::V0ChatUnknown,
                format!("{chat:?} is no id of a chat"),
            ));
        }
        let limit = match call.limit {
            0 => DEFAULT_LIMIT,
            limit => limit.min(MAX_LIMIT),
        };
        let cursor = (!call.cursor.is_empty()).then_some(call.cursor.as_str());
        let told = match action {
            Action::List => self.client.chats(limit, cursor, &[]).await.map(|page| {
                let chats: Vec<Value> = page.items.iter().map(chat).collect();
                json!({"chats": chats, "cursor": page.cursor.unwrap_or_default()})
            }),
            Action::Get => self.client.chat(&call.chat).await.map(|found| chat(&found)),
            Action::Messages => self.client.messages(&call.chat, limit, cursor).await.map(|page| {
                let messages: Vec<Value> = page.items.iter().map(message).collect();
                json!({"messages": messages, "cursor": page.cursor.unwrap_or_default()})
            }),
            Action::Files => match self.client.files(&call.chat).await {
                Ok(Files::Ready { version, files }) => Ok(shown(&version, files)),
                Ok(Files::NotYet) => {
                    let message = format!("chat {} has no files yet; v0 may be making them", call.chat);
                    return Err(failed(FailureCode::V0Busy, message));
                }
                Err(error) => Err(error),
            },
            Action::Preview => self.client.preview(&call.chat).await.map(|preview| {
                let expires_at = preview.as_ref().and_then(|preview| preview.expires_at.clone());
                json!({"url": preview.map(|preview| preview.url), "expires_at": expires_at})
            }),
            Action::Delete => {
                let deleted = self.client.delete(&call.chat).await;
                deleted.map(|()| json!({"id": call.chat, "deleted": true}))
            }
            Action::Unspecified => {
                return Err(failed(
                    FailureCode::HostRefused,
                    "the worker does not know this call; it may be older than who calls",
                ));
            }
        };
        told.map_err(|error| refused(&error))
    }
}

fn refused(error: &Error) -> HostReply {
    last(Body::Failure(refusals::of(error)))
}

fn chat(found: &Chat) -> Value {
    json!({
        "id": found.id,
        "title": found.title,
        "privacy": found.privacy,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
        "web_url": found.web_url,
        "job": found.metadata.get(JOB),
    })
}

fn message(found: &Message) -> Value {
    let cost = found.usage.and_then(|usage| dollars(usage.credits));
    json!({
        "id": found.id,
        "role": if found.is_answer { "assistant" } else { "user" },
        "content": found.content,
        "created_at": found.created_at,
        "finish_reason": found.finish.map(connectors::v0::Finish::as_str),
        "cost_microdollars": cost.map(|cost| cost.0),
    })
}

fn shown(version: &str, files: Vec<connectors::v0::File>) -> Value {
    let files = files.into_iter().map(|file| match std::str::from_utf8(&file.content) {
        Ok(text) => json!({"path": file.path, "content": text, "encoding": "utf8"}),
        Err(_) => {
            json!({"path": file.path, "content": BASE64_STANDARD.encode(&file.content), "encoding": "base64"})
        }
    });
    json!({"version": version, "files": files.collect::<Vec<_>>()})
}
