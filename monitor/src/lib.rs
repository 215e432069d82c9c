//! Watches the whole system and changes nothing: keeps a picture of jobs and workers, logs every
//! transition, and exports the picture as metrics.
//!
//! Reading order: [`Settings`], `picture` (what is known, pure), `observer` (the task that keeps it),
//! `transition` (the log lines), `metrics` (every metric by name).

mod metrics;
mod observer;
mod picture;
mod settings;
mod transition;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use prometheus_client::registry::Registry;
use runtime::{
    admin::{self, Readiness},
    bus::Bus,
    live, records,
    tasks::{Running, Stop, Tasks},
};
use tokio::sync::mpsc;

pub use settings::Settings;

use metrics::Metrics;
use observer::{Feeds, Observer};

/// Messages of one kind that may wait for the observer.
const FEED_CAPACITY: usize = 1_024;
/// How long the monitor may take to stop; it has nothing to finish.
const GRACE: Duration = Duration::from_secs(5);

/// Why the monitor cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its port is not to be had.
    #[error("the monitor cannot listen on {listen}; set monitor.listen to a free address")]
    Listen {
        /// Where it was to listen.
        listen: SocketAddr,
        /// Why it cannot.
        #[source]
        source: io::Error,
    },
}

/// Binds the port and starts to watch; ends soon after `stop`.
///
/// # Errors
/// If the port cannot be bound.
pub async fn start(settings: Settings, bus: Bus, stop: Stop) -> Result<Running, StartError> {
    let refused = |source| StartError::Listen {
        listen: settings.listen,
        source,
    };
    let listener = admin::bind(settings.listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let readiness = Readiness::default();
    let routes = admin::routes(Arc::new(registry), readiness.clone());

    let (record_sender, records) = mpsc::channel(FEED_CAPACITY);
    let (progress_sender, progress) = mpsc::channel(FEED_CAPACITY);
    let (worker_sender, workers) = mpsc::channel(FEED_CAPACITY);
    let feeds = Feeds {
        records,
        progress,
        workers,
    };
    let observer = Observer::new(bus.clone(), metrics, readiness);
    let mut tasks = Tasks::new(stop.clone());
    tasks.start("streams", bus.clone().keep_streams(stop.clone()));
    tasks.start("admin", admin::serve(listener, routes, stop.clone()));
    tasks.start(
        "records",
        records::follow(bus.clone(), record_sender, stop.clone()),
    );
    tasks.start(
        "progress",
        live::follow_progress(bus.clone(), progress_sender, stop.clone()),
    );
    tasks.start("workers", live::follow_workers(bus, worker_sender, stop.clone()));
    tasks.start("observer", observer.run(feeds, stop));
    Ok(Running {
        address: Some(address),
        tasks,
        grace: GRACE,
    })
}
