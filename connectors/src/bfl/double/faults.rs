//! What goes wrong on purpose: planned for the next request, or by chance with a seed. Pure.

use std::time::Duration;

/// How the answer to a submission goes wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// 429: as many tasks as the account may have. Not taken.
    Busy,
    /// This status, as the service itself answers it. Not taken.
    Status(u16),
    /// 502 with a page of HTML, by something in between.
    BadGateway {
        /// Whether the service took the task.
        taken: bool,
    },
    /// 200 with a page of HTML, by something in between.
    Html {
        /// Whether the service took the task.
        taken: bool,
    },
    /// 307 to another path of the same host. Not taken; following it is a violation.
    Redirect,
    /// The connection is closed before anything is taken, without an answer.
    CutBefore,
    /// The task is taken, and the connection is closed without an answer.
    CutAfter,
    /// The task is taken, and the answer breaks off in the middle.
    CutWithin,
    /// The task is taken, and the answer comes late.
    Slow(Duration),
    /// The task is taken, and the answer never comes.
    Stall,
    /// Something in between sends the request twice: two tasks are taken, and one is answered.
    Duplicate,
    /// The task is taken, and the answer has an id and no address to ask at.
    NoPollingUrl,
    /// The task is taken, and fails later.
    TaskFails,
}

/// How the answer to a poll or to the fetching of a result goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerFault {
    /// This status.
    Status(u16),
    /// The answer breaks off in the middle.
    Cut,
    /// 200 with a page of HTML.
    Html,
    /// The answer never comes.
    Stall,
}

/// How often things go wrong, each between 0 and 1, drawn with a seed. Those of submissions exclude each other,
/// so that their sum is at most 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Faults {
    /// [`Fault::Busy`].
    pub busy: f64,
    /// [`Fault::Status`] 500.
    pub error_500: f64,
    /// [`Fault::Status`] 503.
    pub unavailable_503: f64,
    /// [`Fault::BadGateway`]; half of them after the task was taken.
    pub bad_gateway_502: f64,
    /// [`Fault::CutBefore`].
    pub cut_before: f64,
    /// [`Fault::CutAfter`] and [`Fault::CutWithin`], half and half.
    pub cut_after: f64,
    /// [`Fault::Slow`].
    pub slow: f64,
    /// How late a slow answer is.
    pub delay: Duration,
    /// [`Fault::Html`]; half of them after the task was taken.
    pub html: f64,
    /// [`Fault::Duplicate`].
    pub duplicate: f64,
    /// [`Fault::NoPollingUrl`].
    pub no_polling_url: f64,
    /// [`Fault::TaskFails`].
    pub task_fails: f64,
    /// Polls that are answered with 503.
    pub poll_503: f64,
    /// Polls whose answer breaks off.
    pub poll_cut: f64,
    /// Results that are answered with 503.
    pub sample_503: f64,
    /// Results that break off.
    pub sample_cut: f64,
    /// Makes a run repeatable.
    pub seed: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            busy: 0.0,
            error_500: 0.0,
            unavailable_503: 0.0,
            bad_gateway_502: 0.0,
            cut_before: 0.0,
            cut_after: 0.0,
            slow: 0.0,
            delay: Duration::from_secs(2),
            html: 0.0,
            duplicate: 0.0,
            no_polling_url: 0.0,
            task_fails: 0.0,
            poll_503: 0.0,
            poll_cut: 0.0,
            sample_503: 0.0,
            sample_cut: 0.0,
            seed: 0,
        }
    }
}

/// Numbers that look random and follow from a seed (`SplitMix64`).
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, and without, 1.
    fn fraction(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn coin(&mut self) -> bool {
        self.number() & 1 == 1
    }

    /// The one of some exclusive things that happens, if any does.
    fn pick<T: Copy>(&mut self, chances: &[(f64, T)]) -> Option<T> {
        let mut left = self.fraction();
        for &(chance, thing) in chances {
            if left < chance {
                return Some(thing);
            }
            left -= chance;
        }
        None
    }
}

impl Faults {
    /// What goes wrong with a submission.
    pub(super) fn of_submission(&self, dice: &mut Dice) -> Option<Fault> {
        let taken = dice.coin();
        let cut = if taken { Fault::CutAfter } else { Fault::CutWithin };
        dice.pick(&[
            (self.busy, Fault::Busy),
            (self.error_500, Fault::Status(500)),
            (self.unavailable_503, Fault::Status(503)),
            (self.bad_gateway_502, Fault::BadGateway { taken }),
            (self.cut_before, Fault::CutBefore),
            (self.cut_after, cut),
            (self.slow, Fault::Slow(self.delay)),
            (self.html, Fault::Html { taken }),
            (self.duplicate, Fault::Duplicate),
            (self.no_polling_url, Fault::NoPollingUrl),
            (self.task_fails, Fault::TaskFails),
        ])
    }

    /// What goes wrong with a poll.
    pub(super) fn of_poll(&self, dice: &mut Dice) -> Option<AnswerFault> {
        dice.pick(&[
            (self.poll_503, AnswerFault::Status(503)),
            (self.poll_cut, AnswerFault::Cut),
        ])
    }

    /// What goes wrong with the fetching of a result.
    pub(super) fn of_sample(&self, dice: &mut Dice) -> Option<AnswerFault> {
        dice.pick(&[
            (self.sample_503, AnswerFault::Status(503)),
            (self.sample_cut, AnswerFault::Cut),
        ])
    }
}

impl Fault {
    /// Whether the service takes a task that it would take otherwise.
    pub(super) fn takes(self) -> bool {
        match self {
            Self::Busy | Self::Status(_) | Self::Redirect | Self::CutBefore => false,
            Self::BadGateway { taken } | Self::Html { taken } => taken,
            Self::CutAfter
            | Self::CutWithin
            | Self::Slow(_)
            | Self::Stall
            | Self::Duplicate
            | Self::NoPollingUrl
            | Self::TaskFails => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_wanted_and_the_same_again() {
        let faults = Faults {
            busy: 0.1,
            cut_after: 0.2,
            ..Faults::default()
        };
        let draw = |seed| {
            let mut dice = Dice::new(seed);
            let drawn = (0..10_000).map(|_| faults.of_submission(&mut dice));
            drawn.collect::<Vec<_>>()
        };
        let drawn = draw(7);
        let share = |wanted: &dyn Fn(Fault) -> bool| {
            drawn.iter().flatten().filter(|fault| wanted(**fault)).count() as f64 / 10_000.0
        };
        assert!((share(&|fault| fault == Fault::Busy) - 0.1).abs() < 0.02);
        assert!((share(&|fault| fault == Fault::CutAfter) - 0.1).abs() < 0.02);
        assert!((share(&|fault| fault == Fault::CutWithin) - 0.1).abs() < 0.02);
        assert!((share(&|_| true) - 0.3).abs() < 0.03);
        assert_eq!(drawn, draw(7));
        assert_ne!(drawn, draw(8));
    }
}
