//! What a request may say, by what it wants done.

use std::collections::BTreeSet;

use super::{Action, MAX_CHANGES, MAX_IMAGES, is_chat_id, models};
use crate::{
    ids::InputId,
    request::{Fault, MAX_PROMPT_BYTES},
    v1::{FileChange, V0Request},
};

const PRIVACIES: [&str; 5] = ["private", "public", "team", "team-edit", "unlisted"];
const MAX_PATH_BYTES: usize = 200;
const MAX_CONTENT_BYTES: usize = 512 * 1024;

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.0.push(Fault {
            pointer: format!("/v0/{field}"),
            message: message.into(),
        });
    }

    fn text(&mut self, field: &str, text: &str) {
        if text.len() > MAX_PROMPT_BYTES {
            let bytes = text.len();
            self.add(
                field,
                format!("has {bytes} bytes, at most {MAX_PROMPT_BYTES} are possible"),
            );
        }
        if text.contains('\0') {
            self.add(field, "must not contain the character U+0000");
        }
    }

    fn word(&mut self, field: &str, word: &str, known: &[&str]) {
        if word.is_empty() || known.contains(&word) {
            return;
        }
        let nearest = known
            .iter()
            .map(|name| (strsim::jaro_winkler(name, word), name))
            .filter(|(likeness, _)| *likeness > 0.7)
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        let meant = nearest.map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"));
        let word: String = word.chars().take(80).collect();
        let known = known.join(", ");
        self.add(field, format!("{word:?} is none of {known}{meant}"));
    }
}

/// Everything that is wrong.
pub(super) fn check(request: &V0Request, action: Action) -> Vec<Fault> {
    let mut faults = Faults::default();
    if action == Action::Unspecified {
        faults.add("action", "must be `create`, `continue`, `apply` or `import`");
        return faults.0;
    }
    check_fit(request, action, &mut faults);
    faults.text("prompt", &request.prompt);
    faults.text("system", &request.system);
    if !request.chat.is_empty() && !is_chat_id(&request.chat) {
        let message =
            "must have 1 to 64 letters, digits, `-` or `_`, as in the address of the chat's page at v0";
        faults.add("chat", message);
    }
    let names: Vec<&str> = models().iter().map(|model| model.name.as_str()).collect();
    faults.word("model", &request.model, &names);
    faults.word("privacy", &request.privacy, &PRIVACIES);
    check_images(&request.images, &mut faults);
    check_changes(&request.changes, &mut faults);
    faults.0
}

/// Whether it has what the action needs, and nothing that has no effect on it.
fn check_fit(request: &V0Request, action: Action, faults: &mut Faults) {
    let name = action.as_str_name();
    let (prompts, chat, changes) = match action {
        Action::Create => (true, false, false),
        Action::Continue => (true, true, false),
        Action::Apply => (false, true, true),
        Action::Import | Action::Unspecified => (false, true, false),
    };
    let blank = request.prompt.trim().is_empty();
    if prompts && blank {
        faults.add(
            "prompt",
            format!("is needed to {name} a chat: say what is wanted"),
        );
    }
    if chat && request.chat.is_empty() {
        faults.add("chat", format!("is needed to {name}: the id of a chat at v0"));
    }
    if changes && request.changes.is_empty() {
        faults.add(
            "changes",
            "is needed to apply: name the files and their new content",
        );
    }
    let said = [
        ("prompt", prompts, !blank),
        ("model", prompts, !request.model.is_empty()),
        ("system", prompts, !request.system.is_empty()),
        ("images", prompts, !request.images.is_empty()),
        ("chat", chat, !request.chat.is_empty()),
        ("changes", changes, !request.changes.is_empty()),
        ("privacy", action == Action::Create, !request.privacy.is_empty()),
    ];
    for (field, _, _) in said.iter().filter(|(_, takes, given)| *given && !takes) {
        faults.add(field, format!("has no effect on `{name}`; leave it out"));
    }
}

fn check_images(images: &[String], faults: &mut Faults) {
    if images.len() > MAX_IMAGES {
        let given = images.len();
        faults.add(
            "images",
            format!("{given} are given, at most {MAX_IMAGES} are possible"),
        );
    }
    for (number, image) in images.iter().enumerate() {
        if let Err(error) = image.parse::<InputId>() {
            faults.add(&format!("images/{number}"), error.to_string());
        }
    }
}

fn check_changes(changes: &[FileChange], faults: &mut Faults) {
    if changes.len() > MAX_CHANGES {
        let given = changes.len();
        faults.add(
            "changes",
            format!("{given} are given, at most {MAX_CHANGES} are possible"),
        );
    }
    let mut seen = BTreeSet::new();
    for (number, change) in changes.iter().enumerate() {
        let path = format!("changes/{number}/path");
        if let Some(fault) = fault_of_path(&change.path) {
            faults.add(&path, fault);
        } else if !seen.insert(change.path.as_str()) {
            faults.add(&path, "is changed twice; give each file once");
        }
        let content = change.content.as_deref().unwrap_or_default();
        let place = format!("changes/{number}/content");
        if content.len() > MAX_CONTENT_BYTES {
            let bytes = content.len();
            faults.add(
                &place,
                format!("has {bytes} bytes, at most {MAX_CONTENT_BYTES} are possible"),
            );
        }
        if content.contains('\0') {
            faults.add(&place, "must not contain the character U+0000");
        }
    }
}

/// Why a text is no path of a file within a site.
pub(super) fn fault_of_path(path: &str) -> Option<&'static str> {
    if path.is_empty() || path.len() > MAX_PATH_BYTES {
        return Some("must have 1 to 200 bytes");
    }
    if path.contains('\\') {
        return Some("must have `/` between its parts, not `\\`");
    }
    if path.chars().any(char::is_control) {
        return Some("must not contain a control character");
    }
    if path.starts_with('/') || path.as_bytes().get(1) == Some(&b':') {
        return Some("must be relative, such as `app/page.tsx`");
    }
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    path.split('/')
        .any(odd)
        .then_some("must not have an empty part, `.` or `..` in it")
}
