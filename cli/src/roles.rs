//! One role in this process: `orchestrator gateway`, `worker` or `monitor`.

use std::{net::SocketAddr, time::Duration};

use runtime::{
    bus::{Bus, BusError, BusSettings},
    tasks::{Running, Stop},
    telemetry,
};
use tokio::time::sleep;

use crate::{exit::Exit, problem::Problem, settings::Settings, signals};

/// What a process can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Gateway,
    Worker,
    Monitor,
}

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Role {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Worker => "worker",
            Self::Monitor => "monitor",
        }
    }

    /// Builds the role and binds its ports.
    pub(crate) async fn start(self, settings: &Settings, bus: Bus, stop: Stop) -> Result<Running, Problem> {
        let started = match self {
            Self::Gateway => gateway::start(settings.gateway.clone(), bus, stop)
                .await
                .map_err(|error| telemetry::chain(&error)),
            Self::Worker => worker::start(settings.worker.clone(), bus, stop)
                .await
                .map_err(|error| telemetry::chain(&error)),
            Self::Monitor => monitor::start(settings.monitor.clone(), bus, stop)
                .await
                .map_err(|error| telemetry::chain(&error)),
        };
        started.map_err(|error| {
            Problem::new(
                Exit::Failure,
                format!("the {} cannot start: {error}", self.name()),
            )
        })
    }
}

/// Runs a role until a signal, or until it fails.
pub(crate) async fn run(role: Role, settings: Settings) -> Result<Exit, Problem> {
    telemetry::start(&settings.telemetry);
    let stop = Stop::new();
    signals::guard(
        &stop,
        |text| tracing::info!("{text}"),
        Box::pin(session(role, &settings, &stop)),
    )
    .await
}

async fn session(role: Role, settings: &Settings, stop: &Stop) -> Result<Exit, Problem> {
    let Some(bus) = connect_patiently(&settings.bus, role.name(), stop).await? else {
        return Ok(Exit::Success);
    };
    let running = role.start(settings, bus.clone(), stop.clone()).await?;
    tracing::info!(
        role = role.name(),
        address = running.address.map(|address| address.to_string()),
        broker = bus.server_version(),
        "ready"
    );
    let ended = running.run().await;
    bus.close().await;
    match ended {
        Ok(()) => {
            tracing::info!(role = role.name(), "stopped");
            Ok(Exit::Success)
        }
        Err(error) => Err(Problem::failed(
            format_args!("the {} failed", role.name()),
            &error,
        )),
    }
}

/// Connects; waits for a broker that does not answer yet. `None` where `stop` came first.
async fn connect_patiently(settings: &BusSettings, name: &str, stop: &Stop) -> Result<Option<Bus>, Problem> {
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            outcome = Bus::connect(settings, name) => outcome,
        };
        match outcome {
            Ok(bus) => return Ok(Some(bus)),
            Err(error @ BusError::Unavailable { .. }) => {
                tracing::warn!(
                    nats.url = settings.url,
                    error = telemetry::chain(&error),
                    "the broker does not answer, asking again"
                );
            }
            Err(error) => return Err(unusable_broker(settings, &error)),
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(None),
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// What is told of a broker that cannot be used.
pub(crate) fn unusable_broker(settings: &BusSettings, error: &BusError) -> Problem {
    let (exit, remedy) = match error {
        BusError::Unavailable { .. } => (
            Exit::Unreachable,
            "Start nats-server there, or correct nats.url and its credentials.",
        ),
        BusError::Conflict
        | BusError::TooLarge
        | BusError::Refused { .. }
        | BusError::Garbled { .. }
        | BusError::Unsuitable(_) => (
            Exit::Failure,
            "Use the nats-server that the README names, with JetStream on.",
        ),
    };
    let detail = format!("the broker at {}: {}", settings.url, telemetry::chain(error));
    Problem::new(exit, detail).with_remedy(remedy)
}

/// The address as one that a browser on this machine can open.
pub(crate) fn local_url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        let loopback = if address.is_ipv4() { "127.0.0.1" } else { "[::1]" };
        format!("http://{loopback}:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_is_shown_as_one_that_can_be_opened() {
        let url = |text: &str| local_url(text.parse().expect("an address"));
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("[::]:80"), "http://[::1]:80");
        assert_eq!(url("10.0.0.1:80"), "http://10.0.0.1:80");
    }
}
