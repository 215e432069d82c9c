//! Log lines about what happens: one a transition of a job, one a change of a worker's standing.

use proto::{
    EventKind,
    v1::{Job, JobEvent, Worker},
};

use crate::picture::Arrival;

/// What a line about a transition says, apart from its level.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    message: &'static str,
    worker: Option<&'a str>,
    attempt: Option<u32>,
    code: Option<&'a str>,
    reason: Option<&'a str>,
}

/// Logs one event of a job.
pub(crate) fn log(job: &Job, event: &JobEvent) {
    let Some(line) = Line::of(job, event) else { return };
    let backend = job.backend().as_str_name();
    macro_rules! write {
        ($level:ident) => {
            tracing::$level!(
                job.id = %job.id,
                job.backend = backend,
                attempt.number = line.attempt,
                worker.id = line.worker,
                failure.code = line.code,
                reason = line.reason,
                "{}",
                line.message
            )
        };
    }
    match event.kind() {
        EventKind::Failed | EventKind::TakenBack | EventKind::RetryScheduled => write!(warn),
        EventKind::Phase => write!(debug),
        EventKind::Unspecified
        | EventKind::Submitted
        | EventKind::Held
        | EventKind::Released
        | EventKind::Started
        | EventKind::HandedBack
        | EventKind::CancelRequested
        | EventKind::Succeeded
        | EventKind::Cancelled => write!(info),
    }
}

/// Logs how a worker came, changed or went.
pub(crate) fn log_arrival(id: &str, arrival: Arrival) {
    match arrival {
        Arrival::Appeared => tracing::info!(worker.id = id, "worker appeared"),
        Arrival::Restarted => tracing::info!(worker.id = id, "worker restarted"),
        Arrival::Draining => tracing::info!(worker.id = id, "worker is draining"),
        Arrival::Left => tracing::info!(worker.id = id, "worker stopped in order"),
        Arrival::Stayed => {}
    }
}

/// Logs that a worker is not heard of any more.
pub(crate) fn log_silence(worker: &Worker) {
    tracing::warn!(
        worker.id = %worker.id,
        running = worker.running.len(),
        "worker is silent"
    );
}

impl<'a> Line<'a> {
    /// `None` for a kind of event that a newer version writes.
    fn of(job: &'a Job, event: &'a JobEvent) -> Option<Self> {
        let reason = Some(event.reason.as_str()).filter(|reason| !reason.is_empty());
        let (message, code, reason) = match event.kind() {
            EventKind::Unspecified => return None,
            EventKind::Submitted => ("job submitted", None, reason),
            EventKind::Held => ("job held", None, reason),
            EventKind::Released => ("job released", None, reason),
            EventKind::Started => ("attempt started", None, reason),
            EventKind::Phase => ("phase ended", None, reason),
            EventKind::RetryScheduled => ("attempt failed, another is scheduled", reason, None),
            EventKind::HandedBack => ("job handed back", None, reason),
            EventKind::TakenBack => ("job taken back from its worker", None, reason),
            EventKind::CancelRequested => ("cancellation requested", None, reason),
            EventKind::Succeeded => ("job succeeded", None, reason),
            EventKind::Failed => ("job failed", reason, None),
            EventKind::Cancelled => ("job cancelled", None, reason),
        };
        Some(Self {
            message,
            worker: worker_of(job, event),
            attempt: Some(event.attempt).filter(|attempt| *attempt > 0),
            code,
            reason,
        })
    }
}

/// The event's worker; the events that end an attempt are written when nobody holds the job any more.
fn worker_of<'a>(job: &'a Job, event: &'a JobEvent) -> Option<&'a str> {
    let ended = job
        .attempts
        .iter()
        .find(|attempt| attempt.number == event.attempt);
    let names = [
        event.worker.as_str(),
        ended.map_or("", |attempt| attempt.worker.as_str()),
    ];
    names.into_iter().find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::Attempt;

    #[test]
    fn a_failure_names_its_code_and_the_worker_that_ended_the_attempt() {
        let attempt = Attempt {
            number: 2,
            worker: "w1".into(),
            ..Attempt::default()
        };
        let job = Job {
            attempts: vec![attempt],
            ..Job::default()
        };
        let event = JobEvent {
            kind: EventKind::Failed.into(),
            attempt: 2,
            reason: "comfyui_failed".into(),
            ..JobEvent::default()
        };
        let line = Line::of(&job, &event).expect("a known kind");
        assert_eq!(
            line,
            Line {
                message: "job failed",
                worker: Some("w1"),
                attempt: Some(2),
                code: Some("comfyui_failed"),
                reason: None,
            }
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let event = JobEvent {
            kind: EventKind::Submitted.into(),
            ..JobEvent::default()
        };
        let job = Job::default();
        let line = Line::of(&job, &event).expect("a known kind");
        assert_eq!((line.worker, line.attempt, line.reason), (None, None, None));
        assert_eq!(Line::of(&job, &JobEvent::default()), None);
    }
}
