//! A real nats-server for one test, on a free port, that can be killed and started again.

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use runtime::broker::{Broker, BrokerSettings};
use sysinfo::Signal;
use tempfile::TempDir;

use crate::{
    patience::until,
    process::{send, stands_still},
};

/// A broker of one test.
#[derive(Debug)]
pub struct TestBroker {
    broker: Option<Broker>,
    address: SocketAddr,
    dir: TempDir,
}

/// The nats-server to test with: `ORCHESTRATOR_TEST_NATS_SERVER`, or the one on PATH.
pub fn nats_server() -> PathBuf {
    env::var_os("ORCHESTRATOR_TEST_NATS_SERVER").map_or_else(|| PathBuf::from("nats-server"), PathBuf::from)
}

impl TestBroker {
    /// Starts a broker with an empty directory.
    ///
    /// # Panics
    /// If it does not start; `cargo xtask test` finds or fetches a nats-server.
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let free: SocketAddr = ([127, 0, 0, 1], 0).into();
        let broker = Self::launch(&dir, free).await;
        Self {
            address: broker.address(),
            broker: Some(broker),
            dir,
        }
    }

    async fn launch(dir: &TempDir, listen: SocketAddr) -> Broker {
        let settings = BrokerSettings {
            command: nats_server(),
            dir: dir.path().join("broker"),
            listen,
        };
        Broker::start(&settings)
            .await
            .unwrap_or_else(|error| panic!("{}", runtime::telemetry::chain(&error)))
    }

    /// Where it is; the same after every restart.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Where its data lie.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Kills it with SIGKILL.
    pub async fn kill(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            broker.kill().await;
        }
    }

    /// Starts it again where it was, with the data that it had.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.broker = Some(Self::launch(&self.dir, self.address).await);
    }

    /// Makes it stand still (SIGSTOP): connections stay, and nobody answers.
    ///
    /// # Panics
    /// If it does not run.
    pub async fn pause(&self) {
        let pid = self.signal(Signal::Stop);
        until("the broker to stand still", || async {
            stands_still(pid).then_some(())
        })
        .await;
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Panics
    /// If it does not run.
    pub fn go_on(&self) {
        self.signal(Signal::Continue);
    }

    fn signal(&self, signal: Signal) -> u32 {
        let pid = self.pid().expect("it runs");
        assert!(send(pid, signal), "{signal:?} was sent");
        pid
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.broker.as_ref().and_then(Broker::pid)
    }
}
