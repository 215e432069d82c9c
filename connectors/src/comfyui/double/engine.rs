//! Runs prompts one at a time, as the server's worker thread does, in its order of messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::craft;
use super::graph::{class_of, order, sampler_steps, signatures};
use super::world::{Item, PlannedFailure, State, World, now_ms};

/// Runs for ever. A restart drops the prompt that runs, wherever it is.
pub(super) async fn run(world: Arc<World>) {
    loop {
        let life = world.read(|state| state.life);
        let serve = async {
            loop {
                let item = world.until(State::take_next).await;
                Run::new(&world, item).run().await;
            }
        };
        tokio::select! {
            biased;
            () = world.until(|state| (state.life != life).then_some(())) => {}
            () = serve => {}
        }
    }
}

/// Why a prompt did not run to its end.
pub(super) enum Stop {
    Interrupted { node: String },
    Failed { node: String, failure: PlannedFailure },
}

/// One prompt's run.
pub(super) struct Run<'a> {
    pub(super) world: &'a World,
    pub(super) item: Item,
    order: Vec<String>,
    signatures: BTreeMap<String, u64>,
    /// Node → how far it is, as `progress_state` shows it.
    progress: Map<String, Value>,
    executed: Vec<String>,
    outputs: Map<String, Value>,
    messages: Vec<Value>,
}

impl<'a> Run<'a> {
    fn new(world: &'a World, item: Item) -> Self {
        let order = order(&item.graph, &item.outputs);
        let signatures = signatures(&item.graph, &order);
        let (progress, outputs) = (Map::new(), Map::new());
        Self {
            world,
            item,
            order,
            signatures,
            progress,
            executed: Vec::new(),
            outputs,
            messages: Vec::new(),
        }
    }

    async fn run(mut self) {
        self.world.edit(|state| state.broadcast_status());
        self.milestone("execution_start", json!({}));
        let cache = self.world.read(|state| state.cache.clone());
        let cached: Vec<String> = self
            .order
            .iter()
            .filter(|id| cache.contains_key(&self.signatures[*id]))
            .cloned()
            .collect();
        self.milestone("execution_cached", json!({"nodes": cached}));
        let began = Instant::now();
        let mut result = Ok(());
        for id in self.order.clone() {
            if let Some(shown) = cache.get(&self.signatures[&id]) {
                self.show(&id, shown.clone());
                continue;
            }
            result = self.node(&id).await;
            if result.is_err() {
                break;
            }
        }
        let line = format!("Prompt executed in {:.2} seconds", began.elapsed().as_secs_f64());
        match result {
            Ok(()) => self.milestone("execution_success", json!({})),
            Err(Stop::Interrupted { node }) => {
                self.world.edit(|state| state.say("Processing interrupted"));
                let node_type = class_of(&self.item.graph, &node);
                let executed = self.executed.clone();
                self.milestone(
                    "execution_interrupted",
                    json!({"node_id": node, "node_type": node_type, "executed": executed}),
                );
            }
            Err(Stop::Failed { node, failure }) => self.error(&node, &failure),
        }
        // on the server, too, the entry comes after the message, and somebody may look in between
        tokio::task::yield_now().await;
        self.world
            .until(|state| (!state.endings_held).then_some(()))
            .await;
        self.close(&line);
    }

    /// A message that goes to the client and into the history.
    fn milestone(&mut self, kind: &str, mut data: Value) {
        data["prompt_id"] = json!(self.item.prompt_id);
        data["timestamp"] = json!(now_ms());
        self.send(kind, &data);
        self.messages.push(json!([kind, data]));
    }

    fn send(&self, kind: &str, data: &Value) {
        self.world
            .read(|state| state.send(self.item.client_id(), kind, data));
    }

    fn error(&mut self, node: &str, failure: &PlannedFailure) {
        let line = format!("!!! Exception during processing !!! {}", failure.message);
        self.world.edit(|state| state.say(&line));
        let inputs = self.item.graph[node]["inputs"].as_object().into_iter().flatten();
        let inputs: Map<String, Value> = inputs
            .map(|(name, value)| (name.clone(), json!([value])))
            .collect();
        let data = json!({
            "node_id": node,
            "node_type": class_of(&self.item.graph, node),
            "executed": self.executed,
            "exception_message": format!("{}\n", failure.message),
            "exception_type": failure.exception_type,
            "traceback": ["  File \"execution.py\", line 1, in execute\n"],
            "current_inputs": inputs,
            "current_outputs": self.outputs.keys().collect::<Vec<_>>(),
        });
        self.milestone("execution_error", data);
    }

