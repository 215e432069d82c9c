//! The routes of v2.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::asked::{Asked, No, Reply, Said, pieces};
use super::chat::{ChatState, Line};
use super::strict::{Kind, check};
use super::world::{State, Wanted};
use super::zip;
use crate::v0::{Finish, Version};

const PROMPT: [(&str, Kind, bool); 6] = [
    ("message", Kind::Words, true),
    ("systemPrompt", Kind::Text, false),
    ("modelConfiguration", Kind::Model(true), false),
    ("attachments", Kind::Attachments, false),
    ("mcpServerIds", Kind::Texts, false),
    ("skills", Kind::List, false),
];
const CHAT: [(&str, Kind, bool); 3] = [
    ("privacy", Kind::Privacy, false),
    ("title", Kind::Text, false),
    ("metadata", Kind::Metadata, false),
];

/// Answers a request.
pub(super) fn answer(state: &mut State, asked: &Asked) -> Said {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    let listing = matches!(
        (asked.method.as_str(), path.as_slice()),
        ("GET", ["chats"] | ["chats", _, "messages"] | ["usage", "events"])
    );
    if !listing {
        asked.only(&[])?;
    }
    match (asked.method.as_str(), path.as_slice()) {
        ("GET", ["chats"]) => list(state, asked),
        ("POST", ["chats", mode @ ("async" | "stream")]) => create(state, asked, *mode == "stream"),
        ("GET", ["chats", id]) => Ok(Reply::Json(200, chat(state.chat(id)?))),
        ("DELETE", ["chats", id]) => {
            state.chat(id)?;
            state.chats.retain(|chat| chat.id != *id);
            Ok(Reply::Json(200, json!({"chatId": id})))
        }
        ("GET", ["chats", id, "messages"]) => messages(state, id, asked),
        ("POST", ["chats", id, "messages", mode @ ("async" | "stream")]) => {
            send(state, id, asked, *mode == "stream")
        }
        ("GET", ["chats", id, "messages", line]) => {
            state.look(id, true);
            let found = state.chat(id)?;
            Ok(Reply::Json(200, message(id, found.line(line)?)))
        }
        ("POST", ["chats", id, "messages", line, "stop"]) => {
            state.chat(id)?.line(line)?;
            if !state.chat(id)?.is_running() {
                return Err(No::new(409, "Message is not being generated"));
            }
            state.end(id, Finish::Other);
            Ok(Reply::Json(200, json!({"messageId": line})))
        }
        ("POST", ["chats", id, "resume"]) => {
            if state.chat(id)?.is_running() {
                let finish = state.chat(id)?.running().map_or(Finish::Stop, |run| run.finish);
                state.end(id, finish);
            }
            Ok(Reply::Events(events(state.chat(id)?, false), None))
        }
        ("GET", ["chats", id, "preview"]) => preview(state, id),
        ("GET", ["chats", id, "files"]) => files(state.chat(id)?),
        ("PATCH", ["chats", id, "files"]) => change(state, id, &asked.body),
        ("GET", ["chats", id, "files", "download"]) => {
            ready(state.chat(id)?)?;
            Ok(Reply::Zip(zip::pack(&state.chat(id)?.files)))
        }
        ("GET", ["usage", "events"]) => usage(state, asked),
        _ => Err(No::new(404, "Not Found")),
    }
}

fn list(state: &mut State, asked: &Asked) -> Said {
    asked.only(&["limit", "cursor", "authorId", "vercelProjectId", "metadata"])?;
    let limit = asked.number("limit", 100, Some(20))?;
    let skip: usize = asked
        .parameter("cursor")
        .map_or(Ok(0), str::parse)
        .map_err(|_| No::invalid("Invalid cursor"))?;
    let wanted = asked.metadata();
    let has_all = |chat: &&ChatState| {
        wanted
            .iter()
            .all(|(key, value)| chat.metadata.get(key) == Some(value))
    };
    let all: Vec<&ChatState> = state.chats.iter().rev().filter(has_all).collect();
    let page: Vec<Value> = all
        .iter()
        .skip(skip)
        .take(limit)
        .map(|found| chat(found))
        .collect();
    let cursor = (all.len() > skip + page.len()).then(|| (skip + page.len()).to_string());
    Ok(Reply::Json(200, json!({"chats": page, "cursor": cursor})))
}

