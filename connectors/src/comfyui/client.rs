//! The connection to one ComfyUI server: address, limits, and how a request becomes a typed answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::error::{Error, excerpt};
use super::job::JobsApi;
use super::socket::SocketOptions;

/// Limits of a [`Client`]. Every wait and every body has one.
#[derive(Debug, Clone)]
pub struct Options {
    /// Longest wait for a TCP (and TLS) connection.
    pub connect_timeout: Duration,
    /// Longest wait for a complete answer; for downloads, for the head of the answer and then for each
    /// further piece.
    pub request_timeout: Duration,
    /// Longest wait for an upload to be taken and answered.
    pub upload_timeout: Duration,
    /// Largest JSON answer, bytes. `/object_info` of a server with many custom nodes takes several MiB.
    pub max_json: u64,
    /// Largest downloaded file, bytes.
    pub max_download: u64,
    /// Limits of the WebSocket.
    pub socket: SocketOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_mins(5),
            max_json: 64 << 20,
            max_download: 4 << 30,
            socket: SocketOptions::default(),
        }
    }
}

/// One ComfyUI server. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    /// For GET: keeps connections.
    http: reqwest::Client,
    /// For everything else: a connection of its own for each request, so that one that the server has just
    /// dropped cannot leave it unclear whether a POST arrived; and HTTP/1.1, which the WebSocket needs.
    pub(super) fresh: reqwest::Client,
    base: Url,
    pub(super) options: Options,
    /// Shared by clones.
    pub(super) jobs_api: Arc<JobsApi>,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8188` (a path prefix and credentials in
    /// the URL are honoured). Nothing is contacted yet. [`install_tls`](crate::install_tls) must have been
    /// called.
    pub fn new(base: Url, options: Options) -> Result<Self, Error> {
        let reason = if !matches!(base.scheme(), "http" | "https") {
            Some(format!("its scheme must be http or https, not {}", base.scheme()))
        } else if base.query().is_some() || base.fragment().is_some() {
            Some("it must not carry a query or a fragment".to_owned())
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(Error::Address { reason });
        }
        let build = |fresh: bool| {
            let mut builder = reqwest::Client::builder()
                .connect_timeout(options.connect_timeout)
                .pool_idle_timeout(Duration::from_secs(30))
                // following a redirect would turn a POST into a GET of somebody's login page
                .redirect(reqwest::redirect::Policy::none());
            if is_loopback(&base) {
                builder = builder.no_proxy();
            }
            if fresh {
                builder = builder.http1_only().pool_max_idle_per_host(0);
            }
            builder.build().map_err(Error::Setup)
        };
        let (http, fresh) = (build(false)?, build(true)?);
        Ok(Self {
            http,
            fresh,
            base,
            options,
            jobs_api: Arc::default(),
        })
    }

    /// Scheme, host and port of the server, without credentials.
    pub fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// The limits in force.
    pub fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    pub(super) fn request(&self, method: Method, segments: &[&str]) -> Request {
        let operation = format!("{method} /{}", segments.join("/"));
        let http = if method == Method::GET {
            &self.http
        } else {
            &self.fresh
        };
        Request {
            repeatable: method == Method::GET,
            builder: http.request(method, self.url(segments)),
            operation,
            origin: self.origin(),
            timeout: self.options.request_timeout,
            max_json: self.options.max_json,
            jobs_api: Arc::clone(&self.jobs_api),
        }
    }

    pub(super) fn get(&self, segments: &[&str]) -> Request {
        self.request(Method::GET, segments)
    }

    pub(super) fn post(&self, segments: &[&str], body: &Value) -> Request {
        self.request(Method::POST, segments)
            .map(|builder| builder.json(body))
    }
}

/// A request with what is needed to name its failures.
pub(super) struct Request {
    builder: RequestBuilder,
    operation: String,
    origin: String,
    timeout: Duration,
    max_json: u64,
    repeatable: bool,
    jobs_api: Arc<JobsApi>,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) operation: String,
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) fn map(mut self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        self.builder = change(self.builder);
        self
    }

    pub(super) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends and waits for the head of the answer only.
    pub(super) async fn head(self) -> Result<(String, Response), Error> {
        let Self {
            builder,
            operation,
            origin,
            timeout,
            repeatable,
            jobs_api,
            ..
        } = self;
        let again = if repeatable { builder.try_clone() } else { None };
        let sending = async {
            match (builder.send().await, again) {
                // a kept connection that the server has dropped since shows only when it is used
                (Err(error), Some(again)) if !error.is_connect() && !error.is_timeout() => again.send().await,
                (result, _) => result,
            }
        };
        match tokio::time::timeout(timeout, sending).await {
            Err(_) => Err(Error::Timeout {
                operation,
                after: timeout,
            }),
            Ok(Err(source)) => {
                // who is there next time may be another server
                jobs_api.forget();
                Err(transport(operation, &origin, timeout, source))
            }
            Ok(Ok(response)) => Ok((operation, response)),
        }
    }

    /// Sends and reads the answer whole, within the limits of time and size, whatever its status.
    pub(super) async fn answer(self) -> Result<Answer, Error> {
        let (limit, after, operation) = (self.max_json, self.timeout, self.operation.clone());
        let whole = async {
            let (operation, response) = self.head().await?;
            let status = response.status();
            let body = read_whole(response, &operation, limit, after).await?;
            Ok(Answer {
                operation,
                status,
                body,
            })
        };
        match tokio::time::timeout(after, whole).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { operation, after }),
        }
    }

    /// Sends and expects success; the body is of no interest.
    pub(super) async fn done(self) -> Result<(), Error> {
        self.answer().await?.success().map(drop)
    }
}

impl Answer {
    pub(super) fn success(self) -> Result<Self, Error> {
        if self.status.is_success() {
            Ok(self)
        } else {
            Err(self.unexpected())
        }
    }

    pub(super) fn json(&self) -> Result<Value, Error> {
        serde_json::from_slice(&self.body).map_err(|error| self.unparseable(error.to_string()))
    }

    pub(super) fn unparseable(&self, reason: String) -> Error {
        Error::Unparseable {
            operation: self.operation.clone(),
            reason,
            excerpt: excerpt(&self.body),
        }
    }

    pub(super) fn unexpected(&self) -> Error {
        Error::Status {
            operation: self.operation.clone(),
            status: self.status.as_u16(),
            words: words(&self.body),
        }
    }
}

/// What the server says in the body of a refusal: the message in its JSON, or the text itself.
pub(super) fn words(body: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(body).ok().and_then(|value| {
        let error = value.get("error")?;
        error
            .as_str()
            .or_else(|| error.get("message")?.as_str())
            .map(str::to_owned)
    });
    let said = said.unwrap_or_else(|| excerpt(body));
    if said.is_empty() {
        "no explanation".to_owned()
    } else {
        said
    }
}

async fn read_whole(
    mut response: Response,
    operation: &str,
    limit: u64,
    after: Duration,
) -> Result<Bytes, Error> {
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
            Err(source) => return Err(transport(operation.to_owned(), "", after, source)),
        }
    }
}

pub(super) fn transport(operation: String, origin: &str, after: Duration, source: reqwest::Error) -> Error {
    // the URL may carry credentials, and the operation already says where
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

fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Result<Client, Error> {
        crate::install_tls();
        Client::new(Url::parse(base).unwrap(), Options::default())
    }

    #[test]
    fn paths_are_joined_to_a_prefix_and_escaped() {
        let client = client("https://me:secret@gpu.example/comfy/").unwrap();
        assert_eq!(
            client.url(&["history", "a/b ?"]).path(),
            "/comfy/history/a%2Fb%20%3F"
        );
        assert_eq!(client.origin(), "https://gpu.example");
    }

    #[test]
    fn addresses_that_cannot_be_are_refused() {
        for bad in ["ftp://host", "http://host/?x=1", "ws://host"] {
            assert!(matches!(client(bad), Err(Error::Address { .. })), "{bad}");
        }
    }

    #[test]
    fn the_words_of_a_refusal_are_found() {
        assert_eq!(words(br#"{"error":"Job not found"}"#), "Job not found");
        assert_eq!(
            words(br#"{"error":{"message":"No prompt provided"}}"#),
            "No prompt provided"
        );
        assert_eq!(words(b"500 Internal Server Error"), "500 Internal Server Error");
        assert_eq!(words(b""), "no explanation");
    }
}
