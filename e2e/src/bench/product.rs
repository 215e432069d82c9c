//! The product: a gateway and a worker as a user runs them, with a backend that does nothing.

use futures::StreamExt as _;
use prost::Message as _;
use proto::{Status, lifecycle, subjects, v1::Job};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};

use super::{Contestant, Sighting};
use crate::Client;

/// The product, seen through its HTTP surface.
#[derive(Debug)]
pub struct Product {
    client: Client,
    request: Value,
}

impl Product {
    /// Through this gateway.
    ///
    /// # Errors
    /// From the broker.
    pub async fn start(
        url: &str,
        client: Client,
    ) -> anyhow::Result<(Self, mpsc::UnboundedReceiver<Sighting>)> {
        let request = json!({ "sketch": { "prompt": "nothing at all", "rehearsal": { "act": "noop" } } });
        Ok((Self { client, request }, watch(url).await?))
    }
}

async fn watch(url: &str) -> anyhow::Result<mpsc::UnboundedReceiver<Sighting>> {
    let client = async_nats::connect(url).await?;
    let mut messages = client.subscribe(subjects::JOBS).await?;
    client.flush().await?;
    let (sender, sightings) = mpsc::unbounded_channel();
    #[expect(clippy::disallowed_methods, reason = "ends with its channel")]
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            let at = Instant::now();
            let Ok(job) = Job::decode(message.payload) else {
                continue;
            };
            let over = lifecycle::is_finished(job.status());
            if (over || job.status() == Status::Running)
                && sender.send(Sighting { id: job.id, over, at }).is_err()
            {
                return;
            }
        }
    });
    Ok(sightings)
}

impl Contestant for Product {
    fn name(&self) -> &'static str {
        "orchestrator, over HTTP"
    }

    async fn submit(&self) -> anyhow::Result<String> {
        let (status, job) = self.client.post("/api/jobs", &self.request).await;
        anyhow::ensure!(status.is_success(), "not accepted: {job}");
        Ok(job["id"].as_str().unwrap_or_default().to_owned())
    }
}
