//! What a double is told at its start, and what it tells about what arrived.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::faults::{Fault, Faults};

/// What kind of service the double is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it takes submissions; port 0 is any free one. Polls and results are on free ports of the same
    /// interface.
    pub listen: SocketAddr,
    /// Where it shows its bill at `/bill`; nowhere if absent.
    pub admin: Option<SocketAddr>,
    /// The key that it accepts.
    pub key: String,
    /// How long a task takes: half of it waiting, half of it running.
    pub task_time: Duration,
    /// How long a result can be fetched after its task became ready.
    pub sample_ttl: Duration,
    /// Whether a running task is told as `Reasoning`, which is not documented.
    pub reasoning: bool,
    /// Whether the first poll of each task is answered with 404.
    pub late: bool,
    /// Whether tasks are asked for where they are submitted, as at a service of one cluster. Otherwise at
    /// another port, where the key must not arrive.
    pub poll_at_base: bool,
    /// What the account has, in credits of one cent.
    pub credits: f64,
    /// How many tasks may be active.
    pub max_active: usize,
    /// How many of `flux-kontext-max` may be.
    pub max_active_kontext_max: usize,
    /// What goes wrong by chance.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admin: None,
            key: "bfl_double_key".to_owned(),
            task_time: Duration::ZERO,
            sample_ttl: Duration::from_mins(10),
            reasoning: false,
            late: false,
            poll_at_base: false,
            credits: 100_000.0,
            max_active: 24,
            max_active_kontext_max: 6,
            faults: Faults::default(),
        }
    }
}

/// A POST that arrived below `/v1/`, taken or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// Its path, below `/v1/`.
    pub path: String,
    /// Its body; null if it was no JSON.
    pub body: Value,
    /// What went wrong with its answer on purpose.
    pub fault: Option<Fault>,
    /// The status that it was answered with; none if the connection was cut, or while the answer is held back.
    pub status: Option<u16>,
    /// The task that it became.
    pub task: Option<String>,
}
