//! A broker and a directory for roles that are processes, and what is asked of jobs afterwards.

use std::time::Duration;

use e2e::{
    Client, Process, TestBroker,
    patience::within,
    process,
    system::{Environment, quick},
};
use proto::{EventKind, moment::maybe_millis, v1::Job};
use reqwest::{Method, StatusCode};
use runtime::{
    bus::{Bus, BusSettings},
    clock,
    queue::Queue,
};
use serde_json::Value;
use tempfile::TempDir;

/// A broker, a directory, and the settings of the processes of one test.
pub(crate) struct Scene {
    pub(crate) broker: TestBroker,
    pub(crate) environment: Environment,
    pub(crate) dir: TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let broker = TestBroker::start().await;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let environment = extended(&quick(&broker, dir.path()), settings);
        Self {
            broker,
            environment,
            dir,
        }
    }

    pub(crate) async fn gateway(&self) -> (Process, Client) {
        Process::gateway(self.dir.path(), &self.environment).await
    }

    pub(crate) async fn worker(&self, id: &str, settings: &[(&str, &str)], client: &Client) -> Process {
        let environment = extended(&self.environment, settings);
        Process::worker(self.dir.path(), id, &environment, client).await
    }

    /// A worker, whose readiness is not waited for.
    pub(crate) fn start_worker(&self, id: &str, settings: &[(&str, &str)]) -> Process {
        let environment = extended(&self.environment, settings);
        let environment = extended(&environment, &[("ORCHESTRATOR_WORKER_ID", id)]);
        Process::start(self.dir.path(), &["worker"], &environment)
    }

    /// A connection as the roles have it.
    pub(crate) async fn bus(&self) -> Bus {
        let settings = BusSettings {
            url: self.broker.url(),
            user: None,
            password: None,
            token: None,
            credentials: None,
            replicas: 1,
        };
        Bus::connect(&settings, "test").await.expect("a connection")
    }

    /// Lets a job's token be delivered once more, whoever holds it.
    pub(crate) async fn deliver_again(&self, job: &Value) {
        let queue = Queue::new(self.bus().await, proto::topology::Lane::default());
        let renewed = queue.renew(&record(job), clock::now()).await;
        renewed.expect("the broker is there");
    }

    /// Waits until no token and no schedule is left.
    pub(crate) async fn until_no_tokens(&self) {
        let queue = Queue::new(self.bus().await, proto::topology::Lane::default());
        within(Duration::from_secs(20), "the queue to be empty", || async {
            queue.list().await.ok()?.is_empty().then_some(())
        })
        .await;
    }
}

/// Kills what still runs in a directory when the test is over, however it ends.
pub(crate) struct Sweeper(pub(crate) TempDir);

impl Drop for Sweeper {
    fn drop(&mut self) {
        for pid in process::running_in(self.0.path()) {
            process::kill(pid);
        }
    }
}

pub(crate) fn extended(environment: &Environment, settings: &[(&str, &str)]) -> Environment {
    let mut environment = environment.clone();
    let settings = settings.iter();
    environment.extend(settings.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    environment
}

/// Submits by an idempotency key; the job's id, where the gateway accepted it now or before. `None` where it
/// did not answer, or said that it cannot now.
pub(crate) async fn try_submit(client: &Client, key: &str, body: &Value) -> Option<String> {
    let request = client.request(Method::POST, "/api/jobs").json(body);
    let answer = client.try_send(request.header("idempotency-key", key)).await;
    match answer {
        Ok((StatusCode::ACCEPTED | StatusCode::OK, job)) => {
            Some(job["id"].as_str().expect("an id").to_owned())
        }
        Ok((StatusCode::SERVICE_UNAVAILABLE, _)) | Err(_) => None,
        Ok((status, problem)) => panic!("{status}: {problem:#}"),
    }
}

/// The record that the JSON shows.
pub(crate) fn record(job: &Value) -> Job {
    serde_json::from_value(job.clone()).expect("a job")
}

/// How often something happened to a job.
pub(crate) fn count(job: &Job, kind: EventKind) -> usize {
    job.timeline.iter().filter(|event| event.kind() == kind).count()
}

/// When something happened to a job for the first time, in milliseconds since 1970.
pub(crate) fn first(job: &Job, kind: EventKind) -> i64 {
    let event = job.timeline.iter().find(|event| event.kind() == kind);
    let event = event.unwrap_or_else(|| panic!("{kind:?} happened: {job:#?}"));
    maybe_millis(event.at.as_ref()).expect("a time")
}

/// The job has one picture, and it can be fetched.
pub(crate) async fn check_picture(client: &Client, job: &Job) {
    assert_eq!(job.outputs.len(), 1, "one set of outputs: {job:#?}");
    let picture = client.artifact(&job.outputs[0].id).await;
    assert!(picture.starts_with(b"\x89PNG"), "a picture");
    assert_eq!(picture.len() as u64, job.outputs[0].size_bytes);
}

/// How many jobs the gateway knows.
pub(crate) async fn total(client: &Client) -> u64 {
    let (_, page) = client.get("/api/jobs?limit=1").await;
    let total = page["total"].as_str().expect("a total");
    total.parse().expect("a number")
}