fn wanted(body: &Value, streams: bool) -> Wanted<'_> {
    let model = body
        .pointer("/modelConfiguration/modelId")
        .and_then(Value::as_str);
    Wanted {
        version: Version::V2,
        message: body.get("message").and_then(Value::as_str).unwrap_or_default(),
        model: model.unwrap_or("v0-pro"),
        streams,
    }
}

pub(super) fn metadata(body: &Value) -> BTreeMap<String, String> {
    let pairs = body.get("metadata").and_then(Value::as_object);
    let pairs = pairs.into_iter().flatten();
    pairs
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn create(state: &mut State, asked: &Asked, streams: bool) -> Said {
    check(&asked.body, &[PROMPT.as_slice(), CHAT.as_slice()].concat())?;
    state.may_run()?;
    let privacy = asked
        .body
        .get("privacy")
        .and_then(Value::as_str)
        .unwrap_or("private");
    let id = state.open(privacy, metadata(&asked.body));
    let (line, charge) = state.begin(&id, &wanted(&asked.body, streams), true)?;
    if streams {
        return Ok(Reply::Events(events(state.chat(&id)?, false), Some(charge)));
    }
    Ok(Reply::Begun(
        202,
        json!({"chatId": id, "messageId": line}),
        charge,
    ))
}

fn send(state: &mut State, id: &str, asked: &Asked, streams: bool) -> Said {
    check(&asked.body, &PROMPT)?;
    if state.chat(id)?.is_running() {
        return Err(No::new(409, "A message is being generated"));
    }
    let (line, charge) = state.begin(id, &wanted(&asked.body, streams), false)?;
    if streams {
        return Ok(Reply::Events(events(state.chat(id)?, true), Some(charge)));
    }
    Ok(Reply::Begun(202, json!({"messageId": line}), charge))
}

fn messages(state: &mut State, id: &str, asked: &Asked) -> Said {
    asked.only(&["limit", "cursor"])?;
    let limit = asked.number("limit", 100, None)?;
    let skip: usize = asked
        .parameter("cursor")
        .map_or(Ok(0), str::parse)
        .map_err(|_| No::invalid("Invalid cursor"))?;
    state.look(id, true);
    let found = state.chat(id)?;
    let page: Vec<Value> = found
        .lines
        .iter()
        .rev()
        .skip(skip)
        .take(limit)
        .map(|line| message(id, line))
        .collect();
    let cursor = (found.lines.len() > skip + page.len()).then(|| (skip + page.len()).to_string());
    Ok(Reply::Json(200, json!({"messages": page, "cursor": cursor})))
}

fn chat(found: &ChatState) -> Value {
    let mut told = json!({
        "id": found.id, "privacy": found.privacy, "createdAt": found.created, "updatedAt": found.updated,
        "authorId": "user0001", "metadata": found.metadata, "writePermission": true,
    });
    if !found.title.is_empty() {
        told["title"] = found.title.as_str().into();
    }
    told
}

fn message(chat: &str, line: &Line) -> Value {
    json!({
        "id": line.id, "chatId": chat, "role": if line.is_answer { "assistant" } else { "user" },
        "createdAt": line.created, "updatedAt": line.created, "content": line.content, "parts": line.parts(),
        "finishReason": line.reason(), "restorable": false,
        "authorId": if line.is_answer { Value::Null } else { "user0001".into() }, "usage": line.usage(),
    })
}

fn preview(state: &mut State, id: &str) -> Said {
    let pending = state.options.preview_pending;
    let found = state.chat(id)?;
    found.preview_questions = found.preview_questions.saturating_add(1);
    let told = if found.preview_questions > pending && !found.files.is_empty() {
        json!({
            "url": format!("https://{id}.preview.vusercontent.net/"),
            "token": format!("preview-secret-{id}"),
            "expiresAt": "2026-12-31T00:00:00.000Z",
        })
    } else {
        Value::Null
    };
    Ok(Reply::Json(200, told))
}

fn ready(found: &ChatState) -> Result<(), No> {
    if found.is_running() || found.files.is_empty() {
        Err(No::new(409, "The files are not ready"))
    } else {
        Ok(())
    }
}

fn files(found: &ChatState) -> Said {
    ready(found)?;
    let told = found
        .files
        .iter()
        .map(|(path, content)| match std::str::from_utf8(content) {
            Ok(text) => json!({"path": path, "content": text, "encoding": "utf8"}),
            Err(_) => json!({"path": path, "content": STANDARD.encode(content), "encoding": "base64"}),
        });
    Ok(Reply::Json(200, json!({"files": told.collect::<Vec<_>>()})))
}

fn change(state: &mut State, id: &str, body: &Value) -> Said {
    check(body, &[("files", Kind::List, true)])?;
    let list = body
        .get("files")
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| No::invalid("Too small: \"files\""))?;
    let mut changes = Vec::new();
    for one in list {
        let content = one
            .get("content")
            .ok_or_else(|| No::invalid("Required: \"content\""))?;
        let fields = if content.is_null() { Kind::List } else { Kind::Text };
        let mut shown = one.clone();
        if content.is_null() {
            shown["content"] = json!([]);
        }
        check(&shown, &[("path", Kind::Words, true), ("content", fields, true)])?;
        let path = one.get("path").and_then(Value::as_str).unwrap_or_default();
        changes.push((path.to_owned(), content.as_str().map(str::to_owned)));
    }
    let (pending, at, name) = (state.options.preview_pending, state.tick(), state.name("msg"));
    let found = state.chat(id)?;
    if found.is_running() || found.preview_questions <= pending {
        return Err(No::new(409, "The preview is not running"));
    }
    found.change(&changes)?;
    found.lines.push(Line {
        id: name,
        content: format!("Edited {} files", changes.len()),
        created: at,
        is_answer: false,
        run: None,
    });
    let line = found.lines.last().map(|line| message(id, line));
    Ok(Reply::Json(200, json!({"messages": [line]})))
}

