//! How long a ComfyUI that is out of reach is put up with.

use std::time::Duration;

use connectors::comfyui::Error;
use proto::v1::Failure;
use tokio::time::{Instant, sleep};

use super::faults::trouble;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Counts from the first of several failures in a row.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    since: Option<Instant>,
    wait: Duration,
}

impl Patience {
    pub(super) const fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            wait: FIRST_WAIT,
        }
    }

    /// It answered.
    pub(super) const fn calm(&mut self) {
        self.since = None;
        self.wait = FIRST_WAIT;
    }

    /// It did not answer; the failure, if that went on for too long.
    pub(super) fn try_on(&mut self, error: &Error) -> Result<(), Failure> {
        let since = *self.since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.limit {
            return Ok(());
        }
        let failure = trouble(error);
        let message = format!("{}, for {:.0} s", failure.message, since.elapsed().as_secs_f64());
        Err(Failure { message, ..failure })
    }

    /// Waits before another try; the failure, if another try cannot help or it went on for too long.
    pub(super) async fn endure(&mut self, error: &Error) -> Result<(), Failure> {
        if !error.is_transient() {
            return Err(trouble(error));
        }
        self.try_on(error)?;
        sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        Ok(())
    }
}
