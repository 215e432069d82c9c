//! The timeline of a job: every transition, numbered without a gap, and the phases of each attempt.

use super::Phase;
use crate::{
    EventKind,
    moment::{Millis, timestamp},
    v1::{Job, JobEvent},
};

/// Most entries of a record's timeline.
pub(super) const MAX_TIMELINE: usize = 96;

/// Adds what an attempt spent its time on.
pub(super) fn record_phases(job: &mut Job, phases: Vec<Phase>) {
    for phase in phases {
        record(job, phase.began, EventKind::Phase, &phase.name);
        if let Some(event) = job.timeline.last_mut() {
            event.seconds = phase.seconds;
        }
    }
}

/// Adds an event with the next number; where there is no room, the oldest phase makes some.
pub(super) fn record(job: &mut Job, at: Millis, kind: EventKind, reason: &str) {
    if job.timeline.len() >= MAX_TIMELINE {
        let oldest_phase = job
            .timeline
            .iter()
            .position(|event| event.kind() == EventKind::Phase);
        job.timeline.remove(oldest_phase.unwrap_or(1));
    }
    job.timeline.push(JobEvent {
        number: job.timeline.last().map_or(1, |event| event.number + 1),
        at: Some(timestamp(at)),
        kind: kind.into(),
        attempt: job.attempt,
        worker: job
            .claim
            .as_ref()
            .map(|claim| claim.worker.clone())
            .unwrap_or_default(),
        reason: reason.chars().take(500).collect(),
        seconds: 0.0,
    });
}
