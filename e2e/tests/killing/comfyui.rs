//! ComfyUI behind a worker that is killed: what ComfyUI works on or has finished is adopted, not asked again.

use std::time::Duration;

use connectors::comfyui::double::{Double, DoubleOptions, Observed};
use e2e::{Client, History, Process};
use proto::{EventKind, Status, failure::FailureCode};
use serde_json::{Value, json};

use crate::scene::{Scene, check_picture, count, record};

/// A double of ComfyUI, a gateway, and settings for workers on that ComfyUI.
pub(crate) struct Studio {
    pub(crate) scene: Scene,
    pub(crate) double: Double,
    url: String,
    pub(crate) history: History,
    pub(crate) client: Client,
    _gateway: Process,
}

impl Studio {
    pub(crate) async fn new() -> Self {
        connectors::install_tls();
        let double = Double::start(DoubleOptions::default()).await.expect("a double");
        let scene = Scene::new().await;
        let history = History::of(&scene.broker).await;
        let (gateway, client) = scene.gateway().await;
        Self {
            url: double.url().to_string(),
            double,
            history,
            client,
            _gateway: gateway,
            scene,
        }
    }

    pub(crate) async fn worker(&self, drill: &[(&str, &str)]) -> Process {
        let settings = [
            ("ORCHESTRATOR_SKETCH_ENABLED", "false"),
            ("ORCHESTRATOR_COMFYUI_URL", self.url.as_str()),
            ("ORCHESTRATOR_COMFYUI_POLL", "100ms"),
            ("ORCHESTRATOR_COMFYUI_REFRESH", "200ms"),
            ("ORCHESTRATOR_COMFYUI_LOST_AFTER", "500ms"),
        ];
        let settings = [settings.as_slice(), drill].concat();
        self.scene.worker("w1", &settings, &self.client).await
    }

    /// Submits text to image, with ComfyUI standing still in the middle of the sampling; gives the job's id.
    async fn stand_still(&self) -> String {
        self.double.hold();
        self.double.release(1);
        let id = self.client.submit(&text_to_image()).await;
        self.until(|seen| seen.running.is_some() && seen.steps == 1).await;
        id
    }

    pub(crate) async fn until(&self, wanted: impl Fn(&Observed) -> bool) -> Observed {
        tokio::time::timeout(Duration::from_secs(30), self.double.until(wanted))
            .await
            .unwrap_or_else(|_| panic!("in vain: {:?}", self.double.observed()))
    }

    /// The job succeeded with these numbers of attempts and of prompts that ComfyUI was given.
    async fn check_end(&mut self, id: &str, attempts: u32, prompts: usize) {
        let job = record(&self.client.until_status(id, "succeeded").await);
        assert_eq!(job.attempt, attempts, "{job:#?}");
        let received = self.double.received();
        assert_eq!(received.len(), prompts, "{received:#?}");
        check_picture(&self.client, &job).await;
        self.history.check(&[id.to_owned()]).await;
        self.scene.until_no_tokens().await;
    }
}

fn text_to_image() -> Value {
    json!({ "comfyui": {
        "prompt": "a lighthouse", "checkpoint": "v1-5-pruned-emaonly.safetensors",
        "seed": "7", "width": 96, "height": 64, "steps": 4,
    } })
}

#[tokio::test(flavor = "multi_thread")]
async fn text_becomes_a_picture() {
    let mut studio = Studio::new().await;
    let _worker = studio.worker(&[]).await;
    let id = studio.client.submit(&text_to_image()).await;
    studio.check_end(&id, 1, 1).await;
    let job = record(&studio.client.job(&id).await);
    assert_eq!(
        (job.outputs[0].width, job.outputs[0].height),
        (96, 64),
        "{job:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_comfyui_works() {
    let mut studio = Studio::new().await;
    let mut worker = studio.worker(&[]).await;
    let id = studio.stand_still().await;
    worker.kill().await;
    let next = studio.worker(&[]).await;
    next.until_logged("adopting what comfyui has").await;
    studio.double.run_freely();
    studio.check_end(&id, 2, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_after_comfyui_has_finished() {
    let mut studio = Studio::new().await;
    let mut worker = studio.worker(&[]).await;
    let id = studio.stand_still().await;
    worker.kill().await;
    // it finishes with nobody there
    studio.double.run_freely();
    studio.until(|seen| seen.ended.len() == 1).await;
    let next = studio.worker(&[]).await;
    studio.check_end(&id, 2, 1).await;
    assert!(next.log().contains("adopting what comfyui has"));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_the_record() {
    let mut studio = Studio::new().await;
    let mut worker = studio.worker(&[("ORCHESTRATOR_WORKER_CRASH_AT", "stored")]).await;
    let id = studio.client.submit(&text_to_image()).await;
    assert_eq!(
        worker.ended(Duration::from_secs(30)).await,
        None,
        "it died of a signal"
    );
    let _next = studio.worker(&[]).await;
    studio.check_end(&id, 2, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comfyui_is_started_anew_in_the_middle() {
    let mut studio = Studio::new().await;
    let _worker = studio.worker(&[]).await;
    let id = studio.stand_still().await;
    studio.double.restart_empty();
    studio.double.run_freely();
    studio.check_end(&id, 2, 2).await;
    let job = record(&studio.client.job(&id).await);
    let failure = job.attempts[0].failure.clone().unwrap_or_default();
    assert_eq!(failure.code, FailureCode::ComfyuiLost.as_str(), "{job:#?}");
    assert_eq!(count(&job, EventKind::RetryScheduled), 1, "{job:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_reaches_comfyui() {
    let mut studio = Studio::new().await;
    let _worker = studio.worker(&[]).await;
    let id = studio.stand_still().await;
    studio.client.cancel(&id).await;
    let job = record(&studio.client.until_status(&id, "cancelled").await);
    assert_eq!(
        (job.status(), job.outputs.len()),
        (Status::Cancelled, 0),
        "{job:#?}"
    );
    let seen = studio.until(|seen| seen.running.is_none()).await;
    assert_eq!(
        (seen.pending.len(), seen.steps),
        (0, 1),
        "it stopped in the middle"
    );
    studio.history.check(&[id]).await;
    // and takes the next job
    studio.double.run_freely();
    let id = studio.client.submit(&text_to_image()).await;
    studio.check_end(&id, 1, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_jobs_only_the_lost_one_is_run_again() {
    let mut studio = Studio::new().await;
    let _worker = studio.worker(&[]).await;
    let lost = studio.stand_still().await;
    let mut ids = vec![lost.clone()];
    for seed in 1..8 {
        let mut request = text_to_image();
        request["comfyui"]["seed"] = (100 + seed).to_string().into();
        ids.push(studio.client.submit(&request).await);
    }
    studio.double.restart_empty();
    studio.double.run_freely();
    for id in &ids {
        let job = record(&studio.client.until_status(id, "succeeded").await);
        let again = usize::from(*id == lost);
        assert_eq!(job.attempt as usize, 1 + again, "{job:#?}");
        assert_eq!(count(&job, EventKind::RetryScheduled), again, "{job:#?}");
        let why = job.timeline.iter().filter(|event| event.reason == "comfyui_lost");
        assert_eq!(why.count(), again, "it is told why: {job:#?}");
        check_picture(&studio.client, &job).await;
    }
    let runs = studio.double.executed();
    let made = runs.iter().filter(|run| run.succeeded).count();
    assert_eq!((runs.len(), made), (ids.len() + 1, ids.len()), "{runs:#?}");
    studio.history.check(&ids).await;
    studio.scene.until_no_tokens().await;
}
