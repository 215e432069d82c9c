//! How a task stands, as the service says it. Pure.

use std::fmt;

use serde_json::Value;

/// How a task stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Poll {
    /// How it stands.
    pub status: Status,
    /// How far it is, 0 to 1.
    pub progress: Option<f64>,
    /// What it has cost, in US cents, where the service says so only now.
    pub cost_cents: Option<f64>,
}

/// How a task stands. Everything but `Pending` and `InProgress` is final, `NotFound` after the first seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// It waits or runs.
    Pending,
    /// It runs, in a word of the service that is not documented.
    InProgress(String),
    /// It is done, and charged.
    Ready(Sample),
    /// The prompt or an input was refused, for these reasons. Nothing is charged.
    RequestModerated(Vec<String>),
    /// The result was withheld, for these reasons. Nothing is charged.
    ContentModerated(Vec<String>),
    /// The service failed, with these words. Nothing is charged.
    Failed(String),
    /// The service does not know the task: not yet, not any more, or not at this address.
    NotFound,
}

/// A result.
#[derive(Clone, PartialEq)]
pub struct Sample {
    /// Where it is, for ten minutes. The address is itself the permission, and is not to be shown.
    pub url: String,
    /// The seed that made it.
    pub seed: Option<u64>,
    /// The prompt as the model got it.
    pub prompt: Option<String>,
    /// How long it took, in seconds.
    pub duration: Option<f64>,
}

impl Poll {
    pub(super) fn bare(status: Status) -> Self {
        Self {
            status,
            progress: None,
            cost_cents: None,
        }
    }

    /// Reads an answer; the error is what is wrong with it.
    pub(super) fn read(value: &Value, show: &dyn Fn(&str) -> String) -> Result<Self, &'static str> {
        let said = ["status", "state"]
            .iter()
            .find_map(|name| value.get(*name)?.as_str());
        let said = said.ok_or("the answer has no status")?;
        let plain = said.trim().to_ascii_lowercase().replace(['_', '-'], " ");
        let status = match plain.as_str() {
            "" => return Err("the answer has no status"),
            "pending" => Status::Pending,
            "ready" => Status::Ready(Sample::read(value).ok_or("it is ready and names no sample")?),
            "request moderated" => Status::RequestModerated(reasons(value, show)),
            "content moderated" => Status::ContentModerated(reasons(value, show)),
            "error" | "failed" => Status::Failed(explanation(value, show)),
            "task not found" => Status::NotFound,
            _ => Status::InProgress(show(said)),
        };
        Ok(Self {
            status,
            progress: value.get("progress").and_then(Value::as_f64).and_then(fraction),
            cost_cents: value.get("cost").and_then(Value::as_f64),
        })
    }
}

/// Progress comes as a fraction or in percent.
fn fraction(progress: f64) -> Option<f64> {
    let fraction = if progress > 1.0 {
        progress / 100.0
    } else {
        progress
    };
    (0.0..=1.0).contains(&fraction).then_some(fraction)
}

/// Why something was moderated: a list under one name, or a plain text.
fn reasons(value: &Value, show: &dyn Fn(&str) -> String) -> Vec<String> {
    let details = value.get("details").unwrap_or(&Value::Null);
    let named = details.as_object().and_then(|details| {
        let mut named = details.iter();
        let (_, reasons) = named.find(|(name, _)| name.to_ascii_lowercase().contains("reason"))?;
        Some(reasons)
    });
    let said = |reason: &Value| reason.as_str().map_or_else(|| show(&reason.to_string()), show);
    match named.unwrap_or(details) {
        Value::Null => Vec::new(),
        Value::Array(reasons) => reasons.iter().map(said).collect(),
        single @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
            vec![said(single)]
        }
    }
}

