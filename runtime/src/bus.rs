//! The connection to NATS: one a process, checked at start, honest about being away.

mod following;
mod last;
mod streams;

use std::{error::Error as StdError, fmt, path::PathBuf, sync::Arc, time::Duration};

use async_nats::{
    Client, ConnectOptions, Event,
    connection::State,
    jetstream::{
        self, Context,
        context::{PublishError, PublishErrorKind},
    },
};
use bytes::Bytes;
use tokio::sync::watch;

pub(crate) use following::{Follower, Listener, Told};
pub(crate) use last::Last;

use crate::{
    settings::{Reader, Secret},
    tasks::Stop,
    telemetry::chain,
};

/// Where the broker is and how to be let in.
#[derive(Debug, Clone)]
pub struct BusSettings {
    /// `nats://host:port`, several separated by commas.
    pub url: String,
    /// User name, with a password.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Secret>,
    /// A token instead of a user.
    pub token: Option<Secret>,
    /// A file with credentials (JWT and seed) instead of a user.
    pub credentials: Option<PathBuf>,
    /// Copies of each stream: 1 on a single server, 3 in a cluster.
    pub replicas: u32,
}

impl BusSettings {
    /// Reads the settings of this part.
    pub fn read(reader: &mut Reader) -> Self {
        let settings = Self {
            url: reader.get(
                "nats.url",
                "nats://127.0.0.1:4222",
                "where NATS is; several addresses separated by commas",
            ),
            user: reader.optional("nats.user", "user name for NATS"),
            password: reader.optional("nats.password", "password of nats.user"),
            token: reader.optional("nats.token", "token for NATS, instead of a user"),
            credentials: reader.optional("nats.credentials", "credentials file for NATS, instead of a user"),
            replicas: reader.get(
                "nats.replicas",
                "1",
                "copies of each stream: 1 on a single server, 3 in a cluster",
            ),
        };
        if settings.user.is_some() != settings.password.is_some() {
            reader.fault("nats.user", "nats.user and nats.password belong together");
        }
        if !matches!(settings.replicas, 1 | 3 | 5) {
            reader.fault("nats.replicas", "must be 1, 3 or 5");
        }
        if settings
            .url
            .split(',')
            .any(|url| url.trim().parse::<async_nats::ServerAddr>().is_err())
        {
            reader.fault("nats.url", "must be an address such as nats://127.0.0.1:4222");
        }
        settings
    }
}

/// What can go wrong between this process and the broker.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No answer. Whether a write took effect is not known.
    #[error("the broker does not answer ({doing})")]
    Unavailable {
        /// What was tried.
        doing: &'static str,
        /// The library's reason, where there is one.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// The subject's last message is not the expected one: somebody else was faster.
    #[error("somebody else wrote first")]
    Conflict,
    /// The message is larger than the stream takes.
    #[error("the message is too large for the stream")]
    TooLarge,
    /// The broker understood and said no.
    #[error("the broker refused ({doing})")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// The broker's words.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A message that does not say what its subject promises.
    #[error("cannot read what lies on {subject}")]
    Garbled {
        /// Where it lies.
        subject: String,
        /// Why not.
        #[source]
        source: prost::DecodeError,
    },
    /// The server is older than what we need, or lacks something.
    #[error("{0}")]
    Unsuitable(String),
}

impl BusError {
    pub(crate) fn unavailable(
        doing: &'static str,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Unavailable {
            doing,
            source: Some(source.into()),
        }
    }

    /// Sorts a failed publish: JetStream says "conflict" in two ways, and everything that is neither a
    /// conflict nor a plain refusal leaves open whether the write took effect.
    pub(crate) fn of_publish(error: PublishError) -> Self {
        let code = error
            .source()
            .and_then(|source| source.downcast_ref::<jetstream::Error>())
            .map(|api| api.error_code().0);
        match (error.kind(), code) {
            (PublishErrorKind::WrongLastSequence, _) | (_, Some(10071 | 10164 | 10077)) => Self::Conflict,
            (PublishErrorKind::MaxPayloadExceeded, _) | (_, Some(10054)) => Self::TooLarge,
            (PublishErrorKind::Other, Some(code)) if code != 10008 => Self::Refused {
                doing: "publish",
                source: Box::new(error),
            },
            _ => Self::unavailable("publish", error),
        }
    }
}

/// The connection to NATS. Cloning it gives another handle to the same connection.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

/// Behind one pointer, because every request clones a handle or two.
struct Inner {
    client: Client,
    context: Context,
    replicas: u32,
    connections: watch::Receiver<u64>,
    losses: watch::Receiver<u64>,
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("state", &self.inner.client.connection_state().to_string())
            .finish_non_exhaustive()
    }
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

impl Bus {
    /// Connects, checks the server and sets up the streams. `name` shows in the server's list of clients.
    ///
    /// # Errors
    /// If the server cannot be reached, or is not one that we can use.
    pub async fn connect(settings: &BusSettings, name: &str) -> Result<Self, BusError> {
        let addresses: Vec<String> = settings.url.split(',').map(|url| url.trim().to_owned()).collect();
        let (count, connections) = watch::channel(0);
        let (lost, losses) = watch::channel(0);
        let client = options(settings, name, count, lost)?
            .connect(addresses)
            .await
            .map_err(|error| BusError::unavailable("connect", error))?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .build(client.clone());
        let inner = Inner {
            client,
            context,
            replicas: settings.replicas,
            connections,
            losses,
        };
        let bus = Self {
            inner: Arc::new(inner),
        };
        streams::set_up(&bus).await?;
        Ok(bus)
    }

