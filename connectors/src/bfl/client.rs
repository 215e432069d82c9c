//! The connection to the service: addresses, limits, who sees the key, and how an answer is read.

use std::fmt;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use jiff::fmt::rfc2822;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, Response, StatusCode};
use url::Url;

use super::detail::Detail;
use super::wording;
use crate::guard::{self, Guard};
use crate::key::Key;

/// Carries the key.
const KEY_HEADER: &str = "x-key";
/// The domain whose hosts may see it.
const DOMAIN: &str = "bfl.ai";
/// The largest answer that is not a result, bytes.
const LARGEST_ANSWER: usize = 1 << 20;
/// The longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the service is, and how long to wait for it.
#[derive(Clone)]
pub struct Settings {
    /// Such as `https://api.bfl.ai`. A local address is a simulator's, which may name local addresses too.
    pub base: Url,
    /// The key.
    pub key: Key,
    /// The longest wait for the answer to a submission.
    pub submit_timeout: Duration,
    /// The longest wait for any other answer; of a result, for its head and then for each further piece.
    pub poll_timeout: Duration,
}

/// The FLUX service. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    /// For what may be asked again: keeps connections.
    pub(super) http: reqwest::Client,
    /// For submissions: a connection of its own for each, so that one that the server has just dropped cannot
    /// leave it unclear whether the task was taken.
    pub(super) fresh: reqwest::Client,
    pub(super) guard: Guard,
    pub(super) settings: Settings,
    /// The key as it is sent, marked as sensitive.
    headers: HeaderMap,
}

/// A whole answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Body,
}

/// What came of a body.
pub(super) enum Body {
    /// All of it. Bytes that are no UTF-8 have been replaced, so that one of them cannot spoil a result.
    Whole(String),
    /// What came before the connection broke.
    Cut(String, reqwest::Error),
    /// Its beginning; it is longer than an answer can be.
    TooLarge(String),
}

impl Client {
    /// A client of the service. Nothing is contacted yet. [`install_tls`](crate::install_tls) must have been
    /// called. The error is a key that cannot be sent in a header, or TLS that cannot be set up.
    pub fn new(settings: Settings) -> Result<Self, reqwest::Error> {
        let guard = Guard::new(&settings.base, DOMAIN);
        // a connection that takes too long must show as that, and not as an answer that does
        let connect_timeout = CONNECT_TIMEOUT
            .min(settings.submit_timeout / 2)
            .min(settings.poll_timeout / 2);
        let build = |fresh: bool| {
            let mut builder = reqwest::Client::builder()
                .connect_timeout(connect_timeout)
                .pool_idle_timeout(Duration::from_secs(30))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .dns_resolver(guard.resolver());
            if guard.is_local() {
                builder = builder.no_proxy();
            }
            if fresh {
                builder = builder.http1_only().pool_max_idle_per_host(0);
            }
            builder.build()
        };
        let (http, fresh) = (build(false)?, build(true)?);
        let probe = http
            .get(settings.base.clone())
            .header(KEY_HEADER, settings.key.reveal());
        let mut headers = HeaderMap::new();
        if let Some(value) = probe
            .build()
            .map_err(reqwest::Error::without_url)?
            .headers()
            .get(KEY_HEADER)
        {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.insert(KEY_HEADER, value);
        }
        Ok(Self {
            http,
            fresh,
            guard,
            settings,
            headers,
        })
    }

    /// Scheme, host and port of the service, without credentials.
    pub fn origin(&self) -> String {
        guard::shown(&self.settings.base)
    }

    /// The address of an operation below `/v1/`.
    pub(super) fn endpoint(&self, path: &str) -> Url {
        let mut url = self.settings.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path.split('/'));
        }
        url
    }

    /// Adds the key if the address is one that may see it.
    pub(super) fn keyed(&self, request: RequestBuilder, url: &Url) -> RequestBuilder {
        if self.guard.key_may_go(url) {
            request.headers(self.headers.clone())
        } else {
            request
        }
    }

    pub(super) fn detail(&self, body: &str) -> Detail {
        Detail::read(body, &self.settings.key)
    }

    pub(super) fn excerpt(&self, text: &str) -> String {
        wording::excerpt(text, &self.settings.key)
    }

    pub(super) fn shown(&self, text: &str) -> String {
        wording::shown(text, &self.settings.key)
    }
}

impl Answer {
    /// Reads an answer whole, within the limit of size. The caller limits the time.
    pub(super) async fn read(mut response: Response) -> Self {
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let mut seen = BytesMut::new();
        let text = |seen: &[u8]| String::from_utf8_lossy(seen).into_owned();
        let body = loop {
            match response.chunk().await {
                Ok(None) => break Body::Whole(text(&seen)),
                Ok(Some(piece)) if seen.len() + piece.len() > LARGEST_ANSWER => {
                    break Body::TooLarge(text(&seen));
                }
                Ok(Some(piece)) => seen.extend_from_slice(&piece),
                Err(error) => break Body::Cut(text(&seen), error.without_url()),
            }
        };
        Self {
            status,
            retry_after,
            body,
        }
    }
}

impl Body {
    /// What there is of it.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Whole(text) | Self::Cut(text, _) | Self::TooLarge(text) => text,
        }
    }
}

/// How long the server wants to be left alone, in seconds or until a time.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let said = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::DateTimeParser::new().parse_timestamp(said).ok()?;
    let until: SystemTime = until.into();
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("base", &guard::shown(&self.base))
            .field("key", &self.key)
            .field("submit_timeout", &self.submit_timeout)
            .field("poll_timeout", &self.poll_timeout)
            .finish()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str, key: &str) -> Result<Client, reqwest::Error> {
        crate::install_tls();
        Client::new(Settings {
            base: Url::parse(base).unwrap(),
            key: Key::new(key),
            submit_timeout: Duration::from_mins(1),
            poll_timeout: Duration::from_secs(30),
        })
    }

    #[test]
    fn operations_are_below_the_base() {
        let client = client("https://me:pass@gw.example/flux/?x=1", "k").unwrap();
        assert_eq!(
            client.endpoint("flux-tools/erase-v1").as_str(),
            "https://me:pass@gw.example/flux/v1/flux-tools/erase-v1"
        );
        assert_eq!(client.endpoint("a b?c#d").path(), "/flux/v1/a%20b%3Fc%23d");
        assert_eq!(client.origin(), "https://gw.example");
        let shown = format!("{client:?}");
        assert!(shown.contains("***") && !shown.contains("pass"), "{shown}");
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_refused_without_being_shown() {
        let error = client("https://api.bfl.ai", "bfl_sec\nret").unwrap_err();
        let shown = format!("{error:?} {error}");
        assert!(error.is_builder() && !shown.contains("ret"), "{shown}");
    }

    #[test]
    fn the_wait_that_the_server_wants_is_read() {
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(wait("Fri, 31 Dec 2100 23:59:59 GMT").unwrap() > Duration::from_hours(24));
        assert_eq!(wait("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