    async fn node(&mut self, id: &str) -> Result<(), Stop> {
        self.ready(id).await?;
        self.world.edit(|state| {
            if let Some(running) = &mut state.running {
                running.node = Some(id.to_owned());
            }
        });
        self.state_of(id, 0.0, 1.0, "running");
        let prompt_id = self.item.prompt_id.clone();
        self.send(
            "executing",
            &json!({"node": id, "display_node": id, "prompt_id": prompt_id}),
        );
        let failure = match self.planned_failure(id) {
            None => self.load(id).await.err().or_else(|| self.device_failure(id)),
            planned => planned,
        };
        if let Some(failure) = failure {
            return Err(Stop::Failed {
                node: id.to_owned(),
                failure,
            });
        }
        if let Some(steps) = sampler_steps(&self.item.graph, id) {
            self.sample(id, steps).await?;
        }
        if class_of(&self.item.graph, id) == "ImageUpscaleWithModel" {
            self.step(id, 1.0, 1.0);
        }
        let work = craft::work(self.world, &self.item, id, self.signatures[id]);
        let shown = work.map_err(|failure| Stop::Failed {
            node: id.to_owned(),
            failure,
        })?;
        self.show(id, shown.clone());
        self.executed.push(id.to_owned());
        self.state_of(id, 1.0, 1.0, "finished");
        Ok(())
    }

    /// Before a node and after every step the server looks whether it shall stop. A hung one does not.
    pub(super) async fn ready(&self, id: &str) -> Result<(), Stop> {
        let interrupted = self
            .world
            .until(|state| {
                let running = state.running.as_ref()?;
                (!state.stands_still()).then_some(running.interrupted)
            })
            .await;
        if interrupted {
            Err(Stop::Interrupted { node: id.to_owned() })
        } else {
            Ok(())
        }
    }

    pub(super) fn state_of(&mut self, id: &str, value: f64, max: f64, state: &str) {
        let prompt_id = self.item.prompt_id.clone();
        let node = json!({
            "value": value, "max": max, "state": state, "node_id": id, "prompt_id": prompt_id,
            "display_node_id": id, "parent_node_id": null, "real_node_id": id,
        });
        self.progress.insert(id.to_owned(), node);
        self.send(
            "progress_state",
            &json!({"prompt_id": prompt_id, "nodes": self.progress}),
        );
    }

    fn planned_failure(&self, id: &str) -> Option<PlannedFailure> {
        let class = class_of(&self.item.graph, id);
        self.world.edit(|state| {
            let place = state
                .failures
                .iter()
                .position(|planned| planned.node == id || planned.node == class)?;
            Some(state.failures.remove(place))
        })
    }

    fn show(&mut self, id: &str, shown: Option<Value>) {
        let Some(output) = shown else { return };
        let data =
            json!({"node": id, "display_node": id, "output": output, "prompt_id": self.item.prompt_id});
        self.send("executed", &data);
        self.outputs.insert(id.to_owned(), output);
    }

    /// Writes the history entry, then tells that the prompt is over.
    fn close(self, line: &str) {
        let last = self
            .messages
            .last()
            .and_then(|message| message[0].as_str())
            .unwrap_or_default()
            .to_owned();
        let completed = last == "execution_success";
        let meta = |id: &String| {
            (
                id.clone(),
                json!({"node_id": id, "display_node": id, "parent_node": null, "real_node_id": id}),
            )
        };
        let entry = json!({
            "prompt": self.item.json(),
            "outputs": self.outputs,
            "status": {
                "status_str": if completed { "success" } else { "error" },
                "completed": completed,
                "messages": self.messages,
            },
            "meta": self.outputs.keys().map(meta).collect::<Map<_, _>>(),
        });
        let done = self
            .order
            .iter()
            .filter(|id| completed || self.executed.contains(id));
        let cache = done
            .map(|id| (self.signatures[id], self.outputs.get(id).cloned()))
            .collect();
        self.world.edit(|state| {
            // after a restart this run is nobody's any more
            if state
                .running
                .as_ref()
                .is_none_or(|running| running.item.prompt_id != self.item.prompt_id)
            {
                return;
            }
            state.say(line);
            state.running = None;
            state.finished += 1;
            if let Some(execution) = state.executions.last_mut() {
                execution.succeeded = completed;
                execution.nodes = self.executed;
            }
            state.cache = cache;
            state.free();
            // of two runs of one id the history keeps the later
            state.history.retain(|(id, _)| *id != self.item.prompt_id);
            state.history.push((self.item.prompt_id.clone(), entry));
            state.broadcast_status();
            let end = json!({"node": null, "prompt_id": self.item.prompt_id});
            state.send(self.item.client_id(), "executing", &end);
        });
    }
}
