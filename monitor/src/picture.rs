//! The picture of the fleet: what is known of every job and worker, and the numbers that follow from it.
//! Pure; the time is given.

use std::collections::{BTreeMap, HashMap};

use proto::{
    Backend, EventKind, Status,
    ids::JobId,
    lifecycle,
    moment::{Millis, maybe_millis},
    v1::{Job, JobEvent, Progress, Worker},
};

/// The backends that have series of their own, also while nothing happens there.
pub(crate) const BACKENDS: [Backend; 4] = [Backend::Sketch, Backend::Comfyui, Backend::Flux, Backend::V0];
/// The states that have series of their own.
pub(crate) const STATUSES: [Status; 6] = [
    Status::Created,
    Status::Queued,
    Status::Running,
    Status::Succeeded,
    Status::Failed,
    Status::Cancelled,
];
/// A worker that was not heard of for longer than this (milliseconds) is silent; it announces itself
/// every 5 seconds.
const SILENT_AFTER: Millis = 20_000;
/// A silent worker is forgotten after this time (milliseconds).
const FORGOTTEN_AFTER: Millis = 3_600_000;
/// A running job without news for longer than this (milliseconds) counts as quiet.
const QUIET_AFTER: Millis = 60_000;

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    jobs: HashMap<JobId, Known>,
    workers: HashMap<String, Presence>,
}

/// What is kept of one job.
#[derive(Debug, Clone)]
struct Known {
    status: Status,
    backend: Backend,
    /// The number of its newest event.
    events: u32,
    /// Since when it could be started; only of interest while it is queued.
    ready_at: Millis,
    /// When it was last heard of.
    heard_at: Millis,
}

#[derive(Debug)]
struct Presence {
    worker: Worker,
    heard_at: Millis,
}

/// What a worker is doing, as far as can be told from its announcements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// Takes jobs.
    Ready,
    /// Is about to stop and takes no further jobs.
    Draining,
    /// Was not heard of lately, and did not say goodbye.
    Silent,
}

impl Standing {
    pub(crate) const ALL: [Self; 3] = [Self::Ready, Self::Draining, Self::Silent];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Silent => "silent",
        }
    }
}

/// How a worker came into the picture, changed or left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// Not known before, or silent before.
    Appeared,
    /// The same worker in a new life.
    Restarted,
    /// Known, in the same life.
    Stayed,
    /// Said that it begins to stop.
    Draining,
    /// Said goodbye.
    Left,
}

/// The numbers of the picture at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Numbers {
    pub(crate) jobs: BTreeMap<(Status, Backend), i64>,
    /// Age of the job that has been ready to start for longest, in seconds.
    pub(crate) oldest_waiting: BTreeMap<Backend, f64>,
    pub(crate) quiet: BTreeMap<Backend, i64>,
    pub(crate) workers: BTreeMap<Standing, i64>,
    pub(crate) slots: BTreeMap<Backend, i64>,
    pub(crate) busy_slots: BTreeMap<Backend, i64>,
    pub(crate) unhealthy: BTreeMap<Backend, i64>,
}

impl Picture {
    /// Forgets all jobs: what was told so far does not hold any more.
    pub(crate) fn forget_jobs(&mut self) {
        self.jobs.clear();
    }

