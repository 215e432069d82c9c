//! A result is fetched, from wherever the service has put it; without the key.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::header::CONTENT_TYPE;

use super::client::Client;
use crate::guard::{Refusal, refusal_in};

/// The largest result, bytes.
const LARGEST: u64 = 4 << 30;

/// A result that is being fetched.
pub struct Download {
    /// Its media type, as its host says.
    pub content_type: Option<String>,
    /// How many bytes are coming, if the host says so.
    pub size: Option<u64>,
    response: reqwest::Response,
    after: Duration,
}

/// Why a result was not fetched. No error shows the address.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The address is not valid any more: asking for the task again gives another one, for a while.
    #[error("the address of the result is not valid any more (HTTP {status})")]
    Expired {
        /// The HTTP status.
        status: u16,
    },
    /// The address is not one that is asked.
    #[error(transparent)]
    AddressRefused(#[from] Refusal),
    /// No connection came about.
    #[error("no connection")]
    Unreachable {
        /// Refused, not resolved, TLS failed, connect timeout.
        #[source]
        source: reqwest::Error,
    },
    /// Nothing came for too long.
    #[error("nothing came for {} s", .after.as_secs_f64())]
    Timeout {
        /// The limit that passed.
        after: Duration,
    },
    /// The connection broke before the result was complete.
    #[error("the connection broke before the result was complete")]
    Broken {
        /// What the transport said.
        #[source]
        source: reqwest::Error,
    },
    /// Its host does not give it out.
    #[error("refused with HTTP {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// It is larger than a result can be.
    #[error("the result exceeds the limit of {limit} bytes")]
    TooLarge {
        /// The limit, bytes.
        limit: u64,
    },
}

impl SampleError {
    /// Whether asking again at the same address can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Broken { .. } => true,
            Self::Refused { status } => matches!(status, 408 | 425 | 429 | 500..),
            Self::Expired { .. } | Self::AddressRefused(_) | Self::TooLarge { .. } => false,
        }
    }

    fn of(source: reqwest::Error) -> Self {
        let source = source.without_url();
        match refusal_in(&source) {
            Some(refusal) => refusal.into(),
            None if source.is_connect() => Self::Unreachable { source },
            None => Self::Broken { source },
        }
    }
}

impl Client {
    /// Begins to fetch a result. Its content has not been read yet when this returns.
    pub async fn sample(&self, url: &str) -> Result<Download, SampleError> {
        let url = self.guard.pass(url)?;
        let after = self.settings.poll_timeout;
        let response = match tokio::time::timeout(after, self.http.get(url).send()).await {
            Ok(result) => result.map_err(SampleError::of)?,
            Err(_) => return Err(SampleError::Timeout { after }),
        };
        match response.status().as_u16() {
            200 => {}
            status @ (403 | 404 | 410) => return Err(SampleError::Expired { status }),
            status => return Err(SampleError::Refused { status }),
        }
        let size = response.content_length();
        if size.is_some_and(|size| size > LARGEST) {
            return Err(SampleError::TooLarge { limit: LARGEST });
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        Ok(Download {
            content_type: content_type.and_then(|value| Some(value.to_str().ok()?.to_owned())),
            size,
            response,
            after,
        })
    }
}

impl Download {
    /// The content, piece by piece. It ends with an error if a piece takes too long, if the connection breaks
    /// before the announced size, or if it grows beyond the limit.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, SampleError>> + Send + 'static {
        let after = self.after;
        futures::stream::unfold(Some((self.response, 0)), move |state| async move {
            let (mut response, seen) = state?;
            let piece = match tokio::time::timeout(after, response.chunk()).await {
                Err(_) => return Some((Err(SampleError::Timeout { after }), None)),
                Ok(Err(source)) => return Some((Err(SampleError::of(source)), None)),
                Ok(Ok(None)) => return None,
                Ok(Ok(Some(piece))) => piece,
            };
            let seen = seen + piece.len() as u64;
            if seen > LARGEST {
                return Some((Err(SampleError::TooLarge { limit: LARGEST }), None));
            }
            Some((Ok(piece), Some((response, seen))))
        })
    }

    /// The whole content in memory, for small results and tests.
    pub async fn bytes(self) -> Result<Bytes, SampleError> {
        let mut whole = bytes::BytesMut::new();
        let mut pieces = std::pin::pin!(self.into_stream());
        while let Some(piece) = pieces.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.freeze())
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("content_type", &self.content_type)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
