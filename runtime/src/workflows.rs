//! Workflows that people keep: one message a name, the newest only.

use async_nats::jetstream::message::PublishMessage;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use proto::{subjects, topology, v1::Workflow};

use crate::bus::{Bus, BusError};

/// How many are read at the same time.
const READS: usize = 16;

/// Reads and writes stored workflows. Names have been checked. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Workflows {
    bus: Bus,
}

impl Workflows {
    /// Over this connection.
    pub const fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// The names that are stored, in order.
    ///
    /// # Errors
    /// From the broker.
    pub async fn names(&self) -> Result<Vec<String>, BusError> {
        let found = self
            .bus
            .subjects(topology::WORKFLOWS, subjects::WORKFLOWS)
            .await?;
        let mut names: Vec<String> = found
            .iter()
            .filter_map(|subject| subject.rsplit_once('.'))
            .map(|(_, name)| name.to_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// All that are stored, in the order of their names.
    ///
    /// # Errors
    /// From the broker.
    pub async fn list(&self) -> Result<Vec<Workflow>, BusError> {
        let names = self.names().await?;
        let reads = names
            .into_iter()
            .map(|name| async move { self.load(&name).await });
        let found: Vec<Option<Workflow>> = stream::iter(reads).buffered(READS).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// One, with its revision.
    ///
    /// # Errors
    /// From the broker.
    pub async fn load(&self, name: &str) -> Result<Option<Workflow>, BusError> {
        let subject = subjects::workflow(name);
        let Some(message) = self.bus.last(topology::WORKFLOWS, &subject).await? else {
            return Ok(None);
        };
        match Workflow::decode(message.payload) {
            Ok(workflow) => Ok(Some(Workflow {
                revision: message.revision,
                ..workflow
            })),
            Err(source) => Err(BusError::Garbled { subject, source }),
        }
    }

    /// Stores one; gives its revision. `replaces` is the revision that it may replace, 0 where there must be
    /// none, `None` where that does not matter.
    ///
    /// # Errors
    /// [`BusError::Conflict`] where another revision is there, [`BusError::TooLarge`], or from the broker.
    pub async fn store(&self, workflow: &Workflow, replaces: Option<u64>) -> Result<u64, BusError> {
        let stored = Workflow {
            revision: 0,
            built_in: false,
            ..workflow.clone()
        };
        let mut message = PublishMessage::build().payload(stored.encode_to_vec().into());
        if let Some(revision) = replaces {
            message = message.expected_last_subject_sequence(revision);
        }
        let subject = subjects::workflow(&workflow.name);
        let written = async {
            let ack = self.bus.context().send_publish(subject, message).await?;
            ack.await
        };
        let ack = self.bus.answered("store a workflow", written).await?;
        ack.map(|ack| ack.sequence).map_err(BusError::of_publish)
    }

    /// Removes one of a revision, and leaves no trace of it; `false` where it was gone already.
    ///
    /// # Errors
    /// From the broker.
    pub async fn remove(&self, revision: u64) -> Result<bool, BusError> {
        self.bus.remove(topology::WORKFLOWS, revision).await
    }
}
