//! What can be asked of v0, and what it would cost. Pure.

mod check;
mod price;

use serde_json::{Map, Value, json};

pub use price::{Model, models, prices_of};

use crate::{
    money::Price,
    request::Fault,
    v1::{V0Request, v0_action},
};

/// What can be done at v0.
pub use v0_action::Value as Action;

/// Pictures that a message may go by.
pub const MAX_IMAGES: usize = 8;
/// Files that one job may change.
pub const MAX_CHANGES: usize = 100;

/// What a request comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// For lists.
    pub summary: String,
    /// What is sent, with `asset:<id>` and `artifact:<id>` where the files belong; beside it only the metadata by
    /// which a new chat names its job. Null where nothing is sent.
    pub payload: Value,
    /// What it would cost at most; nothing where no model runs.
    pub price: Option<Price>,
}

/// Fills in the action, and checks a request.
///
/// # Errors
/// All faults at once, each with a pointer.
pub fn plan(request: &mut V0Request) -> Result<Plan, Vec<Fault>> {
    let action = fill(request);
    let faults = check::check(request, action);
    if !faults.is_empty() {
        return Err(faults);
    }
    let runs = match action {
        Action::Create | Action::Continue => true,
        Action::Apply | Action::Import | Action::Unspecified => false,
    };
    Ok(Plan {
        summary: summary(request, action),
        payload: payload(request, action),
        price: if runs { price::price(request) } else { None },
    })
}

/// Whether a text has the form of a chat's id.
pub fn is_chat_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// What is done, by what the request says otherwise where it does not say so; left as it is where it says
/// something unknown.
fn fill(request: &mut V0Request) -> Action {
    let known = Action::try_from(request.action);
    let Ok(Action::Unspecified) = known else {
        return known.unwrap_or_default();
    };
    let action = if !request.changes.is_empty() {
        Action::Apply
    } else if request.chat.is_empty() {
        Action::Create
    } else if request.prompt.is_empty() {
        Action::Import
    } else {
        Action::Continue
    };
    request.set_action(action);
    action
}

fn summary(request: &V0Request, action: Action) -> String {
    match action {
        Action::Create | Action::Continue | Action::Unspecified => request.prompt.clone(),
        Action::Apply => format!("{} changed files of chat {}", request.changes.len(), request.chat),
        Action::Import => format!("the files of chat {}", request.chat),
    }
}

fn payload(request: &V0Request, action: Action) -> Value {
    match action {
        Action::Create => {
            let mut payload = message(request);
            payload.insert("privacy".to_owned(), privacy(request).into());
            Value::Object(payload)
        }
        Action::Continue => Value::Object(message(request)),
        Action::Apply => {
            let files = request.changes.iter();
            let files = files.map(|change| json!({"path": change.path, "content": change.content}));
            json!({"files": files.collect::<Vec<_>>()})
        }
        Action::Import | Action::Unspecified => Value::Null,
    }
}

/// Who sees a new chat.
pub fn privacy(request: &V0Request) -> &str {
    if request.privacy.is_empty() {
        "private"
    } else {
        &request.privacy
    }
}

fn message(request: &V0Request) -> Map<String, Value> {
    let mut message = Map::from_iter([("message".to_owned(), request.prompt.as_str().into())]);
    if !request.system.is_empty() {
        message.insert("systemPrompt".to_owned(), request.system.as_str().into());
    }
    if !request.model.is_empty() {
        let model = json!({"modelId": request.model, "imageGenerations": false});
        message.insert("modelConfiguration".to_owned(), model);
    }
    if !request.images.is_empty() {
        let images = request.images.iter().map(|image| json!({"url": image}));
        message.insert("attachments".to_owned(), images.collect());
    }
    message
}

#[cfg(test)]
mod tests;