fn usage(state: &mut State, asked: &Asked) -> Said {
    asked.only(&["start", "end", "userId", "chatId", "messageId", "limit", "cursor"])?;
    asked.number("limit", 100, Some(50))?;
    let wanted = |name: &str, value: &str| asked.parameter(name).is_none_or(|wanted| wanted == value);
    let events = state.bill.iter().filter(|charge| {
        charge.credits > 0.0 && wanted("chatId", &charge.chat) && wanted("messageId", &charge.message)
    });
    let data = events.map(|charge| {
        json!({
            "id": format!("event{}", charge.number), "object": "usage_event", "type": "message",
            "createdAt": "2026-08-01T00:00:00.000Z", "chatId": charge.chat, "messageId": charge.message,
            "model": charge.model, "sources": ["plan"], "waived": false, "tokens": null,
            "creditsCost": {"input": 0, "output": charge.credits, "cacheRead": 0, "cacheWrite": 0,
                "total": charge.credits, "charged": charge.credits},
        })
    });
    let told = json!({
        "object": "list", "range": {"start": "2026-08-01T00:00:00Z", "end": "2026-09-01T00:00:00Z"},
        "scope": {"id": "user0001", "type": "personal", "isTeamWide": false},
        "data": data.collect::<Vec<_>>(), "pagination": {"hasMore": false, "cursor": null},
    });
    Ok(Reply::Json(200, told))
}

/// The events of the newest run, which is over.
fn events(found: &ChatState, with_message: bool) -> Vec<bytes::Bytes> {
    let answer = found.lines.iter().rev().find(|line| line.run.is_some());
    let snapshot = || {
        let mut told = chat(found);
        told["object"] = "chat".into();
        told
    };
    let mut told = vec![snapshot()];
    if let Some(line) = answer {
        let whole = || {
            let mut told = message(&found.id, line);
            told["object"] = "message".into();
            told
        };
        if with_message {
            told.push(whole());
        }
        told.push(
            json!({"object": "chat.title", "id": found.id, "delta": format!("{} größer 🎨", found.title)}),
        );
        for (number, part) in line.parts().into_iter().enumerate() {
            let delta = json!({"_t": "a", number.to_string(): [part]});
            told.push(json!({"object": "message.parts.chunk", "id": line.id, "delta": delta}));
        }
        told.push(json!({"object": "message.usage", "id": line.id, "usage": line.usage()}));
        if line.run.as_ref().and_then(|run| run.ended) == Some(Finish::Error) {
            let words = "Something went wrong while generating.";
            told.push(json!({"object": "error", "id": line.id, "message": words, "code": "internal"}));
            return pieces(&lines(&told));
        }
        if with_message {
            told.push(whole());
        }
    }
    told.push(snapshot());
    pieces(&lines(&told))
}

fn lines(events: &[Value]) -> String {
    let lines = events.iter().map(|event| format!("data: {event}\n\n"));
    lines.collect::<Vec<_>>().concat()
}
