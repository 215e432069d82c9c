//! A client beside a double of its own, and what the tests ask of them.

use std::time::Duration;

use connectors::comfyui::double::{Double, DoubleOptions};
use connectors::comfyui::{
    Accepted, Client, Error, Event, Events, Options, Outcome, OutputFile, Standing, Submission,
};
use futures::StreamExt;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const CHECKPOINT: &str = "v1-5-pruned-emaonly.safetensors";

pub(crate) struct Bench {
    pub(crate) double: Double,
    pub(crate) client: Client,
    pub(crate) client_id: String,
}

impl Bench {
    pub(crate) async fn new(options: DoubleOptions) -> Self {
        Self::with(options, Options::default()).await
    }

    pub(crate) async fn with(options: DoubleOptions, limits: Options) -> Self {
        connectors::install_tls();
        let double = Double::start(options).await.expect("a double");
        let client = Client::new(double.url(), limits).expect("a client");
        Self {
            double,
            client,
            client_id: Uuid::new_v4().to_string(),
        }
    }

    pub(crate) async fn submit(&self, graph: &Value) -> Result<Accepted, Error> {
        let prompt_id = Uuid::new_v4();
        let submission = Submission {
            graph,
            prompt_id,
            client_id: &self.client_id,
            extra_data: None,
        };
        let accepted = self.client.submit(&submission).await?;
        assert_eq!(accepted.prompt_id, prompt_id);
        Ok(accepted)
    }

    pub(crate) async fn post(&self, graph: &Value) -> Uuid {
        self.submit(graph).await.expect("an accepted prompt").prompt_id
    }

    pub(crate) async fn runs(&self, id: Uuid) {
        let id = id.to_string();
        soon(self.double.until(|seen| seen.running.as_ref() == Some(&id))).await;
    }

    pub(crate) async fn ends(&self, id: Uuid) -> Outcome {
        let text = id.to_string();
        soon(self.double.until(|seen| seen.ended.contains(&text))).await;
        let standing = self.client.standing(id).await.expect("a standing");
        let Standing::Ended(outcome) = standing else {
            panic!("{standing:?} is no end")
        };
        outcome
    }

    pub(crate) async fn connect(&self) -> Events {
        self.client
            .connect_events(&self.client_id)
            .await
            .expect("a socket")
    }
}

/// With a deadline, so that a test that waits in vain fails and does not hang.
pub(crate) async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("in time")
}

pub(crate) async fn next(events: &mut Events) -> Result<Event, Error> {
    soon(events.next()).await.expect("another event")
}

/// All events up to the one that says that this prompt is over.
pub(crate) async fn until_over(events: &mut Events, id: Uuid) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = next(events).await.expect("an event");
        let over = matches!(&event, Event::Executing { node: None, prompt_id: Some(of), .. } if *of == id.to_string());
        seen.push(event);
        if over {
            return seen;
        }
    }
}

pub(crate) fn succeeded(outcome: Outcome) -> Vec<OutputFile> {
    let Outcome::Succeeded { outputs } = outcome else {
        panic!("{outcome:?} is no success")
    };
    outputs
}

pub(crate) fn quick(request: Duration) -> Options {
    Options {
        request_timeout: request,
        ..Options::default()
    }
}

pub(crate) fn sampler(seed: u64, steps: u64) -> Value {
    json!({
        "3": {"class_type": "KSampler", "inputs": {
            "seed": seed, "steps": steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal",
            "denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0],
            "latent_image": ["5", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINT}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 96, "height": 64, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "cat", "images": ["8", 0]}},
    })
}
