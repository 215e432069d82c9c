//! How far an attempt is: told by the backend, watched by the attempt.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proto::lifecycle;
use runtime::clock;
use tokio::{sync::watch, time::Instant};

/// How far an attempt is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// `starting`, `waiting`, `loading`, `sampling`, `drawing`, `decoding`, `saving`, `uploading`, …
    pub phase: &'static str,
    /// 0 to 1 over the whole attempt.
    pub fraction: f64,
    /// Step of the current phase, from 1; 0 where there are none.
    pub step: u32,
    /// Steps of the current phase.
    pub steps: u32,
    /// What is being done just now, for a person.
    pub message: String,
    /// Seconds to go, where that can be told.
    pub eta_seconds: Option<f64>,
}

/// A small picture of the unfinished result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glimpse {
    /// 1, 2, 3 … within the attempt.
    pub number: u64,
    /// E.g. `image/jpeg`.
    pub media_type: &'static str,
    /// The file.
    pub content: Bytes,
}

/// Everything that was reported so far.
#[derive(Debug, Clone)]
pub struct Report {
    /// The newest step.
    pub step: Step,
    /// The newest preview.
    pub glimpse: Option<Glimpse>,
    /// When anything was reported last.
    pub at: Instant,
    /// The phases before the current one.
    ended: Vec<lifecycle::Phase>,
    began: i64,
    began_at: Instant,
}

impl Report {
    /// All phases up to now, the current one included.
    pub fn phases(&self) -> Vec<lifecycle::Phase> {
        let mut phases = self.ended.clone();
        phases.push(self.current_phase());
        phases
    }

    fn current_phase(&self) -> lifecycle::Phase {
        lifecycle::Phase {
            name: self.step.phase.to_owned(),
            began: self.began,
            seconds: self.began_at.elapsed().as_secs_f64(),
        }
    }
}

/// Largest preview that is passed on.
const MAX_GLIMPSE_BYTES: usize = 400 * 1024;
/// Phases that an attempt may have; further changes of phase are not kept apart.
const MAX_PHASES: usize = 16;

/// The backend's end. Reports are never waited for. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Reporter {
    sender: Arc<watch::Sender<Report>>,
}

/// The attempt's end.
pub type Reports = watch::Receiver<Report>;

/// A reporter and its listener; the first phase is `starting`.
pub fn channel() -> (Reporter, Reports) {
    let step = Step {
        phase: "starting",
        ..Step::default()
    };
    let report = Report {
        step,
        glimpse: None,
        at: Instant::now(),
        ended: Vec::new(),
        began: clock::now(),
        began_at: Instant::now(),
    };
    let (sender, reports) = watch::channel(report);
    (
        Reporter {
            sender: Arc::new(sender),
        },
        reports,
    )
}

impl Reporter {
    /// Tells how far the attempt is. The fraction never falls.
    pub fn step(&self, step: Step) {
        self.sender.send_modify(|report| {
            report.at = Instant::now();
            if step.phase != report.step.phase && report.ended.len() < MAX_PHASES {
                let phase = report.current_phase();
                report.ended.push(phase);
                report.began = clock::now();
                report.began_at = Instant::now();
            }
            let fraction = step.fraction.clamp(report.step.fraction, 1.0);
            report.step = Step { fraction, ..step };
        });
    }

    /// Begins a phase of which nothing else is known.
    pub fn phase(&self, phase: &'static str, message: impl Into<String>) {
        self.step(Step {
            phase,
            message: message.into(),
            ..Step::default()
        });
    }

    /// Tells that the backend is alive although nothing has changed.
    pub fn alive(&self) {
        self.sender.send_modify(|report| report.at = Instant::now());
    }

    /// Shows a preview; one that is too large is left out.
    pub fn glimpse(&self, media_type: &'static str, content: Bytes) {
        if content.len() > MAX_GLIMPSE_BYTES {
            return;
        }
        self.sender.send_modify(|report| {
            let number = report.glimpse.as_ref().map_or(0, |glimpse| glimpse.number) + 1;
            report.at = Instant::now();
            report.glimpse = Some(Glimpse {
                number,
                media_type,
                content,
            });
        });
    }
}

/// How often progress is published at most.
pub const PUBLISH_EVERY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn phases_add_up_and_the_fraction_never_falls() {
        let (reporter, reports) = channel();
        tokio::time::advance(Duration::from_secs(1)).await;
        reporter.step(Step {
            phase: "sampling",
            fraction: 0.5,
            ..Step::default()
        });
        tokio::time::advance(Duration::from_secs(2)).await;
        reporter.phase("uploading", "");
        tokio::time::advance(Duration::from_secs(3)).await;
        let report = reports.borrow().clone();
        let phases: Vec<_> = report
            .phases()
            .into_iter()
            .map(|phase| (phase.name, phase.seconds))
            .collect();
        assert_eq!(
            phases,
            [
                ("starting".into(), 1.0),
                ("sampling".into(), 2.0),
                ("uploading".into(), 3.0)
            ]
        );
        assert!((report.step.fraction - 0.5).abs() < f64::EPSILON);
    }
}
