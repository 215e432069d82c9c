//! Answers that go wrong, one request at a time.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};

use super::world::World;

/// How the answer to a request goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 200 with something that is not JSON.
    Garbage,
    /// 200 with a body that does not end.
    Endless,
    /// No answer at all; the request is not carried out.
    Stall,
    /// The request is carried out, and there is no answer.
    Unanswered,
    /// The request is carried out, and the connection breaks in the middle of the answer.
    CutAnswer,
    /// This status with this text; the request is not carried out.
    Status(u16, String),
}

/// How many requests are kept.
const REQUESTS: usize = 1000;

pub(super) async fn inject(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let path = path.strip_prefix("/api").unwrap_or(&path);
    let line = format!("{} {path}", request.method());
    let planned = world.edit(|state| {
        state.requests.truncate(REQUESTS - 1);
        state.requests.push_front(line);
        let place = state.faults.iter().position(|(planned, _)| planned == path)?;
        Some(state.faults.remove(place).1)
    });
    match planned {
        None => next.run(request).await,
        Some(Fault::Garbage) => "<html>not what you asked for</html>".into_response(),
        Some(Fault::Endless) => {
            let zeros = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b'0'; 4096])));
            Body::from_stream(zeros).into_response()
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Unanswered) => {
            drop(next.run(request).await);
            std::future::pending().await
        }
        Some(Fault::CutAnswer) => cut(next.run(request).await),
        Some(Fault::Status(status, text)) => (
            StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            text,
        )
            .into_response(),
    }
}

fn cut(answer: Response) -> Response {
    let (head, _) = answer.into_parts();
    let broken = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let pieces = [Ok(Bytes::from_static(b"{")), broken];
    // the error must come after the head has left, or there would be no head
    let body = stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    Response::from_parts(head, Body::from_stream(body))
}
