//! The routes of v1.

use serde_json::{Value, json};

use super::asked::{Asked, No, Reply, Said, pieces};
use super::chat::{ChatState, Line};
use super::strict::{Kind, check};
use super::v2::metadata;
use super::world::{State, Wanted};
use super::zip;
use crate::v0::{Finish, Version};

const MODES: &[&str] = &["sync", "async", "experimental_stream"];
const PROMPT: [(&str, Kind, bool); 7] = [
    ("message", Kind::Words, true),
    ("attachments", Kind::Attachments, false),
    ("system", Kind::Text, false),
    ("modelConfiguration", Kind::Model(false), false),
    ("responseMode", Kind::OneOf(MODES), false),
    ("mcpServerIds", Kind::Texts, false),
    ("skills", Kind::List, false),
];
const CHAT: [(&str, Kind, bool); 5] = [
    ("chatPrivacy", Kind::Privacy, false),
    ("projectId", Kind::Text, false),
    ("designSystemId", Kind::Text, false),
    ("attachedSkillIds", Kind::Texts, false),
    ("metadata", Kind::Metadata, false),
];

/// Answers a request.
pub(super) fn answer(state: &mut State, asked: &Asked) -> Said {
    let path: Vec<&str> = asked.path.iter().map(String::as_str).collect();
    match (asked.method.as_str(), path.as_slice()) {
        ("GET", ["chats"]) => list(state, asked),
        ("POST", ["chats"]) => {
            check(&asked.body, &[PROMPT.as_slice(), CHAT.as_slice()].concat())?;
            state.may_run()?;
            let privacy = asked.body.get("chatPrivacy").and_then(Value::as_str);
            let id = state.open(privacy.unwrap_or("private"), metadata(&asked.body));
            run(state, &id, &asked.body, true)
        }
        ("GET", ["chats", id]) => {
            state.look(id, true);
            Ok(Reply::Json(200, detail(state.chat(id)?)))
        }
        ("DELETE", ["chats", id]) => {
            state.chat(id)?;
            state.chats.retain(|chat| chat.id != *id);
            Ok(Reply::Json(
                200,
                json!({"id": id, "object": "chat", "deleted": true}),
            ))
        }
        ("GET", ["chats", id, "messages"]) => messages(state, id, asked),
        ("POST", ["chats", id, "messages"]) => {
            check(
                &asked.body,
                &[PROMPT.as_slice(), &[("action", Kind::List, false)]].concat(),
            )?;
            if state.chat(id)?.is_running() {
                return Err(No::new(409, "A message is being generated"));
            }
            run(state, id, &asked.body, false)
        }
        ("GET", ["chats", id, "messages", line]) => {
            state.look(id, true);
            let mut told = message(state.chat(id)?.line(line)?);
            told["chatId"] = (*id).into();
            Ok(Reply::Json(200, told))
        }
        ("POST", ["chats", id, "messages", line, "stop"]) => {
            state.chat(id)?.line(line)?;
            if !state.chat(id)?.is_running() {
                return Err(No::new(409, "Message is not being generated"));
            }
            state.end(id, Finish::Other);
            Ok(Reply::Json(200, json!({"success": true})))
        }
        ("POST", ["chats", id, "messages", line, "resume"]) => {
            state.chat(id)?.line(line)?;
            if let Some(finish) = state.chat(id)?.running().map(|run| run.finish) {
                state.end(id, finish);
            }
            let done = state.options.done_mark;
            Ok(Reply::Events(events(state.chat(id)?, done), None))
        }
        ("PATCH", ["chats", id, "versions", version]) => write(state, id, version, &asked.body),
        ("POST", ["chats", id, "versions", version, "files", "delete"]) => {
            remove(state, id, version, &asked.body)
        }
        ("GET", ["chats", id, "versions", version, "download"]) => {
            asked.only(&["format", "includeDefaultFiles"])?;
            latest(state.chat(id)?, version)?;
            Ok(Reply::Zip(zip::pack(&state.chat(id)?.files)))
        }
        ("GET", ["reports", "usage"]) => usage(state, asked),
        _ => Err(No::new(404, "Not Found")),
    }
}

