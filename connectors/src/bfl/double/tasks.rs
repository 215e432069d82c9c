//! A task of the double: how it stands at a time, whether anybody asks or not. Pure.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::validation::Order;

/// A prompt with this text is refused at once.
pub const FORBIDDEN_INPUT: &str = "forbidden input";
/// The result of a prompt with this text is withheld.
pub const FORBIDDEN_OUTPUT: &str = "forbidden output";
/// A task whose prompt has this text fails.
pub const BROKEN: &str = "broken task";

/// How a task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Ready,
    RequestModerated,
    ContentModerated,
    Error,
}

/// A task that was taken.
#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) id: String,
    /// What makes the address of its result a permission.
    pub(super) signature: String,
    pub(super) order: Order,
    pub(super) seed: u64,
    pub(super) ending: Ending,
    /// When it began; it waits while tasks are held.
    pub(super) started: Option<Instant>,
    /// How long it takes.
    pub(super) lasts: Duration,
    /// Seconds since 1970 at its submission.
    pub(super) submitted: f64,
    /// Whether the answer that named it went out whole.
    pub(super) answered: bool,
    /// The task of the same request, if it was sent on twice.
    pub(super) duplicate_of: Option<String>,
    pub(super) polls: u64,
    pub(super) fetches: u64,
    /// Whether the service has dropped it: it is not found, and stays charged.
    pub(super) forgotten: bool,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Running,
    Ended,
}

impl Ending {
    /// What becomes of a prompt.
    pub(super) fn of(prompt: &str) -> Self {
        if prompt.contains(FORBIDDEN_INPUT) {
            Self::RequestModerated
        } else if prompt.contains(FORBIDDEN_OUTPUT) {
            Self::ContentModerated
        } else if prompt.contains(BROKEN) {
            Self::Error
        } else {
            Self::Ready
        }
    }
}

impl Task {
    /// When it ends, if it has begun.
    pub(super) fn end(&self) -> Option<Instant> {
        self.started.map(|started| started + self.lasts)
    }

    pub(super) fn stage(&self, now: Instant) -> Stage {
        let Some((started, end)) = self.started.zip(self.end()) else {
            return Stage::Waiting;
        };
        if now >= end || self.ending == Ending::RequestModerated {
            Stage::Ended
        } else if now < started + self.lasts / 2 {
            Stage::Waiting
        } else {
            Stage::Running
        }
    }

    /// Whether it counts against the limits.
    pub(super) fn is_active(&self, now: Instant) -> bool {
        self.stage(now) != Stage::Ended
    }

    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.ending == Ending::Ready && self.stage(now) == Stage::Ended
    }

    /// What it costs if it becomes ready, in micro-dollars.
    pub(super) fn cost(&self) -> u64 {
        self.order.cost * 1000
    }

    /// The answer to a poll. `reasoning` puts a status of FLUX.2 into the middle that is not documented.
    pub(super) fn answer(&self, now: Instant, sample: &Url, reasoning: bool) -> Value {
        let (status, progress, result, details) = match (self.stage(now), self.ending) {
            (Stage::Waiting, _) => ("Pending", Value::Null, Value::Null, Value::Null),
            (Stage::Running, _) => {
                let status = if reasoning { "Reasoning" } else { "Pending" };
                (status, json!(0.5), Value::Null, Value::Null)
            }
            (Stage::Ended, Ending::Ready) => ("Ready", json!(1.0), self.result(sample), Value::Null),
            (Stage::Ended, Ending::RequestModerated) => {
                let details = json!({"Moderation Reasons": ["Sexual Content"]});
                ("Request Moderated", Value::Null, Value::Null, details)
            }
            (Stage::Ended, Ending::ContentModerated) => {
                let details = json!({"Moderation Reasons": ["Derivative Works Filter"]});
                ("Content Moderated", Value::Null, Value::Null, details)
            }
            (Stage::Ended, Ending::Error) => {
                let details = json!({"error": "the task has failed"});
                ("Error", Value::Null, Value::Null, details)
            }
        };
        json!({
            "id": self.id, "status": status, "result": result, "progress": progress, "details": details,
            "preview": null,
        })
    }

    fn result(&self, sample: &Url) -> Value {
        let lasts = self.lasts.as_secs_f64();
        json!({
            "sample": sample.as_str(), "prompt": self.order.prompt, "seed": self.seed,
            "start_time": self.submitted, "end_time": self.submitted + lasts, "duration": lasts,
        })
    }
}

/// The answer about a task that is not there.
pub(super) fn not_found(id: &str) -> Value {
    json!({
        "id": id, "status": "Task not found", "result": null, "progress": null, "details": null, "preview": null,
    })
}
