//! Chats as the double keeps them: their lines, their files, the run that is under way.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::asked::No;
use crate::v0::Finish;

/// A picture of one pixel: a file that is no text.
const LOGO: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
    \0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";

/// One chat.
#[derive(Debug)]
pub(super) struct ChatState {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) privacy: String,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) created: String,
    pub(super) updated: String,
    pub(super) lines: Vec<Line>,
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// v1's name of the latest version, its status and when it came to be.
    pub(super) version: Option<(String, &'static str, String)>,
    pub(super) preview_questions: u32,
}

/// One message.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) content: String,
    pub(super) created: String,
    pub(super) is_answer: bool,
    /// Of an answer.
    pub(super) run: Option<Run>,
}

/// A run of the model.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) began: Instant,
    /// How often somebody asked after it.
    pub(super) questions: u32,
    /// How it will end.
    pub(super) finish: Finish,
    pub(super) ended: Option<Finish>,
    /// The number of its charge; 0 where it costs nothing.
    pub(super) charge: usize,
    /// The version that it makes.
    pub(super) version: String,
    pub(super) credits: f64,
}

impl ChatState {
    /// The run that is under way.
    pub(super) fn running(&mut self) -> Option<&mut Run> {
        let mut runs = self.lines.iter_mut().rev().filter_map(|line| line.run.as_mut());
        runs.find(|run| run.ended.is_none())
    }

    pub(super) fn is_running(&self) -> bool {
        let mut runs = self.lines.iter().filter_map(|line| line.run.as_ref());
        runs.any(|run| run.ended.is_none())
    }

    pub(super) fn line(&self, id: &str) -> Result<&Line, No> {
        let found = self.lines.iter().find(|line| line.id == id);
        found.ok_or_else(|| No::unknown("Message"))
    }

    /// Ends the run that is under way: its charge and what it cost.
    pub(super) fn end(&mut self, at: &str, finish: Finish, price: f64, more: usize) -> Option<(usize, f64)> {
        let wanted = self.lines.iter().rev().find(|line| !line.is_answer);
        let wanted = wanted.map(|line| line.content.clone()).unwrap_or_default();
        let line = self.lines.iter_mut().rev().find(|line| {
            let run = line.run.as_ref();
            run.is_some_and(|run| run.ended.is_none())
        })?;
        let run = line.run.as_mut()?;
        let works = matches!(finish, Finish::Stop);
        run.ended = Some(finish);
        // what was stopped or failed has cost something too
        run.credits = if works { price } else { price / 2.0 };
        let (charge, credits, version) = (run.charge, run.credits, run.version.clone());
        line.content = match finish {
            Finish::Stop => format!("Here is your site: “{wanted}” 🎨"),
            Finish::ToolCalls => "Before I go on, I need to know something.".to_owned(),
            Finish::Error => "Something went wrong while generating.".to_owned(),
            Finish::Length | Finish::ContentFilter | Finish::Other => String::new(),
        };
        at.clone_into(&mut self.updated);
        let status = match finish {
            Finish::Error | Finish::ContentFilter => "failed",
            Finish::Stop | Finish::Length | Finish::ToolCalls | Finish::Other => "completed",
        };
        if works {
            self.build(&wanted, more);
        }
        if !matches!(finish, Finish::ToolCalls | Finish::Other) {
            self.version = Some((version, status, at.to_owned()));
        }
        Some((charge, credits))
    }

