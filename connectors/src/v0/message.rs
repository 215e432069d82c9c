//! Messages: what was said, what the model is doing, and what it cost.

use serde_json::Value;

use super::chat::{Page, id, text};
use super::client::Client;
use super::error::Error;
use super::version::Version;

/// The most messages on a page of either API.
const MAX_PAGE: u32 = 100;
/// How much of what the model wants to know is kept, in characters.
const MAX_QUESTION: usize = 500;

/// One message of a chat.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Message {
    /// v0's id.
    pub id: String,
    /// Whether the model wrote it.
    pub is_answer: bool,
    /// What it says, as Markdown.
    pub content: String,
    /// RFC 3339.
    pub created_at: String,
    /// How it came to its end; `None` while it is being made, and of people's messages.
    pub finish: Option<Finish>,
    /// What the model did, in order; v2 only.
    pub parts: Vec<Part>,
    /// What it used; v2 only, and only once that is known.
    pub usage: Option<Usage>,
}

/// How a message came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It is whole.
    Stop,
    /// It became too long.
    Length,
    /// It was held back.
    ContentFilter,
    /// The model waits for something that a person has to say or do.
    ToolCalls,
    /// It went wrong.
    Error,
    /// Another reason, also one of a newer API.
    Other,
}

/// Something that the model did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// For a person, e.g. `writing app/page.tsx`.
    pub doing: String,
    /// The file that it changed.
    pub file: Option<String>,
    /// What it wants to know or have.
    pub question: Option<String>,
}

/// What a message used.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Tokens, all kinds together.
    pub tokens: u64,
    /// What was charged, in v0's credits; v0 counts them in US dollars.
    pub credits: f64,
}

impl Client {
    /// Messages of a chat; v1 tells the newest first, v2 does not say.
    pub async fn messages(
        &self,
        chat: &str,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<Page<Message>, Error> {
        let mut call = self
            .get(&["chats", chat, "messages"])
            .query("limit", limit.clamp(1, MAX_PAGE).to_string());
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor);
        }
        let (told, answer) = call.json().await?;
        let (list, cursor) = match self.version() {
            Version::V1 => (
                told.get("data"),
                told.get("pagination").and_then(|pages| {
                    let more = pages.get("hasMore").and_then(Value::as_bool) == Some(true);
                    more.then(|| text(pages, "nextCursor")).flatten()
                }),
            ),
            Version::V2 => (told.get("messages"), text(&told, "cursor")),
        };
        let items: Option<Vec<Message>> = list
            .and_then(Value::as_array)
            .and_then(|list| list.iter().map(Message::parse).collect());
        let items = items.ok_or_else(|| answer.garbled("there is no list of messages in it"))?;
        Ok(Page { items, cursor })
    }

    /// One message.
    pub async fn message(&self, chat: &str, message: &str) -> Result<Message, Error> {
        let (told, answer) = self.get(&["chats", chat, "messages", message]).json().await?;
        Message::parse(&told).ok_or_else(|| answer.garbled("it is no message"))
    }
}

impl Message {
    /// Reads a message of either API; `None` where it has no id.
    pub fn parse(told: &Value) -> Option<Self> {
        let parts = told.get("parts").and_then(Value::as_array);
        Some(Self {
            id: id(told, "id")?,
            is_answer: text(told, "role").as_deref() == Some("assistant"),
            content: text(told, "content").unwrap_or_default(),
            created_at: text(told, "createdAt").unwrap_or_default(),
            finish: text(told, "finishReason").map(|reason| Finish::parse(&reason)),
            parts: parts.into_iter().flatten().map(Part::parse).collect(),
            usage: told.get("usage").and_then(Usage::parse),
        })
    }

    /// What the model wants to know before it goes on; empty where it asks nothing.
    pub fn question(&self) -> String {
        let questions = self.parts.iter().filter_map(|part| part.question.as_deref());
        let text = questions.collect::<Vec<_>>().join(" ");
        text.chars().take(MAX_QUESTION).collect()
    }
}

impl Finish {
    /// Reads v0's word.
    pub fn parse(reason: &str) -> Self {
        match reason {
            "stop" => Self::Stop,
            "length" => Self::Length,
            "content-filter" => Self::ContentFilter,
            "tool-calls" => Self::ToolCalls,
            "error" => Self::Error,
            _ => Self::Other,
        }
    }

    /// v0's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content-filter",
            Self::ToolCalls => "tool-calls",
            Self::Error => "error",
            Self::Other => "other",
        }
    }
}

