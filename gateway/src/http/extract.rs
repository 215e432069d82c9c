//! Reads requests: ids in paths, bodies within their limits. Every rejection is a problem document.

use std::{error::Error, fmt::Display, pin::Pin, str::FromStr};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use proto::{
    failure::FailureCode,
    ids::{ArtifactId, AssetId, JobId, WorkerId},
};
use tokio::time::timeout;

use crate::{front::SILENCE, problem::Problem};

/// The largest JSON body, in bytes.
const MAX_JSON_BYTES: usize = 1024 * 1024;
/// As much of a refused body is read and thrown away, so that the sender gets to see the answer.
const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// Why a body broke off.
type Broken = Box<dyn Error + Send + Sync>;

/// An id that stands in a path.
pub(crate) struct Named<T>(pub(crate) T);

/// An id that can stand in a path, and what it means that it is none.
pub(crate) trait PathId: FromStr<Err: Display> {
    /// The code for an id that is not of its form.
    const UNKNOWN: FailureCode;
}

impl PathId for JobId {
    const UNKNOWN: FailureCode = FailureCode::JobUnknown;
}

impl PathId for ArtifactId {
    const UNKNOWN: FailureCode = FailureCode::ArtifactUnknown;
}

impl PathId for WorkerId {
    const UNKNOWN: FailureCode = FailureCode::WorkerUnknown;
}

impl PathId for AssetId {
    const UNKNOWN: FailureCode = FailureCode::AssetUnknown;
}

impl<T: PathId, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unknown = |detail: String| Problem::new(T::UNKNOWN, detail);
        let Path(text) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| unknown(rejection.body_text()))?;
        text.parse()
            .map(Self)
            .map_err(|error: T::Err| unknown(error.to_string()))
    }
}

/// A body that has to be JSON. What it says is not looked at here.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            discard(body).await;
            return Err(not_json(&parts.headers));
        }
        read(body).await.map(Self)
    }
}

/// A body that may be absent, and has to be JSON where it is not.
pub(crate) struct MaybeJsonBytes(pub(crate) Option<Bytes>);

impl<S: Send + Sync> FromRequest<S> for MaybeJsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        if !is_json(&parts.headers) {
            return Err(not_json(&parts.headers));
        }
        Ok(Self(Some(bytes)))
    }
}

/// A body as a stream that ends with an error where its sender is silent for too long.
pub(crate) fn patient<'a, E>(
    content: impl Stream<Item = Result<Bytes, E>> + Send + 'a,
) -> Pin<Box<dyn Stream<Item = Result<Bytes, Broken>> + Send + 'a>>
where
    E: Into<Broken>,
{
    tokio_stream::StreamExt::timeout(content, SILENCE)
        .map(|next| match next {
            Ok(bytes) => bytes.map_err(Into::into),
            Err(_) => Err(format!("the sender was silent for {} s", SILENCE.as_secs()).into()),
        })
        .boxed()
}

/// Reads and forgets a body that is refused: a sender that is cut off while it sends sees no answer.
pub(crate) async fn discard(body: Body) {
    drain(body.into_data_stream()).await;
}

async fn drain<E>(mut content: impl Stream<Item = Result<Bytes, E>> + Unpin) {
    let all = async {
        let mut left = MAX_DISCARDED_BYTES;
        while let Some(Ok(bytes)) = content.next().await {
            left = left.saturating_sub(bytes.len());
            if left == 0 {
                return;
            }
        }
    };
    // a sender that takes longer has to do without the answer
    timeout(SILENCE / 6, all).await.ok();
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    let mut content = body.into_data_stream();
    let whole = async {
        let mut held = BytesMut::new();
        while let Some(bytes) = content.next().await {
            let bytes = bytes.map_err(|error| cut(format!("the body broke off: {error}")))?;
            if held.len() + bytes.len() > MAX_JSON_BYTES {
                return Err(Problem::new(
                    FailureCode::RequestTooLarge,
                    format!("the body has more than {MAX_JSON_BYTES} bytes"),
                ));
            }
            held.extend_from_slice(&bytes);
        }
        Ok(held.freeze())
    };
    let read = timeout(SILENCE, whole).await;
    let read = read.unwrap_or_else(|_| Err(cut("the body did not arrive in time".to_owned())));
    if read
        .as_ref()
        .is_err_and(|problem| problem.code == FailureCode::RequestTooLarge)
    {
        drain(content).await;
    }
    read
}

fn cut(detail: String) -> Problem {
    Problem::new(FailureCode::RequestMalformed, detail)
}

fn is_json(headers: &HeaderMap) -> bool {
    let named = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = named
        .and_then(|named| named.split(';').next())
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn not_json(headers: &HeaderMap) -> Problem {
    let found = headers.get(header::CONTENT_TYPE).map_or_else(
        || "the request names no content type".to_owned(),
        |found| format!("{found:?} is not understood"),
    );
    Problem::new(
        FailureCode::RequestMediaType,
        format!("{found}; send application/json"),
    )
}
