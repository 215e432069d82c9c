//! The connection to v0: address, key, limits, and how a request becomes a typed answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde_json::Value;
use url::Url;

use super::address::{check_address, is_nearby};
use super::error::{Error, excerpt, of_answer};
use super::version::Version;
use crate::key::Key;

/// Where v0 is.
pub const ADDRESS: &str = "https://api.v0.dev";

/// v1 hands this out and wants it back.
const SESSION: HeaderName = HeaderName::from_static("x-session-token");
const AGENT: &str = concat!("orchestrator/", env!("CARGO_PKG_VERSION"));

/// Where v0 is, and the limits of a [`Client`]. Every wait and every body has one.
#[derive(Debug, Clone)]
pub struct Options {
    /// Without the version, e.g. [`ADDRESS`]; a path prefix is honoured.
    pub base: Url,
    /// Which API is spoken.
    pub version: Version,
    /// Longest wait for a TCP (and TLS) connection.
    pub connect_timeout: Duration,
    /// Longest wait for a complete answer; of streams and downloads, for the head and then for each piece.
    pub request_timeout: Duration,
    /// Longest wait for the answer to a request that changes something, or costs money.
    pub submit_timeout: Duration,
    /// Longest silence within a stream of events: a model can think for minutes.
    pub stream_silence: Duration,
    /// Largest answer, bytes: that of a chat, a page of messages, an event of a stream.
    pub max_answer: u64,
    /// Largest set of files of a site, bytes as they are sent.
    pub max_files: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base: Url::parse(ADDRESS).expect("an address"),
            version: Version::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_mins(1),
            submit_timeout: Duration::from_mins(2),
            stream_silence: Duration::from_mins(5),
            max_answer: 16 << 20,
            max_files: 128 << 20,
        }
    }
}

/// v0, as one key sees it. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    /// For GET: keeps connections.
    http: reqwest::Client,
    /// For everything else: a connection of its own for each request, used once, with nothing repeated, so that
    /// one call is one request on the wire.
    fresh: reqwest::Client,
    key: Key,
    bearer: HeaderValue,
    session: Arc<Mutex<Option<HeaderValue>>>,
    pub(super) options: Options,
}

