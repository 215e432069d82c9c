//! A ComfyUI that the worker starts: a process of its own, that may die before, with and after its worker.

use std::{fs, net::Ipv4Addr, path::PathBuf, time::Duration};

use e2e::{
    Client, History, Process,
    patience::{until, within},
    process,
};
use proto::{
    EventKind,
    failure::FailureCode,
    v1::{Host, Job, host::State},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::scene::{Scene, check_picture, count, record};

/// A gateway, and a directory with a program that behaves as ComfyUI does.
pub(crate) struct Workshop {
    pub(crate) scene: Scene,
    pub(crate) client: Client,
    pub(crate) history: History,
    program: PathBuf,
    /// What ComfyUI is started with, but for its port.
    options: String,
    port: u16,
    _gateway: Process,
}

impl Workshop {
    pub(crate) async fn new(options: &str) -> Self {
        let scene = Scene::new().await;
        let history = History::of(&scene.broker).await;
        // a name in the directory of the test, so that what runs of it is found and ended
        let program = scene
            .dir
            .path()
            .canonicalize()
            .expect("a directory")
            .join("comfyui");
        let original = env!("CARGO_BIN_EXE_comfyui");
        fs::hard_link(original, &program)
            .or_else(|_| fs::copy(original, &program).map(drop))
            .expect("a program");
        let (gateway, client) = scene.gateway().await;
        Self {
            scene,
            client,
            history,
            program,
            options: options.to_owned(),
            port: free_port().await,
            _gateway: gateway,
        }
    }

    /// Starts the worker and does not wait for its ComfyUI.
    pub(crate) async fn worker(&self, further: &[(&str, &str)]) -> Process {
        let url = format!("http://127.0.0.1:{}", self.port);
        let command = format!("{} --port {} {}", self.program.display(), self.port, self.options);
        let settings = [
            ("ORCHESTRATOR_SKETCH_ENABLED", "false"),
            ("ORCHESTRATOR_COMFYUI_URL", url.as_str()),
            ("ORCHESTRATOR_COMFYUI_COMMAND", command.as_str()),
            ("ORCHESTRATOR_COMFYUI_POLL", "100ms"),
            ("ORCHESTRATOR_COMFYUI_REFRESH", "200ms"),
            ("ORCHESTRATOR_COMFYUI_LOST_AFTER", "500ms"),
            ("ORCHESTRATOR_COMFYUI_RESTART_PAUSE", "300ms"),
        ];
        let settings = [settings.as_slice(), further].concat();
        self.scene.worker("w1", &settings, &self.client).await
    }

    /// Starts the worker and waits until the ComfyUI that it started serves. A port that somebody else has
    /// taken meanwhile is replaced by another.
    pub(crate) async fn serving(&mut self, further: &[(&str, &str)]) -> (Process, Host) {
        for _ in 0..5 {
            let mut worker = self.worker(further).await;
            let host = until("ComfyUI to run, or not", || async {
                let host = self.host().await?;
                let settled = matches!(host.state(), State::Running | State::BackingOff | State::Failed);
                settled.then_some(host)
            })
            .await;
            if host.state() == State::Running {
                self.until_healthy(true).await;
                return (worker, host);
            }
            worker.kill().await;
            self.port = free_port().await;
        }
        panic!("no port is free");
    }

    /// The state of the process, as the worker tells it now.
    pub(crate) async fn host(&self) -> Option<Host> {
        let (status, mut told) = self.client.get("/api/workers/w1/comfyui/status").await;
        told.as_object_mut()?.remove("offer");
        (status == StatusCode::OK).then(|| serde_json::from_value(told).expect("a host"))
    }

    pub(crate) async fn until_state(&self, wanted: State) -> Host {
        until(&format!("ComfyUI to be {wanted:?}"), || async {
            self.host().await.filter(|host| host.state() == wanted)
        })
        .await
    }

    /// Waits until the gateway knows whether the worker takes jobs; its offer.
    pub(crate) async fn until_healthy(&self, wanted: bool) -> Value {
        until(&format!("the offer to be healthy: {wanted}"), || async {
            let (_, worker) = self.client.get("/api/workers/w1").await;
            let offer = worker["backends"].get(0)?.clone();
            let healthy = offer["healthy"].as_bool().unwrap_or_default();
            (healthy == wanted).then_some(offer)
        })
        .await
    }

    /// Posts to a route of the worker's ComfyUI; the answer.
    pub(crate) async fn ask(&self, action: &str) -> Value {
        let path = format!("/api/workers/w1/comfyui/{action}");
        let (status, told) = self.client.post(&path, &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{action}: {told}");
        told
    }

    /// What ComfyUI printed, as the worker tells it.
    pub(crate) async fn log(&self) -> Vec<String> {
        let (status, told) = self.client.get("/api/workers/w1/comfyui/logs?lines=500").await;
        assert_eq!(status, StatusCode::OK, "{told}");
        serde_json::from_value(told["lines"].clone()).expect("lines")
    }

    /// How often ComfyUI printed a line.
    pub(crate) async fn printed(&self, text: &str) -> usize {
        self.log().await.iter().filter(|line| line.contains(text)).count()
    }

    /// Submits a job and waits until ComfyUI is in the middle of it.
    pub(crate) async fn begin(&self, request: &Value) -> String {
        let before = self.printed("got prompt").await;
        let id = self.client.submit(request).await;
        until("the prompt to run", || async {
            (self.printed("got prompt").await > before).then_some(())
        })
        .await;
        id
    }

    pub(crate) async fn check_success(&mut self, id: &str, attempts: u32) -> Job {
        let job = record(&self.client.until_status(id, "succeeded").await);
        assert_eq!(job.attempt, attempts, "{job:#?}");
        check_picture(&self.client, &job).await;
        self.history.check(&[id.to_owned()]).await;
        job
    }

    /// The processes of the program that run.
    pub(crate) fn running(&self) -> Vec<u32> {
        process::running_in(self.scene.dir.path())
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        for pid in self.running() {
            process::kill(pid);
        }
    }
}

/// A port that was free just now.
async fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let address = listener.expect("a free port").local_addr();
    address.expect("an address").port()
}

pub(crate) fn picture(prompt: &str, steps: u32) -> Value {
    json!({ "comfyui": {
        "prompt": prompt, "checkpoint": "v1-5-pruned-emaonly.safetensors",
        "seed": "7", "width": 64, "height": 64, "steps": steps,
    } })
}

/// Takes about two seconds with the `--step-time` of the tests.
const LONG: u32 = 20;
const STEPS: &str = "--step-time 100ms";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_comfyui_to_come_up() {
    let mut shop = Workshop::new("--start-delay 1500ms").await;
    let mut worker = shop.worker(&[]).await;
    let id = shop.client.submit(&picture("a lighthouse", 4)).await;
    let job = within(Duration::from_secs(5), "why it waits", || async {
        let job = shop.client.job(&id).await;
        let message = job["waiting"]["message"].as_str()?.to_owned();
        message.contains("starting").then_some(job)
    })
    .await;
    assert_eq!(job["waiting"]["reason"], "unservable", "{job:#}");
    shop.check_success(&id, 1).await;
    let host = shop.host().await.expect("its state");
    assert_eq!(
        (host.state(), host.restarts, host.adopted),
        (State::Running, 0, false)
    );
    assert_eq!(shop.running(), [host.pid]);
    assert!(
        shop.printed("Starting server").await == 1,
        "{:?}",
        shop.log().await
    );
    assert_eq!(worker.stop().await, Some(0));
    assert!(shop.running().is_empty(), "it ends with its worker");
}

#[tokio::test(flavor = "multi_thread")]
async fn comfyui_dies_in_the_middle_and_is_started_again() {
    let mut shop = Workshop::new(STEPS).await;
    let (_worker, host) = shop.serving(&[]).await;
    let id = shop.begin(&picture("a lighthouse", LONG)).await;
    process::kill(host.pid);
    let job = shop.check_success(&id, 2).await;
    let failure = job.attempts[0].failure.clone().unwrap_or_default();
    let of_death = [FailureCode::ComfyuiLost, FailureCode::ComfyuiUnreachable].map(FailureCode::as_str);
    assert!(of_death.contains(&failure.code.as_str()), "{job:#?}");
    assert!(
        failure.message.contains("signal 9"),
        "it is told how: {failure:?}"
    );
    assert_eq!(count(&job, EventKind::RetryScheduled), 1, "{job:#?}");
    let next = shop.until_state(State::Running).await;
    assert_eq!(next.restarts, 1, "{next:?}");
    assert!(next.pid != host.pid && shop.running() == [next.pid], "{next:?}");
    assert!(next.message.contains("signal 9"), "{next:?}");
    assert_eq!(shop.printed("got prompt").await, 2, "{:?}", shop.log().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn comfyui_outlives_its_worker_and_is_taken_over() {
    let mut shop = Workshop::new(STEPS).await;
    let (mut worker, host) = shop.serving(&[]).await;
    let id = shop.begin(&picture("a lighthouse", LONG)).await;
    worker.kill().await;
    assert_eq!(shop.running(), [host.pid], "it goes on");
    let mut next = shop.worker(&[]).await;
    shop.check_success(&id, 2).await;
    let adopted = shop.until_state(State::Running).await;
    assert_eq!(
        (adopted.pid, adopted.adopted, adopted.restarts),
        (host.pid, true, 0)
    );
    assert_eq!(shop.printed("got prompt").await, 1, "{:?}", shop.log().await);
    assert_eq!(shop.printed("Prompt executed").await, 1, "{:?}", shop.log().await);
    assert!(next.log().contains("adopting what comfyui has"));
    assert_eq!(next.stop().await, Some(0));
    assert!(
        shop.running().is_empty(),
        "it ends with the worker that took it over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_comfyui_is_restarted() {
    let mut shop = Workshop::new("--poison").await;
    let (_worker, host) = shop.serving(&[]).await;
    let mut request = picture("poison", 4);
    request["max_attempts"] = 1.into();
    let id = shop.client.submit(&request).await;
    let job = record(&shop.client.until_status(&id, "failed").await);
    let failure = job.failure.clone().unwrap_or_default();
    // what the run says, or what the log said before anybody could ask for that
    let of_poison = [FailureCode::ComfyuiFailed, FailureCode::ComfyuiLost].map(FailureCode::as_str);
    assert!(of_poison.contains(&failure.code.as_str()), "{job:#?}");
    let said = format!("{} {}", failure.message, failure.detail);
    assert!(said.contains("illegal memory access"), "{failure:?}");
    let id = shop.client.submit(&picture("a lighthouse", 4)).await;
    shop.check_success(&id, 1).await;
    let next = shop.until_state(State::Running).await;
    assert!(next.pid != host.pid && next.restarts == 1, "{next:?}");
    assert!(next.message.contains("illegal memory access"), "{next:?}");
}

/// What ends the thread that runs prompts as soon as it takes the next one: prompts of one id and number.
async fn end_thread(shop: &Workshop) {
    let body = json!({
        "prompt_id": "00000000-0000-4000-8000-000000000001", "client_id": "x", "number": 5,
        "prompt": {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
        },
    });
    let url = format!("http://127.0.0.1:{}/prompt", shop.port);
    for _ in 0..3 {
        let post = reqwest::Client::new().post(&url).json(&body);
        post.send().await.expect("an answer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comfyui_whose_thread_has_died_is_restarted() {
    let mut shop = Workshop::new(STEPS).await;
    let (_worker, host) = shop.serving(&[]).await;
    let first = shop.begin(&picture("a lighthouse", LONG)).await;
    end_thread(&shop).await;
    let second = shop.client.submit(&picture("a harbour", 2)).await;
    let next = until("another process", || async {
        let next = shop.host().await?;
        (next.state() == State::Running && next.pid != host.pid).then_some(next)
    })
    .await;
    assert_eq!(next.restarts, 1, "{next:?}");
    assert!(
        next.message.contains("the thread that runs ComfyUI's queue died"),
        "{next:?}"
    );
    // the first may be over, and its picture not fetched yet
    for id in [&first, &second] {
        let job = record(&shop.client.until_status(id, "succeeded").await);
        assert!(job.attempt <= 2, "{job:#?}");
        check_picture(&shop.client, &job).await;
    }
    assert_eq!(shop.printed("(prompt_worker)").await, 1, "{:?}", shop.log().await);
    shop.history.check(&[first, second]).await;
}
