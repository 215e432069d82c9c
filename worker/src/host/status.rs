//! What is told of the supervised ComfyUI, and what can go wrong with it.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use proto::moment::Millis;

/// Where ComfyUI stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    /// What it does.
    pub state: HostState,
    /// How it ended the last time, if it did while it was watched.
    pub last_exit: Option<Exit>,
    /// Why it was started again the last time, in words.
    pub last_restart: Option<String>,
    /// How often it was started again: after a death, or because somebody asked.
    pub restarts: u32,
    /// The file that takes what it prints; `None` for a service and where nothing is looked after.
    pub log: Option<PathBuf>,
}

/// What ComfyUI does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostState {
    /// Neither `comfyui.command` nor `comfyui.service` is set: it is not looked after.
    Unmanaged,
    /// One answers at the address that the worker did not start: it is used, never stopped or restarted.
    UnmanagedRunning,
    /// It is down, and stays down until somebody starts it.
    Stopped,
    /// It was started and does not answer yet.
    Starting {
        /// Since when, by the clock of this host.
        since: Millis,
    },
    /// It runs, and answered.
    Running {
        /// When the process was started, or the worker first saw the service run.
        since: Millis,
        /// The process; `None` where a service does not tell.
        pid: Option<u32>,
        /// Whether an earlier life of the worker (or somebody else, for a service) had started it.
        adopted: bool,
    },
    /// It was told to end.
    Stopping,
    /// It died and is started again in a while.
    BackingOff {
        /// When.
        until: Millis,
        /// How many deaths count.
        deaths: usize,
        /// How it ended the last time.
        last_exit: Exit,
    },
    /// It cannot be started, or died too often; a person has to start it.
    Failed {
        /// Why, in words.
        why: String,
    },
}

impl HostState {
    /// Its name, in snake case.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unmanaged => "unmanaged",
            Self::UnmanagedRunning => "unmanaged_running",
            Self::Stopped => "stopped",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping => "stopping",
            Self::BackingOff { .. } => "backing_off",
            Self::Failed { .. } => "failed",
        }
    }
}

/// How a process ended. Neither is known of one that another process had started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exit {
    /// Its exit code.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
}

impl From<std::process::ExitStatus> for Exit {
    fn from(status: std::process::ExitStatus) -> Self {
        #[cfg(unix)]
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        #[cfg(not(unix))]
        let signal = None;
        Self {
            code: status.code(),
            signal,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            // 137 is what a shell or a container makes of signal 9
            (Some(137), _) | (_, Some(9)) => {
                f.write_str("it was killed (signal 9); if nobody did that, the system did for want of memory")
            }
            (_, Some(11)) => f.write_str("it crashed (signal 11, a memory fault)"),
            (_, Some(6)) => f.write_str("it aborted (signal 6)"),
            (_, Some(signal)) => write!(f, "it was ended by signal {signal}"),
            (Some(code), None) => write!(f, "it ended with exit code {code}"),
            (None, None) => f.write_str("it ended; nobody noted its exit code"),
        }
    }
}

/// Why something asked of the supervision did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HostError {
    /// Nothing is looked after.
    #[error("this worker does not look after ComfyUI; set comfyui.command or comfyui.service")]
    Unmanaged,
    /// The one that answers is somebody else's.
    #[error(
        "the ComfyUI that answers was not started by this worker with its present comfyui.command; stop it where \
         it was started"
    )]
    UnmanagedRunning,
    /// The log or the pid file cannot be written.
    #[error("{path} cannot be used; set comfyui.log to a file that can be written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
    /// Another process looks after a ComfyUI with the same files.
    #[error("another worker uses {0}; set comfyui.log to a file of its own")]
    LogTaken(PathBuf),
    /// The program cannot be started.
    #[error("{program} cannot be started; check comfyui.command and comfyui.working_dir")]
    Spawn {
        /// Which.
        program: String,
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
    /// A command for a service did not work.
    #[error("`{command}` failed: {said}")]
    Service {
        /// Which.
        command: String,
        /// What it said.
        said: String,
    },
    /// There is no log that can be read.
    #[error("the logs of this service cannot be read by the worker; look at {0}")]
    NoLogs(String),
    /// It ended before it answered.
    #[error("ComfyUI did not start: {exit}{}", last_words(.tail))]
    Died {
        /// How.
        exit: Exit,
        /// The last lines of its log.
        tail: Vec<String>,
    },
    /// It did not answer in time.
    #[error("ComfyUI did not answer within {within:?} (comfyui.start_timeout){}", last_words(.tail))]
    Slow {
        /// How long it had.
        within: Duration,
        /// The last lines of its log.
        tail: Vec<String>,
    },
    /// It was told to stop while it was starting.
    #[error("ComfyUI was stopped before it answered")]
    Stopped,
    /// It does not end, even by force.
    #[error("ComfyUI does not end although it was killed; its driver may hang, then only a reboot helps")]
    Unkillable,
    /// The worker is stopping.
    #[error("the worker is stopping")]
    Ending,
}

fn last_words(tail: &[String]) -> String {
    if tail.is_empty() {
        "; it said nothing".to_owned()
    } else {
        format!("; it said last: {}", tail.join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_told_in_words() {
        let code = |code| Exit {
            code: Some(code),
            signal: None,
        };
        assert_eq!(code(3).to_string(), "it ended with exit code 3");
        assert!(code(137).to_string().contains("want of memory"));
        let killed = Exit {
            code: None,
            signal: Some(9),
        };
        assert!(killed.to_string().contains("want of memory"));
        assert!(Exit::default().to_string().contains("nobody noted"));
    }
}
