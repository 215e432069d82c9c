//! Long-running tasks: each has a name, is told to stop, and is waited for.

use std::{any::Any, collections::HashMap, future::Future, net::SocketAddr, time::Duration};

use tokio::{
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
pub use tokio_util::sync::CancellationToken as Stop;

/// A group of tasks that live and end together.
#[derive(Debug)]
pub struct Tasks {
    set: JoinSet<()>,
    names: HashMap<Id, String>,
    stop: Stop,
}

/// Why a group ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A task that should run until it is stopped came to its end.
    #[error("task {0} ended by itself")]
    Ended(String),
    /// A task crashed.
    #[error("task {name} panicked: {message}")]
    Panicked {
        /// Which.
        name: String,
        /// What it said.
        message: String,
    },
    /// Tasks did not end in time after they were told to.
    #[error("tasks did not stop within {grace:?}: {names}")]
    Hung {
        /// How long they were given.
        grace: Duration,
        /// Which.
        names: String,
    },
}

/// A role that was started: everything is built, every port is bound.
#[derive(Debug)]
pub struct Running {
    /// Where it listens, if it does.
    pub address: Option<SocketAddr>,
    /// What it consists of.
    pub tasks: Tasks,
    /// How long it may take to stop.
    pub grace: Duration,
}

impl Running {
    /// Runs until the stop it was started with, or until a part of it fails.
    ///
    /// # Errors
    /// As [`Tasks::run`].
    pub async fn run(self) -> Result<(), TaskError> {
        self.tasks.run(self.grace).await
    }
}

impl Tasks {
    /// An empty group that ends when `stop` says so.
    pub fn new(stop: Stop) -> Self {
        Self {
            set: JoinSet::new(),
            names: HashMap::new(),
            stop,
        }
    }

    /// What tells the group to stop.
    pub const fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Starts a task. It has to end soon after the group's stop.
    pub fn start(&mut self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        let handle = self.set.spawn(task);
        self.names.insert(handle.id(), name.into());
    }

    /// Runs until the stop, or until the first task ends for whatever reason; then stops the others and
    /// waits for them.
    ///
    /// # Errors
    /// The first task that ended unasked or crashed, or those that did not stop within `grace`.
    pub async fn run(mut self, grace: Duration) -> Result<(), TaskError> {
        let first = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            ended = self.set.join_next_with_id() => ended,
        };
        let outcome = match first {
            None => Ok(()),
            Some(Ok((id, ()))) => Err(TaskError::Ended(self.names.remove(&id).unwrap_or_default())),
            Some(Err(error)) => Err(self.crash(error)),
        };
        self.stop.cancel();
        let rest = timeout(grace, self.join_all()).await;
        match (outcome, rest) {
            (Err(error), _) | (Ok(()), Ok(Err(error))) => Err(error),
            (Ok(()), Ok(Ok(()))) => Ok(()),
            (Ok(()), Err(_)) => {
                let mut names: Vec<String> = self.names.into_values().collect();
                names.sort();
                Err(TaskError::Hung {
                    grace,
                    names: names.join(", "),
                })
            }
        }
    }

    async fn join_all(&mut self) -> Result<(), TaskError> {
        let mut outcome = Ok(());
        while let Some(ended) = self.set.join_next_with_id().await {
            match ended {
                Ok((id, ())) => drop(self.names.remove(&id)),
                Err(error) => outcome = outcome.and(Err(self.crash(error))),
            }
        }
        outcome
    }

    fn crash(&mut self, error: JoinError) -> TaskError {
        let name = self.names.remove(&error.id()).unwrap_or_default();
        TaskError::Panicked {
            name,
            message: panic_message(error),
        }
    }
}

/// What a task that crashed had to say.
pub fn panic_message(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload_text(payload.as_ref()),
        Err(_) => "it was aborted".to_owned(),
    }
}

fn payload_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn the_first_task_to_end_stops_the_rest() {
        let mut tasks = Tasks::new(Stop::new());
        let stop = tasks.stop().clone();
        tasks.start("patient", async move { stop.cancelled().await });
        tasks.start("hasty", async {});
        let error = tasks.run(Duration::from_secs(5)).await.expect_err("hasty ended");
        assert_eq!(error.to_string(), "task hasty ended by itself");
    }

    #[tokio::test]
    async fn a_panic_is_told_with_its_message() {
        let mut tasks = Tasks::new(Stop::new());
        tasks.start("clumsy", async { panic!("dropped it") });
        let error = tasks
            .run(Duration::from_secs(5))
            .await
            .expect_err("clumsy crashed");
        assert_eq!(error.to_string(), "task clumsy panicked: dropped it");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_stop_is_named() {
        let stop = Stop::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.start("deaf", pending());
        stop.cancel();
        let error = tasks.run(Duration::from_secs(5)).await.expect_err("deaf goes on");
        assert!(error.to_string().ends_with("deaf"), "{error}");
    }

    #[tokio::test]
    async fn ending_because_of_the_stop_is_no_failure() {
        let stop = Stop::new();
        let mut tasks = Tasks::new(stop.clone());
        let heard = stop.clone();
        tasks.start("good", async move { heard.cancelled().await });
        stop.cancel();
        assert!(tasks.run(Duration::from_secs(5)).await.is_ok());
    }
}
