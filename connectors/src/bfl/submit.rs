//! A task goes in: one POST, and what is known about it afterwards.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::client::{Answer, Body, Client};
use super::detail::Detail;

/// A task that the service has taken. It is charged when it becomes ready, whether it is asked for or not.
#[derive(Clone, PartialEq)]
pub struct Task {
    /// Its id.
    pub id: String,
    /// Where to ask for it, word for word as the service said.
    pub polling_url: String,
    /// What it will cost, in US cents (the service counts in credits of one cent).
    pub cost_cents: Option<f64>,
    /// What goes in, in megapixels.
    pub input_megapixels: Option<f64>,
    /// What comes out, in megapixels.
    pub output_megapixels: Option<f64>,
}

/// Why there is no task in hand.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// No connection came about: nothing was sent.
    #[error("no connection to {origin}")]
    Unreachable {
        /// Scheme, host and port.
        origin: String,
        /// Refused, not resolved, TLS failed, connect timeout.
        #[source]
        source: reqwest::Error,
    },
    /// The service did not take it: nothing will be charged.
    #[error("refused with HTTP {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Why, in its words.
        detail: Detail,
        /// How long to wait before asking again, where it says so.
        retry_after: Option<Duration>,
    },
    /// It was sent, and may have been taken, which would be charged. It must not be sent again.
    #[error("it is not known whether the task was taken: {doubt}")]
    Unclear {
        /// The id of the task, where the answer has one: then it was taken, and cannot be asked for.
        id: Option<String>,
        /// What is wrong with the answer.
        doubt: Doubt,
    },
}

/// What leaves it open whether a task was taken.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// No whole answer in time.
    #[error("no complete answer within {} s", .after.as_secs_f64())]
    Timeout {
        /// The limit that passed.
        after: Duration,
    },
    /// The connection broke.
    #[error("the connection broke before the answer was complete: {0}")]
    Broken(#[source] reqwest::Error),
    /// A status that says neither yes nor no, often of something in between.
    #[error("the answer was HTTP {status}: {detail}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// What came with it.
        detail: Detail,
    },
    /// An answer that names no task that could be asked for.
    #[error("{what}; the answer begins {excerpt:?}")]
    Answer {
        /// What is missing, or wrong.
        what: &'static str,
        /// The beginning of the answer.
        excerpt: String,
    },
}

impl Client {
    /// Submits a task to the model at `path` below `/v1/`, such as `flux-2-pro`. Exactly one POST is sent, or
    /// none; nothing is repeated.
    pub async fn submit(&self, path: &str, payload: &Value) -> Result<Task, SubmitError> {
        let after = self.settings.submit_timeout;
        match tokio::time::timeout(after, self.post(path, payload)).await {
            Ok(Ok(answer)) => self.judge(answer),
            Ok(Err(source)) if source.is_connect() || source.is_builder() => Err(SubmitError::Unreachable {
                origin: self.origin(),
                source,
            }),
            Ok(Err(source)) => Err(unclear(None, Doubt::Broken(source))),
            Err(_) => Err(unclear(None, Doubt::Timeout { after })),
        }
    }

    async fn post(&self, path: &str, payload: &Value) -> Result<Answer, reqwest::Error> {
        let url = self.endpoint(path);
        let request = self.keyed(self.fresh.post(url.clone()), &url).json(payload);
        // the error names the origin already
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        Ok(Answer::read(response).await)
    }

