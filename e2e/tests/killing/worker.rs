//! A worker is killed with SIGKILL in each phase of a job: its next life, or another worker, goes on.

use std::time::Duration;

use e2e::{Client, History, Process, client::slow, patience::within, system::LEASE};
use proto::{EventKind, Status, failure::FailureCode};

use crate::scene::{Scene, check_picture, count, first, record};

/// A lease that no test waits for.
const LONG_LEASE: [(&str, &str); 2] = [
    ("ORCHESTRATOR_LEASE_TIME", "30s"),
    ("ORCHESTRATOR_LEASE_BEAT", "5s"),
];
/// Much less than that.
const AT_ONCE: Duration = Duration::from_secs(8);
const JOB: Duration = Duration::from_millis(1200);

/// Where the worker dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Claimed,
    Running,
    Stored,
    Recorded,
}

impl Death {
    const fn crash_point(self) -> Option<&'static str> {
        match self {
            Self::Claimed => Some("claimed"),
            Self::Running => None,
            Self::Stored => Some("stored"),
            Self::Recorded => Some("recorded"),
        }
    }

    /// How many attempts the job takes in all.
    const fn attempts(self) -> u32 {
        match self {
            Self::Claimed | Self::Running | Self::Stored => 2,
            Self::Recorded => 1,
        }
    }
}

/// Submits a job and lets its worker, `w1`, die on the way; gives the job's id.
async fn lose_worker(scene: &Scene, client: &Client, death: Death) -> String {
    let drill = death
        .crash_point()
        .map(|point| ("ORCHESTRATOR_WORKER_CRASH_AT", point));
    let mut worker = scene.worker("w1", drill.as_slice(), client).await;
    let id = client.submit(&slow(JOB)).await;
    if death == Death::Running {
        client.until_status(&id, "running").await;
        worker.kill().await;
    } else {
        assert_eq!(
            worker.ended(Duration::from_secs(30)).await,
            None,
            "it died of a signal"
        );
    }
    id
}

/// The job was done once, with this number of attempts.
async fn check_end(client: &Client, history: &mut History, id: &str, death: Death) {
    let job = record(&client.until_status(id, "succeeded").await);
    assert_eq!(job.attempt, death.attempts(), "{job:#?}");
    assert_eq!(
        count(&job, EventKind::Started),
        death.attempts() as usize,
        "{job:#?}"
    );
    assert_eq!(
        count(&job, EventKind::TakenBack),
        death.attempts() as usize - 1,
        "{job:#?}"
    );
    check_picture(client, &job).await;
    history.check(&[id.to_owned()]).await;
}

async fn its_next_life_goes_on(death: Death) {
    let scene = Scene::with(&LONG_LEASE).await;
    let mut history = History::of(&scene.broker).await;
    let (_gateway, client) = scene.gateway().await;
    let id = lose_worker(&scene, &client, death).await;
    let _next = scene.worker("w1", &[], &client).await;
    within(AT_ONCE, "the next attempt", || async {
        let job = record(&client.job(&id).await);
        (job.attempt == death.attempts()).then_some(())
    })
    .await;
    check_end(&client, &mut history, &id, death).await;
    if death != Death::Recorded {
        scene.until_no_tokens().await;
    }
}

async fn another_goes_on(death: Death) {
    let scene = Scene::new().await;
    let mut history = History::of(&scene.broker).await;
    let (_gateway, client) = scene.gateway().await;
    let id = lose_worker(&scene, &client, death).await;
    let _other = scene.worker("w2", &[], &client).await;
    check_end(&client, &mut history, &id, death).await;
    let job = record(&client.job(&id).await);
    if death.attempts() > 1 {
        let last = job.attempts.last().expect("an attempt");
        assert_eq!(last.worker, "w2", "{job:#?}");
        let waited = first(&job, EventKind::TakenBack) - first(&job, EventKind::Started);
        let lease = i64::try_from(LEASE.as_millis()).expect("short");
        assert!(waited >= lease * 2 / 3, "taken over after {waited} ms: {job:#?}");
    }
    scene.until_no_tokens().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_claim_and_started_anew() {
    its_next_life_goes_on(Death::Claimed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_running_and_started_anew() {
    its_next_life_goes_on(Death::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_artifact_and_started_anew() {
    its_next_life_goes_on(Death::Stored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_acknowledgement_and_started_anew() {
    its_next_life_goes_on(Death::Recorded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_claim_and_another_takes_over() {
    another_goes_on(Death::Claimed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_running_and_another_takes_over() {
    another_goes_on(Death::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_the_artifact_and_another_takes_over() {
    another_goes_on(Death::Stored).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_acknowledgement_and_another_takes_over() {
    another_goes_on(Death::Recorded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_attempt_that_is_lost_fails_the_job() {
    let scene = Scene::new().await;
    let mut history = History::of(&scene.broker).await;
    let (_gateway, client) = scene.gateway().await;
    let mut worker = scene.worker("w1", &[], &client).await;
    let mut request = slow(Duration::from_secs(30));
    request["max_attempts"] = 1.into();
    let id = client.submit(&request).await;
    client.until_status(&id, "running").await;
    worker.kill().await;
    let _other = scene.worker("w2", &[], &client).await;
    let job = record(&client.until_status(&id, "failed").await);
    let failure = job.failure.clone().unwrap_or_default();
    assert_eq!(failure.code, FailureCode::WorkerLost.as_str(), "{job:#?}");
    assert_eq!((job.attempt, job.attempts.len()), (1, 1), "{job:#?}");
    assert!(
        job.attempts[0].worker == "w1" && failure.message.contains("w1"),
        "{job:#?}"
    );
    history.check(&[id]).await;
    scene.until_no_tokens().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_worker_each_time_ends() {
    let scene = Scene::with(&LONG_LEASE).await;
    let mut history = History::of(&scene.broker).await;
    let (_gateway, client) = scene.gateway().await;
    let id = client.submit_sketch("poison").await;
    let mut lives: Vec<Process> = Vec::new();
    for _ in 0..3 {
        let mut life = scene.start_worker("w1", &[("ORCHESTRATOR_WORKER_CRASH_AT", "claimed")]);
        assert_eq!(
            life.ended(Duration::from_secs(30)).await,
            None,
            "the job kills it"
        );
        lives.push(life);
    }
    // the job is over when it is known that its last worker is dead
    let mut survivor = scene
        .worker("w1", &[("ORCHESTRATOR_WORKER_CRASH_AT", "claimed")], &client)
        .await;
    let job = record(&client.until_status(&id, "failed").await);
    assert_eq!(
        job.failure.clone().unwrap_or_default().code,
        FailureCode::WorkerLost.as_str()
    );
    assert_eq!((job.attempt, job.attempts.len()), (3, 3), "{job:#?}");
    assert_eq!(job.status(), Status::Failed);
    assert!(survivor.is_running(), "it is not started a fourth time");
    history.check(&[id]).await;
    scene.until_no_tokens().await;
}
