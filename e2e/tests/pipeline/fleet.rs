//! Several workers, several priorities.

use std::{collections::BTreeSet, time::Duration};

use e2e::{
    System,
    client::{rehearsal, slow},
    system::try_start_worker,
};
use worker::StartError;

use crate::story::moment;

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_share_the_work() {
    let mut system = System::without_worker(&[("ORCHESTRATOR_SKETCH_SLOTS", "1")]).await;
    system.add_worker("w1", &[]).await;
    system.add_worker("w2", &[]).await;
    let request = slow(Duration::from_millis(400));
    let ids = futures::future::join_all((0..8).map(|_| system.client.submit(&request))).await;
    let mut hands = BTreeSet::new();
    for id in ids {
        let job = system.client.until_status(&id, "succeeded").await;
        assert_eq!(job["attempt"], 1, "{job:#}");
        hands.insert(job["attempts"][0]["worker"].as_str().expect("a name").to_owned());
    }
    assert_eq!(hands.into_iter().collect::<Vec<_>>(), ["w1", "w2"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_urgent_comes_first() {
    let system = System::start_with(&[("ORCHESTRATOR_SKETCH_SLOTS", "1")]).await;
    let client = &system.client;
    let blocker = client.submit(&slow(Duration::from_secs(2))).await;
    client.until_status(&blocker, "running").await;
    let mut ids = Vec::new();
    for priority in ["low", "normal", "high"].repeat(8) {
        let mut request = rehearsal("noop");
        request["priority"] = priority.into();
        ids.push(client.submit(&request).await);
    }
    assert_eq!(
        client.job(&blocker).await["status"],
        "running",
        "all of them wait together"
    );
    let mut started = Vec::new();
    let total = ids.len();
    for id in ids {
        let job = client.until_status(&id, "succeeded").await;
        // `normal` is the default, which JSON leaves out
        let priority = job["priority"].as_str().unwrap_or("normal").to_owned();
        started.push((moment(&job["started_at"]), priority));
    }
    started.sort();
    let order: Vec<&str> = started.iter().map(|(_, priority)| priority.as_str()).collect();
    let urgent: Vec<&str> = order
        .iter()
        .copied()
        .filter(|priority| *priority != "low")
        .collect();
    assert_eq!(urgent, [["high"; 8], ["normal"; 8]].concat(), "{order:?}");
    // now and then the least urgent are asked first, so that they are not forgotten
    let last = order.iter().rposition(|priority| *priority != "low");
    let early = last.map_or(0, |last| last + 1 - urgent.len());
    assert!(early <= total / 6, "{early} came too early: {order:?}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_for_one_worker() {
    let mut system = System::start().await;
    let mut environment = system.environment.clone();
    environment.insert("ORCHESTRATOR_WORKER_ID".into(), "w1".into());
    let second = try_start_worker(&environment).await;
    assert!(
        matches!(&second, Err(StartError::NameTaken(id)) if id.as_str() == "w1"),
        "{second:?}"
    );
    let id = system.client.submit_sketch("the first goes on").await;
    system.client.until_status(&id, "succeeded").await;

    let life = system.client.incarnation("w1").await;
    system.workers.remove(0).stop().await;
    system.workers.push(
        try_start_worker(&environment)
            .await
            .expect("the name is free again"),
    );
    e2e::patience::until("the second life", || async {
        system
            .client
            .incarnation("w1")
            .await
            .filter(|now| Some(now) != life.as_ref())
    })
    .await;
    system.stop().await;
}
