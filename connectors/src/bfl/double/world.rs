//! The state of the double: tasks, what arrived, what was done wrong, and the one way to wait for it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::bill::Bill;
use super::faults::{AnswerFault, Dice, Fault};
use super::options::{Options, Submission};
use super::tasks::{Ending, Task};
use super::validation::Order;

/// The model that has a limit of its own.
const KONTEXT_MAX: &str = "flux-kontext-max";

/// The state with its bell.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: Options,
    pub(super) places: Places,
    state: Mutex<State>,
    bell: watch::Sender<u64>,
    down: watch::Sender<bool>,
}

/// Where the double is.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) base: Url,
    pub(super) polling: Url,
    pub(super) samples: Url,
    pub(super) admin: Option<Url>,
}

/// The state.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tasks: Vec<Task>,
    pub(super) submissions: Vec<Submission>,
    pub(super) violations: Vec<String>,
    pub(super) connections: u64,
    /// Listeners that serve.
    pub(super) serving: usize,
    /// In credits.
    pub(super) credits: f64,
    /// Whether tasks that are taken do not begin.
    pub(super) held: bool,
    pub(super) next_submissions: VecDeque<Fault>,
    pub(super) next_polls: VecDeque<AnswerFault>,
    pub(super) next_samples: VecDeque<AnswerFault>,
    dice: Dice,
}

/// Why a valid request was not taken: the status and the body of the answer.
pub(super) type Refusal = (u16, Value);

impl World {
    pub(super) fn new(options: Options, places: Places) -> Self {
        let state = State {
            tasks: Vec::new(),
            submissions: Vec::new(),
            violations: Vec::new(),
            connections: 0,
            serving: 0,
            credits: options.credits,
            held: false,
            next_submissions: VecDeque::new(),
            next_polls: VecDeque::new(),
            next_samples: VecDeque::new(),
            dice: Dice::new(options.faults.seed),
        };
        Self {
            options,
            places,
            state: Mutex::new(state),
            bell: watch::Sender::new(0),
            down: watch::Sender::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // a test that panicked while it looked at the state has not broken it
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    pub(super) fn edit<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.bell.send_modify(|count| *count += 1);
        result
    }

    /// Waits until `check` finds what it looks for, because something arrived or because time has passed.
    pub(super) async fn until<T>(&self, check: impl Fn(&State) -> Option<T>) -> T {
        let mut bell = self.bell.subscribe();
        loop {
            let (found, next) = self.read(|state| (check(state), state.next_end(Instant::now())));
            if let Some(found) = found {
                return found;
            }
            let time = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = bell.changed() => if changed.is_err() {
                    // cannot be, the sender is ours; and if it could, there would be nothing to wait for
                    std::future::pending::<()>().await;
                },
                () = time => {}
            }
        }
    }

    pub(super) fn set_down(&self, down: bool) {
        self.down.send_replace(down);
    }

    pub(super) async fn goes_down(&self) {
        let mut down = self.down.subscribe();
        // the sender is ours
        drop(down.wait_for(|down| *down).await);
    }

    pub(super) async fn comes_up(&self) {
        let mut down = self.down.subscribe();
        drop(down.wait_for(|down| !*down).await);
    }

    /// Where a task is asked for.
    pub(super) fn polling_url(&self, id: &str) -> Url {
        let host = if self.options.poll_at_base {
            &self.places.base
        } else {
            &self.places.polling
        };
        with(host, "/v1/get_result", &[("id", id)])
    }

    /// Where the result of a task is.
    pub(super) fn sample_url(&self, task: &Task) -> Url {
        let path = format!("/results/{}/sample.{}", task.id, task.order.format);
        with(&self.places.samples, &path, &[("sig", &task.signature)])
    }

    /// Takes a task, if the account has the credits and the room for it.
    pub(super) fn take(&self, order: Order, fault: Option<Fault>) -> Result<Task, Refusal> {
        let now = Instant::now();
        self.edit(|state| {
            // set aside for what runs
            let open = state.bill(now).open() as f64 / 10_000.0;
            if state.left(now) - open < order.cost as f64 / 10.0 {
                return Err((402, json!({"detail": "Insufficient credits"})));
            }
            let active = |path: Option<&str>| {
                let of = |task: &&Task| path.is_none_or(|path| task.order.path == path);
                state
                    .tasks
                    .iter()
                    .filter(of)
                    .filter(|task| task.is_active(now))
                    .count()
            };
            let full = active(None) >= self.options.max_active
                || (order.path == KONTEXT_MAX
                    && active(Some(KONTEXT_MAX)) >= self.options.max_active_kontext_max);
            if full {
                return Err((429, json!({"detail": "Too many active tasks"})));
            }
            let mut task = Task {
                id: Uuid::new_v4().to_string(),
                signature: Uuid::new_v4().simple().to_string(),
                seed: order.seed.unwrap_or_else(|| state.dice.number() >> 32),
                ending: Ending::of(&order.prompt),
                order,
                started: (!state.held).then_some(now),
                lasts: self.options.task_time,
                submitted: since_1970(),
                answered: false,
                duplicate_of: None,
                polls: 0,
                fetches: 0,
                forgotten: false,
            };
            if fault == Some(Fault::TaskFails) {
                task.ending = Ending::Error;
            }
            state.tasks.push(task.clone());
            if fault == Some(Fault::Duplicate) {
                let mut second = task.clone();
                second.id = Uuid::new_v4().to_string();
                second.duplicate_of = Some(task.id.clone());
                state.tasks.push(second);
            }
            Ok(task)
        })
    }
}

impl State {
    /// What goes wrong with the submission that is here.
    pub(super) fn submission_fault(&mut self, options: &Options) -> Option<Fault> {
        let planned = self.next_submissions.pop_front();
        planned.or_else(|| options.faults.of_submission(&mut self.dice))
    }

    /// What goes wrong with the poll that is here.
    pub(super) fn poll_fault(&mut self, options: &Options) -> Option<AnswerFault> {
        let planned = self.next_polls.pop_front();
        planned.or_else(|| options.faults.of_poll(&mut self.dice))
    }

    /// What goes wrong with the fetching that is here.
    pub(super) fn sample_fault(&mut self, options: &Options) -> Option<AnswerFault> {
        let planned = self.next_samples.pop_front();
        planned.or_else(|| options.faults.of_sample(&mut self.dice))
    }

    pub(super) fn task(&mut self, id: &str) -> Option<&mut Task> {
        self.tasks
            .iter_mut()
            .find(|task| task.id == id && !task.forgotten)
    }

    pub(super) fn bill(&self, now: Instant) -> Bill {
        Bill::at(now, &self.tasks)
    }

    /// What the account has left, in credits.
    pub(super) fn left(&self, now: Instant) -> f64 {
        self.credits - self.bill(now).charged() as f64 / 10_000.0
    }

    fn next_end(&self, now: Instant) -> Option<Instant> {
        self.tasks
            .iter()
            .filter_map(Task::end)
            .filter(|end| *end > now)
            .min()
    }

    /// Notes what the caller must not do.
    pub(super) fn violate(&mut self, violation: String) {
        self.violations.push(violation);
    }

    /// Lets the tasks begin that were held.
    pub(super) fn release(&mut self, now: Instant) {
        self.held = false;
        for task in &mut self.tasks {
            task.started.get_or_insert(now);
        }
    }
}

fn with(host: &Url, path: &str, query: &[(&str, &str)]) -> Url {
    let mut url = host.clone();
    url.set_path(path);
    url.query_pairs_mut().extend_pairs(query);
    url
}

fn since_1970() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
