//! One attempt: runs the backend, keeps the claim alive, and sees when it has to end.
//!
//! The backend runs as a task of its own, so that a panic or a hang in it cannot take the attempt along.
//! Everything that can happen becomes an `Event`, and `Attempt::decide` says what follows from it.

use std::{sync::Arc, time::Duration};

use proto::{
    failure::FailureCode,
    lifecycle,
    v1::{Failure, Job, JobRequest, Preview, Progress},
};
use runtime::{
    bus::BusError,
    clock, live,
    tasks::{Stop, panic_message},
    telemetry::chain,
};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

use crate::{
    backend::Backend,
    claim::Held,
    intake::Desk,
    report::{self, PUBLISH_EVERY, Reports},
    roster::Place,
    settle::{self, End},
    uploads::Uploads,
    work::{Outcome, Work},
};

/// Nothing is published of attempts that are over sooner than this.
const QUIET_START: Duration = Duration::from_millis(100);

/// Runs the attempt to its end and writes down what came of it.
pub async fn run(desk: Arc<Desk>, backend: Arc<Backend>, held: Held) {
    let place = desk.roster.enter(held.id, held.claim, held.job.attempt);
    let started = Instant::now();
    let (end, phases) = match desk.records.whole_request(&held.job).await {
        Ok(Some(request)) => {
            Attempt::begin(&desk, backend, &held, request, &place)
                .watch()
                .await
        }
        Ok(None) => {
            let failure = FailureCode::InputMissing.failure("the job's request is not there any more");
            (End::Ran(Err(failure)), Vec::new())
        }
        Err(error) => (End::HandBack(chain(&error)), Vec::new()),
    };
    desk.metrics
        .observe_attempt(held.job.backend(), &end, started.elapsed());
    settle::settle(&desk, held, end, phases).await;
    drop(place);
}

/// What happens to a running attempt.
enum Event {
    /// The backend came to its end.
    Ended(Result<Outcome, JoinError>),
    /// The record was read; the read began at this time.
    Looked(Instant, Result<Option<Job>, BusError>),
    /// It is time to look at the record.
    Beat,
    /// Something was reported.
    Reported,
    /// The backend reported nothing for too long.
    Stalled,
    /// The attempt took too long.
    TimedOut,
    /// The broker was not reached for the time of the lease.
    LeaseOver,
    /// The worker stops.
    Draining,
    /// The time that something was given is over.
    GraceOver,
}

/// Why the backend was told to stop.
#[derive(Debug, Clone)]
enum Why {
    Cancelled,
    Failed(Box<Failure>),
    HandBack(String),
    Lost,
}

struct Attempt<'a> {
    desk: &'a Desk,
    held: &'a Held,
    place: &'a Place,
    backend: JoinSet<Outcome>,
    looks: JoinSet<(Instant, Result<Option<Job>, BusError>)>,
    reports: Reports,
    cancel: Stop,
    began: Instant,
    /// When the broker last confirmed that the job is ours.
    contact: Instant,
    /// Something was reported that is not published yet.
    unpublished: bool,
    /// Nothing is published before this time.
    quiet_until: Instant,
    published: u64,
    number: u64,
    /// Why the backend was told to stop.
    why: Option<Why>,
    /// When patience with what is going on ends.
    grace: Option<Instant>,
    draining: bool,
}

