//! A nats-server as a child process: for `orchestrator up`, and for tests.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, Signal, System, UpdateKind};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How to run the child.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// The program.
    pub command: PathBuf,
    /// Where its files are.
    pub dir: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// What goes wrong with the child.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Its directory cannot be used.
    #[error("the broker's directory {path} cannot be used")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("{command} cannot be started; install nats-server or set broker.command")]
    Start {
        /// Which.
        command: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It ended before it was ready.
    #[error("nats-server stopped at once ({status}); its log {log} ends with: {tail}")]
    Died {
        /// How it ended.
        status: String,
        /// Where its log is.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// It is not ready in time.
    #[error("nats-server was not ready within {0:?}")]
    Slow(Duration),
    /// Somebody else has the port.
    #[error(
        "{0} is taken by another program; set broker.listen, or nats.url to use a server that runs there"
    )]
    PortTaken(SocketAddr),
}

/// A running nats-server.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    url: String,
    address: SocketAddr,
}

/// What is remembered on disk about a running child, so that the next start finds it.
#[derive(Debug, Serialize, Deserialize)]
struct Trace {
    pid: u32,
}

/// What nats-server writes about its ports.
#[derive(Debug, Deserialize)]
struct Ports {
    nats: Vec<String>,
}

/// `CREATE_NEW_PROCESS_GROUP`, <https://learn.microsoft.com/windows/win32/procthread/process-creation-flags>.
#[cfg(windows)]
const NEW_PROCESS_GROUP: u32 = 0x200;

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Broker {
    /// Starts the child and waits until it accepts connections. A child that an earlier process left
    /// behind in the same directory is stopped first; its data stay.
    ///
    /// # Errors
    /// If it cannot be started or does not become ready.
    pub async fn start(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let unusable = |source| BrokerError::Directory {
            path: settings.dir.clone(),
            source,
        };
        fs::create_dir_all(&settings.dir).map_err(unusable)?;
        let dir = settings.dir.canonicalize().map_err(unusable)?;
        stop_orphan(&dir).await;
        if settings.listen.port() != 0 && TcpStream::connect(settings.listen).await.is_ok() {
            return Err(BrokerError::PortTaken(settings.listen));
        }
        for stale in ports_files(&dir) {
            fs::remove_file(stale).map_err(unusable)?;
        }
        let config = dir.join("nats.conf");
        fs::write(&config, config_text(&dir, settings.listen)).map_err(unusable)?;
        let mut command = Command::new(&settings.command);
        // a Ctrl-C in the terminal is for us; the broker is stopped last
        #[cfg(unix)]
        command.process_group(0);
        #[cfg(windows)]
        command.creation_flags(NEW_PROCESS_GROUP);
        let mut child = command
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| BrokerError::Start {
                command: settings.command.clone(),
                source,
            })?;
        let pid = child.id().unwrap_or_default();
        let trace = serde_json::to_vec(&Trace { pid }).unwrap_or_default();
        fs::write(dir.join("broker.json"), trace).map_err(unusable)?;
        let address = wait_until_ready(&mut child, &dir, pid).await?;
        Ok(Self {
            child,
            url: format!("nats://{address}"),
            address,
        })
    }

    /// Where it can be reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Completes when the child ended, with how it ended.
    pub async fn ended(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Ends it in order; after a while by force.
    pub async fn stop(mut self) {
        if let Some(pid) = self.child.id() {
            terminate(Pid::from_u32(pid));
        }
        if timeout(STOP_WITHIN, self.child.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends it as a power cut of the process would: with SIGKILL.
    pub async fn kill(&mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::debug!(%error, "the broker was gone already");
        }
    }
}

fn config_text(dir: &Path, listen: SocketAddr) -> String {
    let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
    let port = if listen.port() == 0 {
        -1
    } else {
        i32::from(listen.port())
    };
    let host = match listen.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!(
        "# written by orchestrator at every start\n\
         listen: \"{host}:{port}\"\n\
         server_name: orchestrator\n\
         ports_file_dir: {}\n\
         log_file: {}\n\
         logfile_size_limit: 16MB\n\
         max_payload: 2MB\n\
         jetstream {{\n  store_dir: {}\n  sync_interval: 10s\n}}\n",
        quoted(dir.to_path_buf()),
        quoted(dir.join("nats.log")),
        quoted(dir.join("data")),
    )
}

async fn wait_until_ready(child: &mut Child, dir: &Path, pid: u32) -> Result<SocketAddr, BrokerError> {
    let deadline = Instant::now() + READY_WITHIN;
    let ports = dir.join(format!("nats-server_{pid}.ports"));
    while Instant::now() < deadline {
        if let Ok(Some(status)) = child.try_wait() {
            let log = dir.join("nats.log");
            let tail = tail(&log);
            return Err(BrokerError::Died {
                status: status.to_string(),
                log,
                tail,
            });
        }
        let found = ports_files(dir)
            .into_iter()
            .find(|path| *path == ports || pid == 0);
        if let Some(address) = found.and_then(|path| read_address(&path))
            && TcpStream::connect(address).await.is_ok()
        {
            return Ok(address);
        }
        sleep(LOOK_EVERY).await;
    }
    Err(BrokerError::Slow(READY_WITHIN))
}

fn ports_files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "ports"))
        .collect()
}

fn read_address(ports: &Path) -> Option<SocketAddr> {
    let ports: Ports = serde_json::from_str(&fs::read_to_string(ports).ok()?).ok()?;
    ports.nats.first()?.strip_prefix("nats://")?.parse().ok()
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// Stops the child that a killed process left behind. It is recognised by its pid and its config file.
async fn stop_orphan(dir: &Path) {
    let Some(trace) = fs::read(dir.join("broker.json"))
        .ok()
        .and_then(|text| serde_json::from_slice::<Trace>(&text).ok())
    else {
        return;
    };
    let pid = Pid::from_u32(trace.pid);
    let config = dir.join("nats.conf");
    if !runs_with_config(pid, &config) {
        return;
    }
    tracing::info!(pid = trace.pid, "stopping the nats-server that was left behind");
    terminate(pid);
    let deadline = Instant::now() + STOP_WITHIN;
    while runs_with_config(pid, &config) {
        if Instant::now() > deadline {
            kill(pid);
        }
        sleep(LOOK_EVERY).await;
    }
}

fn processes(pid: Pid) -> Option<System> {
    let mut system = System::new().ok()?;
    let what = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), true, what);
    Some(system)
}

fn runs_with_config(pid: Pid, config: &Path) -> bool {
    let Some(system) = processes(pid) else {
        return false;
    };
    system.process(pid).is_some_and(|process| {
        process.status() != sysinfo::ProcessStatus::Zombie
            && process.cmd().iter().any(|argument| Path::new(argument) == config)
    })
}

fn terminate(pid: Pid) {
    let Some(system) = processes(pid) else { return };
    if let Some(process) = system.process(pid)
        && process.kill_with(Signal::Term).is_none()
    {
        process.kill();
    }
}

fn kill(pid: Pid) {
    if let Some(process) = processes(pid).as_ref().and_then(|system| system.process(pid)) {
        process.kill();
    }
}
