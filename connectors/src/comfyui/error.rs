//! What can go wrong between this client and a ComfyUI server.

use std::time::Duration;

use super::rejection::Rejection;

/// A failed operation. The message names the operation; the cause, where there is one, is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The base URL cannot be one of a ComfyUI server.
    #[error("not a ComfyUI address: {reason}")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client could not be built (TLS set-up).
    #[error("the HTTP client could not be set up")]
    Setup(#[source] reqwest::Error),
    /// No connection came about: the request did not reach the server.
    #[error("{operation}: no connection to {origin}")]
    Unreachable {
        /// Method and path.
        operation: String,
        /// Scheme, host and port, without credentials.
        origin: String,
        /// Refused, not resolved, TLS failed, connect timeout.
        #[source]
        source: reqwest::Error,
    },
    /// A connection, but no complete answer within the limit. The request may have been carried out.
    #[error("{operation}: no complete answer within {}", seconds(*after))]
    Timeout {
        /// Method and path.
        operation: String,
        /// The limit that passed.
        after: Duration,
    },
    /// The connection broke before the answer was complete. The request may have been carried out.
    #[error("{operation}: the connection broke before the answer was complete")]
    Broken {
        /// Method and path.
        operation: String,
        /// What the transport said.
        #[source]
        source: reqwest::Error,
    },
    /// An HTTP status that the operation does not expect.
    #[error("{operation}: HTTP {status}: {words}")]
    Status {
        /// Method and path.
        operation: String,
        /// The HTTP status code.
        status: u16,
        /// What the server said about it, shortened; "no explanation" if nothing.
        words: String,
    },
    /// The server refused the graph, and says where and why. Nothing was queued.
    #[error("{0}")]
    Rejected(Box<Rejection>),
    /// An answer or a message longer than the caller allows.
    #[error("{operation}: the answer exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Method and path.
        operation: String,
        /// The limit, bytes.
        limit: u64,
    },
    /// An answer that is not what the protocol says.
    #[error("{operation}: the answer cannot be understood: {reason}; it begins {excerpt:?}")]
    Unparseable {
        /// Method and path.
        operation: String,
        /// What was expected, or where parsing stopped.
        reason: String,
        /// The beginning of the answer.
        excerpt: String,
    },
    /// A file name that ComfyUI cannot store.
    #[error("{name:?} cannot be the name of an uploaded file: {reason}")]
    FileName {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The WebSocket handshake was answered, but not by a WebSocket.
    #[error("WebSocket: the server did not switch protocols: {reason}")]
    Handshake {
        /// What was answered instead.
        reason: String,
    },
    /// The WebSocket failed.
    #[error("WebSocket: the connection failed")]
    Socket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    /// The server closed the WebSocket.
    #[error("WebSocket: closed by the server ({reason})")]
    SocketClosed {
        /// Close code and words, or that there were none.
        reason: String,
    },
    /// Nothing came over the WebSocket for too long, not even answers to pings: it is dead.
    #[error("WebSocket: silent for {}", seconds(*after))]
    Silent {
        /// How long nothing was heard.
        after: Duration,
    },
}

impl Error {
    /// Whether the server may have carried the request out although no answer came. After such an error of
    /// [`submit`](super::Client::submit), look the prompt up before posting it again.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Broken { .. } | Self::TooLarge { .. } | Self::Unparseable { .. } => {
                true
            }
            // a proxy in between gave up on the server, which may still be at it
            Self::Status { status, .. } => matches!(status, 502 | 504),
            Self::Address { .. }
            | Self::Setup(_)
            | Self::Unreachable { .. }
            | Self::Rejected(_)
            | Self::FileName { .. }
            | Self::Handshake { .. }
            | Self::Socket(_)
            | Self::SocketClosed { .. }
            | Self::Silent { .. } => false,
        }
    }

    /// Whether the same request can succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::Socket(_)
            | Self::SocketClosed { .. }
            | Self::Silent { .. } => true,
            Self::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
            Self::Address { .. }
            | Self::Setup(_)
            | Self::Rejected(_)
            | Self::TooLarge { .. }
            | Self::Unparseable { .. }
            | Self::FileName { .. }
            | Self::Handshake { .. } => false,
        }
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
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