    fn judge(&self, answer: Answer) -> Result<Task, SubmitError> {
        let Answer {
            status,
            retry_after,
            body,
        } = answer;
        let number = status.as_u16();
        if is_refusal(number) {
            let detail = self.detail(body.text());
            return Err(SubmitError::Refused {
                status: number,
                detail,
                retry_after,
            });
        }
        if !status.is_success() {
            let detail = self.detail(body.text());
            return Err(unclear(
                None,
                Doubt::Status {
                    status: number,
                    detail,
                },
            ));
        }
        let text = match body {
            Body::Whole(text) => text,
            Body::Cut(text, source) => return Err(unclear(id_within(&text), Doubt::Broken(source))),
            Body::TooLarge(text) => return Err(self.odd(id_within(&text), "the answer is too long", &text)),
        };
        let Ok(value) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) else {
            return Err(self.odd(id_within(&text), "the answer is not JSON", &text));
        };
        let Some(id) = text_of(&value, "id") else {
            return Err(self.odd(None, "the answer names no task", &text));
        };
        let Some(polling_url) = text_of(&value, "polling_url") else {
            return Err(self.odd(Some(id), "the answer names no address to ask at", &text));
        };
        let number = |name: &str| value.get(name).and_then(Value::as_f64);
        Ok(Task {
            id,
            polling_url,
            cost_cents: number("cost"),
            input_megapixels: number("input_mp"),
            output_megapixels: number("output_mp"),
        })
    }

    fn odd(&self, id: Option<String>, what: &'static str, text: &str) -> SubmitError {
        let excerpt = self.excerpt(text);
        unclear(id, Doubt::Answer { what, excerpt })
    }
}

/// Whether a status says that nothing was taken. The service documents 500 and 503 as such; of the 4xx, 408,
/// 409, 425 and 499 tell of the request's fate on its way, or of another copy of it.
fn is_refusal(status: u16) -> bool {
    matches!(status, 500 | 503) || ((400..500).contains(&status) && !matches!(status, 408 | 409 | 425 | 499))
}

fn unclear(id: Option<String>, doubt: Doubt) -> SubmitError {
    SubmitError::Unclear { id, doubt }
}

/// A text that says something and came through unharmed.
fn text_of(value: &Value, name: &str) -> Option<String> {
    usable(value.get(name)?.as_str()?)
}

fn usable(text: &str) -> Option<String> {
    let whole = !text.trim().is_empty() && !text.contains(char::REPLACEMENT_CHARACTER);
    whole.then(|| text.to_owned())
}

/// The id in an answer that is not whole: a member of the outermost object, and not of something in it.
fn id_within(text: &str) -> Option<String> {
    let mut rest = text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .strip_prefix('{')?;
    loop {
        let (name, after) = value_at(rest)?;
        let (value, after) = value_at(after.trim_start().strip_prefix(':')?)?;
        if name == "id" {
            return usable(value.as_str()?);
        }
        rest = after.trim_start().strip_prefix(',')?;
    }
}

/// The value at the beginning of a text, and what follows.
fn value_at(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // the id is shown as it is; whatever else the address carries may be a permission
        let polled = self.polling_url.split(['?', '#']).next().unwrap_or_default();
        f.debug_struct("Task")
            .field("id", &self.id)
            .field("polling_url", &format_args!("{polled}?…"))
            .field("cost_cents", &self.cost_cents)
            .field("input_megapixels", &self.input_megapixels)
            .field("output_megapixels", &self.output_megapixels)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_answer_still_says_its_id() {
        for (text, id) in [
            (r#"{"id":"abc","polling_url":"https:"#, Some("abc")),
            (r#"{"polling_url":"https://x", "id" : "a\"b" "#, Some("a\"b")),
            (r#"{"id":"ab"#, None),
            (r#"{"id":7}"#, None),
            (r#"{"id":"","x"#, None),
            (r#"{"idea":"x"#, None),
            (r#"{"cost":4.5,"mp":null,"id":"abc","#, Some("abc")),
            (r#"{"error":{"id":"no"},"x"#, None),
            (r#"<html><script>{"id":"no"}</script>"#, None),
            ("", None),
        ] {
            assert_eq!(id_within(text).as_deref(), id, "{text}");
        }
    }

    #[test]
    fn refusals_are_what_certainly_was_not_taken() {
        let refusals: Vec<u16> = (100..=599).filter(|status| is_refusal(*status)).collect();
        for certain in [400, 401, 402, 403, 404, 413, 422, 429, 500, 503] {
            assert!(refusals.contains(&certain), "{certain}");
        }
        for open in [200, 202, 301, 307, 308, 408, 499, 501, 502, 504, 520, 524] {
            assert!(!refusals.contains(&open), "{open}");
        }
    }
}
