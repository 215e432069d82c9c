//! What a double is told at its start, and what it tells about itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use crate::v0::Version;

/// What kind of v0 the double is.
#[derive(Debug, Clone)]
pub struct DoubleOptions {
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// The key that it accepts.
    pub key: String,
    /// How often it says of a run that it goes on.
    pub pending: u32,
    /// How long a run takes at least.
    pub run_time: Duration,
    /// How often it says of a preview that there is none yet.
    pub preview_pending: u32,
    /// What a run costs, in credits.
    pub price: f64,
    /// Files of a site beside the first three.
    pub files: usize,
    /// The largest body that it takes, bytes.
    pub max_body: usize,
    /// Whether streams of v1 end with `[DONE]`, and not with an event.
    pub done_mark: bool,
    /// Lets things go wrong at random.
    pub chaos: Option<Chaos>,
}

/// Faults at random; the same seed gives the same ones in the same order of requests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chaos {
    /// Where it begins.
    pub seed: u64,
    /// Which part of the requests goes wrong, 0 to 1.
    pub rate: f64,
}

impl Default for DoubleOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            key: "v0-test-key".to_owned(),
            pending: 2,
            run_time: Duration::ZERO,
            preview_pending: 1,
            price: 0.25,
            files: 0,
            max_body: 32 << 20,
            done_mark: true,
            chaos: None,
        }
    }
}

/// How the answer to a request goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 429, with this many seconds to wait; not carried out.
    Busy(Option<u64>),
    /// This status with these words, in the shape of the API; not carried out.
    Refusal(u16, String),
    /// 502 with a page of a proxy; not carried out.
    BadGateway,
    /// 504 with a page of a proxy; carried out all the same.
    GatewayTimeout,
    /// 200 with a page; not carried out.
    Page,
    /// 200 with a body that does not end; not carried out.
    Endless,
    /// The connection breaks; not carried out.
    CutBefore,
    /// The connection breaks without an answer; carried out.
    CutAfter,
    /// The connection breaks in the middle of the answer; carried out.
    CutAnswer,
    /// No answer; not carried out.
    Stall,
    /// No answer; carried out.
    Unanswered,
    /// The answer takes this long.
    Slow(Duration),
    /// 308 to another host; not carried out.
    Redirect(String),
}

/// A run of the model, which costs money.
#[derive(Debug, Clone, PartialEq)]
pub struct Charge {
    /// 1, 2, 3 …
    pub number: usize,
    /// The API that was asked.
    pub version: Version,
    /// Whether it made the chat.
    pub creates: bool,
    /// The chat.
    pub chat: String,
    /// The answer that was made.
    pub message: String,
    /// The model.
    pub model: String,
    /// What it cost; 0 until it is over.
    pub credits: f64,
    /// Whether who asked was told that it has begun.
    pub answered: bool,
}

impl Charge {
    /// As JSON, for people and other processes.
    pub fn to_json(&self) -> Value {
        json!({
            "number": self.number,
            "version": self.version.as_str(),
            "creates": self.creates,
            "chat": self.chat,
            "message": self.message,
            "model": self.model,
            "credits": self.credits,
            "answered": self.answered,
        })
    }
}

/// A request that came in, refused or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// E.g. `POST /v2/chats/async`, without the query.
    pub line: String,
    /// The body, where it was JSON.
    pub body: Value,
    /// The session token of v1, if it was given back.
    pub session: Option<String>,
}
