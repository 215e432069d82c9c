//! A token that was taken from the queue: settled once, and handed back when dropped unsettled.

use std::time::Duration;

use async_nats::{Client, Subject};
use bytes::Bytes;
use prost::Message as _;
use proto::{ids::JobId, subjects, v1::Job, v1::QueueToken};
use tokio::sync::mpsc;

/// A taken token. Dropping it asks the broker to deliver it again at once.
#[derive(Debug)]
pub struct Delivery {
    /// Whose turn it is.
    pub job: JobId,
    /// The record as it was when the token was written; may be out of date.
    pub record: Option<Job>,
    ack: Subject,
    client: Client,
    dropped: mpsc::UnboundedSender<Subject>,
    settled: bool,
}

impl Delivery {
    pub(super) fn read(
        message: async_nats::Message,
        client: Client,
        dropped: mpsc::UnboundedSender<Subject>,
    ) -> Option<Self> {
        let ack = message.reply?;
        let job = subjects::job_of(&message.subject)?;
        let record = QueueToken::decode(message.payload)
            .ok()
            .and_then(|token| token.record);
        Some(Self {
            job,
            record,
            ack,
            client,
            dropped,
            settled: false,
        })
    }

    /// The token is not needed any more: the record says so.
    pub async fn done(mut self) {
        self.settle("+ACK".into()).await;
    }

    /// Delivers the token again after `delay`.
    pub async fn later(mut self, delay: Duration) {
        self.settle(format!("-NAK {{\"delay\": {}}}", delay.as_nanos()).into())
            .await;
    }

    /// Somebody else takes care of the token (it was renewed); nothing is said about this one.
    pub fn forget(mut self) {
        self.settled = true;
    }

    /// Tells the broker that the work goes on, so that the token is not delivered to somebody else.
    pub async fn prolong(&self) {
        self.say("+WPI".into()).await;
    }

    async fn settle(&mut self, word: Bytes) {
        self.settled = true;
        self.say(word).await;
    }

    /// Lost words are harmless: the token comes again and the record decides.
    async fn say(&self, word: Bytes) {
        if self.client.connection_state() != async_nats::connection::State::Connected {
            return;
        }
        if let Err(error) = self.client.publish(self.ack.clone(), word).await {
            tracing::debug!(job.id = %self.job, %error, "the token could not be settled");
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.settled && self.dropped.send(self.ack.clone()).is_err() {
            tracing::debug!(job.id = %self.job, "the token comes again after its time");
        }
    }
}
