//! When a failed attempt is tried again.

use std::time::Duration;

use crate::failure::FailureCode;

/// Bounds of the wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Wait after the first failed attempt; doubles with each further one.
    pub base: Duration,
    /// The longest wait.
    pub cap: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(5),
            cap: Duration::from_mins(10),
        }
    }
}

impl Backoff {
    /// The wait after attempt `attempt` (from 1) failed with `code`.
    ///
    /// `jitter` is a random number from 0 to 1; it moves the wait by at most 20 % either way, so that
    /// jobs which failed together do not come back together. Codes that say "somebody must tidy up
    /// first", such as a full disk, wait four times as long.
    pub fn delay(&self, code: FailureCode, attempt: u32, jitter: f64) -> Duration {
        let doubled = self
            .base
            .saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(20)));
        let patient = if code.is_slow_to_mend() {
            doubled.saturating_mul(4)
        } else {
            doubled
        };
        let jittered = patient.min(self.cap).mul_f64(0.8 + 0.4 * jitter.clamp(0.0, 1.0));
        jittered.min(self.cap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let backoff = Backoff::default();
        let at = |attempt| {
            backoff
                .delay(FailureCode::ComfyuiUnreachable, attempt, 0.5)
                .as_secs()
        };
        assert_eq!([at(1), at(2), at(3), at(9)], [5, 10, 20, 600]);
        assert_eq!(backoff.delay(FailureCode::StoreFull, 1, 0.5).as_secs(), 20);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_longer_than_the_cap(attempt: u32, jitter in -1.0..2.0_f64) {
            let backoff = Backoff::default();
            prop_assert!(backoff.delay(FailureCode::WorkerLost, attempt, jitter) <= backoff.cap);
        }
    }
}
