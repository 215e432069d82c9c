//! A sampler's steps, with their progress and previews.

use serde_json::{Value, json};

use super::engine::{Run, Stop};
use super::graph::sampler_steps;
use super::world::Outgoing;

/// A preview as the server sends one: JPEG, at most 512 pixels a side.
const PREVIEW: &[u8] = include_bytes!("preview.jpg");

impl Run<'_> {
    /// Runs a sampler, step by step.
    pub(super) async fn sample(&mut self, id: &str, steps: u64) -> Result<(), Stop> {
        for step in 1..=steps {
            // an interrupt ends the wait for a permit, as if the step had just ended
            self.world
                .until(|state| {
                    let interrupted = state.running.as_ref()?.interrupted;
                    let still = state.stands_still();
                    match &mut state.permits {
                        _ if still => None,
                        None => Some(()),
                        Some(_) if interrupted => Some(()),
                        Some(0) => None,
                        Some(permits) => {
                            *permits -= 1;
                            Some(())
                        }
                    }
                })
                .await;
            self.ready(id).await?;
            if !self.world.options.step_time.is_zero() {
                tokio::time::sleep(self.world.options.step_time).await;
            }
            self.step(id, step as f64, steps as f64);
            self.world.edit(|state| state.steps += 1);
            // or nobody else would get a turn during a free run
            tokio::task::yield_now().await;
            self.ready(id).await?;
        }
        Ok(())
    }

    /// One unit of a node's progress, with a preview if it is a sampler's.
    pub(super) fn step(&mut self, id: &str, step: f64, steps: f64) {
        let previews = self.world.options.previews
            && self.item.extra_data.get("preview_method").and_then(Value::as_str) != Some("none");
        let previews = previews && sampler_steps(&self.item.graph, id).is_some();
        self.state_of(id, step, steps, "running");
        let data = json!({"value": step, "max": steps, "prompt_id": self.item.prompt_id, "node": id});
        let metadata = json!({
            "node_id": id, "prompt_id": self.item.prompt_id, "display_node_id": id,
            "parent_node_id": null, "real_node_id": id, "image_type": "image/jpeg",
        })
        .to_string();
        self.world.edit(|state| {
            let client = self
                .item
                .client_id()
                .and_then(|client_id| state.sockets.get(client_id));
            let rich = client.is_some_and(|socket| socket.preview_metadata);
            // with metadata the preview comes before its progress, without it after
            if let Some(socket) = client.filter(|_| previews && rich) {
                let head = [4_u32.to_be_bytes(), (metadata.len() as u32).to_be_bytes()].concat();
                socket.write(Outgoing::Binary([&head, metadata.as_bytes(), PREVIEW].concat()));
            }
            state.send(self.item.client_id(), "progress", &data);
            if let Some(socket) = client.filter(|_| previews && !rich) {
                let head = [1_u32.to_be_bytes(), 1_u32.to_be_bytes()].concat();
                socket.write(Outgoing::Binary([&head, PREVIEW].concat()));
            }
        });
    }
}
