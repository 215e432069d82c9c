//! Read-only requests to a worker's ComfyUI, passed on piece by piece.

use std::{pin::Pin, time::Instant};

use axum::{
    body::Body as HttpBody,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use proto::{
    failure::FailureCode,
    v1::{FetchCall, FetchHead, HostReply, host_call::Call, host_reply::Body},
};

use super::content::{NO_STORE, SANDBOX, media_type};
use crate::{
    front::Front,
    hosts::{problem, strange},
    passing,
    problem::Problem,
};

type Replies = Pin<Box<dyn Stream<Item = HostReply> + Send>>;

/// `GET /api/comfyui/{worker}/{*path}`
pub(crate) async fn pass(
    State(front): State<Front>,
    place: Result<Path<(String, String)>, PathRejection>,
    RawQuery(query): RawQuery,
    method: Method,
) -> Result<Response, Problem> {
    let Path((worker, path)) =
        place.map_err(|rejection| Problem::new(FailureCode::ComfyuiPathRefused, rejection.body_text()))?;
    let Some(target) = passing::target(&path, query.as_deref().unwrap_or_default()) else {
        let path: String = path.chars().take(80).collect();
        let detail = format!("`{path}` of ComfyUI is not passed on");
        return Err(Problem::new(FailureCode::ComfyuiPathRefused, detail));
    };
    front.hosts.with_comfyui(Some(&worker))?;
    let mut note = Note::new(&worker, &target.path);
    let call = Call::Fetch(FetchCall {
        path: target.path,
        query: target.query,
    });
    let mut replies: Replies = front.hosts.call(&worker, call)?.boxed();
    let (head, last) = head(&worker, &mut replies).await?;
    note.status = u16::try_from(head.status).unwrap_or_default();
    let status = StatusCode::from_u16(note.status)
        .ok()
        .filter(|status| status.as_u16() >= 200);
    let Some(status) = status else {
        let detail = format!("ComfyUI answered with the status {}", head.status);
        return Err(Problem::new(FailureCode::ComfyuiProtocol, detail));
    };
    if head.size_bytes > front.max_fetch {
        return Err(too_large(front.max_fetch));
    }
    let length = (head.size_bytes > 0).then(|| (header::CONTENT_LENGTH, HeaderValue::from(head.size_bytes)));
    let body = if method == Method::HEAD || last {
        HttpBody::empty()
    } else {
        HttpBody::from_stream(pieces(replies, note, front.max_fetch))
    };
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, media_type(&head.content_type)),
        (header::CACHE_CONTROL, NO_STORE),
        (header::CONTENT_SECURITY_POLICY, SANDBOX),
    ];
    let mut response = (status, headers, body).into_response();
    // an answer that is over already has no content, whatever its head promised
    if let Some((name, value)) = length.filter(|_| !last) {
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}

async fn head(worker: &str, replies: &mut Replies) -> Result<(FetchHead, bool), Problem> {
    while let Some(reply) = replies.next().await {
        match reply.body {
            Some(Body::Head(head)) => return Ok((head, reply.last)),
            Some(Body::Failure(failure)) => return Err(problem(&failure)),
            Some(_) => return Err(strange(worker)),
            None => {}
        }
    }
    Err(strange(worker))
}

/// The content; an answer that breaks off breaks the connection off, so that nobody takes it for whole.
fn pieces(replies: Replies, note: Note, limit: u64) -> impl Stream<Item = Result<Bytes, Problem>> + Send {
    stream::unfold(Some((replies, note)), move |open| async move {
        let (mut replies, mut note) = open?;
        loop {
            let reply = replies.next().await?;
            let last = reply.last;
            match reply.body {
                Some(Body::Piece(piece)) => {
                    note.bytes += piece.content.len() as u64;
                    if note.bytes > limit {
                        return Some((Err(too_large(limit)), None));
                    }
                    return Some((Ok(piece.content), (!last).then_some((replies, note))));
                }
                Some(Body::Failure(failure)) => return Some((Err(problem(&failure)), None)),
                _ if last => return None,
                _ => {}
            }
        }
    })
}

fn too_large(limit: u64) -> Problem {
    Problem::new(
        FailureCode::ComfyuiAnswerTooLarge,
        format!("ComfyUI's answer has more than {limit} bytes"),
    )
}

/// Logs a request when it is over, however it ended. The query is not logged: it may hold names of people's files.
struct Note {
    worker: String,
    path: String,
    status: u16,
    bytes: u64,
    started: Instant,
}

impl Note {
    fn new(worker: &str, path: &str) -> Self {
        Self {
            worker: worker.to_owned(),
            path: path.to_owned(),
            status: 0,
            bytes: 0,
            started: Instant::now(),
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        tracing::info!(
            worker.id = self.worker,
            path = self.path,
            status = self.status,
            bytes = self.bytes,
            milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "a request was passed on to ComfyUI"
        );
    }
}
