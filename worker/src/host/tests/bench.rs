//! A directory in which a shell script plays ComfyUI, and somebody who looks after it.

use std::{fs, future::Future, path::PathBuf, time::Duration};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use runtime::{settings::ByteSize, tasks::Stop};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{interval, timeout},
};

use crate::host::{Endurance, HostHandle, HostSettings, HostState, HostStatus, Probe, Subject, host, trace};

/// Tells its number once it "answers", then waits to be ended.
pub(super) const SERVE: &str = "echo $$ > ready.new; mv ready.new ready; exec sleep 600";
const DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Bench {
    pub(super) dir: TempDir,
    pub(super) settings: HostSettings,
    pub(super) stop: Stop,
    owners: JoinSet<()>,
}

impl Bench {
    pub(super) fn new(script: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = HostSettings {
            subject: Subject::Command {
                words: ["sh", "-c", script].map(str::to_owned).to_vec(),
                dir: Some(dir.path().to_owned()),
            },
            start_timeout: DEADLINE,
            stop_timeout: DEADLINE,
            log: dir.path().join("logs/comfyui.log"),
            log_max_size: ByteSize(1 << 20),
            log_keep: 3,
            autostart: false,
            keep: false,
            endurance: Endurance {
                pause: Duration::from_millis(10),
                pause_max: Duration::from_millis(20),
                limit: 5,
                window: Duration::from_mins(10),
            },
        };
        Self {
            dir,
            settings,
            stop: Stop::new(),
            owners: JoinSet::new(),
        }
    }

    /// Somebody who looks after it from now on.
    pub(super) fn owner(&mut self) -> HostHandle {
        let probe = self.probe();
        self.owner_with(probe)
    }

    pub(super) fn owner_with(&mut self, probe: Probe) -> HostHandle {
        let (host, handle) = host(self.settings.clone(), probe);
        self.owners.spawn(host.run(self.stop.clone()));
        handle
    }

    /// It answers while the process that said so lives.
    pub(super) fn probe(&self) -> Probe {
        let ready = self.path("ready");
        Probe::new(move || {
            let pid = fs::read_to_string(&ready)
                .ok()
                .and_then(|text| text.trim().parse().ok());
            let answers = pid.is_some_and(is_alive);
            async move { answers }
        })
    }

    /// The owner is gone from one moment to the next, as by a kill -9.
    pub(super) async fn lose_owner(&mut self) {
        self.owners.shutdown().await;
    }

    /// The owner ends in order.
    pub(super) async fn end_owner(&mut self) {
        self.stop.cancel();
        let all = async { while self.owners.join_next().await.is_some() {} };
        timeout(DEADLINE, all).await.expect("the owner ends");
        self.stop = Stop::new();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn touch(&self, name: &str) {
        fs::write(self.path(name), "").expect("written");
    }

    /// The number in a file.
    pub(super) fn pid_in(&self, name: &str) -> u32 {
        let text = fs::read_to_string(self.path(name)).expect("a file with a number");
        text.trim().parse().expect("a number")
    }

    pub(super) fn lines_in(&self, name: &str) -> usize {
        fs::read_to_string(self.path(name)).map_or(0, |text| text.lines().count())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let text = fs::read(self.path("logs/comfyui.log.pid")).unwrap_or_default();
        if let Ok(trace) = serde_json::from_slice::<trace::Trace>(&text)
            && trace.is_alive()
        {
            killpg(number(trace.pid), Signal::SIGKILL).unwrap_or_default();
        }
    }
}

pub(super) fn is_alive(pid: u32) -> bool {
    trace::start_of(pid).is_some()
}

pub(super) fn kill_hard(pid: u32) {
    kill(number(pid), Signal::SIGKILL).expect("it was running");
}

fn number(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("a process number"))
}

/// Waits until a condition holds.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let mut looks = interval(Duration::from_millis(10));
    let wait = async {
        while !holds() {
            looks.tick().await;
        }
    };
    within(what, wait).await;
}

/// Waits until the status is as wanted.
pub(super) async fn until_status(
    handle: &HostHandle,
    what: &str,
    wanted: impl FnMut(&HostStatus) -> bool,
) -> HostStatus {
    let mut status = handle.subscribe();
    let Ok(found) = timeout(DEADLINE, status.wait_for(wanted)).await else {
        panic!("{what} did not come, but {:?}", handle.status());
    };
    found.expect("an owner").clone()
}

pub(super) async fn within<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let Ok(done) = timeout(DEADLINE, wait).await else {
        panic!("{what} did not come");
    };
    done
}

/// The process of one that runs.
pub(super) fn running_pid(status: &HostStatus) -> Option<u32> {
    match status.state {
        HostState::Running { pid, .. } => pid,
        HostState::Unmanaged
        | HostState::UnmanagedRunning
        | HostState::Stopped
        | HostState::Starting { .. }
        | HostState::Stopping
        | HostState::BackingOff { .. }
        | HostState::Failed { .. } => None,
    }
}

/// Why it stays down.
pub(super) fn failure(status: &HostStatus) -> Option<String> {
    if let HostState::Failed { why } = &status.state {
        Some(why.clone())
    } else {
        None
    }
}
