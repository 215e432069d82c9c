//! The newer jobs API, `/api/jobs/{id}`: one request that knows a prompt from pending to its end, on
//! servers that have it (after v0.5.1).

use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::StatusCode;
use serde_json::Value;
use uuid::Uuid;

use super::client::{Answer, Client};
use super::error::Error;
use super::standing::{Outcome, outcome};

/// The answer to a look-up by the jobs API.
#[derive(Debug, Clone, PartialEq)]
pub enum JobLookup {
    /// The server knows it.
    Found(Box<Job>),
    /// The server has the API and does not know the id.
    NotFound,
    /// The server is too old for the API; use [`Client::standing`].
    NotOffered,
}

/// A prompt as the jobs API shows it. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The prompt's id.
    pub id: String,
    /// Where it stands.
    pub status: JobStatus,
    /// When it was posted.
    pub create_time: Option<u64>,
    /// When it began to run.
    pub execution_start_time: Option<u64>,
    /// When it ended.
    pub execution_end_time: Option<u64>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
}

/// The jobs API's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// It waits.
    Pending,
    /// It runs.
    InProgress,
    /// It ran to the end.
    Completed,
    /// A node failed.
    Failed,
    /// It was interrupted.
    Cancelled,
}

/// Whether the server was seen not to have the jobs API. The answer is given up whenever the server may
/// have been exchanged for another one.
#[derive(Debug, Default)]
pub(super) struct JobsApi {
    missing: AtomicBool,
}

impl JobsApi {
    /// Whether it is worth asking.
    fn may_be_there(&self) -> bool {
        !self.missing.load(Ordering::Relaxed)
    }

    fn note(&self, lookup: &JobLookup) {
        let missing = *lookup == JobLookup::NotOffered;
        self.missing.store(missing, Ordering::Relaxed);
    }

    /// Ask again.
    pub(super) fn forget(&self) {
        self.missing.store(false, Ordering::Relaxed);
    }
}

impl Client {
    /// Whether the jobs API says that a prompt runs; not so where there is none. That it is quicker than
    /// the whole queue is all that it is asked for: any trouble with it is a no.
    pub(super) async fn runs_by_job(&self, prompt_id: Uuid) -> Result<bool, Error> {
        if !self.jobs_api.may_be_there() {
            return Ok(false);
        }
        match self.job(prompt_id).await {
            Ok(JobLookup::Found(job)) => Ok(job.status == JobStatus::InProgress),
            Ok(JobLookup::NotFound | JobLookup::NotOffered)
            | Err(Error::Status { .. } | Error::Unparseable { .. } | Error::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Looks a prompt up by the jobs API.
    pub async fn job(&self, prompt_id: Uuid) -> Result<JobLookup, Error> {
        let answer = self
            .get(&["api", "jobs", &prompt_id.to_string()])
            .answer()
            .await?;
        let lookup = if answer.status != StatusCode::NOT_FOUND {
            let answer = answer.success()?;
            Job::parse(&answer.json()?)
                .map(|job| JobLookup::Found(Box::new(job)))
                .ok_or_else(|| answer.unparseable("it is not a job of a known status".to_owned()))?
        } else if names_no_job(&answer) {
            JobLookup::NotFound
        } else {
            JobLookup::NotOffered
        };
        self.jobs_api.note(&lookup);
        Ok(lookup)
    }
}

/// Both an unknown job and an unknown route are 404; only the former says so in JSON.
pub(super) fn names_no_job(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND && answer.json().is_ok_and(|body| body.get("error").is_some())
}

impl Job {
    /// Reads the answer of `/api/jobs/{id}`; `None` if it is not one.
    pub fn parse(value: &Value) -> Option<Self> {
        let time = |key: &str| value.get(key).and_then(Value::as_u64);
        let status = match value.get("status")?.as_str()? {
            "pending" => JobStatus::Pending,
            "in_progress" => JobStatus::InProgress,
            "completed" => JobStatus::Completed,
            "failed" => JobStatus::Failed,
            "cancelled" => JobStatus::Cancelled,
            _ => return None,
        };
        let null = Value::Null;
        let ended = || {
            let execution = value.get("execution_status").unwrap_or(&null);
            let graph = value.pointer("/workflow/prompt");
            outcome(value.get("outputs").unwrap_or(&null), execution, graph)
        };
        Some(Self {
            id: value.get("id")?.as_str()?.to_owned(),
            status,
            create_time: time("create_time"),
            execution_start_time: time("execution_start_time"),
            execution_end_time: time("execution_end_time"),
            outcome: match status {
                JobStatus::Pending | JobStatus::InProgress => None,
                JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled => Some(ended()),
            },
        })
    }
}
