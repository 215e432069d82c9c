//! Chats: what there is, and what becomes of them.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::error::Error;
use super::version::Version;

/// Where people see their chats.
const PAGES: &str = "https://v0.app/chat";
/// The longest id that is taken for one.
const MAX_ID_BYTES: usize = 200;
/// The most chats on a page of either API.
const MAX_PAGE: u32 = 60;

/// A chat, as lists and single answers tell of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chat {
    /// v0's id.
    pub id: String,
    /// What v0 calls it; empty where it has no name yet.
    pub title: String,
    /// `private`, `public`, `team`, `team-edit` or `unlisted`.
    pub privacy: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; empty where it was never changed.
    pub updated_at: String,
    /// Its page.
    pub web_url: String,
    /// What was written to it by whoever made it.
    pub metadata: BTreeMap<String, String>,
    /// v1 only.
    pub latest: Option<Latest>,
}

/// v1's newest version of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Latest {
    /// Its id.
    pub id: String,
    /// `pending`, `completed` or `failed`.
    pub status: String,
    /// Where it can be tried.
    pub demo_url: Option<String>,
    /// RFC 3339.
    pub created_at: String,
}

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// What to ask for the next with; `None` where this is the last.
    pub cursor: Option<String>,
}

impl Client {
    /// Chats, newest first: those whose metadata have all of `metadata`.
    pub async fn chats(
        &self,
        limit: u32,
        cursor: Option<&str>,
        metadata: &[(&str, &str)],
    ) -> Result<Page<Chat>, Error> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut call = self.get(&["chats"]).query("limit", limit.to_string());
        let place = match self.version() {
            Version::V1 => "offset",
            Version::V2 => "cursor",
        };
        if let Some(cursor) = cursor {
            call = call.query(place, cursor);
        }
        for (key, value) in metadata {
            call = call.query(format!("metadata[{key}]"), *value);
        }
        let (told, answer) = call.json().await?;
        let list = match self.version() {
            Version::V1 => told.get("data"),
            Version::V2 => told.get("chats"),
        };
        let items: Option<Vec<Chat>> = list
            .and_then(Value::as_array)
            .and_then(|list| list.iter().map(Chat::parse).collect());
        let items = items.ok_or_else(|| answer.garbled("there is no list of chats in it"))?;
        let next = match self.version() {
            Version::V1 => {
                let offset = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(0_usize);
                (items.len() >= limit as usize).then(|| (offset + items.len()).to_string())
            }
            Version::V2 => text(&told, "cursor"),
        };
        // a server that does not know the filter would tell of all
        let has_all = |chat: &Chat| {
            let mut wanted = metadata.iter();
            wanted.all(|(key, value)| chat.metadata.get(*key).is_some_and(|found| found == value))
        };
        Ok(Page {
            items: items.into_iter().filter(has_all).collect(),
            cursor: next,
        })
    }

    /// One chat.
    pub async fn chat(&self, id: &str) -> Result<Chat, Error> {
        let (told, answer) = self
            .get(&["chats", id])
            .limit(self.options.max_files)
            .json()
            .await?;
        Chat::parse(&told).ok_or_else(|| answer.garbled("it is no chat"))
    }

    /// Removes a chat; v0 keeps it in a trash for a while.
    pub async fn delete(&self, id: &str) -> Result<(), Error> {
        let answer = self.call(Method::DELETE, &["chats", id]).answer().await?;
        drop(answer);
        Ok(())
    }

    /// Stops a message that is being made. What it has cost so far is charged.
    pub async fn stop(&self, chat: &str, message: &str) -> Result<(), Error> {
        let path = ["chats", chat, "messages", message, "stop"];
        self.post(&path, json!({})).answer().await.map(drop)
    }
}

impl Chat {
    /// Reads a chat of either API; `None` where it has no id.
    pub fn parse(told: &Value) -> Option<Self> {
        let id = id(told, "id")?;
        let of = |name: &str| text(told, name).unwrap_or_default();
        let metadata = told.get("metadata").and_then(Value::as_object);
        let metadata = metadata.into_iter().flatten();
        let title = text(told, "title").or_else(|| text(told, "name"));
        Some(Self {
            title: title.unwrap_or_default(),
            privacy: of("privacy"),
            created_at: of("createdAt"),
            updated_at: of("updatedAt"),
            web_url: page(told, &id),
            metadata: metadata
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            latest: told.get("latestVersion").and_then(Latest::parse),
            id,
        })
    }
}

impl Latest {
    fn parse(told: &Value) -> Option<Self> {
        Some(Self {
            id: id(told, "id")?,
            status: text(told, "status").unwrap_or_default(),
            demo_url: text(told, "demoUrl").filter(|url| is_web(url)),
            created_at: text(told, "createdAt").unwrap_or_default(),
        })
    }
}

/// The page that v1 names; v2 names none, and v1's lie where v2's do.
fn page(told: &Value, id: &str) -> String {
    text(told, "webUrl")
        .filter(|url| is_web(url))
        .unwrap_or_else(|| format!("{PAGES}/{id}"))
}

/// Whether a person's browser may be sent there.
pub(super) fn is_web(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"))
}

/// A text that is there and not empty.
pub(super) fn text(told: &Value, name: &str) -> Option<String> {
    let text = told.get(name)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}

/// An id that can stand in a path.
pub(super) fn id(told: &Value, name: &str) -> Option<String> {
    let fits = |id: &String| {
        id.len() <= MAX_ID_BYTES
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'~'))
            && !matches!(id.as_str(), "." | "..")
    };
    text(told, name).filter(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_of_both_apis_are_read() {
        let v2 = json!({
            "id": "c1", "title": "Shop", "privacy": "private", "createdAt": "2026-08-01T00:00:00.000Z",
            "authorId": "u", "metadata": {"orchestrator-job": "j", "odd": 7}, "writePermission": true,
        });
        let chat = Chat::parse(&v2).expect("a chat");
        assert_eq!(
            (chat.title.as_str(), chat.web_url.as_str()),
            ("Shop", "https://v0.app/chat/c1")
        );
        assert_eq!(chat.metadata.len(), 1);
        let v1 = json!({
            "id": "c2", "name": "Old", "webUrl": "https://v0.app/chat/c2-old",
            "latestVersion": {"id": "b_1", "status": "completed", "demoUrl": "https://demo.vusercontent.net/x"},
        });
        let chat = Chat::parse(&v1).expect("a chat");
        let latest = chat.latest.expect("a version");
        assert_eq!(
            (chat.title.as_str(), chat.web_url.as_str(), latest.status.as_str()),
            ("Old", "https://v0.app/chat/c2-old", "completed")
        );
    }

    #[test]
    fn what_cannot_be_an_id_or_an_address_is_not_taken_for_one() {
        for bad in ["", "..", "a/b", "a b", "x?y", &"x".repeat(201)] {
            assert_eq!(Chat::parse(&json!({"id": bad})), None, "{bad}");
        }
        let odd = json!({"id": "c", "webUrl": "javascript:alert(1)", "latestVersion": {"id": "v", "demoUrl": "file:///x"}});
        let chat = Chat::parse(&odd).expect("a chat");
        assert_eq!(chat.web_url, "https://v0.app/chat/c");
        assert_eq!(chat.latest.expect("a version").demo_url, None);
    }
}
