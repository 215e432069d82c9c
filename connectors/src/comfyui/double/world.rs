//! Everything that the double knows, behind one lock, and the one way to wait for a change of it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::fault::Fault;
use super::graph::ObjectInfoJson;
use super::heap::{self, Tie};
use super::models::Models;
use super::{DoubleOptions, Execution, Observed, Received};
use crate::comfyui::FileRef;

/// The state with its bell.
#[derive(Debug)]
pub(super) struct World {
    pub(super) options: DoubleOptions,
    state: Mutex<State>,
    bell: watch::Sender<u64>,
    /// Connections end when it changes.
    wires: watch::Sender<u64>,
}

/// The state.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) listener: Option<TcpListener>,
    pub(super) serving: bool,
    pub(super) down: bool,
    /// Restarts so far.
    pub(super) life: u64,
    pub(super) next_number: i64,
    /// A heap.
    pub(super) pending: Vec<Item>,
    pub(super) running: Option<Running>,
    pub(super) history: Vec<(String, Value)>,
    /// What the nodes of the last prompt showed, by their signature.
    pub(super) cache: HashMap<u64, Option<Value>>,
    pub(super) files: BTreeMap<Place, Bytes>,
    pub(super) models: Models,
    pub(super) sockets: HashMap<String, Socket>,
    pub(super) socket_cuts: u64,
    pub(super) socket_mutes: u64,
    pub(super) received: Vec<Received>,
    pub(super) failures: Vec<PlannedFailure>,
    pub(super) faults: Vec<(String, Fault)>,
    /// Sampling steps that may happen; `None` is no limit.
    pub(super) permits: Option<u64>,
    /// Checkpoints that may be loaded; `None` is no limit.
    pub(super) loads: Option<u64>,
    pub(super) loading: Option<String>,
    pub(super) hung: bool,
    pub(super) worker_dead: bool,
    /// The device is broken.
    pub(super) poisoned: bool,
    /// Prompts tell that they are over, and do not get to the history.
    pub(super) endings_held: bool,
    /// The last requests, such as `GET /queue`.
    pub(super) requests: VecDeque<String>,
    /// What to free when idle: models, then cache too.
    pub(super) to_free: (bool, bool),
    pub(super) steps: u64,
    pub(super) executions: Vec<Execution>,
    pub(super) finished: u64,
    pub(super) log: Vec<mpsc::UnboundedSender<String>>,
}

/// A queued prompt.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Item {
    pub(super) number: f64,
    /// The number as it is shown: whole unless the poster gave it.
    pub(super) shown_number: Value,
    pub(super) prompt_id: String,
    pub(super) graph: Value,
    pub(super) extra_data: Value,
    pub(super) outputs: Vec<String>,
}

/// The prompt that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) item: Item,
    pub(super) node: Option<String>,
    pub(super) interrupted: bool,
}

/// Where a file lies; ordered as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) folder: &'static str,
    pub(super) subfolder: String,
    pub(super) filename: String,
}

/// The way to a registered WebSocket.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) send: mpsc::UnboundedSender<Outgoing>,
    pub(super) preview_metadata: bool,
}

/// A message to a WebSocket.
#[derive(Debug, Clone)]
pub(super) enum Outgoing {
    Text(String),
    Binary(Vec<u8>),
}

/// A failure that a test has ordered.
#[derive(Debug)]
pub(super) struct PlannedFailure {
    pub(super) node: String,
    pub(super) exception_type: String,
    pub(super) message: String,
}

