//! Follows all records: first as they stand, then every change, across lost connections.

use async_nats::jetstream::Message;
use prost::Message as _;
use proto::{ids::JobId, subjects, topology, v1::Job};
use tokio::sync::mpsc;

use super::is_marker;
use crate::{
    bus::{Bus, Follower, Listener, Told},
    tasks::Stop,
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
    Follower::of_newest(bus, topology::JOBS, subjects::JOBS)
        .run(Feed { events }, stop)
        .await;
}

struct Feed {
    events: mpsc::Sender<FeedEvent>,
}

impl Listener for Feed {
    async fn hear(&mut self, told: Told<'_>) -> bool {
        let event = match told {
            Told::Reset => Some(FeedEvent::Reset),
            Told::Message(revision, message) => read(revision, message),
            Told::CaughtUp => Some(FeedEvent::CaughtUp),
        };
        match event {
            Some(event) => self.events.send(event).await.is_ok(),
            None => true,
        }
    }
}

fn read(revision: u64, message: &Message) -> Option<FeedEvent> {
    let id = subjects::job_of(&message.subject)?;
    if message.headers.as_ref().is_some_and(is_marker) {
        return Some(FeedEvent::Gone(id, revision));
    }
    match Job::decode(message.payload.clone()) {
        Ok(job) => Some(FeedEvent::Record(Box::new(Job { revision, ..job }))),
        Err(error) => {
            tracing::error!(job.id = %id, %error, "a record cannot be read and is left out");
            None
        }
    }
}
