//! The roles of `up`: started in the order in which they need each other, stopped in the reverse.

use std::{net::SocketAddr, time::Duration};

use futures::future::{BoxFuture, FutureExt as _};
use proto::v1::Worker;
use runtime::{
    bus::{Bus, BusSettings},
    live,
    tasks::{Stop, TaskError},
    telemetry,
};
use tokio::time::{Instant, sleep};

use super::{offers, steps};
use crate::{
    exit::Exit,
    output,
    problem::Problem,
    roles::{self, Role},
    settings::Settings,
};

/// How long a part may take until it says that it is ready; it goes on without that.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// A worker that started this many milliseconds before we began to look is the one that we started.
const FRESH_WITHIN: i64 = 5_000;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The roles that run.
#[derive(Default)]
pub(super) struct Parts {
    gateway: Option<Part>,
    monitor: Option<Part>,
    worker: Option<Part>,
    /// The worker as the person was told of it.
    announced: Option<Worker>,
}

/// One role that runs.
struct Part {
    role: Role,
    stop: Stop,
    bus: Bus,
    address: Option<SocketAddr>,
    /// `None` after it ended.
    running: Option<BoxFuture<'static, Result<(), TaskError>>>,
}

impl Parts {
    /// Starts all roles, each told to the person.
    pub(super) async fn start(&mut self, settings: &Settings, bus: &BusSettings) -> Result<(), Problem> {
        let connection = connect(Role::Gateway, bus).await?;
        steps::done(format!("broker {} on {}", connection.server_version(), bus.url));
        let gateway = Part::start(Role::Gateway, settings, connection).await?;
        let gateway = self.gateway.insert(gateway);
        let page = gateway.url();
        gateway.wait_until_ready("").await;

        let connection = connect(Role::Monitor, bus).await?;
        let monitor = self
            .monitor
            .insert(Part::start(Role::Monitor, settings, connection).await?);
        monitor.wait_until_ready("/metrics").await;

        let connection = connect(Role::Worker, bus).await?;
        let worker = self
            .worker
            .insert(Part::start(Role::Worker, settings, connection).await?);
        let id = settings.worker.id.as_str();
        match worker.announcement(id).await {
            Some(announced) => {
                tell_worker(&announced);
                self.announced = Some(announced);
            }
            None => steps::doubt(format!("worker {id} has not announced itself yet")),
        }
        steps::invite(&page);
        Ok(())
    }

    /// Until `stop`, or until a role ends by itself.
    pub(super) async fn run(&mut self, stop: &Stop) -> Result<(), Problem> {
        let news = match (&self.worker, self.announced.take()) {
            (Some(worker), Some(announced)) => offers::follow(worker.bus.clone(), announced).boxed(),
            (Some(_) | None, _) => std::future::pending().boxed(),
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            () = news => Ok(()),
            ended = Part::ended(&mut self.worker) => ended,
            ended = Part::ended(&mut self.gateway) => ended,
            ended = Part::ended(&mut self.monitor) => ended,
        }
    }

    /// Stops all roles: the worker first, because it needs the gateway to store what it finished.
    pub(super) async fn stop(&mut self) -> Result<(), Problem> {
        let worker = Part::end(&mut self.worker).await;
        let (gateway, monitor) = tokio::join!(Part::end(&mut self.gateway), Part::end(&mut self.monitor));
        worker.and(gateway).and(monitor)
    }
}

impl Part {
    async fn start(role: Role, settings: &Settings, bus: Bus) -> Result<Self, Problem> {
        let stop = Stop::new();
        let running = role.start(settings, bus.clone(), stop.clone()).await?;
        Ok(Self {
            role,
            stop,
            bus,
            address: running.address,
            running: Some(running.run().boxed()),
        })
    }

    fn url(&self) -> String {
        self.address.map(roles::local_url).unwrap_or_default()
    }

