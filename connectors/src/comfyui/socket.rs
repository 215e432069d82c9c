//! The WebSocket: a stream of [`Event`]s that ends with an error when the connection is dead.
//!
//! Nothing is spawned: pings go out, and silence is noticed, while the stream is polled. A socket that
//! answers pings may still have lost its registration on the server and then says nothing for ever, so
//! that a caller polls [`standing`](super::Client::standing) beside it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{SinkExt, Stream, StreamExt};
use reqwest::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::{StatusCode, Upgraded};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::client::{Client, transport};
use super::error::Error;
use super::event::Event;

/// Limits of the WebSocket.
#[derive(Debug, Clone)]
pub struct SocketOptions {
    /// How often a ping is sent. The server sends none itself.
    pub ping_every: Duration,
    /// After how long without any message or answer to a ping the connection counts as dead.
    pub silence: Duration,
    /// Largest message, bytes. Previews take some 40 KiB; a state message grows with the graph.
    pub max_message: usize,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            max_message: 32 << 20,
        }
    }
}

/// What the server says to one client id. After the first error comes nothing more: connect anew.
pub struct Events(BoxStream<'static, Result<Event, Error>>);

impl Stream for Events {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Client {
    /// Connects as `client_id` and asks for previews that name their prompt.
    ///
    /// One socket an id: a second one takes over, and when the first closes, even later, the server forgets
    /// the second. Drop the old stream before connecting again, and expect nothing to be replayed.
    pub async fn connect_events(&self, client_id: &str) -> Result<Events, Error> {
        let limit = self.options.request_timeout;
        let connecting = async {
            let mut socket = self.open_socket(client_id).await?;
            // the server heeds the flags only in the first message
            let flags = r#"{"type":"feature_flags","data":{"supports_preview_metadata":true}}"#;
            socket.send(Message::text(flags)).await.map_err(broken)?;
            Ok(socket)
        };
        let socket = timeout(limit, connecting).await.map_err(|_| Error::Timeout {
            operation: "GET /ws".to_owned(),
            after: limit,
        })??;
        let conversation = Conversation::new(socket, self.options.socket.clone());
        Ok(Events(
            futures::stream::unfold(Some(conversation), Conversation::next).boxed(),
        ))
    }

    async fn open_socket(&self, client_id: &str) -> Result<WebSocketStream<Upgraded>, Error> {
        let operation = || "GET /ws".to_owned();
        let key = generate_key();
        let key_header = HeaderValue::from_str(&key).map_err(|_| Error::Handshake {
            reason: "the key is not a header value".to_owned(),
        })?;
        let response = self
            .fresh
            .get(self.url(&["ws"]))
            .query(&[("clientId", client_id)])
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, key_header)
            .send()
            .await
            .map_err(|source| transport(operation(), &self.origin(), self.options.request_timeout, source))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status().as_u16();
            if response.status().is_success() {
                return Err(Error::Handshake {
                    reason: format!("it answered HTTP {status}"),
                });
            }
            return Err(Error::Status {
                operation: operation(),
                status,
                words: "no WebSocket there".to_owned(),
            });
        }
        let accepted = response
            .headers()
            .get(SEC_WEBSOCKET_ACCEPT)
            .map(HeaderValue::as_bytes);
        if accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
            return Err(Error::Handshake {
                reason: "its answer does not match our key".to_owned(),
            });
        }
        let upgraded = response.upgrade().await.map_err(|source| Error::Broken {
            operation: operation(),
            source: source.without_url(),
        })?;
        let max = self.options.socket.max_message;
        let config = WebSocketConfig::default()
            .max_message_size(Some(max))
            .max_frame_size(Some(max));
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
    }
}

/// One connection with its clock.
struct Conversation {
    socket: WebSocketStream<Upgraded>,
    options: SocketOptions,
    last_heard: Instant,
    next_ping: Instant,
}

/// What the wait ended with.
enum Wake {
    Message(Option<Result<Message, tungstenite::Error>>),
    PingDue,
    Silent,
}

impl Conversation {
    fn new(socket: WebSocketStream<Upgraded>, options: SocketOptions) -> Self {
        let now = Instant::now();
        Self {
            socket,
            last_heard: now,
            next_ping: now + options.ping_every,
            options,
        }
    }

    async fn next(state: Option<Self>) -> Option<(Result<Event, Error>, Option<Self>)> {
        let mut conversation = state?;
        match conversation.event().await {
            Ok(event) => Some((Ok(event), Some(conversation))),
            Err(error) => Some((Err(error), None)),
        }
    }

    async fn event(&mut self) -> Result<Event, Error> {
        loop {
            let deadline = self.last_heard + self.options.silence;
            let wake = tokio::select! {
                biased;
                message = self.socket.next() => Wake::Message(message),
                () = sleep_until(deadline) => Wake::Silent,
                () = sleep_until(self.next_ping) => Wake::PingDue,
            };
            match wake {
                Wake::Silent => return Err(self.silent()),
                Wake::PingDue => {
                    self.next_ping = Instant::now() + self.options.ping_every;
                    // a dead peer lets the send buffer fill up: the send must not outlast the deadline
                    let ping = self.socket.send(Message::Ping(Bytes::new()));
                    match tokio::time::timeout_at(deadline, ping).await {
                        Err(_) => return Err(self.silent()),
                        Ok(sent) => sent.map_err(broken)?,
                    }
                }
                Wake::Message(message) => {
                    self.last_heard = Instant::now();
                    if let Some(event) = read(message)? {
                        return Ok(event);
                    }
                }
            }
        }
    }

    fn silent(&self) -> Error {
        Error::Silent {
            after: self.last_heard.elapsed(),
        }
    }
}

fn read(message: Option<Result<Message, tungstenite::Error>>) -> Result<Option<Event>, Error> {
    match message {
        None => Err(Error::SocketClosed {
            reason: "no close frame".to_owned(),
        }),
        Some(Err(error)) => Err(broken(error)),
        Some(Ok(Message::Text(text))) => Ok(Some(Event::from_text(text.as_str()))),
        Some(Ok(Message::Binary(bytes))) => Ok(Some(Event::from_binary(&bytes))),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(None),
        Some(Ok(Message::Close(frame))) => {
            let reason = frame.map_or_else(
                || "no reason given".to_owned(),
                |frame| format!("code {}, {:?}", u16::from(frame.code), frame.reason.as_str()),
            );
            Err(Error::SocketClosed { reason })
        }
    }
}

fn broken(error: tungstenite::Error) -> Error {
    Error::Socket(Box::new(error))
}
