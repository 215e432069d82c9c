//! Reading and removing the last message of a subject, as the stream's leader has it.

use async_nats::{
    HeaderMap,
    jetstream::{
        ErrorCode,
        message::StreamMessage,
        stream::{LastRawMessageError, LastRawMessageErrorKind, Stream},
    },
};
use bytes::Bytes;
use futures::TryStreamExt as _;

use super::{Bus, BusError};

/// The last message of a subject.
#[derive(Debug)]
pub(crate) struct Last {
    pub(crate) revision: u64,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Bytes,
}

impl Bus {
    /// A handle on a stream that costs no request.
    pub(crate) async fn stream(&self, name: &str) -> Result<Stream<()>, BusError> {
        let stream = self.context().get_stream_no_info(name).await;
        stream.map_err(|error| BusError::unavailable("open a stream", error))
    }

    /// From the leader, because a replica's answer can be older than what was read before.
    pub(crate) async fn last(&self, stream: &str, subject: &str) -> Result<Option<Last>, BusError> {
        let stream = self.stream(stream).await?;
        match self
            .answered("read", stream.get_last_raw_message_by_subject(subject))
            .await?
        {
            Ok(message) => Ok(Some(message.into())),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(BusError::unavailable("read", error)),
        }
    }

    /// The message at a place of a stream, which is known to be there.
    pub(crate) async fn at(&self, stream: &str, sequence: u64) -> Result<Last, BusError> {
        const DOING: &str = "read a message";
        let stream = self.stream(stream).await?;
        let message = self.answered(DOING, stream.get_raw_message(sequence)).await?;
        message
            .map(Last::from)
            .map_err(|error| BusError::unavailable(DOING, error))
    }

    /// All messages of a subject, the oldest first.
    pub(crate) async fn all(&self, stream: &str, subject: &str) -> Result<Vec<Last>, BusError> {
        let stream = self.stream(stream).await?;
        let mut found: Vec<Last> = Vec::new();
        loop {
            let from = found.last().map_or(1, |last| last.revision + 1);
            let next = stream.get_first_raw_message_by_subject(subject, from);
            match self.answered("read", next).await? {
                Ok(message) => found.push(message.into()),
                Err(error) if is_nothing(&error) => return Ok(found),
                Err(error) => return Err(BusError::unavailable("read", error)),
            }
        }
    }

    /// The subjects on which a stream has messages, of those that match a pattern.
    pub(crate) async fn subjects(&self, stream: &str, pattern: &str) -> Result<Vec<String>, BusError> {
        const DOING: &str = "list subjects";
        self.must_be_up(DOING)?;
        let info = self.stream(stream).await?.info_with_subjects(pattern).await;
        let info = info.map_err(|error| BusError::unavailable(DOING, error))?;
        let counted: Result<Vec<(String, usize)>, _> = info.try_collect().await;
        let counted = counted.map_err(|error| BusError::unavailable(DOING, error))?;
        Ok(counted.into_iter().map(|(subject, _)| subject).collect())
    }

    /// Removes one message by its sequence; `false` where it is gone already.
    ///
    /// Never by subject: a purge makes the server lose other messages that are in flight.
    pub(crate) async fn remove(&self, stream: &str, sequence: u64) -> Result<bool, BusError> {
        self.must_be_up("remove")?;
        match self.stream(stream).await?.delete_message(sequence).await {
            Ok(_) => Ok(true),
            Err(error) => match error.kind() {
                async_nats::jetstream::stream::DeleteMessageErrorKind::JetStream(_) => Ok(false),
                async_nats::jetstream::stream::DeleteMessageErrorKind::Request
                | async_nats::jetstream::stream::DeleteMessageErrorKind::TimedOut => {
                    Err(BusError::unavailable("remove", error))
                }
            },
        }
    }
}

impl From<StreamMessage> for Last {
    fn from(message: StreamMessage) -> Self {
        Self {
            revision: message.sequence,
            headers: message.headers,
            payload: message.payload,
        }
    }
}

/// Whether the broker says that there is no such message.
fn is_nothing(error: &LastRawMessageError) -> bool {
    match error.kind() {
        LastRawMessageErrorKind::NoMessageFound => true,
        LastRawMessageErrorKind::JetStream(api) => api.error_code() == ErrorCode::NO_MESSAGE_FOUND,
        LastRawMessageErrorKind::InvalidSubject | LastRawMessageErrorKind::Other => false,
    }
}
