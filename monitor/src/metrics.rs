//! Every metric of the monitor. Labels take values from closed sets only.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use proto::{
    Backend, EventKind, Status,
    failure::FailureCode,
    lifecycle,
    moment::{Millis, maybe_millis},
    v1::{Job, JobEvent},
};

use crate::picture::{Numbers, ready_at};

/// Label names with their values.
type Labels<const N: usize> = [(&'static str, &'static str); N];
type RealGauge = Gauge<f64, AtomicU64>;
type Histograms<const N: usize> = Family<Labels<N>, Histogram, fn() -> Histogram>;

/// Handles to all metrics.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    jobs: Family<Labels<2>, Gauge>,
    oldest_waiting: Family<Labels<1>, RealGauge>,
    quiet: Family<Labels<1>, Gauge>,
    outcomes: Family<Labels<3>, Counter>,
    events: Family<Labels<2>, Counter>,
    run_seconds: Histograms<2>,
    wait_seconds: Histograms<1>,
    progress: Family<Labels<1>, Counter>,
    workers: Family<Labels<1>, Gauge>,
    slots: Family<Labels<1>, Gauge>,
    busy_slots: Family<Labels<1>, Gauge>,
    unhealthy: Family<Labels<1>, Gauge>,
    connected: Gauge,
}

impl Metrics {
    /// Registers all metrics.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            jobs: Family::default(),
            oldest_waiting: Family::default(),
            quiet: Family::default(),
            outcomes: Family::default(),
            events: Family::default(),
            run_seconds: Family::new_with_constructor(durations),
            wait_seconds: Family::new_with_constructor(durations),
            progress: Family::default(),
            workers: Family::default(),
            slots: Family::default(),
            busy_slots: Family::default(),
            unhealthy: Family::default(),
            connected: Gauge::default(),
        };
        metrics.register_jobs(registry);
        metrics.register_workers(registry);
        metrics
    }

    fn register_jobs(&self, registry: &mut Registry) {
        registry.register("orchestrator_jobs", "Jobs by state", self.jobs.clone());
        registry.register_with_unit(
            "orchestrator_jobs_oldest_waiting",
            "Age of the queued job that has been ready to start for longest",
            Unit::Seconds,
            self.oldest_waiting.clone(),
        );
        registry.register(
            "orchestrator_jobs_quiet",
            "Running jobs that made no progress for a minute",
            self.quiet.clone(),
        );
        registry.register(
            "orchestrator_job_outcomes",
            "Jobs that ended, by how and with which failure code",
            self.outcomes.clone(),
        );
        registry.register(
            "orchestrator_job_events",
            "Transitions of jobs by kind",
            self.events.clone(),
        );
        registry.register_with_unit(
            "orchestrator_job_run",
            "Time from a job's first start to its end",
            Unit::Seconds,
            self.run_seconds.clone(),
        );
        registry.register_with_unit(
            "orchestrator_job_wait",
            "Time from the moment at which a job could start to its first start",
            Unit::Seconds,
            self.wait_seconds.clone(),
        );
        registry.register(
            "orchestrator_progress_messages",
            "Progress reports of running jobs",
            self.progress.clone(),
        );
    }

    fn register_workers(&self, registry: &mut Registry) {
        registry.register(
            "orchestrator_workers",
            "Workers by standing: ready, draining, silent",
            self.workers.clone(),
        );
        registry.register(
            "orchestrator_worker_slots",
            "Jobs that the workers which are here can run at the same time",
            self.slots.clone(),
        );
        registry.register(
            "orchestrator_worker_slots_busy",
            "Slots that are taken",
            self.busy_slots.clone(),
        );
        registry.register(
            "orchestrator_worker_backends_unhealthy",
            "Backends of workers which are here that cannot take a job now",
            self.unhealthy.clone(),
        );
        registry.register(
            "orchestrator_monitor_broker_connected",
            "1 while the monitor is connected to the broker, 0 otherwise",
            self.connected.clone(),
        );
    }

    /// Shows the picture's numbers.
    pub(crate) fn show(&self, numbers: &Numbers, connected: bool) {
        for ((status, backend), count) in &numbers.jobs {
            let labels = [
                ("status", status.as_str_name()),
                ("backend", backend.as_str_name()),
            ];
            self.jobs.get_or_create(&labels).set(*count);
        }
        for (backend, age) in &numbers.oldest_waiting {
            self.oldest_waiting.get_or_create(&of_backend(*backend)).set(*age);
        }
        for (standing, count) in &numbers.workers {
            let labels = [("standing", standing.as_str())];
            self.workers.get_or_create(&labels).set(*count);
        }
        for (family, values) in [
            (&self.quiet, &numbers.quiet),
            (&self.slots, &numbers.slots),
            (&self.busy_slots, &numbers.busy_slots),
            (&self.unhealthy, &numbers.unhealthy),
        ] {
            for (backend, count) in values {
                family.get_or_create(&of_backend(*backend)).set(*count);
            }
        }
        self.connected.set(i64::from(connected));
    }

    /// Counts a transition that was seen as it happened; `job` is the record with it.
    pub(crate) fn count(&self, job: &Job, event: &JobEvent) {
        let backend = job.backend();
        match event.kind() {
            // a part of an attempt's time is no transition
            EventKind::Phase => return,
            EventKind::Started if event.attempt == 1 => {
                if let Some(started) = maybe_millis(event.at.as_ref()) {
                    let waited = seconds(ready_at(job), started);
                    self.wait_seconds
                        .get_or_create(&of_backend(backend))
                        .observe(waited);
                }
            }
            EventKind::Succeeded | EventKind::Failed | EventKind::Cancelled => self.count_end(job),
            EventKind::Unspecified
            | EventKind::Submitted
            | EventKind::Held
            | EventKind::Released
            | EventKind::Started
            | EventKind::RetryScheduled
            | EventKind::HandedBack
            | EventKind::TakenBack
            | EventKind::CancelRequested => {}
        }
        let labels = [
            ("backend", backend.as_str_name()),
            ("event", event.kind().as_str_name()),
        ];
        self.events.get_or_create(&labels).inc();
    }

    /// Counts a progress report.
    pub(crate) fn count_progress(&self, backend: Backend) {
        self.progress.get_or_create(&of_backend(backend)).inc();
    }

    fn count_end(&self, job: &Job) {
        let status = job.status();
        if !lifecycle::is_finished(status) {
            return;
        }
        let backend = ("backend", job.backend().as_str_name());
        let outcome = ("outcome", status.as_str_name());
        let code = ("code", code_of(job, status));
        self.outcomes.get_or_create(&[backend, outcome, code]).inc();
        let times = (
            maybe_millis(job.started_at.as_ref()),
            maybe_millis(job.finished_at.as_ref()),
        );
        if let (Some(started), Some(finished)) = times {
            let ran = seconds(started, finished);
            self.run_seconds.get_or_create(&[backend, outcome]).observe(ran);
        }
    }
}

