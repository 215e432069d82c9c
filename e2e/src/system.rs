//! The whole system in this process, with times short enough for tests.

use std::{collections::BTreeMap, path::Path, time::Duration};

use runtime::{
    bus::{Bus, BusSettings},
    settings::Reader,
    tasks::{Running, Stop, TaskError},
};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::{Client, TestBroker};

/// Settings as a user would write them into the environment.
pub type Environment = BTreeMap<String, String>;

/// A broker of the test's own, and times short enough for tests; everything else as it is shipped.
pub fn quick(broker: &TestBroker, dir: &Path) -> Environment {
    let mut environment = alone(dir);
    environment.insert("ORCHESTRATOR_NATS_URL".into(), broker.url());
    environment
}

/// As [`quick`], without a broker: for `up`, which brings its own.
pub fn alone(dir: &Path) -> Environment {
    let pairs = [
        ("ORCHESTRATOR_GATEWAY_LISTEN", "127.0.0.1:0".into()),
        (
            "ORCHESTRATOR_ARTIFACTS_URL",
            dir.join("artifacts").display().to_string(),
        ),
        ("ORCHESTRATOR_SKETCH_REHEARSALS", "true".into()),
        ("ORCHESTRATOR_LEASE_TIME", "2s".into()),
        ("ORCHESTRATOR_LEASE_BEAT", "300ms".into()),
        ("ORCHESTRATOR_LEASE_ANNOUNCE", "300ms".into()),
        ("ORCHESTRATOR_LEASE_SWEEP", "1s".into()),
        ("ORCHESTRATOR_JOBS_RETRY_BASE", "200ms".into()),
        ("ORCHESTRATOR_WORKER_CANCEL_GRACE", "500ms".into()),
        ("ORCHESTRATOR_WORKER_DRAIN_GRACE", "500ms".into()),
        ("ORCHESTRATOR_WORKER_STALL_TIMEOUT", "20s".into()),
    ];
    pairs
        .into_iter()
        .map(|(name, value): (&str, String)| (name.to_owned(), value))
        .collect()
}

/// A role that runs in this process.
#[derive(Debug)]
pub struct Role {
    stop: Stop,
    task: JoinHandle<Result<(), TaskError>>,
}

impl Role {
    #[expect(
        clippy::disallowed_methods,
        reason = "the role keeps the handle, stops the task and awaits it"
    )]
    fn of(running: Running, stop: Stop) -> Self {
        Self {
            stop,
            task: tokio::spawn(running.run()),
        }
    }

    /// Stops it in order and waits for it.
    ///
    /// # Panics
    /// If it does not stop well.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task
            .await
            .expect("the role does not panic")
            .expect("the role stops in order");
    }

    /// Drops it at once, as if the process were gone (the connection stays open a moment longer).
    pub fn abort(self) {
        self.task.abort();
    }
}

/// A broker, a gateway and a worker.
#[derive(Debug)]
pub struct System {
    /// The broker.
    pub broker: TestBroker,
    /// The settings that further roles can be started with.
    pub environment: Environment,
    /// The gateway.
    pub gateway: Option<Role>,
    /// The workers.
    pub workers: Vec<Role>,
    /// A client of the gateway.
    pub client: Client,
    /// Where files are.
    pub dir: TempDir,
}

impl System {
    /// Everything, with one worker named `w1`.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Everything, with further settings.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut system = Self::without_worker(settings).await;
        system.add_worker("w1", &[]).await;
        system
    }

    /// A broker and a gateway.
    pub async fn without_worker(settings: &[(&str, &str)]) -> Self {
        let broker = TestBroker::start().await;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut environment = quick(&broker, dir.path());
        environment.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let (gateway, client) = start_gateway(&environment).await;
        Self {
            broker,
            environment,
            gateway: Some(gateway),
            workers: Vec::new(),
            client,
            dir,
        }
    }

    /// Starts another worker, and waits until the gateway knows it.
    pub async fn add_worker(&mut self, id: &str, settings: &[(&str, &str)]) -> &Role {
        let mut environment = self.environment.clone();
        environment.insert("ORCHESTRATOR_WORKER_ID".into(), id.into());
        environment.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let role = start_worker(&environment).await;
        self.client.until_worker(id).await;
        self.workers.push(role);
        self.workers.last().expect("just added")
    }

    /// Replaces the gateway by another, at another address.
    pub async fn replace_gateway(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
        let (gateway, client) = start_gateway(&self.environment).await;
        self.gateway = Some(gateway);
        self.client = client;
    }

    /// Stops everything in order.
    pub async fn stop(mut self) {
        for worker in self.workers.drain(..) {
            worker.stop().await;
        }
        if let Some(gateway) = self.gateway.take() {
            gateway.stop().await;
        }
        self.broker.kill().await;
    }
}

fn reader(environment: &Environment) -> Reader {
    Reader::new(Path::new("/nonexistent"), None, environment.clone())
}

async fn bus(environment: &Environment, name: &str) -> Bus {
    let settings = BusSettings::read(&mut reader(environment));
    Bus::connect(&settings, name)
        .await
        .unwrap_or_else(|error| panic!("{}", runtime::telemetry::chain(&error)))
}

/// A connection of the test's own.
///
/// # Panics
/// If there is none.
pub async fn bus_of(broker: &TestBroker, name: &str) -> Bus {
    let environment = Environment::from([("ORCHESTRATOR_NATS_URL".to_owned(), broker.url())]);
    bus(&environment, name).await
}

/// Starts a gateway in this process.
///
/// # Panics
/// If it does not start.
pub async fn start_gateway(environment: &Environment) -> (Role, Client) {
    let stop = Stop::new();
    let settings = gateway::Settings::read(&mut reader(environment));
    let started = gateway::start(settings, bus(environment, "gateway").await, stop.clone()).await;
    let running = started.unwrap_or_else(|error| panic!("{}", runtime::telemetry::chain(&error)));
    let client = Client::new(&format!("http://{}", running.address.expect("a gateway listens")));
    let role = Role::of(running, stop);
    client.until_ready().await;
    (role, client)
}

/// Starts a worker in this process.
///
/// # Panics
/// If it does not start.
pub async fn start_worker(environment: &Environment) -> Role {
    let started = try_start_worker(environment).await;
    started.unwrap_or_else(|error| panic!("{}", runtime::telemetry::chain(&error)))
}

/// As [`start_worker`].
///
/// # Errors
/// If it does not start.
pub async fn try_start_worker(environment: &Environment) -> Result<Role, worker::StartError> {
    let stop = Stop::new();
    let settings = worker::Settings::read(&mut reader(environment));
    let running = worker::start(settings, bus(environment, "worker").await, stop.clone()).await?;
    Ok(Role::of(running, stop))
}

/// The shortest time in which a lost worker can be noticed with the settings of [`quick`].
pub const LEASE: Duration = Duration::from_secs(2);