    fn build(&mut self, wanted: &str, more: usize) {
        if self.title.is_empty() {
            self.title = wanted.chars().take(40).collect();
        }
        let rounds = self.lines.iter().filter(|line| line.is_answer).count();
        let page =
            format!("export default function Page() {{\n  return <main>{wanted} — größer 🎨</main>\n}}\n");
        let mut put = |path: String, content: &[u8]| self.files.insert(path, content.to_vec());
        put("app/page.tsx".to_owned(), page.as_bytes());
        put(
            "app/layout.tsx".to_owned(),
            b"export default function Layout({ children }) {\n  return <html><body>{children}</body></html>\n}\n",
        );
        put("public/logo.png".to_owned(), LOGO);
        for number in 1..=more {
            let part = format!("export const part = {number}\n");
            put(format!("components/part-{number:03}.tsx"), part.as_bytes());
        }
        if rounds > 1 {
            let note = format!("export const round = {rounds}\n");
            put(format!("lib/round-{rounds}.ts"), note.as_bytes());
        }
    }

    /// Puts or removes files; doing it twice to a file that is gone is refused.
    pub(super) fn change(&mut self, changes: &[(String, Option<String>)]) -> Result<(), No> {
        let mut issues = Vec::new();
        for (path, content) in changes {
            let odd = path.split('/').any(|part| matches!(part, "" | "." | ".."));
            if odd {
                issues.push(json!({"path": path, "error": "Invalid path"}));
            } else if content.is_none() && !self.files.contains_key(path) {
                issues.push(json!({"path": path, "error": "File does not exist"}));
            }
        }
        if !issues.is_empty() {
            return Err(No {
                issues: Some(issues.into()),
                ..No::invalid("Invalid file contents")
            });
        }
        for (path, content) in changes {
            match content {
                Some(content) => {
                    self.files.insert(path.clone(), content.clone().into_bytes());
                }
                None => {
                    self.files.remove(path);
                }
            }
        }
        Ok(())
    }
}

impl Line {
    /// v0's word for how it ended; null while it is being made, and of people's messages.
    pub(super) fn reason(&self) -> Value {
        let ended = self.run.as_ref().and_then(|run| run.ended);
        ended.map_or(Value::Null, |finish| finish.as_str().into())
    }

    /// What the model did, as v2 tells it: the more, the longer it is at it.
    pub(super) fn parts(&self) -> Vec<Value> {
        let Some(run) = &self.run else {
            return vec![json!({"type": "text", "text": self.content})];
        };
        let steps = [
            json!({"type": "thinking", "text": "I think — größer 🎨"}),
            json!({"type": "file-edit", "operation": "create", "path": "app/layout.tsx"}),
            json!({"type": "file-edit", "operation": "create", "path": "app/page.tsx"}),
        ];
        let seen = if run.ended.is_some() {
            steps.len()
        } else {
            (run.questions as usize).min(steps.len())
        };
        let mut parts = steps[..seen].to_vec();
        match run.ended {
            Some(Finish::Stop) => parts.push(json!({"type": "text", "text": self.content})),
            Some(Finish::ToolCalls) => parts.push(json!({
                "type": "agent-action", "name": "ask_user_questions", "summary": "Asks a question",
                "data": {"questions": [{
                    "id": "q1", "question": "Which colour shall it have?", "header": "Colour",
                    "multiSelect": false, "options": [],
                }]},
            })),
            Some(Finish::Length | Finish::ContentFilter | Finish::Error | Finish::Other) | None => {}
        }
        parts
    }

    /// What it used, as v2 tells it: zero until it is over.
    pub(super) fn usage(&self) -> Value {
        let run = self
            .run
            .as_ref()
            .filter(|run| run.ended.is_some() && run.charge > 0);
        let credits = run.map_or(0.0, |run| run.credits);
        let tokens = if run.is_some() { 12_345 } else { 0 };
        let split = |total: Value| {
            let zero = json!(0);
            let pairs = [
                ("input", total.clone()),
                ("output", zero.clone()),
                ("cacheRead", zero.clone()),
                ("cacheWrite", zero),
                ("total", total),
            ];
            Value::Object(Map::from_iter(
                pairs.map(|(name, value)| (name.to_owned(), value)),
            ))
        };
        json!({"tokens": split(json!(tokens)), "creditsCost": split(json!(credits))})
    }
}
