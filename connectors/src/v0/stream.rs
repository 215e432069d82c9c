//! The events of a run, as they come.
//!
//! What the model says comes as differences to what it said before, of which only that they came is told: the
//! whole is read afterwards, with the other calls.

use std::collections::VecDeque;

use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::chat::{Chat, text};
use super::client::{Call, Client, transport};
use super::error::{Error, excerpt};
use super::frames::{Frame, Frames};
use super::message::{Message, Usage};

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The chat as it is: the first event, which names its id, and the last.
    Chat(Box<Chat>),
    /// What v0 calls the chat, as far as it has thought of it.
    Title(String),
    /// The message as it is; v2 only.
    Message(Box<Message>),
    /// The model did something.
    Step,
    /// What it used; v2 only, once at the end.
    Usage(Usage),
    /// The run went wrong, although the answer began as a success.
    Failed {
        /// v0's words.
        message: String,
        /// v0's word for the kind; empty where it has none.
        code: String,
    },
    /// v1 says that nothing follows; v2 closes the connection.
    Done,
    /// Something of a newer API, or nothing of interest.
    Unknown,
}

/// The events of one run. Dropping it leaves the run as it is.
pub struct Events {
    operation: String,
    client: Client,
    response: Option<Response>,
    frames: Option<Frames>,
    ready: VecDeque<Frame>,
}

impl Events {
    pub(super) async fn open(client: &Client, call: Call<'_>) -> Result<Self, Error> {
        let (operation, response) = call.streams().head().await?;
        let kind = response.headers().get(CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.trim_start().starts_with("text/event-stream") {
            return Err(Error::Unparseable {
                operation,
                reason: "it is no stream of events".to_owned(),
                excerpt: excerpt(kind.as_bytes()),
            });
        }
        Ok(Self {
            operation,
            client: client.clone(),
            response: Some(response),
            frames: Some(Frames::new(client.options.max_answer)),
            ready: VecDeque::new(),
        })
    }

    /// The next event; `None` where nothing follows. After an error nothing follows, and the run may go on all
    /// the same.
    pub async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                let event = Event::read(&frame);
                if event == Event::Done {
                    self.close();
                }
                return Some(Ok(event));
            }
            if let Err(error) = self.fill().await? {
                self.close();
                return Some(Err(error));
            }
        }
    }

    fn close(&mut self) {
        (self.response, self.frames) = (None, None);
        self.ready.clear();
    }

    /// Takes the next piece; `None` where there is none.
    async fn fill(&mut self) -> Option<Result<(), Error>> {
        let after = self.client.options.stream_silence;
        let operation = || self.operation.clone();
        let response = self.response.as_mut()?;
        let piece = match tokio::time::timeout(after, response.chunk()).await {
            Err(_) => {
                return Some(Err(Error::Timeout {
                    operation: operation(),
                    after,
                }));
            }
            Ok(Err(source)) => {
                let origin = self.client.origin();
                return Some(Err(transport(operation(), &origin, after, source)));
            }
            Ok(Ok(piece)) => piece,
        };
        let Some(piece) = piece else {
            self.response = None;
            self.ready.extend(self.frames.take()?.finish());
            return Some(Ok(()));
        };
        match self.frames.as_mut()?.push(&piece) {
            Ok(whole) => self.ready.extend(whole),
            Err(overlong) => {
                return Some(Err(Error::TooLarge {
                    operation: operation(),
                    limit: overlong.0,
                }));
            }
        }
        Some(Ok(()))
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}

impl Event {
    /// What an event of either API says. One that cannot be read is [`Event::Unknown`].
    pub fn read(frame: &Frame) -> Self {
        if frame.data.trim() == "[DONE]" {
            return Self::Done;
        }
        let Ok(told) = serde_json::from_str::<Value>(&frame.data) else {
            return Self::Unknown;
        };
        let object = told.get("object").and_then(Value::as_str).unwrap_or_default();
        let kind = told.get("type").and_then(Value::as_str).unwrap_or_default();
        let read = match object {
            "chat" => Chat::parse(&told).map(|chat| Self::Chat(Box::new(chat))),
            "chat.title" | "chat.name" => text(&told, "delta").map(Self::Title),
            "message" => Message::parse(&told).map(|message| Self::Message(Box::new(message))),
            "message.usage" => told.get("usage").and_then(Usage::parse).map(Self::Usage),
            "error" => Some(failed(&told)),
            "" if kind == "done" => Some(Self::Done),
            "" if kind == "error" || told.get("error").is_some() => Some(failed(&told)),
            _ if told.get("delta").is_some() => Some(Self::Step),
            _ => None,
        };
        read.unwrap_or(Self::Unknown)
    }
}

fn failed(told: &Value) -> Event {
    let inner = told.get("error").unwrap_or(told);
    let words = text(inner, "message").or_else(|| inner.as_str().map(str::to_owned));
    Event::Failed {
        message: words.unwrap_or_else(|| "no explanation".to_owned()),
        code: text(inner, "code")
            .or_else(|| text(inner, "type"))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &str) -> Event {
        Event::read(&Frame {
            event: String::new(),
            data: data.to_owned(),
        })
    }

    #[test]
    fn events_of_both_apis_are_read() {
        assert!(matches!(read(r#"{"object":"chat","id":"c1"}"#), Event::Chat(chat) if chat.id == "c1"));
        for name in ["chat.title", "chat.name"] {
            let title = format!(r#"{{"object":"{name}","id":"c","delta":"Shop"}}"#);
            assert_eq!(read(&title), Event::Title("Shop".to_owned()));
        }
        for chunk in [
            r#"{"object":"message.parts.chunk","id":"m","delta":[[0,"x"],9,9]}"#,
            r#"{"object":"message.experimental_content.chunk","delta":{"_t":"a"}}"#,
        ] {
            assert_eq!(read(chunk), Event::Step);
        }
        let usage = r#"{"object":"message.usage","id":"m","usage":{"tokens":{"total":3},"creditsCost":{"total":0.5}}}"#;
        assert!(matches!(read(usage), Event::Usage(usage) if usage.tokens == 3));
        assert!(matches!(
            read(r#"{"object":"message","id":"m","role":"assistant","parts":[]}"#),
            Event::Message(message) if message.is_answer
        ));
    }

    #[test]
    fn the_end_and_a_failure_are_known_in_every_form() {
        for done in ["[DONE]", r#"{"type":"done"}"#] {
            assert_eq!(read(done), Event::Done);
        }
        for (data, code) in [
            (
                r#"{"object":"error","id":"m","message":"overloaded","code":"busy"}"#,
                "busy",
            ),
            (
                r#"{"type":"error","error":{"message":"overloaded","type":"busy"}}"#,
                "busy",
            ),
            (r#"{"error":"overloaded"}"#, ""),
        ] {
            let expected = Event::Failed {
                message: "overloaded".to_owned(),
                code: code.to_owned(),
            };
            assert_eq!(read(data), expected);
        }
        for odd in [
            r#"{"type":"connected"}"#,
            "not json",
            "[]",
            "7",
            r#"{"object":"chat"}"#,
        ] {
            assert_eq!(read(odd), Event::Unknown, "{odd}");
        }
    }
}