    /// Sets the streams up again whenever the connection was lost and made anew, until `stop`: streams in
    /// memory are gone when a single server restarts.
    pub async fn keep_streams(self, stop: Stop) {
        let mut connections = self.connections();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = connections.changed() => if changed.is_err() {
                    return stop.cancelled().await;
                }
            }
            while let Err(error) = streams::set_up(&self).await {
                tracing::warn!(error = chain(&error), "the streams are set up again");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                }
            }
        }
    }

    /// Whether the connection stands at this moment.
    pub fn is_up(&self) -> bool {
        self.inner.client.connection_state() == State::Connected
    }

    /// The server's version.
    pub fn server_version(&self) -> String {
        self.inner.client.server_info().version
    }

    /// Whether JetStream answers, and how long that took.
    ///
    /// # Errors
    /// If it does not.
    pub async fn probe(&self) -> Result<Duration, BusError> {
        self.must_be_up("probe")?;
        let started = std::time::Instant::now();
        self.inner
            .context
            .query_account()
            .await
            .map_err(|error| BusError::unavailable("probe", error))?;
        Ok(started.elapsed())
    }

    /// Hands everything that was sent to the server, then lets go.
    pub async fn close(&self) {
        let flushed = tokio::time::timeout(Duration::from_secs(3), self.inner.client.flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            tracing::warn!("the connection to nats was closed before everything was sent");
        }
    }

    /// Counts the connections made so far; changes whenever a lost one was replaced.
    pub fn connections(&self) -> watch::Receiver<u64> {
        let mut receiver = self.inner.connections.clone();
        receiver.mark_unchanged();
        receiver
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn context(&self) -> &Context {
        &self.inner.context
    }

    /// Nothing is buffered for a broker that is away: the caller is told at once.
    pub(crate) fn must_be_up(&self, doing: &'static str) -> Result<(), BusError> {
        if self.is_up() {
            Ok(())
        } else {
            Err(BusError::Unavailable { doing, source: None })
        }
    }

    /// Waits for the answer to a question, but not on a connection that is lost: the answer would not come.
    pub(crate) async fn answered<T>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = T>,
    ) -> Result<T, BusError> {
        let mut losses = self.inner.losses.clone();
        losses.mark_unchanged();
        self.must_be_up(doing)?;
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            Ok(()) = losses.changed() => Err(BusError::Unavailable { doing, source: None }),
        }
    }

    /// Publishes without waiting for anything; dropped while the broker is away.
    pub(crate) async fn publish_lossy(&self, subject: String, payload: Bytes) {
        if self.is_up()
            && let Err(error) = self.inner.client.publish(subject, payload).await
        {
            tracing::debug!(%error, "a message was dropped");
        }
    }

    /// Asks on a subject; `None` where nobody listens or answers within `patience`.
    pub(crate) async fn ask(&self, subject: String, question: Bytes, patience: Duration) -> Option<Bytes> {
        let request = async_nats::Request::new()
            .payload(question)
            .timeout(Some(patience));
        match self.inner.client.send_request(subject, request).await {
            Ok(answer) => Some(answer.payload),
            Err(error) => {
                tracing::debug!(%error, "nobody answered");
                None
            }
        }
    }
}

fn options(
    settings: &BusSettings,
    name: &str,
    connections: watch::Sender<u64>,
    losses: watch::Sender<u64>,
) -> Result<ConnectOptions, BusError> {
    let unusable =
        |error: std::io::Error| BusError::Unsuitable(format!("nats.credentials cannot be read: {error}"));
    let options = match (
        &settings.credentials,
        &settings.token,
        &settings.user,
        &settings.password,
    ) {
        (Some(path), ..) => {
            let text = std::fs::read_to_string(path).map_err(unusable)?;
            ConnectOptions::with_credentials(&text).map_err(unusable)?
        }
        (None, Some(token), ..) => ConnectOptions::with_token(token.reveal().to_owned()),
        (None, None, Some(user), Some(password)) => {
            ConnectOptions::with_user_and_password(user.clone(), password.reveal().to_owned())
        }
        _ => ConnectOptions::new(),
    };
    Ok(options
        .name(name)
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(Duration::from_secs(5))
        .subscription_capacity(65_536)
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(50_u64.saturating_mul(1 << attempts.min(6)).min(2_000))
        })
        .event_callback(move |event| {
            if matches!(event, Event::Connected) {
                connections.send_modify(|count| *count += 1);
            } else if matches!(event, Event::Disconnected) {
                losses.send_modify(|count| *count += 1);
            }
            report(&event);
            std::future::ready(())
        }))
}

fn report(event: &Event) {
    match event {
        Event::Connected => tracing::info!("connected to nats"),
        Event::Disconnected => tracing::warn!("connection to nats lost, reconnecting"),
        Event::SlowConsumer(_) => tracing::warn!("a subscription was too slow and lost messages"),
        Event::LameDuckMode | Event::Draining | Event::Closed => tracing::info!(%event, "nats"),
        Event::ServerError(_) | Event::ClientError(_) => tracing::warn!(%event, "nats"),
    }
}
