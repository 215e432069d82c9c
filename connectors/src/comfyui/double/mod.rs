//! A strict local double of a ComfyUI server: real HTTP and WebSocket on a port of its own, behaving as a
//! live v0.33.0 was seen to, its pitfalls included. For tests; behind the feature `double`.
//!
//! It refuses what the server refuses, runs one prompt at a time, writes real PNG files, and keeps the
//! results of the last prompt as a cache. What it cannot do is make pictures: they are plain colours.
//!
//! Reading order: `options`, `world` (its state and the one way to wait for it), `heap` (its queue), `models`
//! (its disk and memory), `engine` (runs prompts) with `loading` and `sampling`, `craft` (what nodes make), `graph`, `canvas`
//! and `validation` (pure), `picture`, then the outside: `routes`, `jobs`, `files`, `live` (WebSocket), `fault` and `wire` (connections
//! that can be cut).

mod canvas;
mod craft;
mod engine;
mod fault;
mod files;
mod graph;
mod heap;
mod jobs;
mod live;
mod loading;
mod models;
mod options;
mod picture;
mod routes;
mod sampling;
mod validation;
mod wire;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use url::Url;

pub use fault::Fault;
pub use models::ModelKind;
pub use options::{Corruption, DoubleOptions, Execution, Observed, Received};
use world::{PlannedFailure, World};

/// A running double. Dropping it stops it.
#[derive(Debug)]
pub struct Double {
    address: SocketAddr,
    world: Arc<World>,
    tasks: JoinSet<()>,
}

impl Double {
    /// Starts one.
    pub async fn start(options: DoubleOptions) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
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
        Url::parse(&format!("http://{}/", self.address)).expect("a socket address makes an address")
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

    /// Makes checkpoints that are not in memory wait for [`release_loads`](Self::release_loads).
    pub fn hold_loads(&self) {
        self.world.edit(|state| state.loads = Some(0));
    }

    /// Lets so many more checkpoints be loaded, each in its time.
    pub fn release_loads(&self, loads: u64) {
        self.world
            .edit(|state| state.loads = Some(state.loads.unwrap_or(0) + loads));
    }

    /// Lets checkpoints be loaded again without a limit.
    pub fn load_freely(&self) {
        self.world.edit(|state| state.loads = None);
    }

    /// Makes prompts tell that they are over and stay out of the history until
    /// [`release_endings`](Self::release_endings): the gap that a server has too.
    pub fn hold_endings(&self) {
        self.world.edit(|state| state.endings_held = true);
    }

    /// Ends a [`hold_endings`](Self::hold_endings).
    pub fn release_endings(&self) {
        self.world.edit(|state| state.endings_held = false);
    }

    /// Kills the thread that runs prompts, for good: HTTP goes on, the queue never drains, what runs is
    /// shown as running for ever, and interrupts do nothing. Only a restart helps. Two waiting prompts of
    /// one id and one number do the same, as soon as the server compares them.
    pub fn kill_worker_thread(&self) {
        self.world.edit(world::State::lose_worker);
    }

    /// Stops all progress while HTTP goes on, until [`unhang`](Self::unhang) or a restart. Interrupts do
    /// nothing meanwhile.
    pub fn hang(&self) {
        self.world.edit(|state| state.hung = true);
    }

    /// Ends a [`hang`](Self::hang).
    pub fn unhang(&self) {
        self.world.edit(|state| state.hung = false);
    }

    /// Makes the next run of a node, named by id or class, fail with this Python exception.
    pub fn fail_next(&self, node: &str, exception_type: &str, message: &str) {
        let planned = PlannedFailure::new(node, exception_type, message);
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
        self.set_models(ModelKind::Checkpoints, checkpoints);
    }

    /// Replaces the files of one kind on its disk. They are seen at once, by `/object_info` and `/models` too.
    pub fn set_models(&self, kind: ModelKind, names: &[&str]) {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.world.edit(|state| state.models.set(kind, names));
    }

    /// Breaks a model file, or heals it. Its name goes on passing validation; the node that reads it fails.
    pub fn set_corrupt(&self, name: &str, corruption: impl Into<Option<Corruption>>) {
        let corruption = corruption.into();
        self.world
            .edit(|state| state.models.set_corrupt(name, corruption));
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

    /// The last requests, such as `GET /queue` (without `/api`), oldest first.
    pub fn requests(&self) -> Vec<String> {
        self.world
            .read(|state| state.requests.iter().rev().cloned().collect())
    }

    /// Every run of a prompt, in order; those before a restart too.
    pub fn executed(&self) -> Vec<Execution> {
        self.world.read(|state| state.executions.clone())
    }

    /// What it logs from now on, a line each, in the words of the server.
    pub fn log(&self) -> mpsc::UnboundedReceiver<String> {
        let (send, lines) = mpsc::unbounded_channel();
        self.world.edit(|state| state.log.push(send));
        lines
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
