//! Live events over SSE. A client that was cut off says what it saw last and misses nothing.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, StatusCode},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt as _, stream};
use proto::ids::JobId;
use url::form_urlencoded;

use super::{
    extract::Named,
    frames::{self, OneJob, Seen},
};
use crate::{front::Front, problem::Problem};

const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to pass frames on at once.
const NO_BUFFERING: (&str, &str) = ("x-accel-buffering", "no");

/// `GET /api/jobs/{id}/stream`
pub(crate) async fn one(
    State(front): State<Front>,
    Named(id): Named<JobId>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = match seen(&headers, query.as_deref()) {
        Seen::UpTo { number, .. } => number,
        // makes a browser that did not notice the end stop asking
        Seen::End { .. } => return Ok(StatusCode::NO_CONTENT.into_response()),
    };
    let updates = front.jobs.watch(id, after).await?;
    let mut teller = OneJob::new(id);
    let told = updates
        .map(Some)
        .chain(stream::iter([None]))
        .flat_map(move |update| {
            stream::iter(match update {
                Some(update) => teller.frames(update),
                None => teller.end().into_iter().collect(),
            })
        });
    Ok(respond(&front, told))
}

/// `GET /api/jobs/stream`
pub(crate) async fn all(
    State(front): State<Front>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let (Seen::UpTo { revision, .. } | Seen::End { revision }) = seen(&headers, query.as_deref());
    let updates = front.jobs.watch_all(revision);
    respond(&front, updates.filter_map(async |update| frames::of_any(update)))
}

/// Frames as an answer that ends with the gateway.
pub(super) fn respond(front: &Front, frames: impl Stream<Item = Event> + Send + 'static) -> Response {
    let hello = stream::iter([Event::default().retry(RECONNECT)]);
    let frames = hello.chain(frames).map(Ok::<_, Infallible>);
    let frames = frames.take_until(front.stop.clone().cancelled_owned());
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    ([NO_BUFFERING], Sse::new(frames).keep_alive(keep_alive)).into_response()
}

/// What the client saw last: by the header, or by `?last_event_id=` where the client cannot set headers.
fn seen(headers: &HeaderMap, query: Option<&str>) -> Seen {
    let header = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let asked = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "last_event_id")
        .map(|(_, value)| value);
    header
        .or(asked.as_deref())
        .and_then(|text| text.parse().ok())
        .unwrap_or(Seen::NOTHING)
}