impl<'a> Attempt<'a> {
    fn begin(
        desk: &'a Arc<Desk>,
        backend: Arc<Backend>,
        held: &'a Held,
        request: JobRequest,
        place: &'a Place,
    ) -> Self {
        let (reporter, reports) = report::channel();
        let cancel = Stop::new();
        let work = Work {
            id: held.id,
            attempt: held.job.attempt,
            claim: held.claim,
            request,
            upstream: held.job.upstream.clone(),
            spend: held.job.spend.clone(),
            reporter: reporter.clone(),
            uploads: Uploads {
                depot: desk.depot.clone(),
                patience: desk.attempts.upload_patience,
                reporter,
                job: held.id,
                attempt: held.job.attempt,
                claim: held.claim,
            },
            cancel: cancel.clone(),
            records: desk.records.clone(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { backend.run(work).await });
        let now = Instant::now();
        Self {
            desk,
            held,
            place,
            backend: tasks,
            looks: JoinSet::new(),
            reports,
            cancel,
            began: now,
            contact: now,
            unpublished: true,
            quiet_until: now + QUIET_START,
            published: 0,
            number: 0,
            why: None,
            grace: None,
            draining: false,
        }
    }

    /// Watches over the backend until the attempt is over.
    async fn watch(mut self) -> (End, Vec<lifecycle::Phase>) {
        let beat = self.desk.timing.beat;
        let mut beats = interval_at(Instant::now() + beat, beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = self.next(&mut beats).await;
            if let Some(end) = self.decide(event).await {
                let phases = self.reports.borrow().phases();
                return (end, phases);
            }
        }
    }

    async fn next(&mut self, beats: &mut tokio::time::Interval) -> Event {
        loop {
            let limits = &self.desk.attempts;
            let stalls = self.reports.borrow().at + limits.stall;
            let stopping = self.why.is_some();
            let grace = self.grace;
            tokio::select! {
                biased;
                Some(ended) = self.backend.join_next() => return Event::Ended(ended),
                Some(Ok((at, looked))) = self.looks.join_next() => return Event::Looked(at, looked),
                () = sleep_until(grace.unwrap_or(self.began)), if grace.is_some() => return Event::GraceOver,
                () = self.desk.stop.cancelled(), if !self.draining => return Event::Draining,
                () = self.place.nudged() => return Event::Beat,
                _ = beats.tick() => return Event::Beat,
                () = sleep_until(self.contact + self.desk.timing.lease), if !stopping => return Event::LeaseOver,
                () = sleep_until(self.began + limits.timeout), if !stopping => return Event::TimedOut,
                () = sleep_until(stalls), if !stopping => return Event::Stalled,
                () = sleep_until(self.quiet_until), if self.unpublished => return Event::Reported,
                Ok(()) = self.reports.changed(), if !self.unpublished => self.unpublished = true,
            }
        }
    }

    /// What follows from an event; the end, if that is it.
    async fn decide(&mut self, event: Event) -> Option<End> {
        match event {
            Event::Ended(ended) => return Some(self.conclude(ended)),
            Event::Beat => {
                self.held.delivery.prolong().await;
                self.look();
            }
            Event::Looked(at, Ok(Some(job))) if lifecycle::holder(&job) == Some(self.held.claim) => {
                self.contact = at;
                if job.cancel.is_some() && self.why.is_none() {
                    self.stop_backend(Why::Cancelled);
                }
            }
            Event::Looked(_, Ok(_)) => self.stop_backend(Why::Lost),
            Event::Looked(_, Err(error)) => {
                tracing::debug!(job.id = %self.held.id, error = chain(&error), "the record could not be read");
            }
            Event::Reported => self.publish().await,
            Event::Stalled => {
                let phase = self.reports.borrow().step.phase;
                let seconds = self.desk.attempts.stall.as_secs_f64();
                let message = format!("the backend reported nothing for {seconds} s while {phase}");
                self.stop_backend(Why::Failed(Box::new(
                    FailureCode::BackendStalled.failure(message),
                )));
            }
            Event::TimedOut => {
                let seconds = self.desk.attempts.timeout.as_secs_f64();
                let message = format!("the attempt took longer than {seconds} s");
                self.stop_backend(Why::Failed(Box::new(
                    FailureCode::AttemptTimedOut.failure(message),
                )));
            }
            Event::LeaseOver => {
                let seconds = self.desk.timing.lease.as_secs_f64();
                self.stop_backend(Why::HandBack(format!(
                    "no contact with the broker for {seconds} s"
                )));
            }
            Event::Draining => {
                self.draining = true;
                self.grace
                    .get_or_insert(Instant::now() + self.desk.attempts.drain_grace);
            }
            Event::GraceOver => match &self.why {
                None => self.stop_backend(Why::HandBack("the worker stops".to_owned())),
                // it does not listen: it is dropped, and the job goes on without it
                Some(why) => return Some(End::from(why.clone())),
            },
        }
        None
    }

    /// Tells the backend to stop and gives it some time to do so.
    fn stop_backend(&mut self, why: Why) {
        tracing::info!(job.id = %self.held.id, ?why, "stopping the backend");
        self.cancel.cancel();
        self.why.get_or_insert(why);
        self.grace = Some(Instant::now() + self.desk.attempts.cancel_grace);
    }

    fn conclude(&self, ended: Result<Outcome, JoinError>) -> End {
        match (ended, &self.why) {
            // a result that is there counts, whatever else was wanted: the work is done
            (Ok(outcome @ Ok(_)), None | Some(Why::Cancelled | Why::HandBack(_) | Why::Failed(_))) => {
                End::Ran(outcome)
            }
            (_, Some(why)) => End::from(why.clone()),
            (Ok(outcome), None) => End::Ran(outcome),
            (Err(error), None) => {
                let message = format!("the backend crashed: {}", panic_message(error));
                End::Ran(Err(FailureCode::WorkerPanicked.failure(message)))
            }
        }
    }

    /// Looks at the record, unless a look is under way. It begins now: later contact is not proven by it.
    fn look(&mut self) {
        if self.looks.is_empty() {
            let (records, id) = (self.desk.records.clone(), self.held.id);
            self.looks.spawn(async move {
                let began = Instant::now();
                (began, records.load(id).await)
            });
        }
    }

    async fn publish(&mut self) {
        let report = self.reports.borrow_and_update().clone();
        self.place.note(report.step.fraction);
        self.unpublished = false;
        self.quiet_until = Instant::now() + PUBLISH_EVERY;
        let bus = self.desk.records.bus();
        self.number += 1;
        let (id, attempt) = (self.held.id, self.held.job.attempt);
        if let Some(glimpse) = report
            .glimpse
            .as_ref()
            .filter(|glimpse| glimpse.number > self.published)
        {
            self.published = glimpse.number;
            let preview = Preview {
                job: id.to_string(),
                attempt,
                number: glimpse.number,
                media_type: glimpse.media_type.to_owned(),
                content: glimpse.content.clone(),
            };
            live::publish_preview(bus, id, &preview).await;
        }
        let progress = Progress {
            job: id.to_string(),
            attempt,
            number: self.number,
            phase: report.step.phase.to_owned(),
            fraction: report.step.fraction,
            step: report.step.step,
            steps: report.step.steps,
            message: report.step.message,
            eta_seconds: report.step.eta_seconds,
            preview: self.published,
            at: Some(proto::moment::timestamp(clock::now())),
        };
        live::publish_progress(bus, id, &progress).await;
    }
}

impl From<Why> for End {
    fn from(why: Why) -> Self {
        match why {
            Why::Cancelled => Self::Cancelled,
            Why::Failed(failure) => Self::Ran(Err(*failure)),
            Why::HandBack(reason) => Self::HandBack(reason),
            Why::Lost => Self::Lost,
        }
    }
}
