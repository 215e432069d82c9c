//! A ComfyUI that runs: as our child, as the child of an earlier life of this worker, or as a service.

use std::{
    fs::File,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    process::Stdio,
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::{process::Command, time::sleep};

use super::{
    service::{Activity, Operation, Service},
    status::Exit,
    trace::{self, Trace},
};

/// How often somebody else's child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often a service is looked at.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// `CREATE_NEW_PROCESS_GROUP`, <https://learn.microsoft.com/windows/win32/procthread/process-creation-flags>.
#[cfg(windows)]
const NEW_PROCESS_GROUP: u32 = 0x200;

/// How a process came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) exit: Exit,
    /// Whether somebody stopped it in order, so that it should stay down.
    pub(super) wanted: bool,
}

/// A process that was started.
pub(super) struct Process {
    /// What it is.
    pub(super) body: Body,
    /// Whether somebody else had started it.
    pub(super) adopted: bool,
    ended: BoxFuture<'static, Ended>,
}

/// What a process is.
#[derive(Debug)]
pub(super) enum Body {
    /// Our child and what it started.
    Child(Trace),
    /// A process that was started before our time, and what it started.
    Adopted(Trace),
    /// A service of the operating system.
    Service(Service),
}

impl Process {
    /// Starts a program that outlives us. Whatever happens to this process, the other one goes on and writes
    /// to its log.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) fn spawn(words: &[String], dir: Option<&PathBuf>, log: File) -> io::Result<Self> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program_path(program, dir));
        if let Some(dir) = dir {
            command.current_dir(dir);
        }
        // custom nodes are programs of strangers
        for (name, _) in std::env::vars_os() {
            if is_private(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        // a Ctrl-C in the terminal is for us; and the group is what is ended later
        #[cfg(unix)]
        command.process_group(0);
        #[cfg(windows)]
        command.creation_flags(NEW_PROCESS_GROUP);
        let mut child = command
            .args(arguments)
            // Python would keep lines back when it writes to a file
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(false)
            .spawn()?;
        let pid = child.id().ok_or(io::ErrorKind::NotFound)?;
        let trace = Trace::of(pid, trace::digest(words, dir)).unwrap_or_else(|| Trace {
            // it is over already, which `ended` tells
            pid,
            started: 0,
            command: String::new(),
        });
        let ended = async move {
            let exit = child.wait().await.map(Exit::from).unwrap_or_default();
            sweep(pid).await;
            Ended { exit, wanted: false }
        };
        Ok(Self {
            body: Body::Child(trace),
            adopted: false,
            ended: ended.boxed(),
        })
    }

    /// Takes over a process that was started before our time.
    pub(super) fn adopt(trace: Trace) -> Self {
        let watched = trace.clone();
        let ended = async move {
            while watched.is_alive() {
                sleep(LOOK_EVERY).await;
            }
            // the number may have gone to another one by now; a group keeps its number from that
            if trace::start_of(watched.pid).is_none() {
                sweep(watched.pid).await;
            }
            Ended {
                exit: Exit::default(),
                wanted: false,
            }
        };
        Self {
            body: Body::Adopted(trace),
            adopted: true,
            ended: ended.boxed(),
        }
    }

    /// Watches a service that was started.
    pub(super) fn service(service: Service, adopted: bool) -> Self {
        let watched = service.clone();
        let ended = async move {
            loop {
                sleep(ASK_EVERY).await;
                match watched.look().await {
                    Ok(condition) if condition.activity == Activity::Up => {}
                    Ok(condition) => {
                        return Ended {
                            exit: condition.exit,
                            wanted: condition.activity == Activity::Down,
                        };
                    }
                    Err(error) => tracing::warn!(%error, "the service of ComfyUI cannot be looked at"),
                }
            }
        };
        Self {
            body: Body::Service(service),
            adopted,
            ended: ended.boxed(),
        }
    }

    /// Completes when it ended. Can be dropped and called again.
    pub(super) fn ended(&mut self) -> impl Future<Output = Ended> {
        Pin::new(&mut self.ended)
    }
}

impl Body {
    /// What to remember of it, where that is for us to do.
    pub(super) const fn trace(&self) -> Option<&Trace> {
        match self {
            Self::Child(trace) | Self::Adopted(trace) => Some(trace),
            Self::Service(_) => None,
        }
    }

    pub(super) async fn pid(&self) -> Option<u32> {
        match self {
            Self::Child(trace) | Self::Adopted(trace) => Some(trace.pid),
            Self::Service(service) => service.look().await.ok()?.pid,
        }
    }

