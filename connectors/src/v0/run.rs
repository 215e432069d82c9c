//! Runs of the model: each of these calls costs money, and each is one request on the wire.
//!
//! A call that failed [unclearly](super::Delivery::Unclear) may have been carried out. Nothing here repeats it;
//! a new chat can be found again by the metadata that it was given ([`Client::chats`]).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::chat::{Chat, id};
use super::client::{Answer, Client};
use super::error::Error;
use super::standing::{messages, newest};
use super::stream::Events;
use super::version::Version;

/// What the model is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The request itself.
    pub message: String,
    /// What the model is told beforehand.
    pub system: Option<String>,
    /// E.g. `v0-pro`; v0 chooses where absent.
    pub model: Option<String>,
    /// Addresses, or the files themselves as `data:` addresses.
    pub attachments: Vec<String>,
}

/// A chat that is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewChat {
    /// Its first message.
    pub prompt: Prompt,
    /// `private`, `public`, `team`, `team-edit` or `unlisted`; v0 decides where absent.
    pub privacy: Option<String>,
    /// Kept with the chat; keys of at most 40 characters, values of at most 500.
    pub metadata: BTreeMap<String, String>,
}

/// How the answer to a run is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// The ids at once, the rest by asking for it.
    Async,
    /// Events.
    Stream,
}

/// A run that v0 has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The chat.
    pub chat: String,
    /// The answer that is being made; v1 may not name it yet.
    pub message: Option<String>,
}

impl Client {
    /// Makes a chat and starts the model. Costs money.
    pub async fn create(&self, chat: &NewChat) -> Result<Begun, Error> {
        let path: &[&str] = match self.version() {
            Version::V1 => &["chats"],
            Version::V2 => &["chats", "async"],
        };
        let body = chat.body(self.version(), Mode::Async);
        let (told, answer) = self.post(path, body).json().await?;
        begun(self.version(), None, &told, &answer)
    }

    /// Says something in a chat and starts the model. Costs money.
    pub async fn send(&self, chat: &str, prompt: &Prompt) -> Result<Begun, Error> {
        let path: &[&str] = match self.version() {
            Version::V1 => &["chats", chat, "messages"],
            Version::V2 => &["chats", chat, "messages", "async"],
        };
        let body = prompt.body(self.version(), Mode::Async);
        let (told, answer) = self.post(path, body).json().await?;
        begun(self.version(), Some(chat), &told, &answer)
    }

    /// As [`Client::create`], with the answer as events.
    pub async fn create_streaming(&self, chat: &NewChat) -> Result<Events, Error> {
        let path: &[&str] = match self.version() {
            Version::V1 => &["chats"],
            Version::V2 => &["chats", "stream"],
        };
        let body = chat.body(self.version(), Mode::Stream);
        Events::open(self, self.post(path, body)).await
    }

    /// As [`Client::send`], with the answer as events.
    pub async fn send_streaming(&self, chat: &str, prompt: &Prompt) -> Result<Events, Error> {
        let path: &[&str] = match self.version() {
            Version::V1 => &["chats", chat, "messages"],
            Version::V2 => &["chats", chat, "messages", "stream"],
        };
        let body = prompt.body(self.version(), Mode::Stream);
        Events::open(self, self.post(path, body)).await
    }

    /// The events of a run that is under way. Starts nothing and costs nothing.
    pub async fn follow(&self, chat: &str, message: &str) -> Result<Events, Error> {
        let path: &[&str] = match self.version() {
            Version::V1 => &["chats", chat, "messages", message, "resume"],
            Version::V2 => &["chats", chat, "resume"],
        };
        Events::open(self, self.post(path, json!({}))).await
    }
}

impl Prompt {
    /// What is sent to an existing chat, as JSON, by [`Client::send`].
    pub fn payload(&self, version: Version) -> Value {
        self.body(version, Mode::Async)
    }

    fn body(&self, version: Version, mode: Mode) -> Value {
        let mut body = Map::from_iter([("message".to_owned(), Value::from(self.message.as_str()))]);
        if let Some(system) = &self.system {
            let name = match version {
                Version::V1 => "system",
                Version::V2 => "systemPrompt",
            };
            body.insert(name.to_owned(), system.as_str().into());
        }
        if let Some(model) = &self.model {
            body.insert(
                "modelConfiguration".to_owned(),
                json!({"modelId": model, "imageGenerations": false}),
            );
        }
        if !self.attachments.is_empty() {
            let attachments = self.attachments.iter().map(|url| json!({"url": url}));
            body.insert("attachments".to_owned(), attachments.collect());
        }
        if version == Version::V1 {
            let mode = match mode {
                Mode::Async => "async",
                Mode::Stream => "experimental_stream",
            };
            body.insert("responseMode".to_owned(), mode.into());
        }
        Value::Object(body)
    }
}

impl NewChat {
    /// What is sent, as JSON, by [`Client::create`].
    pub fn payload(&self, version: Version) -> Value {
        self.body(version, Mode::Async)
    }

    fn body(&self, version: Version, mode: Mode) -> Value {
        let mut body = self.prompt.body(version, mode);
        if let Some(privacy) = &self.privacy {
            let name = match version {
                Version::V1 => "chatPrivacy",
                Version::V2 => "privacy",
            };
            body[name] = privacy.as_str().into();
        }
        if !self.metadata.is_empty() {
            body["metadata"] = json!(self.metadata);
        }
        body
    }
}

fn begun(version: Version, chat: Option<&str>, told: &Value, answer: &Answer) -> Result<Begun, Error> {
    let begun = match version {
        Version::V1 => Chat::parse(told).map(|chat| Begun {
            chat: chat.id,
            message: newest(messages(told))
                .filter(|newest| newest.is_answer)
                .map(|answer| answer.id),
        }),
        Version::V2 => {
            let chat = chat.map_or_else(|| id(told, "chatId"), |chat| Some(chat.to_owned()));
            let message = id(told, "messageId");
            chat.zip(message).map(|(chat, message)| Begun {
                chat,
                message: Some(message),
            })
        }
    };
    begun.ok_or_else(|| answer.garbled("it does not name what was begun"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt() -> Prompt {
        Prompt {
            message: "a shop".to_owned(),
            system: Some("be terse".to_owned()),
            model: Some("v0-mini".to_owned()),
            attachments: vec!["data:image/png;base64,AA==".to_owned()],
        }
    }

    #[test]
    fn each_api_gets_its_own_words() {
        let chat = NewChat {
            prompt: prompt(),
            privacy: Some("private".to_owned()),
            metadata: BTreeMap::from([("orchestrator-job".to_owned(), "j".to_owned())]),
        };
        let model = json!({"modelId": "v0-mini", "imageGenerations": false});
        let attachments = json!([{"url": "data:image/png;base64,AA=="}]);
        assert_eq!(
            chat.payload(Version::V2),
            json!({
                "message": "a shop", "systemPrompt": "be terse", "modelConfiguration": model,
                "attachments": attachments, "privacy": "private", "metadata": {"orchestrator-job": "j"},
            })
        );
        assert_eq!(
            chat.payload(Version::V1),
            json!({
                "message": "a shop", "system": "be terse", "modelConfiguration": model,
                "attachments": attachments, "chatPrivacy": "private", "responseMode": "async",
                "metadata": {"orchestrator-job": "j"},
            })
        );
        let bare = Prompt {
            message: "more".to_owned(),
            ..Prompt::default()
        };
        assert_eq!(bare.payload(Version::V2), json!({"message": "more"}));
    }
}