impl Part {
    fn parse(told: &Value) -> Self {
        let of = |name: &str| text(told, name).unwrap_or_default();
        let kind = of("type");
        let file = (kind == "file-edit").then(|| text(told, "toPath").or_else(|| text(told, "path")));
        let file = file.flatten();
        let doing = match kind.as_str() {
            "text" => "writing".to_owned(),
            "thinking" => "thinking".to_owned(),
            "file-edit" => {
                let verb = match of("operation").as_str() {
                    "delete" => "removing",
                    "rename" => "renaming",
                    _ => "writing",
                };
                format!("{verb} {}", file.as_deref().unwrap_or("a file"))
            }
            "file-read" => {
                let first = told.pointer("/paths/0").and_then(Value::as_str);
                format!("reading {}", first.unwrap_or("files"))
            }
            "search" => "searching".to_owned(),
            "bash" => "running a command".to_owned(),
            "tool-call" => format!("using {}", of("name")),
            "agent-action" => text(told, "summary").unwrap_or_else(|| of("name")),
            _ => "working".to_owned(),
        };
        let question = (kind == "agent-action").then(|| question(told)).flatten();
        Self {
            doing: doing.chars().take(120).collect(),
            file,
            question,
        }
    }
}

/// What an action of the model asks of a person: its questions, its plan, or what has to be connected.
fn question(told: &Value) -> Option<String> {
    let data = told.get("data")?;
    let questions = data.get("questions").and_then(Value::as_array);
    let questions: Vec<String> = questions
        .into_iter()
        .flatten()
        .filter_map(|question| text(question, "question"))
        .collect();
    if !questions.is_empty() {
        return Some(questions.join(" "));
    }
    let wanted = data.get("requestedIntegrations").and_then(Value::as_array);
    let wanted: Vec<&str> = wanted.into_iter().flatten().filter_map(Value::as_str).collect();
    if !wanted.is_empty() {
        return Some(format!("It wants to be connected with {}.", wanted.join(", ")));
    }
    text(data, "plan").or_else(|| text(told, "summary"))
}

impl Usage {
    /// Reads what a message used; `None` where that is not known yet: v2 says zero until then.
    pub fn parse(told: &Value) -> Option<Self> {
        let number = |pointer: &str| told.pointer(pointer).and_then(Value::as_f64);
        let usage = Self {
            tokens: number("/tokens/total").unwrap_or_default() as u64,
            credits: number("/creditsCost/total")?,
        };
        (usage.tokens > 0 || usage.credits > 0.0).then_some(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_model_does_is_told_in_words() {
        let message = Message::parse(&json!({
            "id": "m1", "role": "assistant", "content": "Here it is.", "finishReason": null,
            "parts": [
                {"type": "thinking", "text": "hm"},
                {"type": "file-read", "paths": ["app/page.tsx"]},
                {"type": "file-edit", "operation": "create", "path": "app/page.tsx"},
                {"type": "file-edit", "operation": "rename", "path": "a.ts", "toPath": "b.ts"},
                {"type": "file-edit", "operation": "delete", "path": "c.ts"},
                {"type": "of-the-future"},
            ],
            "usage": {"tokens": {"total": 0}, "creditsCost": {"total": 0}},
        }))
        .expect("a message");
        let doing: Vec<&str> = message.parts.iter().map(|part| part.doing.as_str()).collect();
        assert_eq!(
            doing,
            [
                "thinking",
                "reading app/page.tsx",
                "writing app/page.tsx",
                "renaming b.ts",
                "removing c.ts",
                "working"
            ]
        );
        assert_eq!((message.finish, message.usage), (None, None));
    }

    #[test]
    fn the_question_of_the_model_is_found() {
        let part =
            |data: Value| json!({"type": "agent-action", "name": "ask", "summary": "Asks", "data": data});
        for (data, expected) in [
            (
                json!({"questions": [{"question": "Which colour?"}, {"question": "Which size?"}]}),
                "Which colour? Which size?",
            ),
            (json!({"plan": "First this."}), "First this."),
            (
                json!({"requestedIntegrations": ["neon"], "requestedMcpPresets": []}),
                "It wants to be connected with neon.",
            ),
            (json!({"status": "setup-required"}), "Asks"),
        ] {
            let message = Message::parse(&json!({
                "id": "m", "role": "assistant", "finishReason": "tool-calls", "parts": [part(data)],
            }))
            .expect("a message");
            assert_eq!(message.question(), expected);
            assert_eq!(message.finish, Some(Finish::ToolCalls));
        }
    }

    #[test]
    fn the_cost_is_v0s_own() {
        let usage = json!({
            "tokens": {"input": 10, "output": 5, "cacheRead": 0, "cacheWrite": 0, "total": 15},
            "creditsCost": {"input": 0.01, "output": 0.02, "cacheRead": 0, "cacheWrite": 0, "total": 0.03},
        });
        let usage = Usage::parse(&usage).expect("usage");
        assert_eq!((usage.tokens, (usage.credits * 100.0).round() as u64), (15, 3));
        assert_eq!(Usage::parse(&json!({})), None);
    }

    #[test]
    fn every_word_for_an_end_is_read_back() {
        for finish in [
            Finish::Stop,
            Finish::Length,
            Finish::ContentFilter,
            Finish::ToolCalls,
            Finish::Error,
            Finish::Other,
        ] {
            assert_eq!(Finish::parse(finish.as_str()), finish);
        }
        assert_eq!(Finish::parse("of the future"), Finish::Other);
    }
}
