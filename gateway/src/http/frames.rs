//! Live events as SSE frames. Pure.
//!
//! The id of a frame is `<revision>-<number>`: what a client saw last, of all jobs and of one.

use std::{fmt, str::FromStr};

use axum::response::sse::Event;
use proto::{
    ids::JobId,
    lifecycle,
    v1::{Job, JobEvent, Progress, Update, update},
};
use serde_json::{Value, json};

/// What a client saw last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// This revision, and of one job's timeline the events up to this number.
    UpTo { revision: u64, number: u32 },
    /// The end of a job's stream at this revision; nothing can follow.
    End { revision: u64 },
}

impl Seen {
    /// Nothing yet.
    pub(crate) const NOTHING: Self = Self::UpTo {
        revision: 0,
        number: 0,
    };
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpTo { revision, number } => write!(f, "{revision}-{number}"),
            Self::End { revision } => write!(f, "{revision}-end"),
        }
    }
}

impl FromStr for Seen {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (revision, number) = text.trim().split_once('-').ok_or(())?;
        let revision = revision.parse().map_err(|_| ())?;
        match number {
            "end" => Ok(Self::End { revision }),
            number => Ok(Self::UpTo {
                revision,
                number: number.parse().map_err(|_| ())?,
            }),
        }
    }
}

/// Turns the updates of one job into frames.
#[derive(Debug)]
pub(crate) struct OneJob {
    id: JobId,
    revision: u64,
    /// Events whose record, which carries the revision, has not arrived yet.
    held: Vec<JobEvent>,
    finished: bool,
}

impl OneJob {
    /// For a stream that begins.
    pub(crate) const fn new(id: JobId) -> Self {
        Self {
            id,
            revision: 0,
            held: Vec::new(),
            finished: false,
        }
    }

    /// The frames that an update makes. Events of the timeline wait for the record that holds them, which
    /// follows at once.
    pub(crate) fn frames(&mut self, update: Update) -> Vec<Event> {
        match update.update {
            Some(update::Update::Event(event)) => {
                self.held.push(event);
                Vec::new()
            }
            Some(update::Update::Job(job)) => {
                self.revision = self.revision.max(job.revision);
                self.finished = lifecycle::is_finished(job.status());
                let held = std::mem::take(&mut self.held);
                let mut frames: Vec<Event> = held.iter().filter_map(|event| self.transition(event)).collect();
                frames.extend(frame("job", &*job));
                frames
            }
            Some(update::Update::Progress(progress)) => self::progress(&progress).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// The last frame, where the job is over; a stream that was broken off has none.
    pub(crate) fn end(&self) -> Option<Event> {
        let id = Seen::End {
            revision: self.revision,
        };
        let end = self
            .finished
            .then(|| frame("end", &json!({"job": self.id.to_string()})))?;
        end.map(|frame| frame.id(id.to_string()))
    }

    fn transition(&self, event: &JobEvent) -> Option<Event> {
        let id = Seen::UpTo {
            revision: self.revision,
            number: event.number,
        };
        let data = with(event, "job", json!(self.id.to_string()));
        frame("transition", &data).map(|frame| frame.id(id.to_string()))
    }
}

/// The frame that an update of any job makes.
pub(crate) fn of_any(update: Update) -> Option<Event> {
    match update.update {
        Some(update::Update::Job(job)) => of_job(&job),
        Some(update::Update::Progress(progress)) => self::progress(&progress),
        Some(update::Update::Event(_)) | None => None,
    }
}

fn of_job(job: &Job) -> Option<Event> {
    let id = Seen::UpTo {
        revision: job.revision,
        number: 0,
    };
    frame("job", job).map(|frame| frame.id(id.to_string()))
}

fn progress(progress: &Progress) -> Option<Event> {
    if progress.preview == 0 {
        return frame("progress", progress);
    }
    let url = format!("/api/jobs/{}/preview?n={}", progress.job, progress.preview);
    frame("progress", &with(progress, "preview_url", json!(url)))
}

fn with(message: &impl serde::Serialize, name: &str, value: Value) -> Value {
    let mut object = json!(message);
    object[name] = value;
    object
}

fn frame(event: &'static str, data: &impl serde::Serialize) -> Option<Event> {
    match Event::default().event(event).json_data(data) {
        Ok(frame) => Some(frame),
        Err(error) => {
            tracing::error!(event, %error, "an event cannot be written as JSON");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::{IntoResponse as _, Sse};
    use futures::stream;
    use proto::{EventKind, Status, moment::timestamp};
    use std::convert::Infallible;

    const ID: &str = "018f0000-0000-7000-8000-000000000000";

    fn id() -> JobId {
        ID.parse().expect("an id")
    }

    fn event(number: u32, kind: EventKind) -> Update {
        let event = JobEvent {
            number,
            kind: kind.into(),
            at: Some(timestamp(1_700_000_000_000 + i64::from(number))),
            ..JobEvent::default()
        };
        Update {
            update: Some(update::Update::Event(event)),
        }
    }

    fn job(revision: u64, status: Status) -> Update {
        let job = Job {
            id: ID.into(),
            revision,
            status: status.into(),
            ..Job::default()
        };
        Update {
            update: Some(update::Update::Job(Box::new(job))),
        }
    }

    fn progress(preview: u64) -> Update {
        let progress = Progress {
            job: ID.into(),
            attempt: 1,
            number: 4,
            phase: "sampling".into(),
            fraction: 0.5,
            preview,
            message: "two\nlines".into(),
            ..Progress::default()
        };
        Update {
            update: Some(update::Update::Progress(progress)),
        }
    }

    async fn text(frames: Vec<Event>) -> String {
        let body = Sse::new(stream::iter(frames.into_iter().map(Ok::<_, Infallible>)))
            .into_response()
            .into_body();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn one_job_from_its_snapshot_to_its_end() {
        let mut one = OneJob::new(id());
        let updates = [
            event(1, EventKind::Submitted),
            event(2, EventKind::Started),
            job(7, Status::Running),
            progress(0),
            progress(3),
            event(3, EventKind::Succeeded),
            job(9, Status::Succeeded),
        ];
        let mut frames: Vec<Event> = Vec::new();
        for update in updates {
            assert!(one.end().is_none());
            frames.extend(one.frames(update));
        }
        frames.extend(one.end());
        insta::assert_snapshot!(text(frames).await);
    }

    #[tokio::test]
    async fn all_jobs_carry_their_revision() {
        let updates = [
            job(7, Status::Queued),
            progress(1),
            event(1, EventKind::Submitted),
        ];
        insta::assert_snapshot!(text(updates.into_iter().filter_map(of_any).collect()).await);
    }

    #[test]
    fn what_was_seen_is_read_back() {
        for seen in [
            Seen::NOTHING,
            Seen::UpTo {
                revision: 12,
                number: 3,
            },
            Seen::End { revision: 5 },
        ] {
            assert_eq!(seen.to_string().parse(), Ok(seen));
        }
        for odd in ["", "7", "a-b", "7-", "-1-2"] {
            assert_eq!(odd.parse::<Seen>(), Err(()), "{odd}");
        }
    }
}