    /// Tells when the role answers that it is ready.
    async fn wait_until_ready(&mut self, page: &str) {
        let (name, url) = (self.role.name(), self.url());
        let ready = async {
            let http = reqwest::Client::builder().no_proxy().build().ok()?;
            loop {
                let answer = http.get(format!("{url}/readyz")).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return Some(());
                }
                sleep(LOOK_EVERY).await;
            }
        };
        match tokio::time::timeout(READY_WITHIN, ready).await {
            Ok(Some(())) => steps::done(format!("{name} on {url}{page}")),
            Ok(None) | Err(_) => steps::doubt(format!(
                "{name} on {url}{page} is not ready yet; {url}/readyz says why"
            )),
        }
    }

    /// The worker's announcement of this life.
    async fn announcement(&self, id: &str) -> Option<Worker> {
        let began = runtime::clock::now();
        let deadline = Instant::now() + READY_WITHIN;
        while Instant::now() < deadline {
            let known = live::workers(&self.bus).await.unwrap_or_else(|error| {
                tracing::debug!(error = telemetry::chain(&error), "the workers are not known");
                Vec::new()
            });
            let fresh = |worker: &Worker| {
                let started = proto::moment::maybe_millis(worker.started_at.as_ref()).unwrap_or_default();
                worker.id == id && !worker.stopped && started + FRESH_WITHIN >= began
            };
            if let Some(worker) = known.into_iter().find(fresh) {
                return Some(worker);
            }
            sleep(LOOK_EVERY).await;
        }
        None
    }

    /// Completes when the role ended by itself; never, where it does not run.
    async fn ended(part: &mut Option<Self>) -> Result<(), Problem> {
        let Some(Self {
            role,
            running: Some(running),
            ..
        }) = part
        else {
            return std::future::pending().await;
        };
        let (role, ended) = (*role, running.await);
        if let Some(part) = part {
            part.running = None;
        }
        match ended {
            Ok(()) => Err(Problem::new(
                Exit::Failure,
                format!("the {} ended by itself", role.name()),
            )),
            Err(error) => Err(failed(role, &error)),
        }
    }

    /// Tells the role to stop and waits for it.
    async fn end(part: &mut Option<Self>) -> Result<(), Problem> {
        let Some(part) = part.take() else { return Ok(()) };
        part.stop.cancel();
        let ended = match part.running {
            Some(running) => running.await,
            None => return Ok(()),
        };
        part.bus.close().await;
        match ended {
            Ok(()) => {
                steps::done(format!("{} stopped", part.role.name()));
                Ok(())
            }
            Err(error) => Err(failed(part.role, &error)),
        }
    }
}

async fn connect(role: Role, bus: &BusSettings) -> Result<Bus, Problem> {
    let connected = Bus::connect(bus, role.name()).await;
    connected.map_err(|error| roles::unusable_broker(bus, &error))
}

fn failed(role: Role, error: &TaskError) -> Problem {
    Problem::failed(format_args!("the {} failed", role.name()), error)
}

fn tell_worker(worker: &Worker) {
    let healthy = worker.backends.iter().filter(|offer| offer.healthy);
    let offers: Vec<String> = healthy
        .map(|offer| {
            let software = match offer.software.as_str() {
                "" => String::new(),
                software => format!(" – {software}"),
            };
            format!("{} ×{}{software}", offer.backend().as_str_name(), offer.slots)
        })
        .collect();
    steps::done(format!("worker {}: {}", worker.id, offers.join(", ")));
    for offer in worker.backends.iter().filter(|offer| !offer.healthy) {
        steps::doubt(format!(
            "{} cannot take jobs yet: {}",
            offer.backend().as_str_name(),
            offer.problem
        ));
    }
    not_offered(worker).for_each(|line| steps::tell(&line));
}

/// What the worker would offer if something were set, and what that is: a line each.
fn not_offered(worker: &Worker) -> impl Iterator<Item = String> {
    worker.not_offered.iter().map(|missing| {
        format!(
            "- {} is not offered: {}",
            missing.backend().as_str_name(),
            output::plain(&missing.reason)
        )
    })
}

#[cfg(test)]
mod tests {
    use proto::{Backend, v1::MissingBackend};

    use super::*;

    #[test]
    fn each_backend_that_is_not_offered_is_told_in_a_line() {
        let missing = |backend: Backend, reason: &str| MissingBackend {
            backend: backend.into(),
            reason: reason.to_owned(),
        };
        let worker = Worker {
            not_offered: vec![
                missing(Backend::Flux, "BFL_API_KEY is not set"),
                missing(Backend::V0, "switched\noff"),
            ],
            ..Worker::default()
        };
        let lines: Vec<String> = not_offered(&worker).collect();
        assert_eq!(lines[0], "- flux is not offered: BFL_API_KEY is not set");
        assert!(lines.len() == 2 && !lines[1].contains('\n'), "{lines:?}");
    }
}
