//! A request as the double reads it, and the forms of its answers.

use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::v0::Version;

/// A request.
pub(super) struct Asked {
    pub(super) method: Method,
    /// Below the version.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    /// Null where there was none.
    pub(super) body: Value,
}

/// What is answered.
#[derive(Debug)]
pub(super) enum Reply {
    Json(u16, Value),
    /// A run of the model has begun: the number of its charge.
    Begun(u16, Value, usize),
    Zip(Bytes),
    /// Events of a run, in the pieces in which they are sent.
    Events(Vec<Bytes>, Option<usize>),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct No {
    pub(super) status: u16,
    pub(super) words: String,
    /// What is wrong with single files; v2 only.
    pub(super) issues: Option<Value>,
}

pub(super) type Said = Result<Reply, No>;

/// Which charge an answer is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About(pub(super) usize);

impl Asked {
    /// Refuses parameters that the API does not know.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), No> {
        let known = |name: &str| {
            known.contains(&name) || name.starts_with("metadata[") && known.contains(&"metadata")
        };
        match self.query.iter().find(|(name, _)| !known(name)) {
            Some((unknown, _)) => Err(No::invalid(format!("Unrecognized key: \"{unknown}\""))),
            None => Ok(()),
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.iter();
        pairs.find_map(|(found, value)| (found == name).then_some(value.as_str()))
    }

    /// A number within bounds; the default where it is absent, if there is one.
    pub(super) fn number(&self, name: &str, max: usize, default: Option<usize>) -> Result<usize, No> {
        let bad = || No::invalid(format!("Invalid value: \"{name}\""));
        match self.parameter(name) {
            None => default.ok_or_else(bad),
            Some(text) => {
                let number = text.parse().ok();
                number.filter(|number| (1..=max).contains(number)).ok_or_else(bad)
            }
        }
    }

    /// The pairs `metadata[key]=value`.
    pub(super) fn metadata(&self) -> Vec<(String, String)> {
        let pairs = self.query.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix("metadata[")?.strip_suffix(']')?;
            Some((key.to_owned(), value.clone()))
        });
        pairs.collect()
    }
}

impl No {
    pub(super) fn new(status: u16, words: impl Into<String>) -> Self {
        Self {
            status,
            words: words.into(),
            issues: None,
        }
    }

    pub(super) fn invalid(words: impl Into<String>) -> Self {
        Self::new(422, words)
    }

    pub(super) fn unknown(what: &str) -> Self {
        Self::new(404, format!("{what} not found"))
    }

    /// In the words of the API.
    pub(super) fn into_response(self, version: Version) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = match version {
            Version::V1 => json!({"error": {"message": self.words, "type": kind(self.status)}}),
            Version::V2 => match self.issues {
                Some(issues) => json!({"message": self.words, "issues": issues}),
                None => json!({"message": self.words}),
            },
        };
        (status, axum::Json(body)).into_response()
    }
}

const fn kind(status: u16) -> &'static str {
    match status {
        401 => "unauthorized_error",
        402 => "payment_required_error",
        403 => "forbidden_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "payload_too_large_error",
        422 => "unprocessable_entity_error",
        429 => "too_many_requests_error",
        _ => "internal_server_error",
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let json = |status: u16, body: Value| {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            (status, axum::Json(body)).into_response()
        };
        let (mut response, about) = match self {
            Self::Json(status, body) => (json(status, body), None),
            Self::Begun(status, body, charge) => (json(status, body), Some(charge)),
            Self::Zip(bytes) => {
                let kind = [(header::CONTENT_TYPE, "application/zip")];
                ((kind, bytes).into_response(), None)
            }
            Self::Events(pieces, charge) => {
                let kind = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
                // each piece goes out by itself
                let pieces = stream::iter(pieces).then(|piece| async {
                    tokio::task::yield_now().await;
                    Ok::<_, std::io::Error>(piece)
                });
                let body = axum::body::Body::from_stream(pieces);
                ((kind, body).into_response(), charge)
            }
        };
        if let Some(charge) = about {
            response.extensions_mut().insert(About(charge));
        }
        response
    }
}

/// Events as they go out, in pieces that end within lines and within characters.
pub(super) fn pieces(text: &str) -> Vec<Bytes> {
    const LENGTHS: [usize; 5] = [1, 7, 2, 13, 3];
    let mut left = text.as_bytes();
    let mut pieces = Vec::new();
    for length in LENGTHS.iter().cycle() {
        if left.is_empty() {
            break;
        }
        let (piece, rest) = left.split_at((*length).min(left.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        left = rest;
    }
    pieces
}
