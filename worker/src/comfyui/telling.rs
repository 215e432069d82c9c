//! Turns what is heard and seen of a run into steps for people.

use std::time::Duration;

use connectors::comfyui::{Event, GraphProgress, Phase, Snapshot, Standing};
use tokio::time::Instant;

use crate::report::{Reporter, Step};

/// The part of the attempt that ComfyUI's run takes; the rest is for fetching and storing the files.
pub(super) const RUN_SHARE: f64 = 0.95;

/// Reports one run.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    reporter: &'a Reporter,
    progress: GraphProgress,
    pace: Pace,
    usual: Usual,
    /// Where it stood when last looked at.
    seen: Option<Seen>,
    /// When it was first seen or heard to run.
    runs_since: Option<Instant>,
    waited_until: Instant,
    /// The node at work, and since when.
    node: (Option<String>, Instant),
}

/// What is usual for such a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    /// How long it may be expected to take, where that is known.
    pub(super) duration: Option<Duration>,
    /// How long a node may say nothing: loading a model and the first step give no sign of life.
    pub(super) silence: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Pending(usize),
    Running,
}

/// What an event means for who follows the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is over, or about to be: look at once.
    Over,
    /// Nothing that cannot wait.
    Nothing,
}

impl<'a> Teller<'a> {
    pub(super) fn new(reporter: &'a Reporter, progress: GraphProgress, usual: Usual) -> Self {
        Self {
            reporter,
            progress,
            pace: Pace::default(),
            usual,
            seen: None,
            runs_since: None,
            waited_until: Instant::now(),
            node: (None, Instant::now()),
        }
    }

    /// How long it has run; counted from when it last did not, where its start was too quick to be seen.
    pub(super) fn ran(&self) -> Duration {
        self.runs_since.unwrap_or(self.waited_until).elapsed()
    }

    /// Takes in what came by WebSocket.
    pub(super) fn hear(&mut self, event: &Event) -> Heard {
        if !self.progress.concerns(event) {
            return Heard::Nothing;
        }
        let changed = self.progress.apply(event);
        if let Event::Preview(preview) = event {
            self.reporter
                .glimpse(preview.format.media_type(), preview.bytes.clone());
        }
        // what comes unasked after a reconnect names no prompt, and is no movement
        if event.prompt_id().is_some() {
            self.reporter.alive();
        }
        let snapshot = self.progress.snapshot();
        if changed {
            if snapshot.phase != Phase::Waiting {
                self.runs_since.get_or_insert_with(Instant::now);
            }
            if self.node.0 != snapshot.node_id {
                self.node = (snapshot.node_id.clone(), Instant::now());
            }
            let eta = self.pace.eta(&snapshot, Instant::now()).or_else(|| self.rest());
            if let Some(step) = step_of(&snapshot, eta) {
                self.reporter.step(step);
            }
        }
        let over = matches!(
            event,
            Event::ExecutionSuccess { .. }
                | Event::ExecutionError { .. }
                | Event::ExecutionInterrupted { .. }
        );
        if over || self.progress.has_ended() {
            Heard::Over
        } else {
            Heard::Nothing
        }
    }

    /// Takes in where the run stands. A run that merely stands where it stood may be one that hangs; it is
    /// only taken for alive where it waits for others, or where silence is usual.
    pub(super) fn look(&mut self, standing: &Standing) {
        let seen = match standing {
            Standing::Pending { ahead } => Seen::Pending(*ahead),
            Standing::Running => Seen::Running,
            Standing::Ended(_) | Standing::Unknown => return,
        };
        match seen {
            Seen::Pending(_) => self.waited_until = Instant::now(),
            Seen::Running => drop(self.runs_since.get_or_insert_with(Instant::now)),
        }
        let changed = self.seen.replace(seen) != Some(seen);
        if changed {
            self.node.1 = Instant::now();
        } else if !self.may_be_silent(seen) {
            return;
        }
        self.reporter.alive();
        // events know more, and sooner
        if self.progress.snapshot().phase != Phase::Waiting {
            if let Some(step) = step_of(&self.progress.snapshot(), self.rest()) {
                self.reporter.step(step);
            }
            return;
        }
        if !changed {
            return;
        }
        let (phase, message) = match seen {
            Seen::Pending(0) => ("waiting", "next in ComfyUI's queue".to_owned()),
            Seen::Pending(ahead) => ("waiting", format!("{ahead} before it in ComfyUI's queue")),
            Seen::Running => ("working", "ComfyUI runs it".to_owned()),
        };
        self.reporter.phase(phase, message);
    }

