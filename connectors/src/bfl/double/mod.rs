//! A strict local double of the FLUX service: submissions, polls and results on three ports of its own, as the
//! service has them on three hosts. For tests; behind the feature `double`.
//!
//! It refuses what the service refuses, and more: a field that a model does not have. It keeps a bill of what the
//! service would charge, by the service's rule: a task is charged when it becomes ready, whether anybody asks for
//! it or not, also when its caller never got to know of it.
//!
//! Reading order: `options`, `models` (data), `validation` and `picture` (what comes in), `tasks` (how a task
//! stands), `bill`, `faults`, `world` (its state), then the outside: `routes`, `polling`, `wire`.

mod bill;
mod faults;
mod models;
mod options;
mod picture;
mod polling;
mod routes;
mod tasks;
mod validation;
mod wire;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use url::Url;

pub use bill::{Bill, Entry, Outcome};
pub use faults::{AnswerFault, Fault, Faults};
pub use options::{Options, Submission};
pub use tasks::{BROKEN, FORBIDDEN_INPUT, FORBIDDEN_OUTPUT};
use wire::{Cutter, Wires};
use world::{Places, World};

/// A running double. Dropping it stops it.
#[derive(Debug)]
pub struct Double {
    world: Arc<World>,
    listeners: usize,
    tasks: JoinSet<()>,
}

impl Double {
    /// Starts one.
    pub async fn start(options: Options) -> io::Result<Self> {
        let free = SocketAddr::new(options.listen.ip(), 0);
        let base = TcpListener::bind(options.listen).await?;
        let polling = TcpListener::bind(free).await?;
        let samples = TcpListener::bind(free).await?;
        let admin = match options.admin {
            Some(address) => Some(TcpListener::bind(address).await?),
            None => None,
        };
        let places = Places {
            base: url(&base)?,
            polling: url(&polling)?,
            samples: url(&samples)?,
            admin: admin.as_ref().map(url).transpose()?,
        };
        let world = Arc::new(World::new(options, places));
        let mut tasks = JoinSet::new();
        let routers = [
            (base, routes::router(Arc::clone(&world)), true),
            (polling, polling::polls(Arc::clone(&world)), false),
            (samples, polling::samples(Arc::clone(&world)), false),
        ];
        let listeners = routers.len();
        for (listener, router, counted) in routers {
            let address = listener.local_addr()?;
            tasks.spawn(serve(Arc::clone(&world), listener, address, router, counted));
        }
        if let Some(listener) = admin {
            let router = polling::admin(Arc::clone(&world));
            // outlives an outage
            tasks.spawn(async move {
                drop(axum::serve(listener, router).await);
            });
        }
        let double = Self {
            world,
            listeners,
            tasks,
        };
        double.serving(listeners).await;
        Ok(double)
    }

    async fn serving(&self, wanted: usize) {
        self.world
            .until(|state| (state.serving == wanted).then_some(()))
            .await;
    }

    /// Where it takes submissions.
    pub fn base(&self) -> Url {
        self.world.places.base.clone()
    }

    /// Where it shows its bill, if it does.
    pub fn admin(&self) -> Option<Url> {
        self.world.places.admin.clone()
    }

    /// The key that it accepts.
    pub fn key(&self) -> &str {
        &self.world.options.key
    }

    /// Every task that was taken, in order, as it stands now.
    pub fn bill(&self) -> Bill {
        self.world.read(|state| state.bill(Instant::now()))
    }

    /// Waits until the bill is as wanted. Has no limit of its own.
    pub async fn until(&self, wanted: impl Fn(&Bill) -> bool) -> Bill {
        self.world
            .until(|state| Some(state.bill(Instant::now())).filter(&wanted))
            .await
    }

    /// Every POST that arrived, in order, with its body.
    pub fn submits(&self) -> Vec<Submission> {
        self.world.read(|state| state.submissions.clone())
    }

    /// Waits until as many POSTs have arrived. Has no limit of its own.
    pub async fn until_submits(&self, count: usize) {
        self.world
            .until(|state| (state.submissions.len() >= count).then_some(()))
            .await;
    }

    /// What was done that must not be done: the key at a host where it has no business, a redirect followed.
    pub fn violations(&self) -> Vec<String> {
        self.world.read(|state| state.violations.clone())
    }

    /// How many connections the host for submissions has seen.
    pub fn connections(&self) -> u64 {
        self.world.read(|state| state.connections)
    }

    /// Makes the next submission go wrong. Several queue up.
    pub fn fault_next_submit(&self, fault: Fault) {
        self.world.edit(|state| state.next_submissions.push_back(fault));
    }

    /// Makes the next poll go wrong. Several queue up.
    pub fn fault_next_poll(&self, fault: AnswerFault) {
        self.world.edit(|state| state.next_polls.push_back(fault));
    }

    /// Makes the next fetching of a result go wrong. Several queue up.
    pub fn fault_next_sample(&self, fault: AnswerFault) {
        self.world.edit(|state| state.next_samples.push_back(fault));
    }

    /// Makes tasks that are taken from now on wait for [`release`](Self::release).
    pub fn hold(&self) {
        self.world.edit(|state| state.held = true);
    }

    /// Lets all tasks go on, each in its time.
    pub fn release(&self) {
        self.world.edit(|state| state.release(Instant::now()));
    }

    /// Drops all tasks: polls do not find them any more. They stay on the bill, and their results where they are.
    pub fn forget_tasks(&self) {
        self.world.edit(|state| {
            for task in &mut state.tasks {
                task.forgotten = true;
            }
        });
    }

    /// Changes what the account had at the beginning, in credits of one cent.
    pub fn set_credits(&self, credits: f64) {
        self.world.edit(|state| state.credits = credits);
    }

    /// Cuts all connections and refuses new ones. Tasks go on, and so does the bill.
    pub async fn go_down(&self) {
        self.world.set_down(true);
        self.serving(0).await;
    }

    /// Ends an outage: the same addresses are served again.
    pub async fn come_up(&self) {
        self.world.set_down(false);
        self.serving(self.listeners).await;
    }

    /// Stops it and waits until it is gone.
    pub async fn stop(mut self) {
        self.world.set_down(true);
        self.tasks.shutdown().await;
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.world.set_down(true);
    }
}

fn url(listener: &TcpListener) -> io::Result<Url> {
    let address = listener.local_addr()?;
    Url::parse(&format!("http://{address}/")).map_err(io::Error::other)
}

/// Serves a host until the double is dropped, with pauses while it is down.
async fn serve(world: Arc<World>, listener: TcpListener, address: SocketAddr, router: Router, counted: bool) {
    let mut bound = Some(listener);
    loop {
        let listener = match bound.take() {
            Some(listener) => Ok(listener),
            None => TcpListener::bind(address).await,
        };
        let Ok(listener) = listener else {
            // somebody else has the port for a moment
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        world.edit(|state| state.serving += 1);
        let wires = Wires {
            listener,
            world: Arc::clone(&world),
            counted,
        };
        let service = router.clone().into_make_service_with_connect_info::<Cutter>();
        tokio::select! {
            biased;
            () = world.goes_down() => {}
            result = axum::serve(wires, service) => drop(result),
        }
        world.edit(|state| state.serving -= 1);
        world.comes_up().await;
    }
}
