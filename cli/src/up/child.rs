//! Keeps the child broker running: one that dies is started again on the same address and data.

use std::time::Duration;

use runtime::{
    broker::{Broker, BrokerError, BrokerSettings},
    tasks::Stop,
    telemetry,
};
use tokio::time::sleep;

use super::steps;
use crate::{exit::Exit, problem::Problem};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Keeps the broker until `over`, then ends it in order.
pub(super) async fn keep(mut broker: Broker, settings: BrokerSettings, over: Stop) {
    // whoever is connected knows the address that the first one got
    let settings = BrokerSettings {
        listen: broker.address(),
        ..settings
    };
    loop {
        let status = tokio::select! {
            biased;
            () = over.cancelled() => {
                broker.stop().await;
                return;
            }
            status = broker.ended() => status,
        };
        steps::doubt(format!("the broker ended ({status}); starting it again"));
        match restart(&settings, &over).await {
            Some(again) => broker = again,
            None => return,
        }
        steps::done(format!("broker again on {}", broker.url()));
    }
}

/// `None` where `over` came first.
async fn restart(settings: &BrokerSettings, over: &Stop) -> Option<Broker> {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = tokio::select! {
            biased;
            () = over.cancelled() => return None,
            started = Broker::start(settings) => started,
        };
        match started {
            Ok(broker) => return Some(broker),
            Err(error) => tracing::warn!(error = telemetry::chain(&error), "the broker does not start"),
        }
        tokio::select! {
            biased;
            () = over.cancelled() => return None,
            () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
        }
    }
}

/// What is told of a broker that cannot be started.
pub(super) fn unstartable(error: &BrokerError) -> Problem {
    let remedy = match error {
        BrokerError::Directory { .. } => "Set broker.dir to a directory that can be written.",
        BrokerError::Start { .. } => {
            "`cargo xtask up` fetches nats-server; otherwise install it (https://nats.io/download), \
             set broker.command to its path, or set nats.url to a server that runs elsewhere."
        }
        BrokerError::Died { .. } | BrokerError::Slow(_) => "Read its log in broker.dir.",
        BrokerError::PortTaken(_) => "Look who listens there, or set broker.listen to a free address.",
    };
    let detail = format!("the broker cannot start: {}", telemetry::chain(error));
    Problem::new(Exit::Failure, detail).with_remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_program_is_told_with_the_settings_that_help() {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = BrokerSettings {
            command: "no-such-nats-server".into(),
            dir: dir.path().to_owned(),
            listen: "127.0.0.1:0".parse().expect("an address"),
        };
        let problem = unstartable(&Broker::start(&settings).await.expect_err("no such program"));
        let text = problem.to_string();
        assert!(
            text.contains("no-such-nats-server") && text.contains("broker.command"),
            "{text}"
        );
        let over = Stop::new();
        over.cancel();
        assert!(restart(&settings, &over).await.is_none());
    }
}
