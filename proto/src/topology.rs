//! The streams and consumers as data. What creates them is in the runtime.
//!
//! The reasons for each setting were measured against nats-server 2.15.1; see docs/protocol.md.

use std::time::Duration;

use crate::subjects;

/// The lowest JetStream API level that has all we use: nats-server 2.14.
pub const API_LEVEL: i64 = 4;
/// The lowest server version that we accept, for messages to people.
pub const SERVER_VERSION: &str = "2.14.1";

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// What it captures.
    pub subjects: &'static [&'static str],
    /// What keeps its messages.
    pub kind: Kind,
    /// In memory instead of on disk.
    pub memory: bool,
    /// Messages older than this vanish; zero keeps them.
    pub max_age: Duration,
    /// Bytes in all; -1 is without bound.
    pub max_bytes: i64,
    /// Bytes of one message.
    pub max_message_bytes: i32,
    /// A second message on a subject is refused instead of replacing the first.
    pub immutable: bool,
    /// Messages may carry a time to live, and leave a marker for this long when it is over.
    pub marker_ttl: Option<Duration>,
    /// Compressed on disk.
    pub compressed: bool,
}

/// What keeps a stream's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The newest message of each subject.
    LastValue,
    /// Messages until they are acknowledged; also holds schedules.
    WorkQueue,
    /// Every message, for ever; the server refuses to remove any.
    Log,
}

/// The records of all jobs: the truth.
pub const JOBS: &str = "ORCH_JOBS";
/// Requests that are too large for the record.
pub const SPECS: &str = "ORCH_SPECS";
/// Queue tokens: hints.
pub const QUEUE: &str = "ORCH_QUEUE";
/// Last progress and preview of each running job.
pub const PROGRESS: &str = "ORCH_PROGRESS";
/// Last announcement of each worker.
pub const WORKERS: &str = "ORCH_WORKERS";

/// What was set aside, spent and given back.
pub const LEDGER: &str = "ORCH_LEDGER";
/// Workflows that people keep.
pub const WORKFLOWS: &str = "ORCH_WORKFLOWS";

const MIB: i64 = 1024 * 1024;
const KIB: i32 = 1024;

/// Largest job record.
pub const MAX_RECORD_BYTES: usize = 64 * 1024;
/// Largest request.
pub const MAX_SPEC_BYTES: usize = 900 * 1024;
/// Requests up to this size lie in the record itself.
pub const MAX_INLINE_REQUEST_BYTES: usize = 4 * 1024;

/// All streams.
pub const STREAMS: &[Stream] = &[
    Stream {
        name: JOBS,
        subjects: &[subjects::JOBS],
        kind: Kind::LastValue,
        memory: false,
        max_age: Duration::ZERO,
        max_bytes: -1,
        max_message_bytes: 64 * KIB,
        immutable: false,
        marker_ttl: Some(Duration::from_hours(24)),
        compressed: false,
    },
    Stream {
        name: SPECS,
        subjects: &[subjects::SPECS],
        kind: Kind::LastValue,
        memory: false,
        max_age: Duration::ZERO,
        max_bytes: -1,
        max_message_bytes: 900 * KIB,
        immutable: true,
        marker_ttl: None,
        compressed: true,
    },
    Stream {
        name: QUEUE,
        subjects: &[subjects::TOKENS, subjects::SCHEDULED],
        kind: Kind::WorkQueue,
        memory: false,
        max_age: Duration::ZERO,
        max_bytes: -1,
        max_message_bytes: 72 * KIB,
        immutable: false,
        marker_ttl: None,
        compressed: false,
    },
    Stream {
        name: PROGRESS,
        subjects: &[subjects::PROGRESS, subjects::PREVIEWS],
        kind: Kind::LastValue,
        memory: true,
        max_age: Duration::from_mins(15),
        max_bytes: 256 * MIB,
        max_message_bytes: 512 * KIB,
        immutable: false,
        marker_ttl: None,
        compressed: false,
    },
    Stream {
        name: WORKERS,
        subjects: &[subjects::WORKERS],
        kind: Kind::LastValue,
        memory: true,
        max_age: Duration::from_secs(30),
        max_bytes: 64 * MIB,
        max_message_bytes: 512 * KIB,
        immutable: false,
        marker_ttl: None,
        compressed: false,
    },
    Stream {
        name: LEDGER,
        subjects: &[subjects::LEDGER],
        kind: Kind::Log,
        memory: false,
        max_age: Duration::ZERO,
        max_bytes: -1,
        max_message_bytes: 8 * KIB,
        immutable: false,
        marker_ttl: None,
        compressed: false,
    },
    Stream {
        name: WORKFLOWS,
        subjects: &[subjects::WORKFLOWS],
        kind: Kind::LastValue,
        memory: false,
        max_age: Duration::ZERO,
        max_bytes: -1,
        max_message_bytes: 900 * KIB,
        immutable: false,
        marker_ttl: None,
        compressed: true,
    },
];

/// How a lane's consumer treats its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// A token that nobody acknowledged or prolonged for this long is delivered again.
    pub ack_wait: Duration,
    /// A consumer that nobody used for this long is removed.
    pub inactive_threshold: Duration,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            ack_wait: Duration::from_mins(1),
            inactive_threshold: Duration::from_hours(168),
        }
    }
}
