//! Money when workers are killed: nothing is paid twice, nothing is lost sight of.

use std::time::Duration;

use connectors::bfl::double::{Double, Fault, Options};
use e2e::{
    Client, Process,
    vendor::{self, account, borrowed, micros, picture, until_state},
};

use crate::scene::{Scene, extended};

struct Shop {
    scene: Scene,
    double: Double,
    client: Client,
    _gateway: Process,
}

impl Shop {
    async fn open(options: Options) -> Self {
        connectors::install_tls();
        let double = Double::start(options).await.expect("a double");
        let mut scene = Scene::new().await;
        scene.environment = extended(&scene.environment, &borrowed(&vendor::flux(&double)));
        let (gateway, client) = scene.gateway().await;
        Self {
            scene,
            double,
            client,
            _gateway: gateway,
        }
    }

    async fn worker(&self, settings: &[(&str, &str)]) -> Process {
        self.scene.worker("w1", settings, &self.client).await
    }

    /// A job whose worker dies at a point; a worker that does not die is there then.
    async fn job_with_death_at(&self, point: &str) -> (String, Process) {
        let mut mortal = self.worker(&[("ORCHESTRATOR_WORKER_CRASH_AT", point)]).await;
        let id = self.client.submit(&picture("a tower")).await;
        mortal.ended(Duration::from_secs(20)).await;
        (id, self.worker(&[]).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_the_call_leaves_it_open_and_makes_none() {
    let shop = Shop::open(Options::default()).await;
    let (id, _worker) = shop.job_with_death_at("asking").await;
    let job = shop.client.until_status(&id, "failed").await;
    assert_eq!(job["failure"]["code"], "outcome_unknown", "{job:#}");
    assert_eq!(shop.double.submits().len(), 0);
    until_state(&shop.client, &id, "unknown").await;
    assert_eq!(
        vendor::accounts(&shop.client, "unknown").await.len(),
        1,
        "it is listed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_with_the_answer_in_its_hands_is_not_paid_for_again() {
    let shop = Shop::open(Options::default()).await;
    let (id, _worker) = shop.job_with_death_at("answered").await;
    let job = shop.client.until_status(&id, "failed").await;
    assert_eq!(job["failure"]["code"], "outcome_unknown", "{job:#}");
    assert_eq!(
        (shop.double.submits().len(), shop.double.bill().entries.len()),
        (1, 1)
    );
    until_state(&shop.client, &id, "unknown").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_followed_by_whoever_comes_next() {
    let shop = Shop::open(Options::default()).await;
    let mut worker = shop.worker(&[]).await;
    shop.double.hold();
    let id = shop.client.submit(&picture("a canal")).await;
    shop.double
        .until(|bill| bill.entries.iter().any(|entry| entry.polls > 0))
        .await;
    for _ in 0..4 {
        worker.kill().await;
        worker = shop.worker(&[]).await;
        let polls = shop.double.bill().entries[0].polls;
        shop.double.until(|bill| bill.entries[0].polls > polls).await;
    }
    shop.double.release();
    let job = shop.client.until_status(&id, "succeeded").await;
    assert_eq!(shop.double.submits().len(), 1, "{job:#}");
    let account = until_state(&shop.client, &id, "settled").await;
    assert_eq!(
        micros(&account["charged_microdollars"]),
        shop.double.bill().charged()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_was_paid_for_is_stored_by_whoever_comes_next() {
    let shop = Shop::open(Options::default()).await;
    let (id, _worker) = shop.job_with_death_at("stored").await;
    let job = shop.client.until_status(&id, "succeeded").await;
    assert_eq!(
        (shop.double.submits().len(), job["attempt"].as_u64()),
        (1, Some(2))
    );
    assert_eq!(
        micros(&job["spend"]["charged_microdollars"]),
        shop.double.bill().charged()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_is_settled_though_its_worker_died() {
    let shop = Shop::open(Options::default()).await;
    let mut worker = shop.worker(&[]).await;
    shop.double.hold();
    let id = shop.client.submit(&picture("a lock")).await;
    shop.double
        .until(|bill| bill.entries.iter().any(|entry| entry.polls > 0))
        .await;
    shop.client.cancel(&id).await;
    shop.client.until_status(&id, "cancelled").await;
    worker.kill().await;
    shop.double.release();
    assert_eq!(
        account(&shop.client, &id).await["state"],
        "started",
        "nobody can know yet"
    );
    let _worker = shop.worker(&[]).await;
    let account = until_state(&shop.client, &id, "settled").await;
    assert_eq!(
        micros(&account["charged_microdollars"]),
        shop.double.bill().charged()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_while_the_broker_is_away_is_written_down_later() {
    let mut shop = Shop::open(Options::default()).await;
    let _worker = shop.worker(&[]).await;
    shop.double
        .fault_next_submit(Fault::Slow(Duration::from_millis(700)));
    let id = shop.client.submit(&picture("a weir")).await;
    shop.double.until_submits(1).await;
    shop.scene.broker.kill().await;
    shop.double
        .until(|bill| bill.entries.iter().any(|entry| entry.answered))
        .await;
    shop.scene.broker.restart().await;
    shop.client.until_status(&id, "succeeded").await;
    assert_eq!(shop.double.submits().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_in_the_call_cannot_pay_twice() {
    let shop = Shop::open(Options::default()).await;
    let frozen = shop.worker(&[]).await;
    shop.double.fault_next_submit(Fault::Slow(Duration::from_secs(3)));
    let id = shop.client.submit(&picture("a ferry")).await;
    shop.double.until_submits(1).await;
    frozen.pause();
    let _other = shop.scene.worker("w2", &[], &shop.client).await;
    let job = shop.client.until_status(&id, "failed").await;
    assert_eq!(job["failure"]["code"], "outcome_unknown", "{job:#}");
    frozen.go_on();
    // it got the answer after all, and nobody else could: the ledger learns of it
    let account = until_state(&shop.client, &id, "settled").await;
    assert_eq!(
        micros(&account["charged_microdollars"]),
        shop.double.bill().charged()
    );
    assert_eq!(shop.double.submits().len(), 1);
}
