//! Follows a stream: first as it stands, then every message, across lost connections.

use std::time::Duration;

use async_nats::jetstream::{
    Message,
    consumer::{DeliverPolicy, pull},
};
use futures::StreamExt as _;

use super::{Bus, BusError};
use crate::{tasks::Stop, telemetry};

const DOING: &str = "follow a stream";
const AGAIN: Duration = Duration::from_millis(200);

/// What a follower is told.
#[derive(Debug)]
pub(crate) enum Told<'a> {
    /// What was told so far does not hold any more: the stream was made anew.
    Reset,
    /// A message, with its place in the stream.
    Message(u64, &'a Message),
    /// Everything that was stored when the follower began has been told.
    CaughtUp,
}

/// Who is told.
pub(crate) trait Listener: Send {
    /// Takes what is told; `false` where nothing more is wanted.
    fn hear(&mut self, told: Told<'_>) -> impl Future<Output = bool> + Send;
}

/// A stream to be followed.
#[derive(Debug)]
pub(crate) struct Follower {
    bus: Bus,
    stream: &'static str,
    subjects: &'static str,
    first: DeliverPolicy,
    /// The newest revision that was told.
    last: u64,
    caught_up: bool,
}

impl Follower {
    /// Begins with the newest message of each subject.
    pub(crate) const fn of_newest(bus: Bus, stream: &'static str, subjects: &'static str) -> Self {
        Self::new(bus, stream, subjects, DeliverPolicy::LastPerSubject)
    }

    /// Begins with the first message.
    pub(crate) const fn of_all(bus: Bus, stream: &'static str, subjects: &'static str) -> Self {
        Self::new(bus, stream, subjects, DeliverPolicy::All)
    }

    const fn new(bus: Bus, stream: &'static str, subjects: &'static str, first: DeliverPolicy) -> Self {
        Self {
            bus,
            stream,
            subjects,
            first,
            last: 0,
            caught_up: false,
        }
    }

    /// Tells `listener` until `stop`, or until that says `false`.
    pub(crate) async fn run(mut self, mut listener: impl Listener, stop: Stop) {
        let mut connections = self.bus.connections();
        loop {
            connections.mark_unchanged();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // a single server that was started again does not know the consumer, and the library takes
                // three heartbeats to notice
                Ok(()) = connections.changed() => continue,
                outcome = self.follow(&mut listener) => match outcome {
                    Ok(()) => return,
                    Err(error) => {
                        let error = telemetry::chain(&error);
                        tracing::debug!(stream = self.stream, error, "following the stream again");
                    }
                },
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// `Ok` when nobody listens any more. May be dropped and begun again: nothing is left out.
    async fn follow(&mut self, listener: &mut impl Listener) -> Result<(), BusError> {
        let stream = self.bus.stream(self.stream).await?;
        let info = stream
            .get_info()
            .await
            .map_err(|error| BusError::unavailable(DOING, error))?;
        if info.state.last_sequence < self.last {
            if !listener.hear(Told::Reset).await {
                return Ok(());
            }
            self.last = 0;
            self.caught_up = false;
        }
        let deliver_policy = match self.last {
            0 => self.first,
            last => DeliverPolicy::ByStartSequence {
                start_sequence: last + 1,
            },
        };
        let consumer = stream
            .create_consumer(pull::OrderedConfig {
                filter_subject: self.subjects.to_owned(),
                deliver_policy,
                ..pull::OrderedConfig::default()
            })
            .await
            .map_err(|error| BusError::unavailable(DOING, error))?;
        if info.state.last_sequence <= self.last && !self.catch_up(listener).await {
            return Ok(());
        }
        let mut messages = consumer
            .messages()
            .await
            .map_err(|error| BusError::unavailable(DOING, error))?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| BusError::unavailable(DOING, error))?;
            let Ok(info) = message.info() else { continue };
            let (revision, pending) = (info.stream_sequence, info.pending);
            if !listener.hear(Told::Message(revision, &message)).await {
                return Ok(());
            }
            self.last = self.last.max(revision);
            if pending == 0 && !self.catch_up(listener).await {
                return Ok(());
            }
        }
        Err(BusError::Unavailable {
            doing: DOING,
            source: None,
        })
    }

    async fn catch_up(&mut self, listener: &mut impl Listener) -> bool {
        if self.caught_up {
            return true;
        }
        let told = listener.hear(Told::CaughtUp).await;
        self.caught_up |= told;
        told
    }
}
