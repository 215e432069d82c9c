//! The front door: accepts jobs, shows them, and makes sure that none is forgotten.
//!
//! It never calls a generation backend, and keeps nothing that it cannot rebuild from the streams.

pub mod admission;
pub mod catalogs;
pub mod chats;
pub mod closing;
pub mod files;
pub mod fitness;
pub mod fleet;
pub mod front;
pub mod grants;
pub mod grpc;
pub mod hosts;
pub mod http;
pub mod ignition;
pub mod index;
pub mod inputs;
pub mod jobs;
pub mod keeper;
pub mod metrics;
pub mod passing;
pub mod picture;
pub mod problem;
pub mod reconcile;
pub mod settings;
pub mod spending;
pub mod watching;
pub mod workflows;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use proto::{
    subjects,
    v1::{AssetGrantRequest, UploadGrantRequest},
};
use runtime::{
    admin::Readiness,
    bus::Bus,
    calls,
    ledger::Ledger,
    live,
    queue::Queue,
    records::{self, Records},
    store::OpenError,
    tasks::{Running, Stop, Tasks},
};
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    catalogs::Catalogs,
    files::Files,
    front::{Front, Parts},
    grants::Grants,
    hosts::Hosts,
    ignition::Ignition,
    jobs::Jobs,
    keeper::Keeper,
    metrics::Metrics,
    picture::Picture,
    spending::Spending,
    workflows::Workflows,
};
pub use settings::Settings;

/// Why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}; set gateway.listen to a free address")]
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
    /// Random numbers for the signing key are not to be had.
    #[error("the system gives no random numbers")]
    Random(#[source] rand::rngs::SysError),
}

/// Messages that may wait between the broker's connection and the picture.
const BACKLOG: usize = 4096;
/// How long open requests may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// Builds everything, binds the address, and starts serving.
///
/// # Errors
/// If the address or the artifact store cannot be used.
pub async fn start(settings: Settings, bus: Bus, stop: Stop) -> Result<Running, StartError> {
    let address = settings.listen;
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })?;
    let address = listener
        .local_addr()
        .map_err(|source| StartError::Listen { address, source })?;
    let store = settings.store.open()?;

    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let readiness = Readiness::default();
    let picture = Picture::new(settings.timing.announce);
    let records = Records::new(bus.clone(), settings.timing.retention);
    let queue = Queue::new(bus.clone(), settings.timing.lane());
    let grants = Grants::new(records.clone(), &settings.advertised(address)).map_err(StartError::Random)?;
    let workflows = Workflows::new(runtime::workflows::Workflows::new(bus.clone()));
    let catalogs = Catalogs::default();
    let ledger = Ledger::new(bus.clone());
    let jobs = Jobs {
        records: records.clone(),
        queue: queue.clone(),
        picture: picture.clone(),
        metrics: metrics.clone(),
        workflows: workflows.clone(),
        catalogs: catalogs.clone(),
        store: store.clone(),
        spending: Spending::new(ledger.clone(), settings.paid),
        stop: stop.clone(),
    };
    let hosts = Hosts::new(bus.clone(), picture.clone());
    let front = Front::from(Parts {
        files: Files::new(store.clone(), jobs.clone()),
        jobs,
        hosts: hosts.clone(),
        ignition: Ignition::new(&bus, &store, hosts, settings.ignite_timeout),
        workflows,
        max_fetch: settings.max_fetch.0,
        grants: grants.clone(),
        registry: Arc::new(registry),
        readiness: readiness.clone(),
        stop: stop.clone(),
    });
    let keeper = Keeper {
        records,
        queue,
        ledger: ledger.clone(),
        store,
        picture,
        metrics,
        timing: settings.timing,
        readiness,
    };

    let mut tasks = Tasks::new(stop.clone());
    start_picture(&mut tasks, &bus, catalogs, &keeper, &stop);
    start_grants(&mut tasks, &bus, grants, &stop);
    tasks.start("ledger", ledger.keep(stop.clone()));
    tasks.start("streams", bus.keep_streams(stop.clone()));
    tasks.start("keeper", keeper.run(stop.clone()));
    tasks.start(
        "http",
        runtime::admin::serve(listener, front::router(front), stop),
    );
    tracing::info!(%address, "the gateway listens");
    Ok(Running {
        address: Some(address),
        tasks,
        grace: GRACE,
    })
}

fn start_picture(tasks: &mut Tasks, bus: &Bus, catalogs: Catalogs, keeper: &Keeper, stop: &Stop) {
    let picture = &keeper.picture;
    let (records_in, records_out) = mpsc::channel(BACKLOG);
    let (progress_in, progress_out) = mpsc::channel(BACKLOG);
    let (workers_in, workers_out) = mpsc::channel(BACKLOG);
    tasks.start("records", records::follow(bus.clone(), records_in, stop.clone()));
    tasks.start(
        "progress",
        live::follow_progress(bus.clone(), progress_in, stop.clone()),
    );
    tasks.start(
        "workers",
        live::follow_workers(bus.clone(), workers_in, stop.clone()),
    );
    tasks.start("picture: records", keeper.clone().take_records(records_out));
    tasks.start("picture: progress", picture.clone().take_progress(progress_out));
    tasks.start("picture: workers", picture.clone().take_workers(workers_out));
    let hosts = Hosts::new(bus.clone(), picture.clone());
    tasks.start("catalogs", catalogs.follow(hosts, picture.clone(), stop.clone()));
}

fn start_grants(tasks: &mut Tasks, bus: &Bus, grants: Grants, stop: &Stop) {
    let uploads = grants.clone();
    let answer = move |request: UploadGrantRequest| {
        let grants = uploads.clone();
        async move { grants.grant_upload(&request).await }
    };
    let (subject, group) = (subjects::GRANT_UPLOAD.to_owned(), Some("gateways"));
    tasks.start(
        "upload grants",
        calls::serve(bus.clone(), subject, group, stop.clone(), answer),
    );
    let answer = move |request: AssetGrantRequest| {
        let grant = grants.grant_asset(&request);
        async move { grant }
    };
    let subject = subjects::GRANT_ASSET.to_owned();
    tasks.start(
        "asset grants",
        calls::serve(bus.clone(), subject, group, stop.clone(), answer),
    );
}
