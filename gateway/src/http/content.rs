//! Files on their way out: ranges, entity tags, and headers that keep a browser from acting on them.

use std::ops::Range;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt as _;
use proto::{
    failure::FailureCode,
    ids::{ArtifactId, AssetId},
    v1::{Artifact, Asset},
};
use runtime::store::Content;

use super::{
    extract::Named,
    range::{self, Selection},
};
use crate::{front::Front, problem::Problem};

/// Nothing in a file may run, load or be sent anywhere when it is opened in a browser.
pub(crate) const SANDBOX: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox");
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// The content of an id never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// What the headers of a file say.
#[derive(Debug)]
struct Description<'a> {
    /// SHA-256 of the content in quotes.
    tag: String,
    media_type: &'a str,
    filename: &'a str,
    size_bytes: u64,
}

/// `GET /api/artifacts/{id}`
pub(crate) async fn artifact(
    State(front): State<Front>,
    Named(id): Named<ArtifactId>,
) -> Result<axum::Json<Artifact>, Problem> {
    front.files.artifact(id).await.map(axum::Json)
}

/// `GET /api/artifacts/{id}/content`
pub(crate) async fn artifact_content(
    State(front): State<Front>,
    Named(id): Named<ArtifactId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let artifact = front.files.artifact(id).await?;
    let description = Description {
        tag: format!("\"{}\"", artifact.sha256),
        media_type: &artifact.media_type,
        filename: &artifact.filename,
        size_bytes: artifact.size_bytes,
    };
    let open = async |range| front.files.open_artifact(&artifact, range).await;
    respond(&description, &headers, open).await
}

/// `GET /api/assets/{id}`
pub(crate) async fn asset(
    State(front): State<Front>,
    Named(id): Named<AssetId>,
) -> Result<axum::Json<Asset>, Problem> {
    front.files.asset(&id).await.map(axum::Json)
}

/// `GET /api/assets/{id}/content`
pub(crate) async fn asset_content(
    State(front): State<Front>,
    Named(id): Named<AssetId>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asset = front.files.asset(&id).await?;
    let description = Description {
        tag: format!("\"{id}\""),
        media_type: &asset.media_type,
        filename: &asset.filename,
        size_bytes: asset.size_bytes,
    };
    let open = async |range| front.files.open_asset(&id, range).await;
    respond(&description, &headers, open).await
}

/// A content type that came from elsewhere, as a header.
pub(crate) fn media_type(text: &str) -> HeaderValue {
    let usable = text
        .contains('/')
        .then(|| HeaderValue::from_str(text).ok())
        .flatten();
    usable.unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

async fn respond(
    file: &Description<'_>,
    headers: &HeaderMap,
    open: impl AsyncFnOnce(Option<Range<u64>>) -> Result<Content, Problem>,
) -> Result<Response, Problem> {
    let asked = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let mut about = HeaderMap::new();
    about.insert(header::CACHE_CONTROL, FOR_EVER);
    about.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(tag) = HeaderValue::from_str(&file.tag) {
        about.insert(header::ETAG, tag);
    }
    if range::matches(asked(header::IF_NONE_MATCH), &file.tag) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let range = asked(header::RANGE)
        .filter(|_| asked(header::IF_RANGE).is_none_or(|tag| range::matches(Some(tag), &file.tag)));
    let part = match range::select(range, file.size_bytes) {
        Selection::Whole => None,
        Selection::Part(part) => Some(part),
        Selection::Outside => return Ok(outside(range.unwrap_or_default(), file.size_bytes)),
    };
    let partial = part.is_some();
    let content = open(part).await?;
    about.insert(header::CONTENT_TYPE, media_type(file.media_type));
    about.insert(header::CONTENT_SECURITY_POLICY, SANDBOX);
    if let Ok(disposition) = HeaderValue::from_str(&disposition(file.filename)) {
        about.insert(header::CONTENT_DISPOSITION, disposition);
    }
    let Range { start, end } = content.range;
    about.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
    let mut status = StatusCode::OK;
    if partial {
        status = StatusCode::PARTIAL_CONTENT;
        let whole = content.size_bytes;
        if let Ok(range) = HeaderValue::from_str(&format!("bytes {start}-{}/{whole}", end.saturating_sub(1)))
        {
            about.insert(header::CONTENT_RANGE, range);
        }
    }
    let stream = content
        .stream
        .inspect_err(|error| tracing::warn!(%error, "a file broke off on its way out"));
    Ok((status, about, Body::from_stream(stream)).into_response())
}

fn outside(asked: &str, size: u64) -> Response {
    let detail = format!("the file has {size} bytes, and {asked} lies outside them");
    let mut response = Problem::new(FailureCode::RangeUnsatisfiable, detail).into_response();
    if let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

/// `inline`, with the name in both spellings of RFC 6266.
fn disposition(name: &str) -> String {
    use std::fmt::Write as _;
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') {
                c
            } else {
                '_'
            }
        })
        .collect();
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // writing to a String cannot fail
            write!(encoded, "%{byte:02X}").ok();
        }
    }
    format!("inline; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(
            disposition("a.png"),
            "inline; filename=\"a.png\"; filename*=UTF-8''a.png"
        );
        assert_eq!(
            disposition("é \"x\"\r\nSet-Cookie: a.png"),
            "inline; filename=\"___x___Set-Cookie:_a.png\"; \
             filename*=UTF-8''%C3%A9%20%22x%22%0D%0ASet-Cookie%3A%20a.png"
        );
    }

    #[test]
    fn a_content_type_from_elsewhere_is_usable_or_plain_bytes() {
        assert_eq!(media_type("image/png"), "image/png");
        for odd in ["", "png", "image/png\r\nx: y"] {
            assert_eq!(media_type(odd), "application/octet-stream");
        }
    }
}
