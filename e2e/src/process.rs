//! Roles as processes of their own, so that they can be killed, stopped and paused as a user's are.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use sysinfo::{Pid, ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, Signal, System, UpdateKind};
use tokio::process::{Child, Command};

use crate::{
    Client,
    patience::{LONG, until},
    system::Environment,
};

/// A running role.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

/// The program to test: `ORCHESTRATOR_TEST_BIN`, or the debug build of this workspace.
pub fn orchestrator() -> PathBuf {
    env::var_os("ORCHESTRATOR_TEST_BIN").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/orchestrator"),
        PathBuf::from,
    )
}

/// What a command that ended has said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None` where it was killed.
    pub code: Option<i32>,
    /// On standard output.
    pub out: String,
    /// On standard error.
    pub err: String,
}

impl Said {
    /// Each line of standard output as JSON.
    ///
    /// # Panics
    /// If one is none.
    pub fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(parse).collect()
    }
}

/// Runs the program to its end in `dir`, with nothing but these settings.
///
/// # Panics
/// If it does not end within a minute.
pub async fn run(dir: &Path, arguments: &[&str], environment: &Environment) -> Said {
    let output = command(dir, arguments, environment).output();
    let output = tokio::time::timeout(LONG, output)
        .await
        .unwrap_or_else(|_| panic!("{arguments:?} does not end"))
        .unwrap_or_else(|error| panic!("{}: {error}", orchestrator().display()));
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn command(dir: &Path, arguments: &[&str], environment: &Environment) -> Command {
    let mut command = Command::new(orchestrator());
    command
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .envs(environment)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// The processes with an argument that lies in `dir`, such as a nats-server with its configuration there.
pub fn running_in(dir: &Path) -> Vec<u32> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mut system = System::new().expect("a list of processes");
    let what = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let lives = |process: &sysinfo::Process| {
        process.thread_kind().is_none()
            && !matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead)
    };
    let here =
        |process: &sysinfo::Process| process.cmd().iter().any(|part| Path::new(part).starts_with(&dir));
    let found = system
        .processes()
        .values()
        .filter(|process| lives(process) && here(process));
    found.map(|process| process.pid().as_u32()).collect()
}

/// Kills a process with SIGKILL that is no child of this one; nothing, where it is gone.
pub fn kill(pid: u32) {
    send(pid, Signal::Kill);
}

/// Whether a process was made to stand still.
pub(crate) fn stands_still(pid: u32) -> bool {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().expect("a list of processes");
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    let process = system.process(pid);
    process.is_some_and(|process| process.status() == ProcessStatus::Stop)
}

pub(crate) fn send(pid: u32, signal: Signal) -> bool {
    let pid = Pid::from_u32(pid);
    let mut system = System::new().expect("a list of processes");
    system.refresh_processes(ProcessesToUpdate::Some(&[pid]), true);
    let sent = system.process(pid).and_then(|process| process.kill_with(signal));
    sent == Some(true)
}

impl Process {
    /// Starts a role (`gateway`, `worker`, …) in `dir`, with nothing but these settings. Its log goes to a
    /// file in `dir`, which a failed test prints.
    ///
    /// # Panics
    /// If the program is not there; `cargo xtask test` builds it.
    pub fn start(dir: &Path, arguments: &[&str], environment: &Environment) -> Self {
        let number = fs::read_dir(dir).map(Iterator::count).unwrap_or_default();
        let log = dir.join(format!("{}-{number}.log", arguments.join("-")));
        let stderr = fs::File::create(&log).expect("a log file");
        let child = command(dir, arguments, environment)
            .env("ORCHESTRATOR_LOG_FORMAT", "json")
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; build it with `cargo build`",
                    orchestrator().display()
                )
            });
        Self { child, log }
    }

    /// Starts a gateway and waits until it is ready.
    pub async fn gateway(dir: &Path, environment: &Environment) -> (Self, Client) {
        let process = Self::start(dir, &["gateway"], environment);
        let address = until("the gateway's address in its log", || async {
            process
                .log_lines()
                .into_iter()
                .find_map(|line| line["address"].as_str().map(str::to_owned))
        });
        let client = Client::new(&format!("http://{}", address.await));
        client.until_ready().await;
        (process, client)
    }

    /// Starts everything with `up` and waits until its gateway is ready.
    pub async fn up(dir: &Path, environment: &Environment) -> (Self, Client) {
        let process = Self::start(dir, &["up"], environment);
        let told = |line: &str| Some(line.strip_prefix("✓ gateway on ")?.trim().to_owned());
        let base = until("the gateway's address in what `up` says", || async {
            process.log().lines().find_map(told)
        });
        let client = Client::new(&base.await);
        client.until_ready().await;
        (process, client)
    }

    /// Starts a worker and waits until the gateway knows this life of it.
    pub async fn worker(dir: &Path, id: &str, environment: &Environment, client: &Client) -> Self {
        let mut environment = environment.clone();
        environment.insert("ORCHESTRATOR_WORKER_ID".into(), id.into());
        let before = client.incarnation(id).await;
        let process = Self::start(dir, &["worker"], &environment);
        until("the worker to announce itself", || async {
            client
                .incarnation(id)
                .await
                .filter(|incarnation| Some(incarnation) != before.as_ref())
        })
        .await;
        process
    }

    /// What it logged so far, one JSON object a line; other lines are left out.
    pub fn log_lines(&self) -> Vec<serde_json::Value> {
        self.log()
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Panics
    /// If that is not possible.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it was running");
    }

    /// Asks it to stop (SIGTERM) and waits for its end; gives its exit code.
    ///
    /// # Panics
    /// If it does not stop within a minute.
    pub async fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::Term);
        self.ended(LONG).await
    }

    /// Waits for its end; gives its exit code, if it was not killed.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn ended(&mut self, limit: Duration) -> Option<i32> {
        let ended = tokio::time::timeout(limit, self.child.wait()).await;
        let log = self.log();
        ended
            .unwrap_or_else(|_| panic!("it does not end; its log:\n{log}"))
            .expect("a status")
            .code()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Makes it stand still (SIGSTOP).
    pub fn pause(&self) {
        self.signal(Signal::Stop);
    }

    /// Lets it go on (SIGCONT).
    pub fn go_on(&self) {
        self.signal(Signal::Continue);
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until its log has a line with this text.
    pub async fn until_logged(&self, text: &str) {
        until(&format!("{text:?} in the log"), || async {
            self.log().contains(text).then_some(())
        })
        .await;
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it was running");
        assert!(send(pid, signal), "{signal:?} was sent");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            #[expect(clippy::print_stderr, reason = "a failed test leaves its logs")]
            {
                eprintln!("--- {} ends with:\n{}", self.log.display(), tail.join("\n"));
            }
        }
    }
}