/// What the service says about its failure, wherever it says it.
fn explanation(value: &Value, show: &dyn Fn(&str) -> String) -> String {
    let places = ["details", "error", "message", "detail", "result"];
    let mut said = places.iter().filter_map(|name| match value.get(*name)? {
        Value::String(text) if !text.trim().is_empty() => Some(show(text)),
        Value::Object(object) if !object.is_empty() => {
            let words = ["message", "error", "reason"]
                .iter()
                .find_map(|name| object.get(*name)?.as_str());
            Some(words.map_or_else(|| show(&Value::Object(object.clone()).to_string()), show))
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => None,
    });
    said.next().unwrap_or_else(|| "no explanation".to_owned())
}

impl Sample {
    fn read(value: &Value) -> Option<Self> {
        let result = value.get("result")?;
        let url = result.get("sample")?.as_str()?.trim();
        (!url.is_empty()).then(|| Self {
            url: url.to_owned(),
            seed: result.get("seed").and_then(Value::as_u64),
            prompt: result.get("prompt").and_then(Value::as_str).map(str::to_owned),
            duration: result.get("duration").and_then(Value::as_f64),
        })
    }
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("seed", &self.seed)
            .field("prompt", &self.prompt)
            .field("duration", &self.duration)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<Poll, &'static str> {
        Poll::read(value, &str::to_owned)
    }

    fn status(value: &Value) -> Status {
        read(value).unwrap().status
    }

    #[test]
    fn every_status_is_understood() {
        assert_eq!(
            status(&json!({"id": "x", "status": "Pending", "progress": null})),
            Status::Pending
        );
        assert_eq!(status(&json!({"state": "Pending"})), Status::Pending);
        let reasoning = Status::InProgress("Reasoning".to_owned());
        assert_eq!(status(&json!({"status": "Reasoning"})), reasoning);
        assert_eq!(
            status(&json!({"status": "Task not found", "result": {}})),
            Status::NotFound
        );
        for name in ["Error", "Failed"] {
            let failed = Status::Failed("no explanation".to_owned());
            assert_eq!(status(&json!({"status": name, "result": null})), failed);
        }
        let failed = Status::Failed("out of memory".to_owned());
        assert_eq!(
            status(&json!({"status": "Error", "details": {"error": "out of memory"}})),
            failed
        );
        assert_eq!(read(&json!({"status": 7})), Err("the answer has no status"));
        assert_eq!(read(&json!([])), Err("the answer has no status"));
    }

    #[test]
    fn a_result_needs_its_sample() {
        let ready = json!({"status": "Ready", "cost": 4.5, "result":
            {"sample": "https://d/x?sig=secret", "seed": 7, "prompt": "a cat", "duration": 2.5}});
        let poll = read(&ready).unwrap();
        let Status::Ready(sample) = &poll.status else {
            panic!("{poll:?}")
        };
        assert_eq!(
            (sample.url.as_str(), sample.seed),
            ("https://d/x?sig=secret", Some(7))
        );
        assert_eq!(poll.cost_cents, Some(4.5));
        assert!(!format!("{poll:?}").contains("secret"));
        for result in [
            json!(null),
            json!({}),
            json!({"sample": ""}),
            json!({"sample": 1}),
            json!("x"),
        ] {
            let answer = json!({"status": "Ready", "result": result});
            assert_eq!(read(&answer), Err("it is ready and names no sample"), "{answer}");
        }
    }

    #[test]
    fn reasons_come_as_a_list_or_as_a_text() {
        let moderated = |details: Value| status(&json!({"status": "Request Moderated", "details": details}));
        let with = |reasons: &[&str]| {
            Status::RequestModerated(reasons.iter().map(|reason| (*reason).to_owned()).collect())
        };
        assert_eq!(
            moderated(json!({"Moderation Reasons": ["A", "B"]})),
            with(&["A", "B"])
        );
        assert_eq!(moderated(json!({"moderation_reasons": "A"})), with(&["A"]));
        assert_eq!(moderated(json!("A")), with(&["A"]));
        assert_eq!(moderated(json!(null)), with(&[]));
        let output = status(&json!({"status": "Content Moderated"}));
        assert_eq!(output, Status::ContentModerated(Vec::new()));
    }

    #[test]
    fn progress_is_a_fraction_or_percent() {
        let progress = |value: Value| {
            read(&json!({"status": "Pending", "progress": value}))
                .unwrap()
                .progress
        };
        assert_eq!(progress(json!(0.5)), Some(0.5));
        assert_eq!(progress(json!(50)), Some(0.5));
        assert_eq!(progress(json!(1)), Some(1.0));
        assert_eq!(progress(json!(null)), None);
        assert_eq!(progress(json!(-1)), None);
        assert_eq!(progress(json!(1000)), None);
        assert_eq!(progress(json!("half")), None);
    }
}
