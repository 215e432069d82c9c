//! What the double would charge, and what it knows about each task. Pure.

use serde_json::{Value, json};
use tokio::time::Instant;

use super::tasks::{Ending, Stage, Task};

/// Every task that was taken, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bill {
    /// The tasks.
    pub entries: Vec<Entry>,
}

/// A task that was taken. It is charged if it is [`Outcome::Ready`], whether anybody asked for it or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// Its model, below `/v1/`.
    pub path: String,
    /// Its prompt.
    pub prompt: String,
    /// What it costs if it becomes ready, in micro-dollars.
    pub cost: u64,
    /// How it stands.
    pub outcome: Outcome,
    /// Whether the answer that named it went out whole; if not, its caller cannot know of it.
    pub answered: bool,
    /// The task of the same request, if something in between sent that on twice.
    pub duplicate_of: Option<String>,
    /// How often it was asked for.
    pub polls: u64,
    /// How often its result was fetched.
    pub fetches: u64,
}

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It waits or runs, and may still be charged.
    Running,
    /// It is done, and charged.
    Ready,
    /// It was moderated, before or after. Not charged.
    Moderated,
    /// It failed. Not charged.
    Failed,
}

impl Bill {
    pub(super) fn at(now: Instant, tasks: &[Task]) -> Self {
        Self {
            entries: tasks.iter().map(|task| Entry::at(now, task)).collect(),
        }
    }

    /// What is charged in all, in micro-dollars.
    pub fn charged(&self) -> u64 {
        self.entries.iter().map(Entry::charged).sum()
    }

    /// What may still be charged, in micro-dollars.
    pub fn open(&self) -> u64 {
        let running = self
            .entries
            .iter()
            .filter(|entry| entry.outcome == Outcome::Running);
        running.map(|entry| entry.cost).sum()
    }

    /// The tasks of a prompt.
    pub fn of_prompt(&self, prompt: &str) -> Vec<&Entry> {
        self.entries
            .iter()
            .filter(|entry| entry.prompt == prompt)
            .collect()
    }

    /// The tasks that their callers cannot know of.
    pub fn unanswered(&self) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| !entry.answered).collect()
    }

    pub(super) fn json(&self) -> Value {
        let entries: Vec<Value> = self.entries.iter().map(Entry::json).collect();
        json!({"charged_micros": self.charged(), "open_micros": self.open(), "entries": entries})
    }
}

impl Entry {
    fn at(now: Instant, task: &Task) -> Self {
        let outcome = match (task.stage(now), task.ending) {
            (Stage::Waiting | Stage::Running, _) => Outcome::Running,
            (Stage::Ended, Ending::Ready) => Outcome::Ready,
            (Stage::Ended, Ending::RequestModerated | Ending::ContentModerated) => Outcome::Moderated,
            (Stage::Ended, Ending::Error) => Outcome::Failed,
        };
        Self {
            id: task.id.clone(),
            path: task.order.path.to_owned(),
            prompt: task.order.prompt.clone(),
            cost: task.cost(),
            outcome,
            answered: task.answered,
            duplicate_of: task.duplicate_of.clone(),
            polls: task.polls,
            fetches: task.fetches,
        }
    }

    /// What is charged for it, in micro-dollars.
    pub fn charged(&self) -> u64 {
        match self.outcome {
            Outcome::Ready => self.cost,
            Outcome::Running | Outcome::Moderated | Outcome::Failed => 0,
        }
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id, "path": self.path, "prompt": self.prompt, "cost_micros": self.cost,
            "charged_micros": self.charged(), "outcome": self.outcome.name(), "answered": self.answered,
            "duplicate_of": self.duplicate_of, "polls": self.polls, "fetches": self.fetches,
        })
    }
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ready => "ready",
            Self::Moderated => "moderated",
            Self::Failed => "failed",
        }
    }
}
