//! A ComfyUI that answers and does not work: it is told from one that is slow, and jobs survive it.

use std::time::Duration;

use e2e::{
    Process,
    patience::{let_pass, until},
};
use proto::{EventKind, failure::FailureCode, v1::Job};
use serde_json::Value;

use crate::{
    comfyui::Studio,
    scene::{check_picture, count, record},
    supervised::picture,
};

impl Studio {
    /// A worker that takes jobs.
    async fn ready(&self, further: &[(&str, &str)]) -> Process {
        let worker = self.worker(further).await;
        self.offer(|offer| offer["healthy"] == true).await;
        worker
    }

    /// Waits until the worker's offer is as wanted.
    async fn offer(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        until("the offer", || async {
            let (_, worker) = self.client.get("/api/workers/w1").await;
            let offer = worker["backends"].get(0)?.clone();
            wanted(&offer).then_some(offer)
        })
        .await
    }

    /// The code with which the first attempt failed, as soon as it has.
    async fn first_failure(&self, id: &str) -> String {
        until("the first attempt to fail", || async {
            let job = record(&self.client.job(id).await);
            Some(job.attempts.first()?.failure.clone()?.code)
        })
        .await
    }

    async fn check_success(&mut self, id: &str, attempts: u32) -> Job {
        let job = record(&self.client.until_status(id, "succeeded").await);
        assert_eq!(job.attempt, attempts, "{job:#?}");
        check_picture(&self.client, &job).await;
        self.history.check(&[id.to_owned()]).await;
        self.scene.until_no_tokens().await;
        job
    }

    /// How many runs there were, and how many of them succeeded.
    fn runs(&self) -> (usize, usize) {
        let runs = self.double.executed();
        (runs.len(), runs.iter().filter(|run| run.succeeded).count())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_worker_thread_is_seen_and_the_job_waits_for_a_restart() {
    let mut ward = Studio::new().await;
    let _worker = ward.ready(&[("ORCHESTRATOR_COMFYUI_HUNG_AFTER", "1s")]).await;
    ward.double.kill_worker_thread();
    let id = ward.client.submit(&picture("a lighthouse", 4)).await;
    assert_eq!(ward.first_failure(&id).await, FailureCode::ComfyuiHung.as_str());
    let offer = ward.offer(|offer| offer["healthy"] != true).await;
    let problem = offer["problem"].as_str().expect("a problem");
    assert!(
        problem.contains("worker thread is dead") && problem.contains("restarted"),
        "{offer:#}"
    );
    assert_eq!(ward.runs(), (0, 0));
    // no attempt is spent on it meanwhile
    let_pass(Duration::from_secs(3)).await;
    let job = ward.client.job(&id).await;
    assert_eq!(
        (&job["status"], &job["attempt"]),
        (&"queued".into(), &1.into()),
        "{job:#}"
    );
    let message = job["waiting"]["message"].as_str().expect("why it waits");
    assert!(message.contains("worker thread is dead"), "{job:#}");

    ward.double.restart_empty();
    ward.offer(|offer| offer["healthy"] == true).await;
    let job = ward.check_success(&id, 2).await;
    assert_eq!(count(&job, EventKind::RetryScheduled), 1, "{job:#?}");
    assert_eq!(ward.runs(), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_load_is_no_stall() {
    let mut ward = Studio::new().await;
    let _worker = ward
        .ready(&[
            ("ORCHESTRATOR_WORKER_STALL_TIMEOUT", "1s"),
            ("ORCHESTRATOR_COMFYUI_LOAD_TIMEOUT", "60s"),
        ])
        .await;
    ward.double.hold_loads();
    let id = ward.client.submit(&picture("a lighthouse", 4)).await;
    ward.until(|seen| seen.loading.is_some()).await;
    // much longer than what would be a stall anywhere else
    let_pass(Duration::from_secs(4)).await;
    let job = ward.client.job(&id).await;
    assert_eq!(
        (&job["status"], &job["attempt"]),
        (&"running".into(), &1.into()),
        "{job:#}"
    );
    ward.double.load_freely();
    ward.check_success(&id, 1).await;
    assert_eq!(ward.runs(), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_without_an_end_is_a_stall() {
    let mut ward = Studio::new().await;
    let _worker = ward
        .ready(&[
            ("ORCHESTRATOR_WORKER_STALL_TIMEOUT", "1s"),
            ("ORCHESTRATOR_COMFYUI_LOAD_TIMEOUT", "2s"),
        ])
        .await;
    ward.double.hold_loads();
    let id = ward.client.submit(&picture("a lighthouse", 4)).await;
    assert_eq!(
        ward.first_failure(&id).await,
        FailureCode::BackendStalled.as_str()
    );
    ward.double.load_freely();
    ward.check_success(&id, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_in_the_sampling_is_interrupted_and_tried_again() {
    let mut ward = Studio::new().await;
    let _worker = ward.ready(&[("ORCHESTRATOR_WORKER_STALL_TIMEOUT", "1s")]).await;
    ward.double.hold();
    ward.double.release(2);
    let id = ward.client.submit(&picture("a lighthouse", 6)).await;
    ward.until(|seen| seen.steps == 2).await;
    let first = ward.double.observed().running.expect("it runs");
    assert_eq!(
        ward.first_failure(&id).await,
        FailureCode::BackendStalled.as_str()
    );
    ward.until(|seen| seen.running.as_ref() != Some(&first)).await;
    let requests = ward.double.requests();
    assert!(
        requests.contains(&format!("POST /jobs/{first}/cancel")),
        "{requests:?}"
    );
    ward.double.run_freely();
    ward.check_success(&id, 2).await;
    assert_eq!(ward.runs(), (2, 1));
}
