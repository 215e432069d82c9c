//! Signs that ComfyUI answers but does not work any more. Pure but for the lock.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use connectors::comfyui::Queue;
use tokio::{sync::Notify, time::Instant};

/// How long nothing may run while something waits. A sound ComfyUI takes the next prompt at once.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// The same, where less patience is set.
pub(super) fn idle_limit(hung_after: Duration) -> Duration {
    IDLE_LIMIT.min(hung_after)
}

/// What was seen of it.
#[derive(Debug)]
pub(super) struct Vitals {
    hung_after: Duration,
    seen: Mutex<Seen>,
    noticed: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    idle_since: Option<Instant>,
    /// Runs that were told to stop, by prompt, and when.
    stopping: HashMap<String, Instant>,
    /// What is wrong now.
    problem: Option<String>,
    /// Somebody was told of it.
    told: bool,
}

impl Vitals {
    /// Runs that were told to stop may go on for `hung_after`.
    pub(super) fn new(hung_after: Duration) -> Self {
        Self {
            hung_after,
            seen: Mutex::default(),
            noticed: Notify::new(),
        }
    }

    /// This run was told to stop, and has not done so yet.
    pub(super) fn note_stopping(&self, prompt: String) {
        self.seen().stopping.entry(prompt).or_insert_with(Instant::now);
    }

    /// An attempt has seen for long enough that nothing runs although something waits.
    pub(super) fn note_dead(&self) {
        self.seen().idle_since = Instant::now().checked_sub(idle_limit(self.hung_after));
    }

    /// Waits until it hangs; what is wrong. Tells each time once.
    pub(super) async fn hung(&self) -> String {
        loop {
            if let Some(problem) = self.seen().news() {
                return problem;
            }
            self.noticed.notified().await;
        }
    }

    /// What is wrong, by its queue.
    pub(super) fn judge(&self, queue: &Queue) -> Option<String> {
        let mut seen = self.seen();
        seen.problem = seen.look(queue, self.hung_after);
        seen.told &= seen.problem.is_some();
        if seen.problem.is_some() {
            self.noticed.notify_one();
        }
        seen.problem.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn look(&mut self, queue: &Queue, hung_after: Duration) -> Option<String> {
        self.stopping.retain(|prompt, _| queue.runs(prompt));
        if let Some(since) = self.stopping.values().min()
            && since.elapsed() >= hung_after
        {
            let seconds = since.elapsed().as_secs();
            return Some(format!(
                "ComfyUI goes on with a run {seconds} s after it was told to stop: it hangs, and has to be restarted"
            ));
        }
        if !is_idle(queue) {
            self.idle_since = None;
            return None;
        }
        let since = *self.idle_since.get_or_insert_with(Instant::now);
        (since.elapsed() >= idle_limit(hung_after)).then(dead)
    }

    fn news(&mut self) -> Option<String> {
        let problem = self.problem.clone().filter(|_| !self.told)?;
        self.told = true;
        Some(problem)
    }
}

/// Whether nothing runs although something waits.
pub(super) fn is_idle(queue: &Queue) -> bool {
    queue.running.is_empty() && !queue.pending.is_empty()
}

/// What it means when that does not change.
pub(super) fn dead() -> String {
    "ComfyUI answers but runs nothing although prompts wait: its worker thread is dead, and it has to be \
     restarted"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;

    fn queue(running: &[&str], pending: &[&str]) -> Queue {
        let items = |ids: &[&str]| {
            ids.iter()
                .map(|id| json!([1, id, {}, {}, []]))
                .collect::<Vec<_>>()
        };
        let queue = json!({"queue_running": items(running), "queue_pending": items(pending)});
        Queue::parse(&queue).expect("a queue")
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_nobody_works_on_is_seen_after_a_while() {
        let vitals = Vitals::new(Duration::from_mins(1));
        let waiting = queue(&[], &["a"]);
        assert_eq!(vitals.judge(&waiting), None);
        tokio::time::advance(IDLE_LIMIT / 2).await;
        assert_eq!(vitals.judge(&queue(&["a"], &["b"])), None, "it moves");
        tokio::time::advance(IDLE_LIMIT / 2).await;
        assert_eq!(vitals.judge(&waiting), None);
        tokio::time::advance(IDLE_LIMIT).await;
        assert!(
            vitals
                .judge(&waiting)
                .is_some_and(|problem| problem.contains("worker thread"))
        );
        assert!(vitals.hung().await.contains("worker thread"));
        assert!(vitals.judge(&waiting).is_some());
        assert_eq!(vitals.hung().now_or_never(), None, "told once");
        assert_eq!(vitals.judge(&queue(&[], &[])), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_attempt_has_seen_counts_at_once() {
        let vitals = Vitals::new(Duration::from_mins(1));
        tokio::time::advance(IDLE_LIMIT).await;
        vitals.note_dead();
        assert!(vitals.judge(&queue(&[], &["a"])).is_some());
        assert_eq!(vitals.judge(&queue(&["a"], &[])), None, "it works again");
        assert_eq!(vitals.judge(&queue(&[], &["b"])), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_does_not_stop_is_seen_after_a_while() {
        let vitals = Vitals::new(Duration::from_mins(1));
        vitals.note_stopping("a".to_owned());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(vitals.judge(&queue(&["a"], &[])), None);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(
            vitals
                .judge(&queue(&["a"], &[]))
                .is_some_and(|problem| problem.contains("60 s"))
        );
        assert_eq!(vitals.judge(&queue(&["b"], &[])), None, "it has stopped");
        assert_eq!(vitals.judge(&queue(&["a"], &[])), None, "and was forgotten");
    }
}
