//! `orchestrator up`: the whole system in one process and one terminal, with a nats-server as its child.
//!
//! A killed `up` leaves its nats-server behind; the next one replaces it on the same data and goes on.

mod child;
mod lock;
mod offers;
mod parts;
mod steps;

use runtime::{
    broker::Broker,
    bus::BusSettings,
    tasks::Stop,
    telemetry::{self, TelemetrySettings},
};

use crate::{exit::Exit, problem::Problem, settings::Settings, signals};
use lock::Lock;
use parts::Parts;

/// What is logged beside the steps where nobody chose: troubles, and the life of each job. The gateway itself
/// logs what goes wrong in a call; the transport beneath it would tell the same again.
const QUIET_FILTER: &str = "warn,monitor=info,tower_http=off";

/// Runs everything until a signal, or until a part fails.
pub(crate) async fn run(settings: Settings) -> Result<Exit, Problem> {
    let filter = if settings.is_set("log.filter") {
        settings.telemetry.filter.clone()
    } else {
        QUIET_FILTER.to_owned()
    };
    telemetry::start(&TelemetrySettings {
        filter,
        ..settings.telemetry.clone()
    });
    let stop = Stop::new();
    let session = async {
        if settings.is_set("nats.url") {
            live(&settings, &settings.bus, &stop).await
        } else {
            with_child(&settings, &stop).await
        }
    };
    signals::guard(&stop, steps::tell, Box::pin(session)).await
}

/// Runs the roles on a broker of our own, which outlives them.
async fn with_child(settings: &Settings, stop: &Stop) -> Result<Exit, Problem> {
    // before the broker: what another `up` runs must not be taken for left behind
    let _lock = Lock::take(&settings.broker.dir)?;
    let broker = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(Exit::Success),
        started = Broker::start(&settings.broker) => started.map_err(|error| child::unstartable(&error))?,
    };
    let bus = BusSettings {
        url: broker.url().to_owned(),
        ..settings.bus.clone()
    };
    let over = Stop::new();
    let roles = async {
        let ended = live(settings, &bus, stop).await;
        over.cancel();
        ended
    };
    let (ended, ()) = tokio::join!(roles, child::keep(broker, settings.broker.clone(), over.clone()));
    if ended.is_ok() {
        steps::done("everything has stopped");
    }
    ended
}

/// Starts the roles, runs them, and stops them in order.
async fn live(settings: &Settings, bus: &BusSettings, stop: &Stop) -> Result<Exit, Problem> {
    let mut parts = Parts::default();
    let started = tokio::select! {
        biased;
        () = stop.cancelled() => Ok(()),
        started = parts.start(settings, bus) => started,
    };
    let ended = match started {
        Ok(()) => parts.run(stop).await,
        Err(problem) => Err(problem),
    };
    let stopped = parts.stop().await;
    ended.and(stopped).map(|()| Exit::Success)
}
