//! A worker is stopped with SIGSTOP beyond its lease and then goes on: its attempt is stale, and can change
//! nothing any more.

use std::time::Duration;

use e2e::{
    Client, History, Process,
    client::slow,
    patience::{let_pass, within},
};
use proto::EventKind;

use crate::scene::{Scene, check_picture, count, record};

/// Longer than everything that an attempt does by the clock in these tests.
const A_WHILE: Duration = Duration::from_secs(3);

/// `w1` stands still in the middle of the job, and `w2` has begun it anew.
async fn taken_over(scene: &Scene, client: &Client, job: Duration) -> (String, Process, Process) {
    let stale = scene.worker("w1", &[], client).await;
    let id = client.submit(&slow(job)).await;
    client.until_status(&id, "running").await;
    stale.pause();
    let other = scene.worker("w2", &[], client).await;
    within(Duration::from_secs(20), "w2 to take the job over", || async {
        let job = record(&client.job(&id).await);
        job.claim.is_some_and(|claim| claim.worker == "w2").then_some(())
    })
    .await;
    (id, stale, other)
}

/// Waits until the stale attempt has seen that the job is not its own any more, and has said so.
async fn until_it_knows(stale: &Process) {
    let ways = [
        "another attempt holds the job",
        "the job was taken from this attempt",
        "the job ended without this attempt",
    ];
    within(
        Duration::from_secs(20),
        "the stale attempt to give up",
        || async {
            let log = stale.log();
            ways.iter().any(|way| log.contains(way)).then_some(())
        },
    )
    .await;
}

/// The worker that stood still takes new jobs.
async fn serves(client: &Client, mut other: Process) {
    assert_eq!(other.stop().await, Some(0), "w2 leaves in order");
    let id = client.submit_sketch("afterwards").await;
    let job = record(&client.until_status(&id, "succeeded").await);
    assert_eq!(job.attempts[0].worker, "w1", "{job:#?}");
    check_picture(client, &job).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_attempt_does_not_disturb_the_one_that_runs() {
    let scene = Scene::new().await;
    let mut history = History::of(&scene.broker).await;
    let (_gateway, client) = scene.gateway().await;
    let (id, stale, other) = taken_over(&scene, &client, Duration::from_secs(5)).await;
    let before = record(&client.job(&id).await);
    stale.go_on();
    until_it_knows(&stale).await;
    let after = record(&client.job(&id).await);
    assert_eq!((after.revision, &after.claim), (before.revision, &before.claim));

    let job = record(&client.until_status(&id, "succeeded").await);
    assert_eq!(job.revision, before.revision + 1, "nobody but w2 wrote: {job:#?}");
    assert_eq!((job.attempt, count(&job, EventKind::Started)), (2, 2), "{job:#?}");
    assert_eq!(job.attempts[1].worker, "w2", "{job:#?}");
    check_picture(&client, &job).await;
    history.check(&[id]).await;
    serves(&client, other).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_attempt_does_not_change_what_is_over() {
    let scene = Scene::new().await;
    let mut history = History::of(&scene.broker).await;
    let (_gateway, client) = scene.gateway().await;
    let (id, stale, other) = taken_over(&scene, &client, Duration::from_secs(2)).await;
    let before = record(&client.until_status(&id, "succeeded").await);
    let picture = client.artifact(&before.outputs[0].id).await;
    stale.go_on();
    until_it_knows(&stale).await;
    let_pass(A_WHILE).await;
    let after = record(&client.job(&id).await);
    assert_eq!(after, before, "nothing was written");
    assert_eq!(client.artifact(&after.outputs[0].id).await, picture);
    history.check(&[id]).await;
    serves(&client, other).await;
}
