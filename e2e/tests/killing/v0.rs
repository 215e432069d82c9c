//! v0 when workers are killed: a chat that was made is found again, and none is made twice.

use std::time::Duration;

use connectors::v0::double::{Double, DoubleOptions};
use e2e::{
    Client, Process,
    patience::{soon, until},
    vendor::{self, borrowed, micros, site, until_state},
};
use serde_json::json;

use crate::scene::{Scene, extended};

struct Shop {
    scene: Scene,
    double: Double,
    client: Client,
    _gateway: Process,
}

impl Shop {
    async fn open() -> Self {
        connectors::install_tls();
        let double = Double::start(DoubleOptions::default()).await.expect("a double");
        let mut scene = Scene::new().await;
        scene.environment = extended(&scene.environment, &borrowed(&vendor::v0(&double)));
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
        let id = self.client.submit(&site("a shop")).await;
        mortal.ended(Duration::from_secs(20)).await;
        (id, self.worker(&[]).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_whose_maker_died_before_it_wrote_it_down_is_found_by_its_job() {
    let shop = Shop::open().await;
    let (id, _worker) = shop.job_with_death_at("answered").await;
    let job = shop.client.until_status(&id, "succeeded").await;
    assert_eq!(job["attempt"], 2, "{job:#}");
    let bill = shop.double.bill();
    assert_eq!(bill.len(), 1, "{bill:?}");
    assert_eq!(job["site"]["chat"], bill[0].chat.as_str());
    let account = until_state(&shop.client, &id, "settled").await;
    assert_eq!(micros(&account["charged_microdollars"]), 250_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_the_call_leaves_it_open_and_makes_none() {
    let shop = Shop::open().await;
    let (id, _worker) = shop.job_with_death_at("asking").await;
    let job = shop.client.until_status(&id, "failed").await;
    assert_eq!(job["failure"]["code"], "outcome_unknown", "{job:#}");
    until_state(&shop.client, &id, "unknown").await;
    assert!(shop.double.bill().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_followed_by_whoever_comes_next() {
    let shop = Shop::open().await;
    let mut worker = shop.worker(&[]).await;
    shop.double.hold();
    let id = shop.client.submit(&site("a shop")).await;
    soon("a run", shop.double.until_billed(1)).await;
    for _ in 0..3 {
        until("the chat to be written down", || async {
            let job = shop.client.job(&id).await;
            let named = job["upstream"]["task_id"].as_str()?.starts_with("chat");
            (named && job["status"] == "running").then_some(())
        })
        .await;
        worker.kill().await;
        worker = shop.worker(&[]).await;
    }
    shop.double.release();
    let job = shop.client.until_status(&id, "succeeded").await;
    assert_eq!(shop.double.bill().len(), 1, "{job:#}");
    until_state(&shop.client, &id, "settled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_was_paid_for_is_stored_by_whoever_comes_next() {
    let shop = Shop::open().await;
    let (id, _worker) = shop.job_with_death_at("stored").await;
    let job = shop.client.until_status(&id, "succeeded").await;
    assert_eq!((shop.double.bill().len(), job["attempt"].as_u64()), (1, Some(2)));
    assert_eq!(micros(&job["spend"]["charged_microdollars"]), 250_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_were_written_by_a_worker_that_died_are_there_once() {
    let shop = Shop::open().await;
    let mut worker = shop.worker(&[]).await;
    let first = shop.client.submit(&site("a shop")).await;
    let first = shop.client.until_status(&first, "succeeded").await;
    worker.kill().await;
    let mut mortal = shop.worker(&[("ORCHESTRATOR_WORKER_CRASH_AT", "stored")]).await;
    let changes = json!([{"path": "app/page.tsx", "content": "by hand"}]);
    let body = json!({"v0": {"chat": first["site"]["chat"], "changes": changes}});
    let id = shop.client.submit(&body).await;
    mortal.ended(Duration::from_secs(20)).await;
    let _worker = shop.worker(&[]).await;
    let job = shop.client.until_status(&id, "succeeded").await;
    assert_eq!(job["attempt"], 2);
    let received = shop.double.received();
    let writes = received
        .iter()
        .filter(|received| received.line.starts_with("PATCH"));
    assert_eq!(writes.count(), 1, "what is there already is not written again");
}
