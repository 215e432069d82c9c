//! A strict local double of v0: real HTTP on a port of its own, with the routes of v1 and v2 over the same chats, in
//! the forms of their published descriptions. For tests and demonstrations; behind the feature `double`.
//!
//! It refuses what the API refuses, unknown fields among it, writes the same three files for every prompt, and keeps
//! a bill: each run of the model, what it cost, and whether who asked was told. `GET /bill` shows it without a key.
//!
//! Reading order: `options`, `world` (its state and the one way to wait for it), `chat` (lines, files, runs), then
//! the outside: `serve` (who asks, what goes wrong), `asked` and `strict` (requests and answers), `v2`, `v1`, `zip`,
//! `wire` (connections that can be cut).

mod asked;
mod chat;
mod options;
mod serve;
mod strict;
mod v1;
mod v2;
mod wire;
mod world;
mod zip;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use super::Finish;
pub use options::{Chaos, Charge, DoubleOptions, Fault, Received};
use world::World;

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
        let mut tasks = JoinSet::new();
        tasks.spawn(serve::serve(Arc::clone(&world), listener));
        Ok(Self {
            address,
            world,
            tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a client wants it.
    pub fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.address)).expect("a socket address makes an address")
    }

    /// The key that it accepts.
    pub fn key(&self) -> String {
        self.world.read(|state| state.options.key.clone())
    }

    /// Lets no run end until [`release`](Self::release).
    pub fn hold(&self) {
        self.world.edit(|state| state.held = true);
    }

    /// Lets runs end again.
    pub fn release(&self) {
        self.world.edit(|state| state.held = false);
    }

    /// How the next run ends; several queue up. Without this runs end well.
    pub fn finish_next(&self, finish: Finish) {
        self.world.edit(|state| state.finishes.push_back(finish));
    }

    /// Makes the next request whose line begins like this, such as `POST /v2/chats`, go wrong. Several queue up.
    pub fn fault_next(&self, line: &str, fault: Fault) {
        self.world
            .edit(|state| state.faults.push((line.to_owned(), fault)));
    }

    /// What is left to spend; a run that costs more is refused with 402.
    pub fn set_credits(&self, credits: f64) {
        self.world.edit(|state| state.credits = Some(credits));
    }

    /// Whether everything is refused with 403.
    pub fn set_forbidden(&self, forbidden: bool) {
        self.world.edit(|state| state.forbidden = forbidden);
    }

    /// Removes a chat, as a person does on v0's page.
    pub fn remove_chat(&self, id: &str) {
        self.world.edit(|state| state.chats.retain(|chat| chat.id != id));
    }

    /// Replaces the files of a chat.
    pub fn set_files(&self, id: &str, files: &[(&str, &[u8])]) {
        let files = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), content.to_vec()));
        self.world.edit(|state| {
            if let Some(chat) = state.chats.iter_mut().find(|chat| chat.id == id) {
                chat.files = files.collect();
            }
        });
    }

    /// All runs of the model, in order.
    pub fn bill(&self) -> Vec<Charge> {
        self.world.read(|state| state.bill.clone())
    }

    /// The last requests, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.world
            .read(|state| state.received.iter().rev().cloned().collect())
    }

    /// The ids of all chats, oldest first.
    pub fn chats(&self) -> Vec<String> {
        self.world
            .read(|state| state.chats.iter().map(|chat| chat.id.clone()).collect())
    }

    /// Waits until a request was received whose line begins like this. Has no limit of its own.
    pub async fn until_received(&self, line: &str) -> Received {
        let found = self.world.until(|state| {
            let mut received = state.received.iter();
            received.find(|received| received.line.starts_with(line)).cloned()
        });
        found.await
    }

    /// Waits until so many runs have begun. Has no limit of its own.
    pub async fn until_billed(&self, runs: usize) -> Vec<Charge> {
        let billed = self
            .world
            .until(|state| (state.bill.len() >= runs).then(|| state.bill.clone()));
        billed.await
    }

    /// Stops it and waits until it is gone.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
