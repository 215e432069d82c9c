//! When a process that dies is started again, and when no more. Pure: the time is given.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// How deaths are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endurance {
    /// The pause after the first death; it doubles with every further one.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
    /// After this many deaths within `window` it is not started again.
    pub limit: usize,
    /// How long a death counts.
    pub window: Duration,
}

/// What to do after a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Start it again after this pause.
    Again(Duration),
    /// Leave it dead until a person starts it.
    GiveUp,
}

/// The deaths that still count.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    times: VecDeque<Instant>,
}

impl Deaths {
    pub(super) fn count(&self) -> usize {
        self.times.len()
    }

    pub(super) fn forget(&mut self) {
        self.times.clear();
    }

    pub(super) fn note(&mut self, now: Instant, endurance: Endurance) -> Verdict {
        self.times
            .retain(|time| now.saturating_duration_since(*time) < endurance.window);
        self.times.push_back(now);
        if self.times.len() >= endurance.limit {
            return Verdict::GiveUp;
        }
        let doublings = u32::try_from(self.times.len() - 1).unwrap_or(u32::MAX);
        let pause = endurance.pause.saturating_mul(2_u32.saturating_pow(doublings));
        Verdict::Again(pause.min(endurance.pause_max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDURANCE: Endurance = Endurance {
        pause: Duration::from_secs(1),
        pause_max: Duration::from_secs(3),
        limit: 5,
        window: Duration::from_mins(10),
    };

    #[test]
    fn the_pause_doubles_up_to_its_limit_and_the_fifth_death_is_the_last() {
        let mut deaths = Deaths::default();
        let now = Instant::now();
        let verdicts: Vec<Verdict> = (0..5).map(|_| deaths.note(now, ENDURANCE)).collect();
        let again = |seconds| Verdict::Again(Duration::from_secs(seconds));
        assert_eq!(
            verdicts,
            [again(1), again(2), again(3), again(3), Verdict::GiveUp]
        );
    }

    #[test]
    fn old_deaths_do_not_count() {
        let mut deaths = Deaths::default();
        let start = Instant::now();
        for nth in 0..20 {
            let verdict = deaths.note(start + ENDURANCE.window * nth, ENDURANCE);
            assert_eq!(verdict, Verdict::Again(ENDURANCE.pause), "death {nth}");
        }
        assert_eq!(deaths.count(), 1);
        deaths.forget();
        assert_eq!(deaths.count(), 0);
    }
}