/// The code that a job failed with; one that this version does not know shows as `unknown`, so that the
/// label's values stay a closed set.
fn code_of(job: &Job, status: Status) -> &'static str {
    match &job.failure {
        Some(failure) if status == Status::Failed => {
            FailureCode::parse(&failure.code).map_or("unknown", FailureCode::as_str)
        }
        _ => "",
    }
}

fn of_backend(backend: Backend) -> Labels<1> {
    [("backend", backend.as_str_name())]
}

fn seconds(from: Millis, to: Millis) -> f64 {
    (to - from).max(0) as f64 / 1_000.0
}

/// From 10 ms to about 12 hours.
fn durations() -> Histogram {
    Histogram::new(exponential_buckets(0.01, 2.0, 23))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Picture;
    use prometheus_client::encoding::text::encode;
    use proto::{ids::JobId, moment::timestamp};

    fn text_after(job: &Job, events: &[JobEvent]) -> String {
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        for event in events {
            metrics.count(job, event);
        }
        metrics.show(&Picture::default().numbers(0), true);
        let mut text = String::new();
        encode(&mut text, &registry).expect("encodable");
        text
    }

    fn failed(code: &str) -> Job {
        Job {
            id: JobId::generate().to_string(),
            status: Status::Failed.into(),
            backend: Backend::Comfyui.into(),
            created_at: Some(timestamp(0)),
            started_at: Some(timestamp(2_000)),
            finished_at: Some(timestamp(5_000)),
            failure: Some(proto::v1::Failure {
                code: code.into(),
                ..proto::v1::Failure::default()
            }),
            ..Job::default()
        }
    }

    fn event(kind: EventKind, at: Millis) -> JobEvent {
        JobEvent {
            kind: kind.into(),
            attempt: 1,
            at: Some(timestamp(at)),
            ..JobEvent::default()
        }
    }

    #[test]
    fn an_end_is_counted_with_its_code_and_its_times() {
        let events = [event(EventKind::Started, 2_000), event(EventKind::Failed, 5_000)];
        let text = text_after(&failed("comfyui_failed"), &events);
        for line in [
            "orchestrator_job_outcomes_total{backend=\"comfyui\",outcome=\"failed\",code=\"comfyui_failed\"} 1",
            "orchestrator_job_run_seconds_sum{backend=\"comfyui\",outcome=\"failed\"} 3.0",
            "orchestrator_job_wait_seconds_sum{backend=\"comfyui\"} 2.0",
            "orchestrator_job_events_total{backend=\"comfyui\",event=\"started\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_code_of_a_newer_version_does_not_become_a_label() {
        let text = text_after(&failed("brand_new"), &[event(EventKind::Failed, 5_000)]);
        assert!(
            text.contains("code=\"unknown\"") && !text.contains("brand_new"),
            "{text}"
        );
    }

    #[test]
    fn every_state_has_a_series_from_the_start() {
        let text = text_after(&Job::default(), &[]);
        for line in [
            "orchestrator_jobs{status=\"running\",backend=\"sketch\"} 0",
            "orchestrator_jobs_oldest_waiting_seconds{backend=\"comfyui\"} 0",
            "orchestrator_workers{standing=\"silent\"} 0",
            "orchestrator_monitor_broker_connected 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
