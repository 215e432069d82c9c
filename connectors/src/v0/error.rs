//! What can go wrong between this client and v0, and what it means for a call that costs money.

use std::time::Duration;

use reqwest::{StatusCode, header::HeaderMap, header::RETRY_AFTER};
use serde_json::Value;

/// A failed operation. The message names the operation; the cause, where there is one, is the source.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL cannot be one of v0.
    #[error("not an address of v0: {reason}")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// The key has characters that no header can carry.
    #[error("the key is none: it has characters that cannot be sent")]
    Key,
    /// The HTTP client could not be built (TLS set-up).
    #[error("the HTTP client could not be set up")]
    Setup(#[source] reqwest::Error),
    /// No connection came about.
    #[error("{operation}: no connection to {origin}")]
    Unreachable {
        /// Method and path.
        operation: String,
        /// Scheme, host and port.
        origin: String,
        /// Refused, not resolved, TLS failed, connect timeout.
        #[source]
        source: reqwest::Error,
    },
    /// v0 said no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// A connection, but no complete answer within the limit.
    #[error("{operation}: no complete answer within {:.1} s", after.as_secs_f64())]
    Timeout {
        /// Method and path.
        operation: String,
        /// The limit that passed.
        after: Duration,
    },
    /// The connection broke before the answer was complete.
    #[error("{operation}: the connection broke before the answer was complete")]
    Broken {
        /// Method and path.
        operation: String,
        /// What the transport said.
        #[source]
        source: reqwest::Error,
    },
    /// A status that v0 does not document, such as a proxy's 502 or 504.
    #[error("{operation}: HTTP {status}: {words}")]
    Status {
        /// Method and path.
        operation: String,
        /// The HTTP status code.
        status: u16,
        /// The beginning of what came with it.
        words: String,
    },
    /// An answer longer than the caller allows.
    #[error("{operation}: the answer exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Method and path.
        operation: String,
        /// The limit, bytes.
        limit: u64,
    },
    /// A success whose body is not what the API says.
    #[error("{operation}: the answer cannot be understood: {reason}; it begins {excerpt:?}")]
    Unparseable {
        /// Method and path.
        operation: String,
        /// What was expected, or where parsing stopped.
        reason: String,
        /// The beginning of the answer.
        excerpt: String,
    },
}

/// What a failed call came to on the other side. It decides whether a call that costs money may be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It never left: nothing happened at v0.
    NotSent,
    /// v0 answered, and did not do it.
    Refused,
    /// Nobody knows: v0 may have done it.
    Unclear,
}

/// How v0 said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Method and path.
    pub operation: String,
    /// The HTTP status code.
    pub status: u16,
    /// v1's word for the kind, e.g. `too_many_requests_error`.
    pub kind: Option<String>,
    /// v0's own words; "no explanation" if there are none.
    pub words: String,
    /// When to come again, if v0 said so.
    pub retry_after: Option<Duration>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: HTTP {}: {}", self.operation, self.status, self.words)
    }
}

impl Error {
    /// What became of the call at v0.
    pub const fn delivery(&self) -> Delivery {
        match self {
            Self::Address { .. } | Self::Key | Self::Setup(_) | Self::Unreachable { .. } => Delivery::NotSent,
            Self::Refused(_) => Delivery::Refused,
            Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::Status { .. }
            | Self::TooLarge { .. }
            | Self::Unparseable { .. } => Delivery::Unclear,
        }
    }

    /// v0's no, if this is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Address { .. }
            | Self::Key
            | Self::Setup(_)
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::Status { .. }
            | Self::TooLarge { .. }
            | Self::Unparseable { .. } => None,
        }
    }

    /// Whether v0 said no with this status.
    pub fn is_refused_with(&self, status: u16) -> bool {
        self.refusal().is_some_and(|refusal| refusal.status == status)
    }
}

