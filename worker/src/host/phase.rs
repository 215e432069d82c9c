//! What the owner of the process is doing, and what can happen in it.

use std::{future::pending, mem};

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until};

use super::{
    Reply, Request,
    process::{Ended, Process},
};

/// What is being done.
pub(super) enum Phase {
    /// Nothing; the status says why.
    Idle,
    /// It was started and does not answer yet.
    Starting {
        process: Process,
        answer: BoxFuture<'static, ()>,
        deadline: Instant,
        starter: Starter,
        waiting: Vec<Reply>,
    },
    /// It answered.
    Running { process: Process },
    /// It was told to end.
    Stopping {
        process: Process,
        /// When it is ended by force, or again.
        due: Instant,
        /// How often it was.
        forced: u32,
        then: Then,
        waiting: Vec<Reply>,
    },
    /// It is started again then.
    BackingOff { until: Instant },
}

/// What follows when a process has ended that was told to.
pub(super) enum Then {
    /// Nothing.
    Rest,
    /// It is started again, for these.
    Start(Vec<Reply>),
    /// It counts as a death.
    Die(String),
    /// It stays down.
    Fail(String),
}

/// Who wanted a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Starter {
    /// A person, who is told of a failure and decides what to do.
    Person,
    /// The worker, which tries again.
    Worker,
}

/// What happened.
pub(super) enum Event {
    Over,
    Asked(Request),
    Ended(Ended),
    Answered,
    Due,
    Tick,
}

impl Phase {
    const fn due(&self) -> Option<Instant> {
        match self {
            Self::Starting { deadline: due, .. }
            | Self::Stopping { due, .. }
            | Self::BackingOff { until: due } => Some(*due),
            Self::Idle | Self::Running { .. } => None,
        }
    }

    /// What comes next by itself. Can be dropped and called again.
    pub(super) async fn next(&mut self) -> Event {
        let due = self.due();
        let due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => pending().await,
            }
        };
        match self {
            Self::Idle | Self::BackingOff { .. } => {
                due.await;
                Event::Due
            }
            Self::Starting { process, answer, .. } => tokio::select! {
                biased;
                ended = process.ended() => Event::Ended(ended),
                () = answer => Event::Answered,
                () = due => Event::Due,
            },
            Self::Running { process } | Self::Stopping { process, .. } => tokio::select! {
                biased;
                ended = process.ended() => Event::Ended(ended),
                () = due => Event::Due,
            },
        }
    }

    /// Takes it out, to put another one in.
    pub(super) const fn take(&mut self) -> Self {
        mem::replace(self, Self::Idle)
    }

    /// Whether its end is still waited for.
    pub(super) const fn is_being_stopped(&self) -> bool {
        // beyond that it is given up
        matches!(self, Self::Stopping { forced: 0 | 1, .. })
    }
}
