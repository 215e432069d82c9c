//! The queue of tokens: hints that a job waits. The record decides.

mod delivery;
mod intake;

use std::collections::HashMap;

use async_nats::{
    header,
    jetstream::{
        consumer::{AckPolicy, DeliverPolicy, pull},
        message::PublishMessage,
    },
};
use prost::Message as _;
use proto::{
    Backend, Priority,
    ids::JobId,
    lifecycle,
    moment::{self, Millis},
    subjects,
    topology::{self, Lane},
    v1::{Job, QueueToken},
};

use crate::bus::{Bus, BusError};
pub use delivery::Delivery;
pub use intake::{Intake, LaneKey, Taken};

/// Puts tokens into the queue and takes them out again.
#[derive(Debug, Clone)]
pub struct Queue {
    bus: Bus,
    lane: Lane,
}

impl Queue {
    /// `lane` says how the lanes' consumers behave; every process of a system uses the same.
    pub const fn new(bus: Bus, lane: Lane) -> Self {
        Self { bus, lane }
    }

    /// The connection beneath.
    pub const fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Puts the token of a queued job into its lane, or schedules it where the job's time is ahead.
    /// A token that is there already stays.
    ///
    /// # Errors
    /// From the broker. The reconciler puts tokens that are missing.
    pub async fn put(&self, job: &Job, now: Millis) -> Result<(), BusError> {
        let Ok(id) = job.id.parse::<JobId>() else {
            return Ok(());
        };
        let target = subjects::token(job.backend(), lifecycle::priority(job), &job.lane, id);
        let token = QueueToken {
            job: job.id.clone(),
            record: Some(job.clone()),
        };
        let message = PublishMessage::build()
            .payload(token.encode_to_vec().into())
            .expected_last_subject_sequence(0);
        let (subject, message) = match lifecycle::due_at(job).filter(|due| *due > now) {
            Some(due) => {
                let at = format!("@at {}", rfc3339(due));
                let message = message
                    .header(header::NATS_SCHEDULE, at.as_str())
                    .header(header::NATS_SCHEDULE_TARGET, target.as_str());
                (subjects::scheduled(id), message)
            }
            None => (target, message),
        };
        let queued = async {
            let ack = self.bus.context().send_publish(subject, message).await?;
            ack.await
        };
        match self
            .bus
            .answered("queue", queued)
            .await?
            .map_err(BusError::of_publish)
        {
            Ok(_) | Err(BusError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes a job's token out of the queue, delivered or not, and its schedule.
    ///
    /// # Errors
    /// From the broker. A token that stays is harmless.
    pub async fn remove(&self, job: &Job) -> Result<(), BusError> {
        let Ok(id) = job.id.parse::<JobId>() else {
            return Ok(());
        };
        let token = subjects::token(job.backend(), lifecycle::priority(job), &job.lane, id);
        for subject in [token, subjects::scheduled(id)] {
            self.remove_subject(&subject).await?;
        }
        Ok(())
    }

    /// Replaces a job's token by a new one, which is delivered at once, whoever holds the old one.
    ///
    /// # Errors
    /// From the broker.
    pub async fn renew(&self, job: &Job, now: Millis) -> Result<(), BusError> {
        self.remove(job).await?;
        self.put(job, now).await
    }

    /// Removes the message on one subject of the queue.
    ///
    /// # Errors
    /// From the broker.
    pub async fn remove_subject(&self, subject: &str) -> Result<(), BusError> {
        if let Some(message) = self.bus.last(topology::QUEUE, subject).await? {
            self.bus.remove(topology::QUEUE, message.revision).await?;
        }
        Ok(())
    }

    /// The subjects of all tokens and schedules, by job.
    ///
    /// # Errors
    /// From the broker.
    pub async fn list(&self) -> Result<HashMap<JobId, Vec<String>>, BusError> {
        let mut jobs: HashMap<JobId, Vec<String>> = HashMap::new();
        for subject in self.bus.subjects(topology::QUEUE, ">").await? {
            if let Some(id) = subjects::job_of(&subject) {
                jobs.entry(id).or_default().push(subject);
            }
        }
        Ok(jobs)
    }

    /// Makes sure that a lane's consumer exists. What was delivered and not acknowledged is kept.
    ///
    /// # Errors
    /// From the broker.
    pub async fn open_lane(
        &self,
        backend: Backend,
        priority: Priority,
        lane: &str,
    ) -> Result<String, BusError> {
        self.bus.must_be_up("open a lane")?;
        let name = subjects::lane_consumer(backend, priority, lane);
        let config = pull::Config {
            durable_name: Some(name.clone()),
            filter_subject: subjects::lane(backend, priority, lane),
            ack_policy: AckPolicy::Explicit,
            deliver_policy: DeliverPolicy::All,
            ack_wait: self.lane.ack_wait,
            max_deliver: -1,
            max_ack_pending: -1,
            max_waiting: 4096,
            inactive_threshold: self.lane.inactive_threshold,
            ..pull::Config::default()
        };
        let stream = self.bus.stream(topology::QUEUE).await?;
        stream
            .create_consumer(config)
            .await
            .map_err(|error| BusError::unavailable("open a lane", error))?;
        Ok(name)
    }
}

/// `2026-11-21T05:24:23.123Z`, the form that the broker's scheduler reads.
fn rfc3339(at: Millis) -> String {
    let at = moment::timestamp(at);
    serde_json::to_value(at)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_schedule_is_written_as_the_broker_reads_it() {
        assert_eq!(super::rfc3339(1_763_702_663_500), "2025-11-21T05:24:23.500+00:00");
    }
}
