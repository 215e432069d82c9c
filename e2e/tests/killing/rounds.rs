//! A worker with ComfyUI dies at random moments of a run of jobs: each job is run once, and none is lost.

use std::{collections::BTreeSet, env, time::Duration};

use connectors::comfyui::double::{Double, DoubleOptions};
use e2e::{Client, History, patience::let_pass};
use proto::v1::Job;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    dice::{Dice, seed},
    scene::{Scene, check_picture, record},
};

const JOBS: u64 = 20;
const STEPS: u32 = 4;
const STEP: Duration = Duration::from_millis(25);
/// About as long as all jobs of a round take.
const DEATHS_WITHIN: u64 = 2_300;
const SETTLED: Duration = Duration::from_mins(1);
/// How many rounds there are, unless `ORCHESTRATOR_TEST_ROUNDS` says otherwise.
const ROUNDS: u64 = 3;

fn rounds() -> u64 {
    let chosen = env::var_os("ORCHESTRATOR_TEST_ROUNDS").and_then(|text| text.to_str()?.parse().ok());
    chosen.unwrap_or(ROUNDS)
}

fn picture(seed: u64) -> Value {
    json!({ "comfyui": {
        "prompt": "a lighthouse", "checkpoint": "v1-5-pruned-emaonly.safetensors",
        "seed": seed.to_string(), "width": 64, "height": 64, "steps": STEPS,
    } })
}

/// The seeds of the prompts that ran to success since there were `before` of them, in the order of their runs.
fn seeds_run(double: &Double, before: usize) -> Vec<u64> {
    let received = double.received();
    let ran = double.executed().split_off(before);
    let seed_of = |prompt: &str| {
        let mut posted = received.iter().filter(|posted| posted.accepted);
        let posted = posted.find(|posted| posted.prompt_id.as_deref() == Some(prompt))?;
        let mut nodes = posted.graph.as_object()?.values();
        nodes.find_map(|node| node.pointer("/inputs/seed")?.as_u64())
    };
    ran.iter()
        .map(|run| {
            assert!(run.succeeded, "every run succeeds: {run:#?}");
            seed_of(&run.prompt_id).unwrap_or_else(|| panic!("{run:#?} was posted"))
        })
        .collect()
}

struct Stage {
    scene: Scene,
    double: Double,
    client: Client,
    history: History,
}

impl Stage {
    fn settings(url: &str) -> [(&str, &str); 6] {
        [
            ("ORCHESTRATOR_SKETCH_ENABLED", "false"),
            ("ORCHESTRATOR_COMFYUI_URL", url),
            ("ORCHESTRATOR_COMFYUI_POLL", "100ms"),
            ("ORCHESTRATOR_COMFYUI_REFRESH", "200ms"),
            ("ORCHESTRATOR_COMFYUI_LOST_AFTER", "1s"),
            ("ORCHESTRATOR_COMFYUI_SLOTS", "2"),
        ]
    }

    /// Twenty jobs, and a death of the worker somewhere among them; how many of the jobs it interrupted.
    async fn round(&mut self, number: u64, death: Duration) -> usize {
        let before = self.double.executed().len();
        let url = self.double.url().to_string();
        let settings = Self::settings(&url);
        let mut worker = self.scene.worker("w1", &settings, &self.client).await;
        let begin = Instant::now();
        let seeds: Vec<u64> = (0..JOBS).map(|job| number * JOBS + job).collect();
        let mut accepted = Vec::new();
        for seed in &seeds {
            accepted.push(self.client.submit(&picture(*seed)).await);
        }
        let_pass(
            death
                .saturating_sub(begin.elapsed())
                .max(Duration::from_millis(1)),
        )
        .await;
        worker.kill().await;
        let mut next = self.scene.worker("w1", &settings, &self.client).await;

        let calm = Instant::now();
        let mut interrupted = 0;
        let mut pictures = BTreeSet::new();
        for id in &accepted {
            let left = SETTLED.saturating_sub(calm.elapsed());
            let job = record(&self.client.until_over(id, left).await);
            self.check_job(&job).await;
            interrupted += usize::from(job.attempt > 1);
            pictures.extend(job.outputs.iter().map(|output| output.id.clone()));
        }
        assert_eq!(pictures.len(), accepted.len(), "a result a job");
        let mut ran = seeds_run(&self.double, before);
        ran.sort_unstable();
        assert_eq!(ran, seeds, "each job is run once");
        self.history.check(&accepted).await;
        assert_eq!(next.stop().await, Some(0), "it stops in order");
        interrupted
    }

    async fn check_job(&self, job: &Job) {
        assert_eq!(job.status(), proto::Status::Succeeded, "{job:#?}");
        assert!(job.attempt <= 2, "there was one death: {job:#?}");
        check_picture(&self.client, job).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_job_is_run_once_whenever_the_worker_dies() {
    let seed = seed();
    println!("ORCHESTRATOR_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    connectors::install_tls();
    let options = DoubleOptions {
        step_time: STEP,
        ..DoubleOptions::default()
    };
    let double = Double::start(options).await.expect("a double");
    let scene = Scene::new().await;
    let history = History::of(&scene.broker).await;
    let (_gateway, client) = scene.gateway().await;
    let mut stage = Stage {
        scene,
        double,
        client,
        history,
    };
    for number in 0..rounds() {
        let death = dice.between(50, DEATHS_WITHIN);
        let begin = Instant::now();
        println!("round {number}: the worker dies after {death:?}");
        let interrupted = stage.round(number, death).await;
        println!("{interrupted} interrupted, over after {:?}", begin.elapsed());
    }
    stage.scene.until_no_tokens().await;
}