/// The error that an unsuccessful answer is.
pub(super) fn of_answer(operation: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let said = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let inner = said.get("error").unwrap_or(&said);
    let message = inner.get("message").and_then(Value::as_str).or(inner.as_str());
    let words = message.map_or_else(|| excerpt(body), |message| shortened(message, &issues(&said)));
    let words = if words.is_empty() {
        "no explanation".to_owned()
    } else {
        words
    };
    let refused = match status.as_u16() {
        // 303 would mean that it was done; the others, that nobody who could do it was asked
        301 | 302 | 307 | 308 | 400..=499 => true,
        // documented; without the documented body it may be a proxy that speaks, and v0 may be at it
        500 | 503 => message.is_some(),
        _ => false,
    };
    if refused {
        Error::Refused(Box::new(Refusal {
            operation: operation.to_owned(),
            status: status.as_u16(),
            kind: inner.get("type").and_then(Value::as_str).map(str::to_owned),
            words,
            retry_after: retry_after(headers),
        }))
    } else {
        Error::Status {
            operation: operation.to_owned(),
            status: status.as_u16(),
            words,
        }
    }
}

/// What v2 says about single files, as far as it fits into a line.
fn issues(said: &Value) -> String {
    let issues = said.get("issues").and_then(Value::as_array);
    let told = issues.into_iter().flatten().take(5).filter_map(|issue| {
        let (path, error) = (issue.get("path")?.as_str()?, issue.get("error")?.as_str()?);
        Some(format!("; {path}: {error}"))
    });
    told.collect()
}

fn shortened(message: &str, more: &str) -> String {
    let mut words: String = message.trim().chars().take(600).collect();
    words.push_str(&more.chars().take(600).collect::<String>());
    words
}

/// Seconds only: v0 sends no dates, if it sends the header at all.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The first characters of an answer, for a person to recognise it by.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LONGEST)]);
    let mut short: String = text.trim().chars().take(LONGEST).collect();
    if short.len() < text.trim().len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).expect("a status");
        of_answer("POST /chats", status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn both_shapes_of_an_error_are_read() {
        let v1 = of(
            402,
            r#"{"error":{"message":"You are out of credits.","type":"payment_required_error"}}"#,
        );
        let refusal = v1.refusal().expect("a refusal");
        assert_eq!(refusal.words, "You are out of credits.");
        assert_eq!(refusal.kind.as_deref(), Some("payment_required_error"));
        let v2 = of(
            422,
            r#"{"message":"Invalid file contents","issues":[{"path":"a.ts","error":"no"}]}"#,
        );
        assert_eq!(
            v2.to_string(),
            "POST /chats: HTTP 422: Invalid file contents; a.ts: no"
        );
        assert_eq!(
            of(404, "plain words").refusal().expect("a refusal").words,
            "plain words"
        );
        assert_eq!(of(401, "").refusal().expect("a refusal").words, "no explanation");
    }

    #[test]
    fn only_what_v0_certainly_did_not_do_is_refused() {
        let documented = r#"{"message":"Something went wrong"}"#;
        for status in [301, 302, 307, 308, 400, 401, 402, 403, 404, 409, 413, 422, 429] {
            assert_eq!(of(status, "<html>").delivery(), Delivery::Refused, "{status}");
        }
        for status in [500, 503] {
            assert_eq!(of(status, documented).delivery(), Delivery::Refused, "{status}");
            assert_eq!(
                of(status, "<html>busy</html>").delivery(),
                Delivery::Unclear,
                "{status}"
            );
        }
        for status in [303, 501, 502, 504, 520, 524] {
            assert_eq!(of(status, documented).delivery(), Delivery::Unclear, "{status}");
        }
    }

    #[test]
    fn the_time_to_come_again_is_read() {
        let headers =
            |value: &'static str| HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a value"))]);
        assert_eq!(retry_after(&headers("7")), Some(Duration::from_secs(7)));
        for bad in ["soon", "-1", "1e400", "NaN"] {
            assert_eq!(retry_after(&headers(bad)), None, "{bad}");
        }
    }
}
