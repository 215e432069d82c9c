//! Looks after the ComfyUI on the worker's host: starts it, waits until it answers, starts it again when it
//! dies, stops it, keeps its log.
//!
//! One task owns the process; everybody else holds a [`HostHandle`]. The process outlives a worker that
//! crashes, and the next life of the worker takes it over, so that the runs in it are not lost. A ComfyUI that
//! somebody else started is used and never touched.

mod deaths;
mod log;
mod owner;
mod phase;
mod poison;
mod probe;
mod process;
mod requests;
mod service;
mod settings;
mod status;
mod trace;
mod upkeep;
mod words;

#[cfg(all(test, unix))]
mod tests;

use std::fmt;

use tokio::sync::{mpsc, oneshot, watch};

pub use deaths::Endurance;
pub use owner::Host;
pub use poison::Poison;
pub use probe::Probe;
pub use service::{Service, ServiceKind};
pub use settings::{HostSettings, Subject};
pub use status::{Exit, HostError, HostState, HostStatus};

use log::Log;

/// How many requests may wait for the owner.
const WAITING_REQUESTS: usize = 16;

type Reply = oneshot::Sender<Result<(), HostError>>;

/// What the owner can be asked.
#[derive(Debug)]
enum Request {
    Start(Reply),
    Stop(Reply),
    Restart(String, Reply),
    Poisoned(Poison, Reply),
    ShutDown(Reply),
}

/// Where the logs are.
#[derive(Debug, Clone)]
enum Logs {
    Nowhere,
    File(Log),
    Journal(Service),
}

/// Speaks with the owner of the process; cheap to clone.
#[derive(Debug, Clone)]
pub struct HostHandle {
    requests: mpsc::Sender<Request>,
    status: watch::Receiver<HostStatus>,
    logs: Logs,
}

/// The owner of the process, to be run, and the handle to speak with it.
pub fn host(settings: HostSettings, probe: Probe) -> (Host, HostHandle) {
    let path = std::path::absolute(&settings.log).unwrap_or_else(|_| settings.log.clone());
    let log = Log::new(path, settings.log_max_size.0, settings.log_keep);
    let logs = match &settings.subject {
        Subject::Nothing => Logs::Nowhere,
        Subject::Command { .. } => Logs::File(log.clone()),
        Subject::Service(service) => Logs::Journal(service.clone()),
    };
    let (sender, status) = watch::channel(HostStatus {
        state: match settings.subject {
            Subject::Nothing => HostState::Unmanaged,
            Subject::Command { .. } | Subject::Service(_) => HostState::Stopped,
        },
        last_exit: None,
        last_restart: None,
        restarts: 0,
        log: matches!(logs, Logs::File(_)).then(|| log.path().to_owned()),
    });
    let (requests, asked) = mpsc::channel(WAITING_REQUESTS);
    let handle = HostHandle {
        requests,
        status,
        logs,
    };
    (Host::new(settings, probe, log, asked, sender), handle)
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl HostHandle {
    /// Starts ComfyUI and completes when it answers; at once if it does already.
    ///
    /// # Errors
    /// If it is not looked after, ends before it answers or does not answer in time; both with the last lines
    /// of its log. It is not tried again then.
    pub async fn start(&self) -> Result<(), HostError> {
        self.ask(Request::Start).await
    }

    /// Stops ComfyUI with everything that it started, after `comfyui.stop_timeout` by force. Completes when it
    /// is gone. It stays down until somebody starts it.
    ///
    /// # Errors
    /// If it is not looked after, is somebody else's, or does not end even by force.
    pub async fn stop(&self) -> Result<(), HostError> {
        self.ask(Request::Stop).await
    }

    /// Stops ComfyUI, starts it again and completes when it answers.
    ///
    /// # Errors
    /// As [`HostHandle::stop`] and [`HostHandle::start`].
    pub async fn restart(&self, reason: impl Into<String>) -> Result<(), HostError> {
        let reason = reason.into();
        self.ask(|reply| Request::Restart(reason, reply)).await
    }

    /// Tells that ComfyUI answers but cannot work any more, as a failed run showed. It is restarted, which
    /// counts as a death; completes when that has begun. Where it is being started anyway nothing happens.
    ///
    /// # Errors
    /// If it is not looked after or is somebody else's: a person has to restart it.
    pub async fn poisoned(&self, poison: Poison) -> Result<(), HostError> {
        self.ask(|reply| Request::Poisoned(poison, reply)).await
    }

    /// For the orderly end of the worker, after its last attempt: stops the ComfyUI that a worker started
    /// unless `comfyui.keep` is set, and starts none any more. A service goes on.
    ///
    /// # Errors
    /// If it does not end even by force.
    pub async fn shut_down(&self) -> Result<(), HostError> {
        self.ask(Request::ShutDown).await
    }

    /// Where ComfyUI stands.
    pub fn status(&self) -> HostStatus {
        self.status.borrow().clone()
    }

    /// Follows where ComfyUI stands.
    pub fn subscribe(&self) -> watch::Receiver<HostStatus> {
        self.status.clone()
    }

    /// The last `lines` lines that ComfyUI printed, the oldest first, at most 10 000; those before a rotation
    /// of the log are included.
    ///
    /// # Errors
    /// If it is not looked after or its log cannot be read.
    pub async fn logs(&self, lines: usize) -> Result<Vec<String>, HostError> {
        let lines = lines.min(log::MAX_LINES);
        match &self.logs {
            Logs::Nowhere => Err(HostError::Unmanaged),
            Logs::File(log) => upkeep::last_lines(log.clone(), lines).await,
            Logs::Journal(service) => service.last_lines(lines).await,
        }
    }

    async fn ask(&self, request: impl FnOnce(Reply) -> Request) -> Result<(), HostError> {
        let (reply, answer) = oneshot::channel();
        // who does not take requests any more has ended with the worker
        if self.requests.send(request(reply)).await.is_err() {
            return Err(HostError::Ending);
        }
        answer.await.unwrap_or(Err(HostError::Ending))
    }
}
