//! What is remembered on disk of a process that was started, so that a later life of the worker knows it again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System};

/// A process: its number alone is given to others after its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trace {
    /// Its number; also that of its process group.
    pub(super) pid: u32,
    /// When it was started, seconds since 1970.
    pub(super) started: u64,
    /// What was started, see [`digest`].
    pub(super) command: String,
}

/// The start of a process is derived from the start of the system, which clocks may shift a little.
const TOLERANCE_SECONDS: u64 = 1;

impl Trace {
    /// That of a process that runs.
    pub(super) fn of(pid: u32, command: String) -> Option<Self> {
        let started = start_of(pid)?;
        Some(Self {
            pid,
            started,
            command,
        })
    }

    /// Whether this very process still runs.
    pub(super) fn is_alive(&self) -> bool {
        start_of(self.pid).is_some_and(|started| started.abs_diff(self.started) <= TOLERANCE_SECONDS)
    }

    /// The one that was written, if it is of this command and its process still runs.
    pub(super) fn find(path: &Path, command: &str) -> Option<Self> {
        let trace: Self = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        if !trace.is_alive() {
            return None;
        }
        if trace.command != command {
            tracing::warn!(
                pid = trace.pid,
                file = %path.display(),
                "a process that was started with another comfyui.command still runs; it is left alone"
            );
            return None;
        }
        Some(trace)
    }

    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        // whole or not at all: half a file would lose a process that runs
        let fresh = path.with_extension("pid.new");
        fs::write(&fresh, serde_json::to_vec(self)?)?;
        fs::rename(fresh, path)
    }
}

/// Tells one command from another.
pub(super) fn digest(words: &[String], dir: Option<&PathBuf>) -> String {
    let mut hasher = blake3::Hasher::new();
    for word in words {
        hasher.update(word.as_bytes()).update(&[0]);
    }
    if let Some(dir) = dir {
        hasher.update(dir.as_os_str().as_encoded_bytes());
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// When a process was started; `None` where there is none, or only the remains of one.
pub(super) fn start_of(pid: u32) -> Option<u64> {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[pid]),
        true,
        ProcessRefreshKind::nothing(),
    );
    let process = system.process(pid)?;
    let over = matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead);
    (!over).then(|| process.start_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_again_by_number_start_and_command() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("comfyui.log.pid");
        let own = Trace::of(std::process::id(), "a".to_owned()).expect("this process runs");
        own.write(&path).expect("written");
        assert_eq!(Trace::find(&path, "a"), Some(own.clone()));
        assert_eq!(Trace::find(&path, "b"), None);
        let reused = Trace {
            started: own.started - 60,
            ..own
        };
        reused.write(&path).expect("written");
        assert_eq!(Trace::find(&path, "a"), None);
        fs::write(&path, "{\"pid\":").expect("written");
        assert_eq!(Trace::find(&path, "a"), None);
    }

    #[test]
    fn each_command_has_its_digest() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_ne!(digest(&words("a bc"), None), digest(&words("ab c"), None));
        assert_ne!(digest(&words("a"), None), digest(&words("a"), Some(&"b".into())));
        assert_eq!(digest(&words("a"), None), digest(&words("a"), None));
    }
}