    /// Whether that nothing is heard says nothing: others are at work, or a node has only begun.
    fn may_be_silent(&self, seen: Seen) -> bool {
        let begun = match self.progress.snapshot().phase {
            Phase::Sampling { step, .. } => step == 0,
            Phase::Waiting | Phase::LoadingModel | Phase::Decoding | Phase::Saving | Phase::Working => true,
            Phase::Ended => false,
        };
        matches!(seen, Seen::Pending(_)) || (begun && self.node.1.elapsed() < self.usual.silence)
    }

    /// Seconds to go by what such runs took.
    fn rest(&self) -> Option<f64> {
        let ran = self.runs_since?.elapsed();
        let rest = self.usual.duration?.checked_sub(ran)?;
        Some(rest.as_secs_f64())
    }
}

/// What to tell of a snapshot; `None` where there is nothing of interest in it.
fn step_of(snapshot: &Snapshot, eta_seconds: Option<f64>) -> Option<Step> {
    let class = snapshot.node_class.clone().unwrap_or_default();
    let (phase, step, steps, message) = match snapshot.phase {
        Phase::Waiting => ("waiting", 0, 0, "waiting in ComfyUI's queue".to_owned()),
        Phase::LoadingModel => ("loading", 0, 0, format!("loading a model ({class})")),
        Phase::Sampling { step, steps } => (
            "sampling",
            step,
            steps,
            format!("step {step} of {steps} ({class})"),
        ),
        Phase::Decoding => ("decoding", 0, 0, format!("decoding ({class})")),
        Phase::Saving => ("saving", 0, 0, format!("saving ({class})")),
        Phase::Working if class.is_empty() => return None,
        Phase::Working => ("working", 0, 0, class),
        Phase::Ended => return None,
    };
    Some(Step {
        phase,
        fraction: snapshot.fraction * RUN_SHARE,
        step,
        steps,
        message,
        eta_seconds,
    })
}

/// How fast the sampler that runs is. Its steps are the unit of the fraction, so that its pace tells the
/// rest of the graph too.
#[derive(Debug, Default)]
struct Pace {
    /// The node, and where it was when its pace was first taken.
    from: Option<(String, Instant, f64)>,
}

impl Pace {
    /// Seconds to go.
    fn eta(&mut self, snapshot: &Snapshot, now: Instant) -> Option<f64> {
        let (Phase::Sampling { step, .. }, Some(node)) = (snapshot.phase, &snapshot.node_id) else {
            return None;
        };
        match &self.from {
            Some((from, since, fraction)) if from == node => {
                let gained = snapshot.fraction - fraction;
                (gained > 0.0).then(|| (now - *since).as_secs_f64() * (1.0 - snapshot.fraction) / gained)
            }
            // the first step holds the loading of the model into the GPU, and says nothing about the others
            _ if step == 0 => None,
            _ => {
                self.from = Some((node.clone(), now, snapshot.fraction));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sampling(step: u32, fraction: f64) -> Snapshot {
        Snapshot {
            fraction,
            node_id: Some("3".to_owned()),
            node_class: Some("KSampler".to_owned()),
            phase: Phase::Sampling { step, steps: 10 },
        }
    }

    #[test]
    fn the_time_to_go_follows_from_the_pace_after_the_first_step() {
        let mut pace = Pace::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pace.eta(&sampling(0, 0.1), at(0)), None);
        assert_eq!(pace.eta(&sampling(1, 0.2), at(30)), None, "a slow first step");
        let eta = pace.eta(&sampling(2, 0.3), at(32)).expect("a pace");
        assert!((eta - 14.0).abs() < 1e-9, "{eta}");
        let decoding = Snapshot {
            phase: Phase::Decoding,
            ..sampling(10, 0.9)
        };
        assert_eq!(pace.eta(&decoding, at(40)), None);
    }

    #[test]
    fn a_step_says_what_is_being_done() {
        let step = step_of(&sampling(3, 0.5), Some(4.0)).expect("a step");
        assert_eq!((step.phase, step.step, step.steps), ("sampling", 3, 10));
        assert_eq!(step.message, "step 3 of 10 (KSampler)");
        assert!((step.fraction - 0.5 * RUN_SHARE).abs() < 1e-9);
        let ended = Snapshot {
            phase: Phase::Ended,
            ..sampling(10, 1.0)
        };
        assert_eq!(step_of(&ended, None), None);
    }
}