    /// Asks it to end.
    pub(super) async fn terminate(&self) {
        match self {
            // the number of a child is its own until we have noticed its end
            Self::Child(trace) => end_tree(trace.pid, Force::Ask).await,
            Self::Adopted(trace) if trace.is_alive() => end_tree(trace.pid, Force::Ask).await,
            Self::Adopted(_) => {}
            Self::Service(service) => {
                if let Err(error) = service.run(Operation::Stop).await {
                    tracing::warn!(%error, "the service of ComfyUI does not stop");
                }
            }
        }
    }

    /// Ends it by force, with everything that it started.
    pub(super) async fn kill(&self) {
        match self {
            Self::Child(trace) => end_tree(trace.pid, Force::Kill).await,
            Self::Adopted(trace) if trace.is_alive() => end_tree(trace.pid, Force::Kill).await,
            Self::Adopted(_) => {}
            Self::Service(service) => {
                let pid = self.pid().await;
                if let Err(error) = service.run(Operation::Kill { pid }).await {
                    tracing::warn!(%error, "the service of ComfyUI cannot be ended by force");
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Force {
    Ask,
    Kill,
}

/// Ends what a process left behind in its group; it may hold the memory of the GPU.
#[cfg(unix)]
async fn sweep(pid: u32) {
    end_tree(pid, Force::Kill).await;
}

/// The children of a process that is gone cannot be found on Windows.
#[cfg(not(unix))]
#[expect(clippy::unused_async, reason = "on Unix it signals a group as a stop does")]
async fn sweep(_pid: u32) {}

#[cfg(unix)]
#[expect(clippy::unused_async, reason = "on Windows it waits for a program")]
async fn end_tree(pid: u32, force: Force) {
    use nix::{errno::Errno, sys::signal, unistd::Pid};
    let signal = match force {
        Force::Ask => signal::Signal::SIGTERM,
        Force::Kill => signal::Signal::SIGKILL,
    };
    let Some(group) = i32::try_from(pid).ok().filter(|pid| *pid > 1) else {
        return;
    };
    match signal::killpg(Pid::from_raw(group), signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!(pid, %error, "ComfyUI's process group cannot be signalled"),
    }
}

#[cfg(windows)]
async fn end_tree(pid: u32, force: Force) {
    let mut command = Command::new("taskkill.exe");
    command.args(["/T", "/PID", &pid.to_string()]).kill_on_drop(true);
    if force == Force::Kill {
        command.arg("/F");
    }
    match command.output().await {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            // a program without a window does not listen to that; it is ended by force in a while
            let said = String::from_utf8_lossy(&output.stderr);
            tracing::debug!(pid, said = said.trim(), "taskkill had no effect");
        }
        Err(error) => tracing::warn!(pid, %error, "taskkill.exe cannot be run"),
    }
}

/// A program given by a relative path lies below the directory in which it runs, on every system.
fn program_path(program: &str, dir: Option<&PathBuf>) -> PathBuf {
    let path = Path::new(program);
    match dir {
        Some(dir) if path.is_relative() && path.components().count() > 1 => std::path::absolute(dir)
            .unwrap_or_else(|_| dir.clone())
            .join(path),
        Some(_) | None => path.to_owned(),
    }
}

/// Whether an environment variable is for us alone: it may hold a key or a password.
fn is_private(variable: &str) -> bool {
    let variable = variable.to_ascii_uppercase();
    variable.starts_with("ORCHESTRATOR_") || variable == "NATS_URL"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_keys_are_not_passed_on_and_those_of_comfyui_are() {
        for variable in ["ORCHESTRATOR_FLUX_KEY", "orchestrator_nats_url", "NATS_URL"] {
            assert!(is_private(variable), "{variable}");
        }
        for variable in ["PATH", "CUDA_VISIBLE_DEVICES", "HF_TOKEN", "MY_ORCHESTRATOR_HOME"] {
            assert!(!is_private(variable), "{variable}");
        }
    }

    #[test]
    fn a_relative_program_lies_below_its_directory_and_a_bare_name_on_the_path() {
        let home = std::path::absolute("comfy").expect("a path");
        let dir = Some(&home);
        assert_eq!(program_path("venv/python", dir), home.join("venv/python"));
        assert_eq!(program_path("python", dir), Path::new("python"));
        assert_eq!(program_path("venv/python", None), Path::new("venv/python"));
        let absolute = home.join("python");
        assert_eq!(program_path(&absolute.to_string_lossy(), dir), absolute);
    }
}
