//! The times of the protocol. All processes of a system must use the same ones.

use std::time::Duration;

use proto::{backoff::Backoff, topology::Lane};

use crate::settings::Reader;

/// The times of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// An attempt that had no contact with the broker for this long stops; a worker that was not heard
    /// of for this long is taken for lost.
    pub lease: Duration,
    /// How often an attempt looks at its record and prolongs its token.
    pub beat: Duration,
    /// How often a worker announces itself.
    pub announce: Duration,
    /// How often a gateway compares records, queue and workers.
    pub sweep: Duration,
    /// How long the record of a finished job is kept.
    pub retention: Duration,
    /// The waits between attempts.
    pub backoff: Backoff,
}

impl Timing {
    /// Reads the settings of this part.
    pub fn read(reader: &mut Reader) -> Self {
        let timing = Self {
            lease: reader.get(
                "lease.time",
                "45s",
                "a worker that was not heard of for this long is taken for lost",
            ),
            beat: reader.get(
                "lease.beat",
                "15s",
                "how often a running attempt confirms that it holds its job",
            ),
            announce: reader.get("lease.announce", "5s", "how often a worker announces itself"),
            sweep: reader.get(
                "lease.sweep",
                "15s",
                "how often a gateway looks for jobs that nobody takes care of",
            ),
            retention: reader.get(
                "jobs.retention",
                "30d",
                "how long finished jobs and their artifacts are kept",
            ),
            backoff: Backoff {
                base: reader.get(
                    "jobs.retry_base",
                    "5s",
                    "wait after the first failed attempt; doubles each time",
                ),
                cap: reader.get("jobs.retry_cap", "10m", "the longest wait between attempts"),
            },
        };
        if timing.beat * 2 > timing.lease {
            reader.fault("lease.beat", "must be at most half of lease.time");
        }
        if timing.announce * 2 > timing.lease {
            reader.fault("lease.announce", "must be at most half of lease.time");
        }
        if timing.lease < Duration::from_millis(500) {
            reader.fault("lease.time", "must be at least 500ms");
        }
        if timing.retention < Duration::from_secs(1) {
            reader.fault("jobs.retention", "must be at least 1s");
        }
        timing
    }

    /// A record that changed less long ago than this is left alone by a sweep: whoever changed it is about
    /// to act.
    pub fn settle(&self) -> Duration {
        self.sweep * 4 / 3
    }

    /// How the lanes' consumers behave: a token comes back a little later than its holder gives up.
    pub fn lane(&self) -> Lane {
        Lane {
            ack_wait: self.lease + self.beat,
            ..Lane::default()
        }
    }
}
