//! Where a run stands.

use serde_json::Value;

use super::chat::Chat;
use super::client::Client;
use super::error::Error;
use super::message::{Finish, Message, Usage};
use super::version::Version;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// The model is at it.
    Running(Activity),
    /// It is over.
    Ended(Ended),
}

/// What the model is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// For a person; empty where v0 does not tell.
    pub doing: String,
    /// How many things it has done so far.
    pub steps: usize,
    /// How many files it has changed.
    pub files: usize,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The message that is the answer; empty where v1 names none.
    pub message: String,
    /// In which way.
    pub finish: Finish,
    /// What the model said, or wants to know.
    pub words: String,
    /// What it cost, where v0 says so with the message.
    pub usage: Option<Usage>,
}

impl Client {
    /// Where a run stands: the one that makes this message, or the newest of the chat.
    pub async fn standing(&self, chat: &str, message: Option<&str>) -> Result<Standing, Error> {
        if self.version() == Version::V1 {
            let call = self.get(&["chats", chat]).limit(self.options.max_files);
            let (told, answer) = call.json().await?;
            let of_v1 = of_chat(&told, message);
            return of_v1.ok_or_else(|| answer.garbled("it is no chat"));
        }
        let message = if let Some(message) = message {
            Some(self.message(chat, message).await?)
        } else {
            let newest = newest(self.messages(chat, 100, None).await?.items);
            newest.filter(|message| message.is_answer)
        };
        Ok(message.map_or_else(
            || Standing::Running(Activity::default()),
            |message| of_message(&message),
        ))
    }
}

/// The messages of a v1 chat.
pub(super) fn messages(chat: &Value) -> impl Iterator<Item = Message> {
    let list = chat.get("messages").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Message::parse)
}

/// The newest message; an answer is newer than what it answers.
pub(super) fn newest(messages: impl IntoIterator<Item = Message>) -> Option<Message> {
    let messages = messages.into_iter();
    messages.max_by(|a, b| (&a.created_at, a.is_answer).cmp(&(&b.created_at, b.is_answer)))
}

fn of_message(message: &Message) -> Standing {
    let Some(finish) = message.finish else {
        let mut files: Vec<&str> = message
            .parts
            .iter()
            .filter_map(|part| part.file.as_deref())
            .collect();
        files.sort_unstable();
        files.dedup();
        let last = message.parts.last();
        return Standing::Running(Activity {
            doing: last.map(|part| part.doing.clone()).unwrap_or_default(),
            steps: message.parts.len(),
            files: files.len(),
        });
    };
    let question = message.question();
    Standing::Ended(Ended {
        message: message.id.clone(),
        finish,
        words: if question.is_empty() {
            message.content.trim().chars().take(500).collect()
        } else {
            question
        },
        usage: message.usage,
    })
}

/// Where the run of a v1 chat stands: its message may be without an end although its version has one.
fn of_chat(told: &Value, message: Option<&str>) -> Option<Standing> {
    let chat = Chat::parse(told)?;
    let running = Some(Standing::Running(Activity::default()));
    let message = match message {
        None => newest(messages(told)).filter(|newest| newest.is_answer),
        Some(id) => messages(told).find(|message| message.id == id),
    };
    let Some(message) = message else {
        return running;
    };
    // RFC 3339 in UTC sorts as text; an older version is that of an earlier message
    let latest = chat
        .latest
        .filter(|latest| latest.created_at >= message.created_at);
    let status = latest.as_ref().map(|latest| latest.status.as_str());
    let finish = match (message.finish, status) {
        (_, Some("pending")) | (None, None) => return running,
        (_, Some("failed")) => Finish::Error,
        (Some(finish), _) => finish,
        (None, Some("completed")) => Finish::Stop,
        (None, Some(_)) => return running,
    };
    Some(of_message(&Message {
        finish: Some(finish),
        ..message
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn v1(finish: &Value, status: Option<&str>, version_at: &str) -> Standing {
        let version = status.map(|status| json!({"id": "v", "status": status, "createdAt": version_at}));
        let chat = json!({
            "id": "c", "latestVersion": version,
            "messages": [
                {"id": "m2", "role": "assistant", "createdAt": "2026-08-01T00:00:02.000Z", "finishReason": finish},
                {"id": "m1", "role": "user", "createdAt": "2026-08-01T00:00:01.000Z"},
            ],
        });
        of_chat(&chat, None).expect("a chat")
    }

    fn finish(standing: &Standing) -> Option<Finish> {
        match standing {
            Standing::Running(_) => None,
            Standing::Ended(ended) => Some(ended.finish),
        }
    }

    #[test]
    fn a_run_of_v1_is_over_when_its_version_is_or_its_message() {
        const NOW: &str = "2026-08-01T00:00:03.000Z";
        const BEFORE: &str = "2026-08-01T00:00:00.000Z";
        for (told, status, at, expected) in [
            (Value::Null, None, NOW, None),
            (Value::Null, Some("pending"), NOW, None),
            (json!("stop"), Some("pending"), NOW, None),
            (Value::Null, Some("completed"), NOW, Some(Finish::Stop)),
            (json!("stop"), Some("failed"), NOW, Some(Finish::Error)),
            (json!("tool-calls"), None, NOW, Some(Finish::ToolCalls)),
            (json!("length"), Some("completed"), NOW, Some(Finish::Length)),
            // the version of an earlier message says nothing of this one
            (Value::Null, Some("completed"), BEFORE, None),
            (json!("stop"), Some("failed"), BEFORE, Some(Finish::Stop)),
        ] {
            assert_eq!(finish(&v1(&told, status, at)), expected, "{told} {status:?} {at}");
        }
    }

    #[test]
    fn what_nobody_has_answered_yet_is_running() {
        let chat = json!({"id": "c", "messages": [{"id": "m1", "role": "user", "createdAt": "x"}]});
        assert_eq!(finish(&of_chat(&chat, None).expect("a chat")), None);
        let empty = json!({"id": "c"});
        assert_eq!(finish(&of_chat(&empty, Some("m")).expect("a chat")), None);
    }

    #[test]
    fn files_are_counted_once() {
        let message = Message::parse(&json!({"id": "m", "role": "assistant", "parts": [
            {"type": "file-edit", "operation": "create", "path": "a"},
            {"type": "file-edit", "operation": "patch", "path": "a"},
            {"type": "file-edit", "operation": "create", "path": "b"},
        ]}))
        .expect("a message");
        let Standing::Running(activity) = of_message(&message) else {
            panic!("it is not over");
        };
        assert_eq!((activity.files, activity.steps), (2, 3));
        assert_eq!(activity.doing, "writing b");
    }
}