    /// Takes in a record; gives the events that were not known yet, oldest first.
    pub(crate) fn observe<'a>(&mut self, job: &'a Job, now: Millis) -> &'a [JobEvent] {
        let Ok(id) = job.id.parse() else { return &[] };
        let newest = job.timeline.last().map_or(0, |event| event.number);
        let before = self.jobs.insert(
            id,
            Known {
                status: job.status(),
                backend: job.backend(),
                events: newest,
                ready_at: ready_at(job),
                heard_at: now,
            },
        );
        let known = before.map_or(0, |known| known.events);
        let first_new = job.timeline.partition_point(|event| event.number <= known);
        &job.timeline[first_new..]
    }

    /// Forgets a job whose record is gone.
    pub(crate) fn remove(&mut self, id: JobId) {
        self.jobs.remove(&id);
    }

    /// Notes that a job is being worked on; gives its backend, where it is known.
    pub(crate) fn hear_progress(&mut self, progress: &Progress, now: Millis) -> Option<Backend> {
        let known = self.jobs.get_mut(&progress.job.parse().ok()?)?;
        known.heard_at = now;
        Some(known.backend)
    }

    /// Takes in an announcement.
    pub(crate) fn hear_worker(&mut self, worker: Worker, now: Millis) -> Arrival {
        if worker.stopped {
            return match self.workers.remove(&worker.id) {
                Some(_) => Arrival::Left,
                None => Arrival::Stayed,
            };
        }
        let (id, draining, incarnation) = (worker.id.clone(), worker.draining, worker.incarnation.clone());
        let before = self.workers.insert(
            id,
            Presence {
                worker,
                heard_at: now,
            },
        );
        match before {
            None => Arrival::Appeared,
            Some(before) if before.worker.incarnation != incarnation => Arrival::Restarted,
            Some(before) if before.standing(now) == Standing::Silent => Arrival::Appeared,
            Some(before) if draining && !before.worker.draining => Arrival::Draining,
            Some(_) => Arrival::Stayed,
        }
    }

    /// The workers that became silent between two moments.
    pub(crate) fn fell_silent(&self, since: Millis, now: Millis) -> Vec<&Worker> {
        let silent = |presence: &&Presence| {
            presence.standing(now) == Standing::Silent && presence.standing(since) != Standing::Silent
        };
        self.workers
            .values()
            .filter(silent)
            .map(|presence| &presence.worker)
            .collect()
    }

    /// Forgets the workers that have been silent for very long.
    pub(crate) fn forget_long_silent(&mut self, now: Millis) {
        self.workers
            .retain(|_, presence| now - presence.heard_at <= FORGOTTEN_AFTER);
    }

    /// The numbers at this moment. Every known state, backend and standing is among them, if with zero.
    pub(crate) fn numbers(&self, now: Millis) -> Numbers {
        let mut numbers = Numbers::zero();
        for known in self.jobs.values() {
            *numbers.jobs.entry((known.status, known.backend)).or_default() += 1;
            if known.status == Status::Queued && known.ready_at <= now {
                let age = (now - known.ready_at) as f64 / 1_000.0;
                let oldest = numbers.oldest_waiting.entry(known.backend).or_default();
                *oldest = oldest.max(age);
            }
            if known.status == Status::Running && now - known.heard_at > QUIET_AFTER {
                *numbers.quiet.entry(known.backend).or_default() += 1;
            }
        }
        for presence in self.workers.values() {
            let standing = presence.standing(now);
            *numbers.workers.entry(standing).or_default() += 1;
            if standing == Standing::Silent {
                continue;
            }
            for offer in &presence.worker.backends {
                let backend = offer.backend();
                *numbers.slots.entry(backend).or_default() += i64::from(offer.slots);
                *numbers.busy_slots.entry(backend).or_default() += i64::from(offer.busy);
                *numbers.unhealthy.entry(backend).or_default() += i64::from(!offer.healthy);
            }
        }
        numbers
    }
}

impl Numbers {
    fn zero() -> Self {
        let mut numbers = Self::default();
        for backend in BACKENDS {
            for status in STATUSES {
                numbers.jobs.insert((status, backend), 0);
            }
            numbers.oldest_waiting.insert(backend, 0.0);
            for series in [
                &mut numbers.quiet,
                &mut numbers.slots,
                &mut numbers.busy_slots,
                &mut numbers.unhealthy,
            ] {
                series.insert(backend, 0);
            }
        }
        numbers.workers = Standing::ALL.map(|standing| (standing, 0)).into();
        numbers
    }
}

impl Presence {
    fn standing(&self, now: Millis) -> Standing {
        if now - self.heard_at > SILENT_AFTER {
            Standing::Silent
        } else if self.worker.draining {
            Standing::Draining
        } else {
            Standing::Ready
        }
    }
}

