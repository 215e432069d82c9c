//! Questions that cost nothing and may be asked again: how a task stands, and what credits are left.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::Value;

use super::client::{Answer, Body, Client};
use super::detail::Detail;
use super::standing::{Poll, Status};
use crate::guard::{Refusal, refusal_in};

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
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
    /// No whole answer in time.
    #[error("no complete answer within {} s", .after.as_secs_f64())]
    Timeout {
        /// The limit that passed.
        after: Duration,
    },
    /// The connection broke before the answer was complete.
    #[error("the connection broke before the answer was complete")]
    Broken {
        /// What the transport said.
        #[source]
        source: reqwest::Error,
    },
    /// The service cannot answer now: too many questions, or trouble of its own.
    #[error("HTTP {status}: {detail}")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// Why, in its words.
        detail: Detail,
        /// How long to wait before asking again, where it says so.
        retry_after: Option<Duration>,
    },
    /// The service does not answer this.
    #[error("refused with HTTP {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why, in its words.
        detail: Detail,
    },
    /// An answer that is not what the service documents.
    #[error("{what}; the answer begins {excerpt:?}")]
    Garbled {
        /// What is wrong with it.
        what: &'static str,
        /// Its beginning.
        excerpt: String,
    },
}

impl PollError {
    /// Whether asking again can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. }
            | Self::Unavailable { .. } => true,
            Self::AddressRefused(_) | Self::Refused { .. } | Self::Garbled { .. } => false,
        }
    }

    fn of(source: reqwest::Error) -> Self {
        match refusal_in(&source) {
            Some(refusal) => refusal.into(),
            None if source.is_connect() => Self::Unreachable { source },
            None => Self::Broken { source },
        }
    }
}

impl Client {
    /// Asks how a task stands, at the address that came with it. The key goes along only where it may.
    pub async fn poll(&self, polling_url: &str) -> Result<Poll, PollError> {
        let url = self.guard.pass(polling_url)?;
        let request = self.keyed(self.http.get(url.clone()), &url);
        let answer = self.ask(request).await?;
        match answer.status {
            StatusCode::NOT_FOUND => return Ok(Poll::bare(Status::NotFound)),
            StatusCode::ACCEPTED => return Ok(Poll::bare(Status::Pending)),
            _ => {}
        }
        let text = self.success(answer)?;
        let garbled = |what| PollError::Garbled {
            what,
            excerpt: self.excerpt(&text),
        };
        let value = json(&text).ok_or_else(|| garbled("the answer is not JSON"))?;
        let show = |text: &str| self.shown(text);
        Poll::read(&value, &show).map_err(garbled)
    }

    /// How many credits the account has, each worth one US cent. Costs nothing, and shows whether the key works.
    pub async fn credits(&self) -> Result<f64, PollError> {
        let url = self.endpoint("credits");
        let request = self.keyed(self.http.get(url.clone()), &url);
        let text = self.success(self.ask(request).await?)?;
        let credits = json(&text).and_then(|value| value.get("credits")?.as_f64());
        credits.ok_or_else(|| PollError::Garbled {
            what: "the answer names no credits",
            excerpt: self.excerpt(&text),
        })
    }

    async fn ask(&self, request: RequestBuilder) -> Result<Answer, PollError> {
        let after = self.settings.poll_timeout;
        let asking = async {
            let response = request.send().await.map_err(reqwest::Error::without_url)?;
            Ok(Answer::read(response).await)
        };
        match tokio::time::timeout(after, asking).await {
            Ok(result) => result.map_err(PollError::of),
            Err(_) => Err(PollError::Timeout { after }),
        }
    }

    /// The text of an answer that is one.
    fn success(&self, answer: Answer) -> Result<String, PollError> {
        let Answer {
            status,
            retry_after,
            body,
        } = answer;
        if !status.is_success() {
            let (status, detail) = (status.as_u16(), self.detail(body.text()));
            return Err(if matches!(status, 408 | 425 | 429 | 500..) {
                PollError::Unavailable {
                    status,
                    detail,
                    retry_after,
                }
            } else {
                PollError::Refused { status, detail }
            });
        }
        match body {
            Body::Whole(text) => Ok(text),
            Body::Cut(_, source) => Err(PollError::Broken { source }),
            Body::TooLarge(text) => Err(PollError::Garbled {
                what: "the answer is too long",
                excerpt: self.excerpt(&text),
            }),
        }
    }
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()
}
