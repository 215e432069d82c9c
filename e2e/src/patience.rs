//! Waiting on a condition with a deadline.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long anything may take in a test before it counts as never happening.
pub const LONG: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks until there is something; panics with `what` after [`LONG`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl FnMut() -> F) -> T {
    within(LONG, what, look).await
}

/// Looks until there is something; panics with `what` after `limit`.
///
/// # Panics
/// If there is nothing in time.
pub async fn within<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    mut look: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + limit;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for: {what}");
    }
}

/// Waits for something that has no deadline of its own; panics with `what` after [`LONG`].
///
/// # Panics
/// If it does not come in time.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(LONG, wait).await;
    waited.unwrap_or_else(|_| panic!("waited {LONG:?} in vain for: {what}"))
}

/// Lets this much time pass on purpose, where the passing itself is what is tested.
pub async fn let_pass(time: Duration) {
    let begin = Instant::now() + time;
    tokio::time::interval_at(begin, time).tick().await;
}
