//! Puts the worker together and starts it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use prometheus_client::registry::Registry;
use proto::{
    failure::FailureCode,
    ids::{Incarnation, WorkerId},
    v1::{HostCall, host_call::Call},
};
use runtime::{
    admin::{self, Readiness},
    bus::Bus,
    calls, clock,
    ledger::Ledger,
    queue::Queue,
    records::Records,
    store::OpenError,
    tasks::{Running, Stop, Tasks},
};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    Settings,
    announce::{self, Announcer},
    backend::Backend,
    claim::Suspicions,
    comfyui::{self, Comfyui, ComfyuiError},
    flux::Flux,
    intake::{Desk, Line},
    metrics::Metrics,
    paid::Cashier,
    roster::Roster,
    sketching::Sketching,
    uploads::Depot,
    v0::{self, V0},
};

/// Why the worker could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process announces itself by the same name and answers.
    #[error("another worker named {0} is running; set worker.id to a name of its own")]
    NameTaken(WorkerId),
    /// The address cannot be bound.
    #[error("cannot listen on {address}; set worker.listen to a free address")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The artifact store cannot be used.
    #[error("the artifact store does not work")]
    Store(#[from] OpenError),
    /// The HTTP client cannot be made.
    #[error("the http client does not work")]
    Http(#[from] reqwest::Error),
    /// ComfyUI's settings cannot be used.
    #[error("comfyui cannot be used")]
    Comfyui(#[from] ComfyuiError),
    /// v0's settings cannot be used.
    #[error("v0 cannot be used")]
    V0(#[from] connectors::v0::Error),
}

/// Time for the last words after the attempts have ended.
const FAREWELL: Duration = Duration::from_secs(10);

/// Builds everything and starts taking jobs.
///
/// # Errors
/// If another worker has the same name, or something that is configured cannot be used.
pub async fn start(settings: Settings, bus: Bus, stop: Stop) -> Result<Running, StartError> {
    let incarnation = Incarnation::generate();
    refuse_taken_name(&bus, &settings.id).await?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let listener = match settings.listen {
        Some(address) => Some(
            admin::bind(address)
                .await
                .map_err(|source| StartError::Listen { address, source })?,
        ),
        None => None,
    };
    let desk = Arc::new(desk(&settings, &bus, incarnation, metrics, &stop)?);
    let backends = backends(&settings, &desk)?;
    let mut tasks = Tasks::new(stop.clone());
    tasks.start("streams", bus.clone().keep_streams(stop.clone()));
    tell_missing(&desk);
    start_work(&mut tasks, &desk, backends, settings.paid.allow, &stop);
    let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
    if let Some(listener) = listener {
        tasks.start(
            "readiness",
            note_readiness(bus, Arc::new(registry), listener, stop),
        );
    }
    tracing::info!(worker.id = %settings.id, %incarnation, "the worker takes jobs");
    let stopping = settings.comfyui.as_ref().map(|comfyui| comfyui.host.stop_timeout);
    let grace = settings.attempts.drain_grace
        + settings.attempts.cancel_grace
        + stopping.unwrap_or_default()
        + FAREWELL;
    Ok(Running {
        address,
        tasks,
        grace,
    })
}

fn desk(
    settings: &Settings,
    bus: &Bus,
    incarnation: Incarnation,
    metrics: Metrics,
    stop: &Stop,
) -> Result<Desk, StartError> {
    Ok(Desk {
        worker: settings.id.clone(),
        incarnation,
        records: Records::new(bus.clone(), settings.timing.retention),
        queue: Queue::new(bus.clone(), settings.timing.lane()),
        ledger: Ledger::new(bus.clone()),
        roster: Roster::default(),
        depot: depot(settings, bus)?,
        metrics,
        timing: settings.timing,
        attempts: settings.attempts,
        suspicions: Suspicions::default(),
        not_offered: settings.not_offered(),
        stop: stop.clone(),
    })
}

/// A key that is not set is told to who looks for it.
fn tell_missing(desk: &Desk) {
    for missing in &desk.not_offered {
        let backend = missing.backend().as_str_name();
        tracing::info!(worker.id = %desk.worker, job.backend = backend, "not offered: {}", missing.reason);
    }
}

fn start_work(tasks: &mut Tasks, desk: &Arc<Desk>, backends: Vec<Backend>, pays: bool, stop: &Stop) {
    // the voice outlives the work: while attempts end, they still have to be answered for
    let silence = Stop::new();
    // what runs behind a backend outlives the work on it
    let over = Stop::new();
    let mut hosts = JoinSet::new();
    let mut announced = Vec::new();
    let mut lines = JoinSet::new();
    for backend in backends {
        let backend = Arc::new(backend);
        let (busy, busy_now) = watch::channel(0);
        announced.push((backend.clone(), busy_now));
        hosts.spawn({
            let (backend, over) = (backend.clone(), over.clone());
            async move { backend.keep_host(over).await }
        });
        lines.spawn(
            Line {
                desk: desk.clone(),
                backend: backend.clone(),
                busy,
            }
            .run(),
        );
        let halt = stop.clone();
        tasks.start(format!("offer of {}", backend.kind().as_str_name()), async move {
            tokio::select! {
                biased;
                () = halt.cancelled() => {}
                () = backend.keep_offer() => {}
            }
        });
    }
    if pays {
        tasks.start("ledger", desk.ledger.clone().keep(silence.clone()));
    }
    tasks.start("calls", answer_calls(desk.clone(), &announced, silence.clone()));
    let announcer = Announcer {
        desk: desk.clone(),
        backends: announced,
        started: clock::now(),
    };
    tasks.start("announcements", announcer.run(silence.clone()));
    tasks.start(
        "ownership",
        announce::answer_ownership(desk.clone(), silence.clone()),
    );
    tasks.start("name", announce::answer_to_name(desk.clone(), silence.clone()));
    tasks.start("nudges", announce::pass_nudges(desk.clone(), silence.clone()));
    tasks.start("attempts", async move {
        while let Some(ended) = lines.join_next().await {
            // a line that crashes takes the worker down, so that somebody notices
            ended.expect("the intake of a backend does not crash");
        }
        over.cancel();
        while let Some(ended) = hosts.join_next().await {
            ended.expect("the care for a backend's process does not crash");
        }
        silence.cancel();
    });
}

/// Answers what people ask of this host.
fn answer_calls(
    desk: Arc<Desk>,
    backends: &[(Arc<Backend>, watch::Receiver<usize>)],
    stop: Stop,
) -> impl Future<Output = ()> + use<> {
    let (mut comfyui, mut v0) = (None, None);
    for (backend, _) in backends {
        match backend.as_ref() {
            Backend::Comfyui(found) => comfyui = Some(found.clone()),
            Backend::V0(_) => v0 = Some(backend.clone()),
            Backend::Sketch(_) | Backend::Flux(_) => {}
        }
    }
    async move {
        let refuse = |code, message| stream::iter([calls::failed(code, message)]).boxed();
        let answer = |call: HostCall| match (call.call, &comfyui, &v0) {
            (Some(Call::V0(call)), _, Some(v0)) => v0::answer(v0.clone(), call).boxed(),
            (Some(Call::V0(_)), _, None) => refuse(FailureCode::V0Unoffered, "this worker does not offer v0"),
            (call, Some(comfyui), _) => comfyui::answer(comfyui.clone(), HostCall { call }).boxed(),
            (_, None, _) => refuse(FailureCode::HostRefused, "this worker has no ComfyUI"),
        };
        calls::answer_host(desk.records.bus().clone(), &desk.worker, stop, answer).await;
    }
}

async fn note_readiness(bus: Bus, registry: Arc<Registry>, listener: tokio::net::TcpListener, stop: Stop) {
    let readiness = Readiness::default();
    let server = admin::serve(listener, admin::routes(registry, readiness.clone()), stop);
    let notes = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        loop {
            ticks.tick().await;
            readiness.set(
                "broker",
                if bus.is_up() {
                    Ok(())
                } else {
                    Err("no connection to NATS".to_owned())
                },
            );
        }
    };
    tokio::select! {
        () = server => {}
        () = notes => {}
    }
}

async fn refuse_taken_name(bus: &Bus, id: &WorkerId) -> Result<(), StartError> {
    if calls::is_name_taken(bus, id).await {
        Err(StartError::NameTaken(id.clone()))
    } else {
        Ok(())
    }
}

fn depot(settings: &Settings, bus: &Bus) -> Result<Depot, StartError> {
    if !settings.store.is_gateway() {
        return Ok(Depot::Store(settings.store.open()?));
    }
    runtime::tls::install();
    let http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .read_timeout(Duration::from_mins(1))
        .build()?;
    Ok(Depot::Gateway {
        bus: bus.clone(),
        http,
        max_bytes: settings.store.max_size.0,
    })
}

fn backends(settings: &Settings, desk: &Desk) -> Result<Vec<Backend>, StartError> {
    let cashier = || Cashier::new(desk);
    let mut backends = Vec::new();
    if let Some(sketch) = settings.sketch {
        backends.push(Backend::Sketch(Sketching::new(sketch)));
    }
    if let Some(comfyui) = settings.comfyui.clone() {
        let cashier = settings.paid.allow.then(cashier);
        backends.push(Backend::Comfyui(Arc::new(Comfyui::new(comfyui, cashier)?)));
    }
    if let Some(key) = settings.flux_key() {
        let flux = Flux::new(settings.flux.clone(), key.reveal(), cashier())?;
        backends.push(Backend::Flux(Box::new(flux)));
    }
    if let Some(key) = settings.v0_key() {
        let v0 = V0::new(settings.v0.clone(), key.reveal(), cashier())?;
        backends.push(Backend::V0(Box::new(v0)));
    }
    Ok(backends)
}
