//! Sites: their files, and where they can be tried.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::chat::{Chat, id, is_web, text};
use super::client::{Answer, Client};
use super::error::Error;
use super::version::Version;
use crate::key::Key;

/// One file of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// As v0 names it; not checked: it may be anything.
    pub path: String,
    /// What is in it.
    pub content: Bytes,
}

/// The files of the latest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// They are there.
    Ready {
        /// v1's id of the version; empty in v2.
        version: String,
        /// In v0's order.
        files: Vec<File>,
    },
    /// The chat has none yet, or they are being made.
    NotYet,
}

/// A change of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Which one.
    pub path: String,
    /// The whole new content; `None` removes the file.
    pub content: Option<String>,
}

/// Where a site can be tried.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The address.
    pub url: String,
    /// A secret that v2 wants in the header `x-v0-preview-token`; v1 has none.
    pub token: Option<Key>,
    /// RFC 3339; `None` where it does not end.
    pub expires_at: Option<String>,
}

impl Client {
    /// The files of a chat's latest version.
    pub async fn files(&self, chat: &str) -> Result<Files, Error> {
        if self.version() == Version::V1 {
            let call = self.get(&["chats", chat]).limit(self.options.max_files);
            let (told, answer) = call.json().await?;
            return of_v1(&told, &answer);
        }
        let call = self.get(&["chats", chat, "files"]).limit(self.options.max_files);
        match call.json().await {
            Ok((told, answer)) => of_v2(&told, &answer),
            Err(error) if error.is_refused_with(StatusCode::CONFLICT.as_u16()) => Ok(Files::NotYet),
            Err(error) => Err(error),
        }
    }

    /// Writes files as they are given; the id of the message or version that this made, where v0 names one.
    /// Runs no model. Doing it twice does the same.
    pub async fn apply(&self, chat: &str, edits: &[Edit]) -> Result<Option<String>, Error> {
        match self.version() {
            Version::V1 => self.apply_to_version(chat, edits).await,
            Version::V2 => {
                let files: Vec<Value> = edits
                    .iter()
                    .map(|edit| json!({"path": edit.path, "content": edit.content}))
                    .collect();
                let call = self
                    .call(Method::PATCH, &["chats", chat, "files"])
                    .body(json!({"files": files}));
                let (told, _) = call.json().await?;
                let messages = told.get("messages").and_then(Value::as_array);
                Ok(messages.and_then(|messages| id(messages.last()?, "id")))
            }
        }
    }

    async fn apply_to_version(&self, chat: &str, edits: &[Edit]) -> Result<Option<String>, Error> {
        let call = self.get(&["chats", chat]).limit(self.options.max_files);
        let (told, answer) = call.json().await?;
        let latest = Chat::parse(&told).and_then(|chat| chat.latest);
        let Some(mut version) = latest.map(|latest| latest.id) else {
            return Err(answer.garbled("the chat has no version whose files could be changed"));
        };
        let written: Vec<Value> = edits
            .iter()
            .filter_map(|edit| Some(json!({"name": edit.path, "content": edit.content.as_ref()?})))
            .collect();
        let removed: Vec<&str> = edits
            .iter()
            .filter(|edit| edit.content.is_none())
            .map(|edit| edit.path.as_str())
            .collect();
        if !written.is_empty() {
            let call = self
                .call(Method::PATCH, &["chats", chat, "versions", &version])
                .limit(self.options.max_files)
                .body(json!({"files": written}));
            let (told, _) = call.json().await?;
            version = id(&told, "id").unwrap_or(version);
        }
        if !removed.is_empty() {
            let path = ["chats", chat, "versions", &version, "files", "delete"];
            let call = self
                .post(&path, json!({"filePaths": removed}))
                .limit(self.options.max_files);
            let (told, _) = call.json().await?;
            version = id(&told, "id").unwrap_or(version);
        }
        Ok(Some(version))
    }

