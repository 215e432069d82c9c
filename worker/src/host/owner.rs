//! The task that owns the process.

use std::{fs::File, sync::Arc, time::Duration};

use runtime::{clock, tasks::Stop};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, Interval, MissedTickBehavior, interval, sleep},
};

use super::{
    HostError, HostSettings, HostState, HostStatus, Probe, Reply, Request, Subject,
    deaths::{Deaths, Verdict},
    log::{Log, Reading},
    phase::{Event, Phase, Starter, Then},
    process::{Ended, Process},
    service::{Activity, Operation},
    status::Exit,
    trace::{self, Trace},
    upkeep::unusable,
};

/// How often the log is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long the lock of a worker that was just killed may still be there.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// The owner of the ComfyUI process.
pub struct Host {
    pub(super) settings: HostSettings,
    pub(super) probe: Probe,
    pub(super) log: Log,
    requests: mpsc::Receiver<Request>,
    pub(super) status: watch::Sender<HostStatus>,
    pub(super) phase: Phase,
    pub(super) deaths: Deaths,
    pub(super) reading: Reading,
    pub(super) log_trouble: bool,
    ticks: Interval,
    pub(super) next_glance: Instant,
    pub(super) misses: u32,
    lock: Option<Lock>,
    /// Nothing is started any more.
    pub(super) ending: bool,
}

/// Holds a file for this process; the system lets go of it however the process ends.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // a child that is just being started may share the file for an instant
        if let Err(error) = self.0.unlock() {
            tracing::debug!(%error, "the lock beside ComfyUI's log was gone already");
        }
    }
}

