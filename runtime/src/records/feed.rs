//! Follows all records: first as they stand, then every change, across lost connections.

use std::time::Duration;

use async_nats::jetstream::{
    Message,
    consumer::{DeliverPolicy, pull},
};
use futures::StreamExt as _;
use prost::Message as _;
use proto::{ids::JobId, subjects, topology, v1::Job};
use tokio::sync::mpsc;

use super::is_marker;
use crate::{
    bus::{Bus, BusError},
    tasks::Stop,
    telemetry,
};

/// What a follower is told.
#[derive(Debug)]
pub enum FeedEvent {
    /// What was told so far does not hold any more: the stream was made anew.
    Reset,
    /// A record, at its revision.
    Record(Box<Job>),
    /// The record expired; at this revision.
    Gone(JobId, u64),
    /// Everything that was stored when the follower began has been told.
    CaughtUp,
}

/// Sends every record to `events` until `stop`, and tells when the past has been told.
pub async fn follow(bus: Bus, events: mpsc::Sender<FeedEvent>, stop: Stop) {
    let mut feed = Feed {
        bus,
        events,
        last: 0,
        caught_up: false,
    };
    let mut connections = feed.bus.connections();
    loop {
        connections.mark_unchanged();
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            // a single server that was started again does not know the consumer, and the library takes
            // three heartbeats to notice
            Ok(()) = connections.changed() => continue,
            outcome = feed.run() => match outcome {
                Ok(()) => return,
                Err(error) => tracing::debug!(error = telemetry::chain(&error), "following the records again"),
            },
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(200)) => {}
        }
    }
}

struct Feed {
    bus: Bus,
    events: mpsc::Sender<FeedEvent>,
    /// The newest revision that was told.
    last: u64,
    caught_up: bool,
}

impl Feed {
    /// `Ok` when nobody listens any more. May be dropped and begun again: nothing is left out.
    async fn run(&mut self) -> Result<(), BusError> {
        const DOING: &str = "follow the records";
        let stream = self.bus.stream(topology::JOBS).await?;
        let info = stream
            .get_info()
            .await
            .map_err(|error| BusError::unavailable(DOING, error))?;
        if info.state.last_sequence < self.last {
            if !self.tell(FeedEvent::Reset).await {
                return Ok(());
            }
            self.last = 0;
            self.caught_up = false;
        }
        let deliver_policy = match self.last {
            0 => DeliverPolicy::LastPerSubject,
            last => DeliverPolicy::ByStartSequence {
                start_sequence: last + 1,
            },
        };
        let consumer = stream
            .create_consumer(pull::OrderedConfig {
                filter_subject: subjects::JOBS.to_owned(),
                deliver_policy,
                ..pull::OrderedConfig::default()
            })
            .await
            .map_err(|error| BusError::unavailable(DOING, error))?;
        if info.state.last_sequence <= self.last && !self.catch_up().await {
            return Ok(());
        }
        let mut messages = consumer
            .messages()
            .await
            .map_err(|error| BusError::unavailable(DOING, error))?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| BusError::unavailable(DOING, error))?;
            if !self.take(&message).await {
                return Ok(());
            }
        }
        Err(BusError::Unavailable {
            doing: DOING,
            source: None,
        })
    }

    async fn take(&mut self, message: &Message) -> bool {
        let Ok(info) = message.info() else { return true };
        let (revision, pending) = (info.stream_sequence, info.pending);
        let Some(id) = subjects::job_of(&message.subject) else {
            return true;
        };
        let gone = message.headers.as_ref().is_some_and(is_marker);
        let told = if gone {
            self.tell(FeedEvent::Gone(id, revision)).await
        } else {
            match Job::decode(message.payload.clone()) {
                Ok(job) => {
                    self.tell(FeedEvent::Record(Box::new(Job { revision, ..job })))
                        .await
                }
                Err(error) => {
                    tracing::error!(job.id = %id, %error, "a record cannot be read and is left out");
                    true
                }
            }
        };
        if told {
            self.last = self.last.max(revision);
        }
        told && (pending > 0 || self.catch_up().await)
    }

    async fn catch_up(&mut self) -> bool {
        if self.caught_up {
            return true;
        }
        let told = self.tell(FeedEvent::CaughtUp).await;
        self.caught_up |= told;
        told
    }

    async fn tell(&self, event: FeedEvent) -> bool {
        self.events.send(event).await.is_ok()
    }
}
