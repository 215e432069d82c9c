//! `orchestrator up`: the whole system as one process, killed with SIGKILL and stopped in order.

use std::{path::PathBuf, time::Duration};

use e2e::{
    Client, Process,
    broker::nats_server,
    client::{sketch, slow},
    patience::until,
    process,
    system::{Environment, alone},
};
use proto::EventKind;

use crate::scene::{Sweeper, check_picture, count, extended, record};

/// A directory in which nothing has run yet.
struct Fresh {
    dir: PathBuf,
    environment: Environment,
    _sweeper: Sweeper,
}

impl Fresh {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().canonicalize().expect("it is there");
        let command = nats_server();
        let settings = [
            ("ORCHESTRATOR_BROKER_COMMAND", command.to_str().expect("a path")),
            ("ORCHESTRATOR_BROKER_LISTEN", "127.0.0.1:0"),
            ("ORCHESTRATOR_MONITOR_LISTEN", "127.0.0.1:0"),
        ];
        Self {
            environment: extended(&alone(&path), &settings),
            dir: path,
            _sweeper: Sweeper(dir),
        }
    }

    async fn up(&self) -> (Process, Client) {
        Process::up(&self.dir, &self.environment).await
    }

    /// The nats-servers of this directory.
    fn brokers(&self) -> Vec<u32> {
        process::running_in(&self.dir)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_makes_a_picture_and_stops_in_order() {
    let fresh = Fresh::new();
    let (mut up, client) = fresh.up().await;
    assert_eq!(fresh.brokers().len(), 1, "it has a broker of its own");
    let id = client.submit_sketch("a first picture").await;
    let job = record(&client.until_status(&id, "succeeded").await);
    check_picture(&client, &job).await;

    let id = client.submit(&slow(Duration::from_secs(3))).await;
    client.until_status(&id, "running").await;
    assert_eq!(up.stop().await, Some(0), "it drains and ends well:\n{}", up.log());
    assert_eq!(fresh.brokers(), [0; 0], "no process is left behind");

    // what could not finish in time was handed back and goes on with the next `up`
    let (mut up, client) = fresh.up().await;
    let job = record(&client.until_status(&id, "succeeded").await);
    assert_eq!(
        (job.handed_back, count(&job, EventKind::HandedBack)),
        (1, 1),
        "{job:#?}"
    );
    assert_eq!(up.stop().await, Some(0), "{}", up.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_the_next_one_goes_on() {
    let fresh = Fresh::new();
    let (mut up, client) = fresh.up().await;
    let done = client.submit_sketch("done before").await;
    client.until_status(&done, "succeeded").await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        ids.push(client.submit(&slow(Duration::from_secs(4))).await);
    }
    for id in &ids {
        client.until_status(id, "running").await;
    }
    for number in 0..5 {
        ids.push(client.submit(&sketch(&format!("queued {number}"))).await);
    }
    up.kill().await;
    let orphans = fresh.brokers();
    assert_eq!(orphans.len(), 1, "its broker is left behind");

    let (mut up, client) = fresh.up().await;
    let brokers = fresh.brokers();
    assert!(
        brokers.len() == 1 && brokers != orphans,
        "{orphans:?} was replaced: {brokers:?}"
    );
    for id in &ids {
        let job = record(&client.until_status(id, "succeeded").await);
        check_picture(&client, &job).await;
    }
    for id in &ids[..2] {
        let job = record(&client.job(id).await);
        assert_eq!(
            (job.attempt, count(&job, EventKind::TakenBack)),
            (2, 1),
            "{job:#?}"
        );
    }
    let job = record(&client.job(&done).await);
    assert_eq!(job.attempt, 1, "what was over stays so: {job:#?}");
    check_picture(&client, &job).await;
    assert_eq!(up.stop().await, Some(0), "{}", up.log());
    assert_eq!(fresh.brokers(), [0; 0], "no process is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_broker_is_killed_and_comes_back() {
    let fresh = Fresh::new();
    let (mut up, client) = fresh.up().await;
    let id = client.submit(&slow(Duration::from_secs(2))).await;
    client.until_status(&id, "running").await;
    let old = fresh.brokers();
    process::kill(old[0]);
    until("another broker", || async {
        let new = fresh.brokers();
        (!new.is_empty() && new != old).then_some(())
    })
    .await;
    let job = record(&client.until_status(&id, "succeeded").await);
    check_picture(&client, &job).await;
    assert_eq!(up.stop().await, Some(0), "{}", up.log());
    assert_eq!(fresh.brokers(), [0; 0], "no process is left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_in_the_same_directory_is_refused() {
    let fresh = Fresh::new();
    let (mut up, client) = fresh.up().await;
    let second = process::run(&fresh.dir, &["up"], &fresh.environment).await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("another `orchestrator up`"), "{second:?}");
    let id = client.submit_sketch("undisturbed").await;
    client.until_status(&id, "succeeded").await;
    assert_eq!(up.stop().await, Some(0), "{}", up.log());
}
