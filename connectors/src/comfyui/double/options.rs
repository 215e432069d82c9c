//! What a double is told at its start, and what it tells about itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

/// What kind of server the double is.
#[derive(Debug, Clone)]
pub struct DoubleOptions {
    /// Where it listens; port 0 is any free one.
    pub listen: SocketAddr,
    /// The version that it claims.
    pub version: String,
    /// Whether it has `/api/jobs`; a server of v0.5 and before has not.
    pub jobs_api: bool,
    /// Whether it takes any prompt id, and refuses in the words of v0.3.64.
    pub old: bool,
    /// Whether it sends a preview with every step.
    pub previews: bool,
    /// The checkpoints on its disk.
    pub checkpoints: Vec<String>,
    /// How long a sampling step takes when it runs freely.
    pub step_time: Duration,
    /// How long a checkpoint takes to load that is not loaded. Nothing is said meanwhile, and an interrupt
    /// waits for the end of it.
    pub load_time: Duration,
    /// Whether a prompt with the text `poison` in it breaks the device, for itself and for every later
    /// prompt that needs it, until a restart.
    pub poison: bool,
    /// Node classes that it says call a service for money.
    pub api_nodes: Vec<String>,
}

impl Default for DoubleOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            version: "0.33.0".to_owned(),
            jobs_api: true,
            old: false,
            previews: false,
            checkpoints: vec!["v1-5-pruned-emaonly.safetensors".to_owned()],
            step_time: Duration::ZERO,
            load_time: Duration::ZERO,
            poison: false,
            api_nodes: Vec::new(),
        }
    }
}

impl DoubleOptions {
    /// A server of v0.3.64.
    pub fn old() -> Self {
        Self {
            version: "0.3.64".to_owned(),
            jobs_api: false,
            old: true,
            ..Self::default()
        }
    }
}

/// What is wrong with a model file. Its name passes validation; the node that reads it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corruption {
    /// The header is whole and the data are cut off, as after a broken download.
    Truncated,
    /// It is no model file at all.
    Garbage,
}

impl Corruption {
    /// The Python exception and its words.
    pub(super) fn exception(self) -> (&'static str, &'static str) {
        let words = match self {
            Self::Truncated => {
                "Error while deserializing header: incomplete metadata, file not fully covered"
            }
            Self::Garbage => "Error while deserializing header: header too large",
        };
        ("safetensors._safetensors_rust.SafetensorError", words)
    }
}

/// A posted prompt, accepted or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The id that it was given by its poster.
    pub prompt_id: Option<String>,
    /// Its poster.
    pub client_id: Option<String>,
    /// The graph.
    pub graph: Value,
    /// Whether it was queued.
    pub accepted: bool,
}

/// One time that a prompt was taken out of the queue and run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The prompt.
    pub prompt_id: String,
    /// Whether it ran to success; not so while it runs, nor when a restart ended it.
    pub succeeded: bool,
    /// The nodes that really ran, those from the cache not among them.
    pub nodes: Vec<String>,
}

/// What the double is doing at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The prompt that runs.
    pub running: Option<String>,
    /// Its node that runs.
    pub node: Option<String>,
    /// The checkpoint that is being loaded.
    pub loading: Option<String>,
    /// The prompts that wait, in order.
    pub pending: Vec<String>,
    /// The prompts in the history, oldest first.
    pub ended: Vec<String>,
    /// Sampling steps done since the start.
    pub steps: u64,
    /// Runs of prompts that have ended since the start, by success or not; those before a restart too.
    pub finished: u64,
    /// Registered sockets that the server would write to.
    pub sockets: usize,
    /// Whether the worker thread is dead: HTTP answers, and nothing runs any more.
    pub worker_dead: bool,
}