fn run(state: &mut State, id: &str, body: &Value, creates: bool) -> Said {
    let mode = body.get("responseMode").and_then(Value::as_str).unwrap_or("sync");
    let model = body
        .pointer("/modelConfiguration/modelId")
        .and_then(Value::as_str);
    let wanted = Wanted {
        version: Version::V1,
        message: body.get("message").and_then(Value::as_str).unwrap_or_default(),
        model: model.unwrap_or("v0-pro"),
        streams: mode != "async",
    };
    let (_, charge) = state.begin(id, &wanted, creates)?;
    let done = state.options.done_mark;
    if mode == "experimental_stream" {
        return Ok(Reply::Events(events(state.chat(id)?, done), Some(charge)));
    }
    Ok(Reply::Begun(200, detail(state.chat(id)?), charge))
}

fn list(state: &mut State, asked: &Asked) -> Said {
    asked.only(&[
        "limit",
        "offset",
        "isFavorite",
        "vercelProjectId",
        "branch",
        "metadata",
    ])?;
    let limit = asked.number("limit", 60, Some(60))?;
    let skip: usize = asked
        .parameter("offset")
        .map_or(Ok(0), str::parse)
        .map_err(|_| No::invalid("Invalid offset"))?;
    let wanted = asked.metadata();
    let has_all = |chat: &&ChatState| {
        wanted
            .iter()
            .all(|(key, value)| chat.metadata.get(key) == Some(value))
    };
    let page = state.chats.iter().rev().filter(has_all).skip(skip).take(limit);
    let data: Vec<Value> = page.map(summary).collect();
    Ok(Reply::Json(200, json!({"object": "list", "data": data})))
}

fn messages(state: &mut State, id: &str, asked: &Asked) -> Said {
    asked.only(&["limit", "cursor"])?;
    let limit = asked.number("limit", 150, Some(20))?;
    let skip: usize = asked
        .parameter("cursor")
        .map_or(Ok(0), str::parse)
        .map_err(|_| No::invalid("Invalid cursor"))?;
    state.look(id, true);
    let found = state.chat(id)?;
    let data: Vec<Value> = found
        .lines
        .iter()
        .rev()
        .skip(skip)
        .take(limit)
        .map(message)
        .collect();
    let next = skip + data.len();
    let pages = if found.lines.len() > next {
        json!({"hasMore": true, "nextCursor": next.to_string()})
    } else {
        json!({"hasMore": false})
    };
    Ok(Reply::Json(
        200,
        json!({"object": "list", "data": data, "pagination": pages}),
    ))
}

fn summary(found: &ChatState) -> Value {
    let mut told = json!({
        "id": found.id, "object": "chat", "shareable": false, "privacy": found.privacy,
        "createdAt": found.created, "updatedAt": found.updated, "favorite": false, "authorId": "user0001",
        "webUrl": format!("https://v0.app/chat/{}", found.id),
        "apiUrl": format!("https://api.v0.dev/v1/chats/{}", found.id), "metadata": found.metadata,
    });
    if !found.title.is_empty() {
        told["name"] = found.title.as_str().into();
    }
    let run = found.lines.iter().rev().find_map(|line| line.run.as_ref());
    let pending = run.filter(|run| run.ended.is_none() && run.questions > 1);
    // a new version shows a little after its run has begun
    if let Some(run) = pending {
        told["latestVersion"] = json!({
            "id": run.version, "object": "version", "status": "pending", "createdAt": "2026-08-31T00:00:00.000Z",
        });
    } else if let Some((id, status, at)) = &found.version {
        told["latestVersion"] = json!({"id": id, "object": "version", "status": status, "createdAt": at});
        if *status == "completed" {
            told["latestVersion"]["demoUrl"] = format!("https://demo-{}.vusercontent.net/", found.id).into();
        }
    }
    told
}

fn detail(found: &ChatState) -> Value {
    let mut told = summary(found);
    told["messages"] = found.lines.iter().map(message).collect();
    told["url"] = told["webUrl"].clone();
    told["text"] = "".into();
    told["permissions"] = json!({"write": true});
    if told.get("latestVersion").is_some() {
        told["latestVersion"]["files"] = files(found);
    }
    told
}

/// Texts only, as v1 has no encoding.
fn files(found: &ChatState) -> Value {
    let texts = found.files.iter().filter_map(|(name, content)| {
        let content = std::str::from_utf8(content).ok()?;
        Some(json!({"object": "file", "name": name, "content": content, "locked": false}))
    });
    texts.collect()
}

