//! What a node meets before it works: model files to read, and a device that may be broken.

use super::engine::Run;
use super::graph::{class_of, needs_device};
use super::options::Corruption;
use super::world::PlannedFailure;

impl Run<'_> {
    /// Reads the model files that a node names. Nothing is heard of it, and an interrupt waits for its end.
    pub(super) async fn load(&self, id: &str) -> Result<(), PlannedFailure> {
        let (class, inputs) = (class_of(&self.item.graph, id), &self.item.graph[id]["inputs"]);
        let (corruption, name) = self.world.read(|state| {
            let models = &state.models;
            (
                models.corruption_of(&class, inputs),
                models.to_load(&class, inputs),
            )
        });
        if let Some((exception_type, message)) = corruption.map(Corruption::exception) {
            return Err(PlannedFailure::new(id, exception_type, message));
        }
        let Some(name) = name else { return Ok(()) };
        self.world.edit(|state| state.loading = Some(name.clone()));
        self.world
            .until(|state| match &mut state.loads {
                None => Some(()),
                Some(0) => None,
                Some(loads) => {
                    *loads -= 1;
                    Some(())
                }
            })
            .await;
        if !self.world.options.load_time.is_zero() {
            tokio::time::sleep(self.world.options.load_time).await;
        }
        self.world
            .until(|state| (!state.stands_still()).then_some(()))
            .await;
        self.world.edit(|state| {
            state.loading = None;
            state.models.loaded(&name, &self.item.graph);
        });
        Ok(())
    }

    /// What a node that needs the device runs into once it is broken.
    pub(super) fn device_failure(&self, id: &str) -> Option<PlannedFailure> {
        let poisons = self.world.options.poison && self.item.graph.to_string().contains("poison");
        let broken = needs_device(&class_of(&self.item.graph, id))
            && self.world.edit(|state| {
                state.poisoned |= poisons;
                state.poisoned
            });
        let message = "CUDA error: an illegal memory access was encountered";
        broken.then(|| PlannedFailure::new(id, "RuntimeError", message))
    }
}