    /// All files as a zip, as v0 packs them. `None` where there is no version yet.
    pub async fn download(&self, chat: &str) -> Result<Option<Bytes>, Error> {
        let limit = self.options.max_files;
        let answer = match self.version() {
            Version::V1 => {
                let Some(latest) = self.chat(chat).await?.latest else {
                    return Ok(None);
                };
                let path = ["chats", chat, "versions", &latest.id, "download"];
                self.get(&path).query("format", "zip").limit(limit).answer().await
            }
            Version::V2 => {
                let path = ["chats", chat, "files", "download"];
                self.get(&path).limit(limit).answer().await
            }
        };
        match answer {
            Ok(answer) if answer.body.starts_with(b"PK") => Ok(Some(answer.body)),
            Ok(answer) => Err(answer.garbled("it is no zip")),
            Err(error) if error.is_refused_with(StatusCode::CONFLICT.as_u16()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where the site can be tried; `None` while it is being started, which asking for it does.
    pub async fn preview(&self, chat: &str) -> Result<Option<Preview>, Error> {
        if self.version() == Version::V1 {
            let url = self.chat(chat).await?.latest.and_then(|latest| latest.demo_url);
            return Ok(url.map(|url| Preview {
                url,
                token: None,
                expires_at: None,
            }));
        }
        let answer = self.get(&["chats", chat, "preview"]).answer().await?;
        let told: Value = serde_json::from_slice(&answer.body).map_err(|_| strange(&answer))?;
        if told.is_null() {
            return Ok(None);
        }
        let url = text(&told, "url").filter(|url| is_web(url));
        let url = url.ok_or_else(|| strange(&answer))?;
        Ok(Some(Preview {
            url,
            token: text(&told, "token").map(Key::new),
            expires_at: text(&told, "expiresAt"),
        }))
    }
}

/// Without the beginning of what was said: there may be a token in it.
fn strange(answer: &Answer) -> Error {
    Error::Unparseable {
        operation: answer.operation.clone(),
        reason: "it is no preview".to_owned(),
        excerpt: format!("{} bytes", answer.body.len()),
    }
}

fn of_v2(told: &Value, answer: &Answer) -> Result<Files, Error> {
    let list = told.get("files").and_then(Value::as_array);
    let list = list.ok_or_else(|| answer.garbled("there is no list of files in it"))?;
    let files: Option<Vec<File>> = list
        .iter()
        .map(|file| {
            let content = file.get("content")?.as_str()?;
            let content = match file.get("encoding").and_then(Value::as_str) {
                Some("base64") => STANDARD.decode(content).ok()?.into(),
                Some("utf8") | None => Bytes::copy_from_slice(content.as_bytes()),
                Some(_) => return None,
            };
            let path = text(file, "path")?;
            Some(File { path, content })
        })
        .collect();
    match files {
        Some(files) => Ok(Files::Ready {
            version: String::new(),
            files,
        }),
        None => Err(answer.garbled("there is a file in it without a path, or whose content is no base64")),
    }
}

fn of_v1(told: &Value, answer: &Answer) -> Result<Files, Error> {
    let chat = Chat::parse(told).ok_or_else(|| answer.garbled("it is no chat"))?;
    let Some(latest) = chat.latest.filter(|latest| latest.status != "pending") else {
        return Ok(Files::NotYet);
    };
    let list = told.pointer("/latestVersion/files").and_then(Value::as_array);
    let list = list.ok_or_else(|| answer.garbled("its version has no list of files"))?;
    let files: Option<Vec<File>> = list
        .iter()
        .map(|file| {
            let content = file.get("content")?.as_str()?;
            Some(File {
                path: text(file, "name")?,
                content: Bytes::copy_from_slice(content.as_bytes()),
            })
        })
        .collect();
    match files {
        Some(files) => Ok(Files::Ready {
            version: latest.id,
            files,
        }),
        None => Err(answer.garbled("there is a file in it without a name or content")),
    }
}