fn message(line: &Line) -> Value {
    let mut told = json!({
        "id": line.id, "object": "message", "content": line.content, "createdAt": line.created,
        "type": "message", "role": if line.is_answer { "assistant" } else { "user" },
        "apiUrl": format!("https://api.v0.dev/v1/messages/{}", line.id),
        "authorId": if line.is_answer { Value::Null } else { "user0001".into() },
    });
    if !line.reason().is_null() {
        told["finishReason"] = line.reason();
    }
    told
}

fn latest(found: &ChatState, version: &str) -> Result<(), No> {
    match &found.version {
        Some((id, _, _)) if id == version => Ok(()),
        Some(_) | None => Err(No::unknown("Version")),
    }
}

fn write(state: &mut State, id: &str, version: &str, body: &Value) -> Said {
    check(body, &[("files", Kind::List, true)])?;
    let mut changes = Vec::new();
    for one in body.get("files").and_then(Value::as_array).into_iter().flatten() {
        let fields = [
            ("name", Kind::Words, true),
            ("content", Kind::Text, true),
            ("locked", Kind::Flag, false),
        ];
        check(one, &fields)?;
        let of = |name: &str| {
            one.get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        changes.push((of("name"), Some(of("content"))));
    }
    change(state, id, version, &changes)
}

fn remove(state: &mut State, id: &str, version: &str, body: &Value) -> Said {
    check(body, &[("filePaths", Kind::Texts, true)])?;
    let paths = body
        .get("filePaths")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let changes: Vec<(String, Option<String>)> = paths
        .filter_map(|path| Some((path.as_str()?.to_owned(), None)))
        .collect();
    change(state, id, version, &changes)
}

fn change(state: &mut State, id: &str, version: &str, changes: &[(String, Option<String>)]) -> Said {
    let (at, next) = (state.tick(), state.name("b_"));
    let found = state.chat(id)?;
    latest(found, version)?;
    if found.is_running() {
        return Err(No::new(409, "A message is being generated"));
    }
    found.change(changes)?;
    found.version = Some((next.clone(), "completed", at.clone()));
    let told = json!({
        "id": next, "object": "version", "status": "completed", "createdAt": at, "files": files(found),
    });
    Ok(Reply::Json(200, told))
}

fn usage(state: &mut State, asked: &Asked) -> Said {
    asked.only(&[
        "startDate",
        "endDate",
        "chatId",
        "messageId",
        "userId",
        "limit",
        "cursor",
    ])?;
    asked.number("limit", 150, Some(20))?;
    let wanted = |name: &str, value: &str| asked.parameter(name).is_none_or(|wanted| wanted == value);
    let events = state.bill.iter().filter(|charge| {
        charge.credits > 0.0 && wanted("chatId", &charge.chat) && wanted("messageId", &charge.message)
    });
    let data = events.map(|charge| {
        json!({
            "id": format!("event{}", charge.number), "object": "usage_event", "type": "message",
            "totalCost": format!("{}", charge.credits), "chatId": charge.chat, "messageId": charge.message,
            "createdAt": "2026-08-01T00:00:00.000Z",
        })
    });
    let data: Vec<Value> = data.collect();
    let count = data.len();
    Ok(Reply::Json(
        200,
        json!({"object": "list", "data": data, "pagination": {"hasMore": false}, "meta": {"totalCount": count}}),
    ))
}

/// The events of the newest run, which is over.
fn events(found: &ChatState, done_mark: bool) -> Vec<bytes::Bytes> {
    let mut told = vec![json!({"type": "connected"}), detail(found)];
    let title = format!("{} größer 🎨", found.title);
    told.push(json!({"object": "chat.title", "id": found.id, "delta": title}));
    let answer = found.lines.iter().rev().find(|line| line.run.is_some());
    for part in answer.into_iter().flat_map(Line::parts) {
        told.push(json!({"object": "message.experimental_content.chunk", "delta": {"_t": "a", "0": [part]}}));
    }
    let failed = answer
        .and_then(|line| line.run.as_ref())
        .and_then(|run| run.ended)
        == Some(Finish::Error);
    if failed {
        told.push(json!({"type": "error", "error": {"message": "Something went wrong while generating."}}));
    } else {
        told.push(detail(found));
    }
    if !done_mark {
        told.push(json!({"type": "done"}));
    }
    let told = told
        .iter()
        .map(|event| format!("event: update\r\ndata: {event}\r\n\r\n"));
    let mut text = told.collect::<Vec<_>>().concat();
    if done_mark {
        text.push_str("data: [DONE]\n\n");
    } else {
        // the empty line behind the last event is left out
        text.truncate(text.trim_end().len());
    }
    pieces(&text)
}
