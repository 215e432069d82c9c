//! What the owner does by itself as time passes: the log, what is due, and a look at somebody else's ComfyUI.

use std::{fs, io, io::ErrorKind, mem, path::Path, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::Instant};

use super::{
    HostError, HostState, Poison, Subject,
    log::Log,
    owner::{Host, answer},
    phase::{Phase, Starter, Then},
};

/// How often it is asked whether somebody else's ComfyUI runs while ours does not.
const GLANCE_EVERY: Duration = Duration::from_secs(5);
/// A ComfyUI of somebody else is gone when it did not answer so often.
const MISSES: u32 = 3;
/// How long a process may take to end after it was killed.
const FORCE_PATIENCE: Duration = Duration::from_secs(5);
/// How many lines of the log an error tells.
const LAST_WORDS: usize = 10;

impl Host {
    /// The time that the phase has is over.
    pub(super) async fn due(&mut self) {
        match self.phase.take() {
            Phase::Starting {
                process,
                starter,
                waiting,
                ..
            } => {
                let error = HostError::Slow {
                    within: self.settings.start_timeout,
                    tail: self.last_words().await,
                };
                let why = error.to_string();
                answer(waiting, &Err(error));
                let then = match starter {
                    Starter::Person => Then::Fail(why),
                    Starter::Worker => Then::Die(why),
                };
                self.begin_stop(process, then, Vec::new()).await;
            }
            Phase::Stopping {
                process,
                forced,
                then,
                mut waiting,
                ..
            } => {
                if forced == 0 {
                    tracing::warn!(
                        "comfyui did not stop within {:?}; it is killed",
                        self.settings.stop_timeout
                    );
                } else {
                    tracing::error!("comfyui does not end although it was killed");
                    answer(mem::take(&mut waiting), &Err(HostError::Unkillable));
                }
                process.body.kill().await;
                self.phase = Phase::Stopping {
                    process,
                    due: Instant::now() + FORCE_PATIENCE,
                    forced: forced.saturating_add(1),
                    then,
                    waiting,
                };
            }
            Phase::BackingOff { .. } => self.start_again(Starter::Worker, Vec::new()).await,
            other @ (Phase::Idle | Phase::Running { .. }) => self.phase = other,
        }
    }

    pub(super) async fn tick(&mut self) {
        match &self.phase {
            Phase::Idle => self.glance().await,
            Phase::Running { .. } => {
                let lines = self.tend_log().await;
                if let Some(poison) = lines.iter().find_map(|line| Poison::find(line)) {
                    self.poisoned(poison, None).await;
                }
            }
            Phase::Starting { .. } | Phase::Stopping { .. } | Phase::BackingOff { .. } => {
                self.tend_log().await;
            }
        }
    }

    /// Somebody else's ComfyUI may come and go.
    async fn glance(&mut self) {
        if self.settings.subject == Subject::Nothing || Instant::now() < self.next_glance {
            return;
        }
        if self.probe.answers().await {
            self.misses = 0;
            self.enter(HostState::UnmanagedRunning);
        } else if self.is_unmanaged_running() {
            self.misses += 1;
            if self.misses >= MISSES {
                self.enter(HostState::Stopped);
            }
        }
        self.next_glance = Instant::now() + GLANCE_EVERY;
    }

    pub(super) fn is_unmanaged_running(&self) -> bool {
        self.status.borrow().state == HostState::UnmanagedRunning
    }

    /// What was written to the log since.
    pub(super) async fn tend_log(&mut self) -> Vec<String> {
        if !matches!(self.settings.subject, Subject::Command { .. }) {
            return Vec::new();
        }
        let (log, mut reading) = (self.log.clone(), mem::take(&mut self.reading));
        let tended = spawn_blocking(move || {
            let lines = log.tend(&mut reading);
            (reading, lines)
        });
        let trouble = match tended.await {
            Ok((reading, lines)) => {
                self.reading = reading;
                match lines {
                    Ok(lines) => {
                        self.log_trouble = false;
                        return lines;
                    }
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        if !mem::replace(&mut self.log_trouble, true) {
            tracing::warn!(error = trouble, path = %self.log.path().display(), "comfyui's log cannot be read");
        }
        Vec::new()
    }

    /// The last that it said, for an error.
    pub(super) async fn last_words(&mut self) -> Vec<String> {
        let lines = match self.settings.subject.clone() {
            Subject::Nothing => return Vec::new(),
            Subject::Command { .. } => last_lines(self.log.clone(), LAST_WORDS).await,
            Subject::Service(service) => service.last_lines(LAST_WORDS).await,
        };
        lines.unwrap_or_default()
    }

    pub(super) fn forget_trace(&mut self) {
        if !matches!(self.settings.subject, Subject::Command { .. }) {
            return;
        }
        match fs::remove_file(self.log.beside("pid")) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "comfyui's pid file cannot be removed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    pub(super) fn note_reason(&mut self, reason: String) {
        self.status
            .send_modify(|status| status.last_restart = Some(reason));
    }

    pub(super) fn enter(&mut self, state: HostState) {
        self.status.send_if_modified(|status| {
            if status.state == state {
                return false;
            }
            tracing::info!(state = state.name(), "comfyui's process");
            status.state = state;
            true
        });
    }
}

/// The last lines of a log.
pub(super) async fn last_lines(log: Log, count: usize) -> Result<Vec<String>, HostError> {
    let path = log.path().to_owned();
    let lines = spawn_blocking(move || log.last(count)).await;
    lines
        .unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(|error| unusable(&path, error))
}

pub(super) fn unusable(path: &Path, error: io::Error) -> HostError {
    HostError::File {
        path: path.to_owned(),
        source: Arc::new(error),
    }
}
