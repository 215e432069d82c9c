//! A strict local double of a ComfyUI server: real HTTP and WebSocket on a port of its own, behaving as a
//! live v0.33.0 was seen to, its pitfalls included. For tests; behind the feature `double`.
//!
//! It refuses what the server refuses, runs one prompt at a time, writes real PNG files, and keeps the
//! results of the last prompt as a cache. What it cannot do is make pictures: they are plain colours.
//!
//! Reading order: `world` (its state and the one way to wait for it), `engine` (runs prompts), `craft` (what
//! nodes make), `graph` and `validation` (pure), `picture`, then the outside: `routes`, `jobs`, `files`,
//! `live` (WebSocket), `fault` and `wire` (connections that can be cut).

mod craft;
mod engine;
mod fault;
mod files;
mod graph;
mod jobs;
mod live;
mod picture;
mod routes;
mod validation;
mod wire;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

pub use fault::Fault;
use world::{PlannedFailure, World};

/// What kind of server the double is.
#[derive(Debug, Clone)]
pub struct DoubleOptions {
    /// The version that it claims.
    pub version: String,
    /// Whether it has `/api/jobs`; a server of v0.5 and before has not.
    pub jobs_api: bool,
    /// Whether it sends a preview with every step.
    pub previews: bool,
    /// The checkpoints on its disk.
    pub checkpoints: Vec<String>,
    /// How long a sampling step takes when it runs freely.
    pub step_time: Duration,
}

impl Default for DoubleOptions {
    fn default() -> Self {
        Self {
            version: "0.33.0".to_owned(),
            jobs_api: true,
            previews: false,
            checkpoints: vec!["v1-5-pruned-emaonly.safetensors".to_owned()],
            step_time: Duration::ZERO,
        }
    }
}

/// A posted prompt, accepted or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The id that it was given by its poster.
    pub prompt_id: Option<String>,
    /// Its poster.
    pub client_id: Option<String>,
    /// The graph.
    pub graph: Value,
    /// Whether it was queued.
    pub accepted: bool,
}

/// What the double is doing at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The prompt that runs.
    pub running: Option<String>,
    /// Its node that runs.
    pub node: Option<String>,
    /// The prompts that wait, in order.
    pub pending: Vec<String>,
    /// The prompts in the history, oldest first.
    pub ended: Vec<String>,
    /// Sampling steps done since the start.
    pub steps: u64,
    /// Registered sockets that the server would write to.
    pub sockets: usize,
}

/// A running double. Dropping it stops it.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    world: Arc<World>,
    tasks: JoinSet<()>,
}

impl Double {
    /// Starts one on a free port of the loopback interface.
    pub async fn start(options: DoubleOptions) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let world = Arc::new(World::new(options));
        world.edit(|state| state.listener = Some(listener));
        let mut tasks = JoinSet::new();
        tasks.spawn(engine::run(Arc::clone(&world)));
        tasks.spawn(routes::serve(Arc::clone(&world)));
        let double = Self {
            address,
            world,
            tasks,
        };
        double.world.until(|state| state.serving.then_some(())).await;
        Ok(double)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a client wants it.
    pub fn url(&self) -> Url {
        let mut url = Url::parse("http://127.0.0.1/").expect("a constant address");
        url.set_port(Some(self.address.port()))
            .expect("an http address takes a port");
        url
    }

    /// Makes samplers wait before every step for [`release`](Self::release).
    pub fn hold(&self) {
        self.world.edit(|state| state.permits = Some(0));
    }

    /// Lets so many more sampling steps happen.
    pub fn release(&self, steps: u64) {
        self.world
            .edit(|state| state.permits = Some(state.permits.unwrap_or(0) + steps));
    }

    /// Lets samplers run again as fast as they can.
    pub fn run_freely(&self) {
        self.world.edit(|state| state.permits = None);
    }

    /// Stops all progress while HTTP goes on, as a dead worker thread does. Interrupts do nothing.
    pub fn hang(&self) {
        self.world.edit(|state| state.hung = true);
    }

    /// Ends a [`hang`](Self::hang).
    pub fn unhang(&self) {
        self.world.edit(|state| state.hung = false);
    }

    /// Makes the next run of a node, named by id or class, fail with this Python exception.
    pub fn fail_next(&self, node: &str, exception_type: &str, message: &str) {
        let planned = PlannedFailure {
            node: node.to_owned(),
            exception_type: exception_type.to_owned(),
            message: message.to_owned(),
        };
        self.world.edit(|state| state.failures.push(planned));
    }

    /// Makes the next request of a path (such as `/prompt`, without `/api`) go wrong. Several queue up.
    pub fn fault_next(&self, path: &str, fault: Fault) {
        self.world
            .edit(|state| state.faults.push((path.to_owned(), fault)));
    }

    /// Cuts every WebSocket without a close frame. HTTP goes on.
    pub fn cut_sockets(&self) {
        self.world.edit(world::State::cut_sockets);
    }

    /// Makes every present WebSocket go dead without closing: nothing is sent, no ping is answered.
    pub fn mute_sockets(&self) {
        self.world.edit(|state| state.socket_mutes += 1);
    }

    /// What a kill and a quick restart does: queue, history and cache are lost, connections cut, numbers
    /// begin at 0; files stay.
    pub fn restart_empty(&self) {
        self.world.edit(world::State::forget);
        self.world.cut_wires();
    }

    /// Kills it: connections are cut, new ones refused, queue and history are lost.
    pub async fn kill(&self) {
        self.world.edit(|state| {
            state.forget();
            state.down = true;
        });
        self.world.cut_wires();
        self.world.until(|state| (!state.serving).then_some(())).await;
    }

    /// Starts it again at the same address after a [`kill`](Self::kill).
    pub async fn revive(&self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.world.edit(|state| {
            state.down = false;
            state.listener = Some(listener);
        });
        self.world.until(|state| state.serving.then_some(())).await;
        Ok(())
    }

    /// Replaces the checkpoints on its disk.
    pub fn set_checkpoints(&self, checkpoints: &[&str]) {
        let names = checkpoints.iter().map(|&name| name.to_owned()).collect();
        self.world.edit(|state| state.checkpoints = names);
    }

    /// Deletes an output file, as a person does who tidies up. The cache goes on naming it.
    pub fn delete_output(&self, filename: &str) {
        self.world
            .edit(|state| state.files.retain(|place, _| place.filename != filename));
    }

    /// Every prompt that was posted, in order.
    pub fn received(&self) -> Vec<Received> {
        self.world.read(|state| state.received.clone())
    }

    /// What it is doing now.
    pub fn observed(&self) -> Observed {
        self.world.read(world::State::observed)
    }

    /// Waits until what it does is as wanted. Has no limit of its own.
    pub async fn until(&self, wanted: impl Fn(&Observed) -> bool) -> Observed {
        self.world
            .until(|state| Some(state.observed()).filter(&wanted))
            .await
    }

    fn end(&self) {
        self.world.edit(|state| {
            state.down = true;
            state.cut_sockets();
        });
        self.world.cut_wires();
    }

    /// Stops it and waits until it is gone.
    pub async fn stop(mut self) {
        self.end();
        self.tasks.shutdown().await;
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.end();
    }
}