impl Client {
    /// A client with this key. Nothing is contacted yet. [`install_tls`](crate::install_tls) must have been called.
    ///
    /// # Errors
    /// If the address or the key cannot be one; plain `http` is for servers nearby, as it would show the key.
    pub fn new(key: Key, options: Options) -> Result<Self, Error> {
        check_address(&options.base)?;
        let mut bearer =
            HeaderValue::from_str(&format!("Bearer {}", key.reveal())).map_err(|_| Error::Key)?;
        bearer.set_sensitive(true);
        let build = |fresh: bool| {
            let mut builder = reqwest::Client::builder()
                .user_agent(AGENT)
                .connect_timeout(options.connect_timeout)
                .pool_idle_timeout(Duration::from_secs(30))
                // the key goes to the configured origin and to no other
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never());
            if is_nearby(&options.base) {
                builder = builder.no_proxy();
            }
            if fresh {
                builder = builder.http1_only().pool_max_idle_per_host(0);
            }
            builder.build().map_err(Error::Setup)
        };
        Ok(Self {
            http: build(false)?,
            fresh: build(true)?,
            key,
            bearer,
            session: Arc::default(),
            options,
        })
    }

    /// Scheme, host and port of v0.
    pub fn origin(&self) -> String {
        self.options.base.origin().ascii_serialization()
    }

    /// Which API is spoken.
    pub const fn version(&self) -> Version {
        self.options.version
    }

    pub(super) fn get(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub(super) fn post(&self, path: &[&str], body: Value) -> Call<'_> {
        let mut call = self.call(Method::POST, path);
        call.body = Some(body);
        call
    }

    pub(super) fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        let after = if method == Method::GET {
            self.options.request_timeout
        } else {
            self.options.submit_timeout
        };
        Call {
            after,
            operation: format!("{method} /{}", path.join("/")),
            url: self.url(path),
            client: self,
            method,
            query: Vec::new(),
            body: None,
            streams: false,
            limit: self.options.max_answer,
        }
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.options.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(self.version().as_str()).extend(path);
        }
        url
    }

    fn with_session<T>(&self, look: impl FnOnce(&mut Option<HeaderValue>) -> T) -> T {
        look(&mut self.session.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request with what is needed to name its failures.
pub(super) struct Call<'a> {
    client: &'a Client,
    operation: String,
    method: Method,
    url: Url,
    query: Vec<(String, String)>,
    body: Option<Value>,
    streams: bool,
    limit: u64,
    /// Longest wait for the answer.
    after: Duration,
}

/// A whole answer that is a success.
pub(super) struct Answer {
    pub(super) operation: String,
    pub(super) body: Bytes,
    key: Key,
}

impl Call<'_> {
    pub(super) fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Allows an answer of so many bytes.
    pub(super) const fn limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Asks for events instead of JSON.
    pub(super) const fn streams(mut self) -> Self {
        self.streams = true;
        self
    }

    /// Sends and waits for the head of a successful answer. What is refused is read whole.
    pub(super) async fn head(self) -> Result<(String, Response), Error> {
        let (client, after) = (self.client, self.after);
        let operation = self.operation.clone();
        let response = match tokio::time::timeout(after, self.send()).await {
            Ok(sent) => sent?,
            Err(_) => return Err(Error::Timeout { operation, after }),
        };
        if client.version() == Version::V1
            && let Some(token) = response.headers().get(SESSION)
        {
            let mut token = token.clone();
            token.set_sensitive(true);
            client.with_session(|kept| *kept = Some(token));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            return Ok((operation, response));
        }
        // the words are a courtesy: the status is the answer, also if they do not come
        let limit = client.options.max_answer;
        let body = match tokio::time::timeout(after, whole(response, &operation, limit, after)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) | Err(_) => Bytes::new(),
        };
        let body = redacted(&client.key, &String::from_utf8_lossy(&body));
        Err(of_answer(&operation, status, &headers, body.as_bytes()))
    }

    async fn send(self) -> Result<Response, Error> {
        let (client, after) = (self.client, self.after);
        let repeatable = self.method == Method::GET;
        let http = if repeatable { &client.http } else { &client.fresh };
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, client.bearer.clone());
        let wanted = if self.streams {
            "text/event-stream"
        } else {
            "application/json"
        };
        headers.insert(ACCEPT, HeaderValue::from_static(wanted));
        if client.version() == Version::V1
            && let Some(token) = client.with_session(|kept| kept.clone())
        {
            headers.insert(SESSION, token);
        }
        let mut builder = http.request(self.method, self.url).headers(headers);
        if !self.query.is_empty() {
            builder = builder.query(&self.query);
        }
        if let Some(body) = &self.body {
            builder = builder.json(body);
        }
        let again = if repeatable { builder.try_clone() } else { None };
        let sent = match (builder.send().await, again) {
            // a kept connection that the server has dropped since shows only when it is used
            (Err(error), Some(again)) if !error.is_connect() && !error.is_timeout() => again.send().await,
            (sent, _) => sent,
        };
        sent.map_err(|source| transport(self.operation, &client.origin(), after, source))
    }

    /// Sends and reads a successful answer whole, within the limits of time and size.
    pub(super) async fn answer(self) -> Result<Answer, Error> {
        let (limit, after) = (self.limit, self.after);
        let key = self.client.key.clone();
        let (operation, response) = self.head().await?;
        match tokio::time::timeout(after, whole(response, &operation, limit, after)).await {
            Ok(body) => Ok(Answer {
                body: body?,
                operation,
                key,
            }),
            Err(_) => Err(Error::Timeout { operation, after }),
        }
    }

    /// Sends and reads JSON.
    pub(super) async fn json(self) -> Result<(Value, Answer), Error> {
        let answer = self.answer().await?;
        let value =
            serde_json::from_slice(&answer.body).map_err(|error| answer.garbled(&error.to_string()))?;
        Ok((value, answer))
    }
}

impl Answer {
    pub(super) fn garbled(&self, reason: &str) -> Error {
        Error::Unparseable {
            operation: self.operation.clone(),
            reason: reason.to_owned(),
            excerpt: redacted(&self.key, &excerpt(&self.body)),
        }
    }
}

/// Takes the key out of somebody else's words, should they repeat it.
fn redacted(key: &Key, text: &str) -> String {
    match key.reveal() {
        "" => text.to_owned(),
        key => text.replace(key, "***"),
    }
}

async fn whole(mut response: Response, operation: &str, limit: u64, after: Duration) -> Result<Bytes, Error> {
    let too_large = || Error::TooLarge {
        operation: operation.to_owned(),
        limit,
    };
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body.freeze()),
            Ok(Some(chunk)) if (body.len() + chunk.len()) as u64 > limit => return Err(too_large()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(source) => return Err(transport(operation.to_owned(), "v0", after, source)),
        }
    }
}

pub(super) fn transport(operation: String, origin: &str, after: Duration, source: reqwest::Error) -> Error {
    let source = source.without_url();
    if source.is_connect() {
        Error::Unreachable {
            operation,
            origin: origin.to_owned(),
            source,
        }
    } else if source.is_timeout() {
        Error::Timeout { operation, after }
    } else {
        Error::Broken { operation, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str, key: &str) -> Result<Client, Error> {
        crate::install_tls();
        let options = Options {
            base: Url::parse(base).expect("an address"),
            ..Options::default()
        };
        Client::new(Key::new(key), options)
    }

    #[test]
    fn paths_are_joined_to_a_prefix_and_escaped() {
        let client = client("https://proxy.example/v0/", "k").expect("a client");
        assert_eq!(client.url(&["chats", "a/b ?"]).path(), "/v0/v2/chats/a%2Fb%20%3F");
        assert_eq!(client.origin(), "https://proxy.example");
    }

    #[test]
    fn a_key_is_not_shown_and_has_to_fit_into_a_header() {
        assert!(matches!(client(ADDRESS, "two\nlines"), Err(Error::Key)));
        let shown = format!("{:?}", client(ADDRESS, "sk-canary").expect("a client"));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
