//! The yardstick: JetStream by hand, doing the same writes as the product and nothing else.
//!
//! A job is: a state record created, a token queued, the token delivered, the record replaced twice
//! (running, done) by compare-and-set, each awaited, and the token acknowledged. No HTTP, no leases, no
//! lists, no take-over.

use std::sync::atomic::{AtomicU64, Ordering};

use async_nats::jetstream::{
    self, Context,
    consumer::{AckPolicy, pull},
    message::PublishMessage,
    stream::{Config, RetentionPolicy},
};
use bytes::Bytes;
use futures::StreamExt as _;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};

use super::{Contestant, Sighting};

const STATES: &str = "RAW_STATES";
const TOKENS: &str = "RAW_TOKENS";

/// JetStream by hand.
#[derive(Debug)]
pub struct Raw {
    context: Context,
    next: AtomicU64,
    payload: Bytes,
    create: bool,
    /// The workers; dropped with this.
    _workers: JoinSet<anyhow::Result<()>>,
}

impl Raw {
    /// Sets up the streams and starts `slots` workers. `payload` is the size of a record in bytes; with
    /// `create` the record is created at submission as the product does, otherwise the token alone is.
    ///
    /// # Errors
    /// From the broker.
    pub async fn start(
        url: &str,
        slots: usize,
        payload: usize,
        create: bool,
    ) -> anyhow::Result<(Self, mpsc::UnboundedReceiver<Sighting>)> {
        let context = jetstream::new(async_nats::connect(url).await?);
        for (name, subjects, retention) in [
            (STATES, "raw.state.*", RetentionPolicy::Limits),
            (TOKENS, "raw.token.*", RetentionPolicy::WorkQueue),
        ] {
            let config = Config {
                name: name.into(),
                subjects: vec![subjects.into()],
                retention,
                max_messages_per_subject: 1,
                allow_direct: true,
                ..Config::default()
            };
            context.get_or_create_stream(config).await?;
        }
        let stream = context.get_stream(TOKENS).await?;
        let config = pull::Config {
            durable_name: Some("workers".into()),
            ack_policy: AckPolicy::Explicit,
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        let consumer = stream.get_or_create_consumer("workers", config).await?;
        let payload = Bytes::from(vec![b'x'; payload]);
        let mut workers = JoinSet::new();
        let (tokens, queue) = async_channel(slots);
        workers.spawn(async move {
            let mut messages = consumer.stream().max_messages_per_batch(slots).messages().await?;
            while let Some(message) = messages.next().await {
                tokens.send(message?).await.ok();
            }
            anyhow::Ok(())
        });
        let queue = std::sync::Arc::new(tokio::sync::Mutex::new(queue));
        for _ in 0..slots {
            let worker = work(context.clone(), queue.clone(), payload.clone(), create);
            workers.spawn(worker);
        }
        let sightings = watch(url).await?;
        Ok((
            Self {
                context,
                next: AtomicU64::new(0),
                payload,
                create,
                _workers: workers,
            },
            sightings,
        ))
    }
}

fn async_channel(
    slots: usize,
) -> (
    mpsc::Sender<jetstream::Message>,
    mpsc::Receiver<jetstream::Message>,
) {
    mpsc::channel(slots)
}

type Queue = std::sync::Arc<tokio::sync::Mutex<mpsc::Receiver<jetstream::Message>>>;

async fn work(context: Context, queue: Queue, payload: Bytes, created: bool) -> anyhow::Result<()> {
    loop {
        let message = queue.lock().await.recv().await;
        let Some(message) = message else { return Ok(()) };
        let id = message.subject.rsplit('.').next().unwrap_or_default().to_owned();
        let mut revision = if created {
            String::from_utf8_lossy(&message.payload[..20]).trim().parse()?
        } else {
            0
        };
        for state in ["running", "done"] {
            let mut content = state.as_bytes().to_vec();
            content.extend_from_slice(&payload);
            let write = PublishMessage::build()
                .payload(content.into())
                .expected_last_subject_sequence(revision);
            revision = context
                .send_publish(format!("raw.state.{id}"), write)
                .await?
                .await?
                .sequence;
        }
        message.ack().await.map_err(|error| anyhow::anyhow!("{error}"))?;
    }
}

async fn watch(url: &str) -> anyhow::Result<mpsc::UnboundedReceiver<Sighting>> {
    let client = async_nats::connect(url).await?;
    let mut messages = client.subscribe("raw.state.*").await?;
    client.flush().await?;
    let (sender, sightings) = mpsc::unbounded_channel();
    #[expect(clippy::disallowed_methods, reason = "ends with its channel")]
    tokio::spawn(async move {
        while let Some(message) = messages.next().await {
            let over = message.payload.starts_with(b"done");
            if !over && !message.payload.starts_with(b"running") {
                continue;
            }
            let id = message.subject.rsplit('.').next().unwrap_or_default().to_owned();
            if sender
                .send(Sighting {
                    id,
                    over,
                    at: Instant::now(),
                })
                .is_err()
            {
                return;
            }
        }
    });
    Ok(sightings)
}

impl Contestant for Raw {
    fn name(&self) -> &'static str {
        if self.create {
            "raw JetStream, same writes"
        } else {
            "raw JetStream, two writes"
        }
    }

    async fn submit(&self) -> anyhow::Result<String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let revision = if self.create {
            let write = PublishMessage::build()
                .payload(self.payload.clone())
                .expected_last_subject_sequence(0);
            self.context
                .send_publish(format!("raw.state.{id}"), write)
                .await?
                .await?
                .sequence
        } else {
            0
        };
        let mut token = format!("{revision:<20}").into_bytes();
        token.extend_from_slice(&self.payload);
        self.context
            .publish(format!("raw.token.{id}"), token.into())
            .await?
            .await?;
        Ok(id)
    }
}
