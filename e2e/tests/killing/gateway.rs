//! A gateway is killed with SIGKILL in the middle of submissions: what it accepted is done, once.

use std::{collections::BTreeSet, time::Duration};

use e2e::{Client, History, patience::let_pass};
use futures::future::join_all;
use proto::{
    ids::JobId,
    lifecycle, request,
    v1::{JobRequest, SketchRequest, job_request::Body},
};
use runtime::{
    clock,
    records::{Created, Records},
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::scene::{Scene, check_picture, record, total, try_submit};

const JOBS: usize = 300;
/// So many were answered when the gateway dies.
const ANSWERED: usize = 60;

fn noop(number: usize) -> Value {
    json!({ "sketch": { "prompt": format!("{number}"), "rehearsal": { "act": "noop" } } })
}

/// Submits to the first gateway, and to the second as soon as the first does not answer. Gives the job's id
/// and whether it had to be submitted again.
async fn submit(gateways: [&Client; 2], number: usize, answered: &watch::Sender<usize>) -> (String, bool) {
    let (key, body) = (format!("key-{number}"), noop(number));
    if let Some(id) = try_submit(gateways[0], &key, &body).await {
        answered.send_modify(|count| *count += 1);
        return (id, false);
    }
    loop {
        if let Some(id) = try_submit(gateways[1], &key, &body).await {
            return (id, true);
        }
        let_pass(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_submissions() {
    let scene = Scene::new().await;
    let mut history = History::of(&scene.broker).await;
    let (mut first, client) = scene.gateway().await;
    let (_second, other) = scene.gateway().await;
    let _worker = scene
        .worker("w1", &[("ORCHESTRATOR_SKETCH_SLOTS", "16")], &client)
        .await;

    let (answered, mut answers) = watch::channel(0);
    let submissions = join_all((0..JOBS).map(|number| submit([&client, &other], number, &answered)));
    let death = async {
        answers
            .wait_for(|count| *count >= ANSWERED)
            .await
            .expect("answers");
        first.kill().await;
    };
    let (submitted, ()) = tokio::join!(submissions, death);
    let again = submitted.iter().filter(|(_, again)| *again).count();
    assert!(again > 0, "the gateway died in the middle");
    let ids: Vec<String> = submitted.into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), JOBS, "a job a key");

    let (_anew, client) = scene.gateway().await;
    for (number, id) in ids.iter().enumerate() {
        let repeated = try_submit(&client, &format!("key-{number}"), &noop(number)).await;
        assert_eq!(repeated.as_ref(), Some(id), "the key stands for the same job");
        client.until_status(id, "succeeded").await;
    }
    assert_eq!(total(&client).await, JOBS as u64, "and for no other");
    history.check(&ids).await;
    scene.until_no_tokens().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_token_was_never_put_is_found() {
    let scene = Scene::new().await;
    let (_gateway, client) = scene.gateway().await;
    let _worker = scene.worker("w1", &[], &client).await;

    // what a gateway leaves that dies right after it has written the record
    let sketch = SketchRequest {
        prompt: "forgotten".into(),
        width: 64,
        height: 64,
        steps: 4,
        ..SketchRequest::default()
    };
    let request = JobRequest {
        body: Some(Body::Sketch(sketch)),
        ..JobRequest::default()
    };
    let (id, now) = (JobId::generate(), clock::now());
    let accepted = request::accept(request, 7, now).expect("a request that can be");
    let job = lifecycle::submitted(id, &accepted, None, now);
    let records = Records::new(scene.bus().await, Duration::from_hours(1));
    let created = records.create(id, &job).await.expect("written");
    assert!(matches!(created, Created::New(_)));

    let job = record(&client.until_status(&id.to_string(), "succeeded").await);
    check_picture(&client, &job).await;
    scene.until_no_tokens().await;
}