impl World {
    pub(super) fn new(options: DoubleOptions) -> Self {
        let state = State {
            models: Models::new(&options.checkpoints),
            ..State::default()
        };
        Self {
            options,
            state: Mutex::new(state),
            bell: watch::Sender::new(0),
            wires: watch::Sender::new(0),
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

    /// Waits until `check` finds what it looks for. It may take it out of the state then.
    pub(super) async fn until<T>(&self, mut check: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut bell = self.bell.subscribe();
        loop {
            let found = check(&mut self.lock());
            if let Some(found) = found {
                self.bell.send_modify(|count| *count += 1);
                return found;
            }
            // cannot fail, the sender is ours; and if it could, there would be nothing to wait for
            if bell.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(super) fn cut_wires(&self) {
        self.wires.send_modify(|count| *count += 1);
    }

    pub(super) fn wire(&self) -> watch::Receiver<u64> {
        self.wires.subscribe()
    }

    /// The description of the node classes, with the files that are there now.
    pub(super) fn object_info(&self) -> ObjectInfoJson {
        self.read(|state| {
            let inputs = state
                .files
                .keys()
                .filter(|place| place.folder == "input" && place.subfolder.is_empty());
            let inputs: Vec<String> = inputs.map(|place| place.filename.clone()).collect();
            let mut info = ObjectInfoJson::with_files(&state.models, &inputs);
            for class in &self.options.api_nodes {
                info.0[class]["api_node"] = true.into();
            }
            info
        })
    }
}

impl State {
    /// What a restart loses.
    pub(super) fn forget(&mut self) {
        self.life += 1;
        self.next_number = 0;
        self.pending.clear();
        self.running = None;
        self.history.clear();
        self.cache.clear();
        self.models.unload();
        self.loading = None;
        (self.hung, self.worker_dead, self.poisoned) = (false, false, false);
        self.to_free = (false, false);
        self.cut_sockets();
        self.files.retain(|place, _| place.folder != "temp");
    }

    pub(super) fn cut_sockets(&mut self) {
        self.sockets.clear();
        self.socket_cuts += 1;
    }

    pub(super) fn observed(&self) -> Observed {
        Observed {
            running: self
                .running
                .as_ref()
                .map(|running| running.item.prompt_id.clone()),
            node: self.running.as_ref().and_then(|running| running.node.clone()),
            loading: self.loading.clone(),
            pending: self.sorted_pending().map(|item| item.prompt_id.clone()).collect(),
            ended: self.history.iter().map(|(id, _)| id.clone()).collect(),
            steps: self.steps,
            finished: self.finished,
            worker_dead: self.worker_dead,
            sockets: self.sockets.len(),
        }
    }

    fn sorted_pending(&self) -> impl Iterator<Item = &Item> {
        let mut items: Vec<&Item> = self.pending.iter().collect();
        items.sort_by(|a, b| {
            a.number
                .total_cmp(&b.number)
                .then_with(|| a.prompt_id.cmp(&b.prompt_id))
        });
        items.into_iter()
    }

    /// Takes the next prompt out of the queue and makes it the running one.
    pub(super) fn take_next(&mut self) -> Option<Item> {
        if self.stands_still() || self.running.is_some() {
            return None;
        }
        self.free();
        let Ok(next) = heap::pop(&mut self.pending) else {
            self.lose_worker();
            return None;
        };
        let next = next?;
        self.running = Some(Running {
            item: next.clone(),
            node: None,
            interrupted: false,
        });
        self.executions.push(Execution {
            prompt_id: next.prompt_id.clone(),
            succeeded: false,
            nodes: Vec::new(),
        });
        Some(next)
    }

    /// Whether nothing runs on, hung or dead.
    pub(super) fn stands_still(&self) -> bool {
        self.hung || self.worker_dead
    }

    pub(super) fn lose_worker(&mut self) {
        self.worker_dead = true;
        self.say("Exception in thread Thread-1 (prompt_worker):");
        self.say("TypeError: '<' not supported between instances of 'dict' and 'dict'");
    }

    /// Frees what was asked for, which the server does between two prompts.
    pub(super) fn free(&mut self) {
        let (models, cache) = std::mem::take(&mut self.to_free);
        if models || cache {
            self.models.unload();
        }
        if cache {
            self.cache.clear();
        }
    }

    /// Writes a line to the log.
    pub(super) fn say(&mut self, line: &str) {
        self.log.retain(|listener| listener.send(line.to_owned()).is_ok());
    }

    /// Queues a prompt.
    pub(super) fn push(&mut self, item: Item) -> Result<(), Tie> {
        heap::push(&mut self.pending, item)?;
        self.broadcast_status();
        Ok(())
    }

    pub(super) fn remove_pending(&mut self, prompt_id: &str) -> Result<bool, Tie> {
        // as the server does: of two of one id, only the first goes
        let place = self.pending.iter().position(|item| item.prompt_id == prompt_id);
        if let Some(place) = place {
            heap::remove(&mut self.pending, place)?;
            self.broadcast_status();
        }
        Ok(place.is_some())
    }

    pub(super) fn interrupt(&mut self, prompt_id: Option<&str>) -> bool {
        match &mut self.running {
            Some(running) if prompt_id.is_none_or(|id| id == running.item.prompt_id) => {
                running.interrupted = true;
                true
            }
            _ => false,
        }
    }

    pub(super) fn queue_remaining(&self) -> usize {
        self.pending.len() + usize::from(self.running.is_some())
    }

    pub(super) fn broadcast_status(&self) {
        self.send(
            None,
            "status",
            &json!({"status": {"exec_info": {"queue_remaining": self.queue_remaining()}}}),
        );
    }

    /// Sends to one client, or to all sockets.
    pub(super) fn send(&self, client_id: Option<&str>, kind: &str, data: &Value) {
        let message = Outgoing::Text(json!({"type": kind, "data": data}).to_string());
        for (id, socket) in &self.sockets {
            if client_id.is_none_or(|client_id| client_id == id) {
                socket.write(message.clone());
            }
        }
    }
}

impl PlannedFailure {
    pub(super) fn new(node: &str, exception_type: &str, message: &str) -> Self {
        Self {
            node: node.to_owned(),
            exception_type: exception_type.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl Socket {
    pub(super) fn write(&self, message: Outgoing) {
        // a socket that is just closing takes nothing any more, which is its own affair
        drop(self.send.send(message));
    }
}

impl Item {
    pub(super) fn client_id(&self) -> Option<&str> {
        self.extra_data.get("client_id")?.as_str()
    }

    /// As the queue and the history show it.
    pub(super) fn json(&self) -> Value {
        json!([
            self.shown_number,
            self.prompt_id,
            self.graph,
            self.extra_data,
            self.outputs
        ])
    }
}

impl Place {
    pub(super) fn json(&self) -> Value {
        json!({"filename": self.filename, "subfolder": self.subfolder, "type": self.folder})
    }

    pub(super) fn of(file: &FileRef) -> Self {
        Self {
            folder: file.folder.as_str(),
            subfolder: file.subfolder.clone(),
            filename: file.filename.clone(),
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