/// From when on the job could be started: submitted or released, and its time has come.
pub(crate) fn ready_at(job: &Job) -> Millis {
    let released = job
        .timeline
        .iter()
        .rev()
        .find(|event| event.kind() == EventKind::Released)
        .and_then(|event| maybe_millis(event.at.as_ref()));
    let created = maybe_millis(job.created_at.as_ref());
    released
        .or(created)
        .max(lifecycle::due_at(job))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{moment::timestamp, v1::BackendOffer};

    fn job(id: JobId, status: Status, events: &[(EventKind, Millis)]) -> Job {
        let timeline = events.iter().zip(1..).map(|((kind, at), number)| JobEvent {
            number,
            at: Some(timestamp(*at)),
            kind: (*kind).into(),
            ..JobEvent::default()
        });
        Job {
            id: id.to_string(),
            status: status.into(),
            backend: Backend::Sketch.into(),
            created_at: Some(timestamp(1_000)),
            timeline: timeline.collect(),
            ..Job::default()
        }
    }

    fn worker(incarnation: &str, busy: u32) -> Worker {
        Worker {
            id: "w1".into(),
            incarnation: incarnation.into(),
            backends: vec![BackendOffer {
                backend: Backend::Sketch.into(),
                slots: 2,
                busy,
                healthy: true,
                ..BackendOffer::default()
            }],
            ..Worker::default()
        }
    }

    #[test]
    fn each_event_is_told_once_even_if_records_were_missed() {
        let (mut picture, id) = (Picture::default(), JobId::generate());
        let submitted = (EventKind::Submitted, 1_000);
        let queued = job(id, Status::Queued, &[submitted]);
        assert_eq!(picture.observe(&queued, 1_000).len(), 1);
        assert_eq!(picture.observe(&queued, 1_000).len(), 0);
        let events = [
            submitted,
            (EventKind::Started, 2_000),
            (EventKind::Succeeded, 3_000),
        ];
        let done = job(id, Status::Succeeded, &events);
        let kinds: Vec<_> = picture.observe(&done, 3_000).iter().map(JobEvent::kind).collect();
        assert_eq!(kinds, [EventKind::Started, EventKind::Succeeded]);
    }

    #[test]
    fn jobs_are_counted_where_they_stand_now() {
        let (mut picture, id) = (Picture::default(), JobId::generate());
        picture.observe(&job(id, Status::Queued, &[]), 1_000);
        let waiting = picture.numbers(61_000);
        assert_eq!(waiting.jobs[&(Status::Queued, Backend::Sketch)], 1);
        assert!((waiting.oldest_waiting[&Backend::Sketch] - 60.0).abs() < f64::EPSILON);
        picture.observe(&job(id, Status::Running, &[]), 70_000);
        let running = picture.numbers(131_000);
        assert_eq!(running.jobs[&(Status::Queued, Backend::Sketch)], 0);
        assert_eq!(running.quiet[&Backend::Sketch], 1);
        let progress = Progress {
            job: id.to_string(),
            ..Progress::default()
        };
        assert_eq!(picture.hear_progress(&progress, 130_000), Some(Backend::Sketch));
        assert_eq!(picture.numbers(131_000).quiet[&Backend::Sketch], 0);
        picture.remove(id);
        assert_eq!(picture.numbers(131_000), Numbers::zero());
    }

    #[test]
    fn a_job_waits_from_its_release_and_from_its_time_on() {
        let events = [
            (EventKind::Submitted, 1_000),
            (EventKind::Held, 1_000),
            (EventKind::Released, 5_000),
        ];
        let mut job = job(JobId::generate(), Status::Queued, &events);
        assert_eq!(ready_at(&job), 5_000);
        job.retry_at = Some(timestamp(9_000));
        assert_eq!(ready_at(&job), 9_000);
    }

    #[test]
    fn workers_come_restart_fall_silent_and_leave() {
        let mut picture = Picture::default();
        assert_eq!(picture.hear_worker(worker("a", 1), 0), Arrival::Appeared);
        assert_eq!(picture.hear_worker(worker("a", 1), 5_000), Arrival::Stayed);
        assert_eq!(picture.hear_worker(worker("b", 1), 6_000), Arrival::Restarted);
        let numbers = picture.numbers(7_000);
        assert_eq!(
            (
                numbers.slots[&Backend::Sketch],
                numbers.busy_slots[&Backend::Sketch]
            ),
            (2, 1)
        );
        assert_eq!(picture.fell_silent(7_000, 26_001).len(), 1);
        assert_eq!(picture.fell_silent(26_001, 27_000).len(), 0);
        let silent = picture.numbers(27_000);
        assert_eq!(
            (silent.workers[&Standing::Silent], silent.slots[&Backend::Sketch]),
            (1, 0)
        );
        let mut last = worker("b", 0);
        last.draining = true;
        assert_eq!(picture.hear_worker(last.clone(), 27_000), Arrival::Appeared);
        assert_eq!(picture.numbers(27_000).workers[&Standing::Draining], 1);
        last.stopped = true;
        assert_eq!(picture.hear_worker(last, 28_000), Arrival::Left);
        assert_eq!(picture.numbers(28_000), Numbers::zero());
    }

    #[test]
    fn a_worker_that_never_comes_back_is_forgotten() {
        let mut picture = Picture::default();
        picture.hear_worker(worker("a", 0), 0);
        picture.forget_long_silent(FORGOTTEN_AFTER + 1);
        assert_eq!(picture.numbers(FORGOTTEN_AFTER + 1), Numbers::zero());
    }
}