impl Host {
    pub(super) fn new(
        settings: HostSettings,
        probe: Probe,
        log: Log,
        requests: mpsc::Receiver<Request>,
        status: watch::Sender<HostStatus>,
    ) -> Self {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            settings,
            probe,
            log,
            requests,
            status,
            phase: Phase::Idle,
            deaths: Deaths::default(),
            reading: Reading::default(),
            log_trouble: false,
            ticks,
            next_glance: Instant::now(),
            misses: 0,
            lock: None,
            ending: false,
        }
    }

    /// Looks after ComfyUI until `stop`, then ends as [`super::HostHandle::shut_down`] does, for which it needs
    /// up to `comfyui.stop_timeout` and 10 s. Dropped in the middle, it leaves the process running.
    pub async fn run(mut self, stop: Stop) {
        self.begin().await;
        let mut over = false;
        while !over || self.phase.is_being_stopped() {
            let event = tokio::select! {
                biased;
                () = stop.cancelled(), if !over => Event::Over,
                Some(request) = self.requests.recv() => Event::Asked(request),
                event = self.phase.next() => event,
                _ = self.ticks.tick() => Event::Tick,
            };
            match event {
                Event::Over => {
                    over = true;
                    self.shut_down(None).await;
                }
                Event::Asked(request) => self.asked(request).await,
                Event::Ended(ended) => self.ended(ended).await,
                Event::Answered => self.answered().await,
                Event::Due => self.due().await,
                Event::Tick => self.tick().await,
            }
        }
    }

    async fn asked(&mut self, request: Request) {
        match request {
            Request::Start(reply) => self.start(reply).await,
            Request::Stop(reply) => self.stop(reply).await,
            Request::Restart(reason, reply) => self.restart(reason, reply).await,
            Request::Poisoned(poison, reply) => self.poisoned(poison, Some(reply)).await,
            Request::ShutDown(reply) => self.shut_down(Some(reply)).await,
        }
    }

    /// Finds out what runs already, and starts it if nothing does.
    async fn begin(&mut self) {
        let found = match self.settings.subject.clone() {
            Subject::Nothing => return,
            Subject::Command { words, dir } => {
                if let Err(error) = self.lock().await {
                    return self.enter(HostState::Failed {
                        why: runtime::telemetry::chain(&error),
                    });
                }
                let trace = Trace::find(&self.log.beside("pid"), &trace::digest(&words, dir.as_ref()));
                trace.map(Process::adopt)
            }
            Subject::Service(service) => match service.look().await {
                Ok(condition) if condition.activity == Activity::Up => Some(Process::service(service, true)),
                Ok(_) => None,
                Err(error) => {
                    tracing::warn!(%error, "the service of ComfyUI cannot be looked at");
                    None
                }
            },
        };
        if let Some(process) = found {
            self.reading = self.log.reading();
            self.await_answer(process, Starter::Worker, Vec::new());
        } else if self.settings.autostart {
            self.launch(Starter::Worker, Vec::new()).await;
        } else if self.probe.answers().await {
            self.enter(HostState::UnmanagedRunning);
        }
    }

    /// Starts it, unless somebody else's answers.
    pub(super) async fn launch(&mut self, starter: Starter, waiting: Vec<Reply>) {
        if self.probe.answers().await {
            self.enter(HostState::UnmanagedRunning);
            return answer(waiting, &Ok(()));
        }
        match self.spawn().await {
            Ok(process) => self.await_answer(process, starter, waiting),
            Err(error) => {
                let why = runtime::telemetry::chain(&error);
                tracing::error!(error = why, "comfyui cannot be started");
                answer(waiting, &Err(error));
                self.enter(HostState::Failed { why });
            }
        }
    }

    async fn spawn(&mut self) -> Result<Process, HostError> {
        match self.settings.subject.clone() {
            Subject::Nothing => Err(HostError::Unmanaged),
            Subject::Command { words, dir } => {
                self.lock().await?;
                let file = self
                    .log
                    .open()
                    .map_err(|error| unusable(self.log.path(), error))?;
                self.reading = self.log.reading();
                let process =
                    Process::spawn(&words, dir.as_ref(), file).map_err(|source| HostError::Spawn {
                        program: words[0].clone(),
                        source: Arc::new(source),
                    })?;
                let path = self.log.beside("pid");
                if let Some(Err(error)) = process.body.trace().map(|trace| trace.write(&path)) {
                    // it works without, only a crash of the worker would leave it behind
                    tracing::warn!(%error, path = %path.display(), "comfyui's pid file cannot be written");
                }
                Ok(process)
            }
            Subject::Service(service) => {
                service.run(Operation::Start).await?;
                Ok(Process::service(service, false))
            }
        }
    }

    fn await_answer(&mut self, process: Process, starter: Starter, waiting: Vec<Reply>) {
        self.phase = Phase::Starting {
            process,
            answer: self.probe.until_answer(),
            deadline: Instant::now() + self.settings.start_timeout,
            starter,
            waiting,
        };
        self.enter(HostState::Starting { since: clock::now() });
    }

    /// The log and the pid file are ours alone.
    async fn lock(&mut self) -> Result<(), HostError> {
        if self.lock.is_some() {
            return Ok(());
        }
        self.log
            .open()
            .map_err(|error| unusable(self.log.path(), error))?;
        let path = self.log.beside("lock");
        let file = File::create(&path).map_err(|error| unusable(&path, error))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        while file.try_lock().is_err() {
            if Instant::now() > deadline {
                return Err(HostError::LogTaken(self.log.path().to_owned()));
            }
            sleep(TICK).await;
        }
        self.lock = Some(Lock(file));
        Ok(())
    }

    async fn answered(&mut self) {
        match self.phase.take() {
            Phase::Starting { process, waiting, .. } => {
                let since = process.body.trace().map_or_else(clock::now, |trace| {
                    i64::try_from(trace.started.saturating_mul(1_000)).unwrap_or_default()
                });
                let state = HostState::Running {
                    since,
                    pid: process.body.pid().await,
                    adopted: process.adopted,
                };
                self.phase = Phase::Running { process };
                self.enter(state);
                answer(waiting, &Ok(()));
            }
            other @ (Phase::Idle
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::BackingOff { .. }) => {
                self.phase = other;
            }
        }
    }

    /// A process ended.
    async fn ended(&mut self, Ended { exit, wanted }: Ended) {
        self.status.send_modify(|status| status.last_exit = Some(exit));
        self.forget_trace();
        self.tend_log().await;
        match self.phase.take() {
            Phase::Starting { starter, waiting, .. } => {
                let error = HostError::Died {
                    exit,
                    tail: self.last_words().await,
                };
                let why = error.to_string();
                answer(waiting, &Err(error));
                match starter {
                    Starter::Person => self.fail(why),
                    Starter::Worker => self.died(exit, why),
                }
            }
            Phase::Running { .. } if wanted => self.enter(HostState::Stopped),
            Phase::Running { .. } => self.died(exit, format!("ComfyUI died: {exit}")),
            Phase::Stopping { then, waiting, .. } => {
                answer(waiting, &Ok(()));
                match then {
                    Then::Rest => self.enter(HostState::Stopped),
                    Then::Start(waiting) => self.start_again(Starter::Person, waiting).await,
                    Then::Die(why) => self.died(exit, why),
                    Then::Fail(why) => self.fail(why),
                }
            }
            other @ (Phase::Idle | Phase::BackingOff { .. }) => self.phase = other,
        }
    }

    pub(super) async fn start_again(&mut self, starter: Starter, waiting: Vec<Reply>) {
        self.status.send_modify(|status| status.restarts += 1);
        self.launch(starter, waiting).await;
    }

    fn died(&mut self, exit: Exit, why: String) {
        if self.ending {
            return self.enter(HostState::Stopped);
        }
        let endurance = self.settings.endurance;
        match self.deaths.note(Instant::now(), endurance) {
            Verdict::Again(pause) => {
                tracing::warn!(?pause, "{why}; it is started again");
                self.note_reason(why);
                self.phase = Phase::BackingOff {
                    until: Instant::now() + pause,
                };
                self.enter(HostState::BackingOff {
                    until: clock::now() + i64::try_from(pause.as_millis()).unwrap_or(i64::MAX / 2),
                    deaths: self.deaths.count(),
                    last_exit: exit,
                });
            }
            Verdict::GiveUp => self.fail(format!(
                "{why}; that was death {} within {:?}, so it is not started again",
                self.deaths.count(),
                endurance.window
            )),
        }
    }

    fn fail(&mut self, why: String) {
        tracing::error!("{why}; comfyui stays down until somebody starts it");
        self.enter(HostState::Failed { why });
    }
}

/// Tells everybody who waited.
pub(super) fn answer(waiting: impl IntoIterator<Item = Reply>, outcome: &Result<(), HostError>) {
    for reply in waiting {
        // who does not listen any more has no use for it
        drop(reply.send(outcome.clone()));
    }
}
