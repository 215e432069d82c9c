//! `orchestrator workers`: who is here, and what they are doing.

use proto::{
    moment::{Millis, maybe_millis},
    v1::{BackendOffer, Worker},
};
use runtime::clock;
use url::Url;

use crate::{
    client::{Client, ClientArguments},
    exit::Exit,
    moment, output,
    problem::Problem,
    table,
};

/// Shows the workers.
pub(crate) async fn workers(arguments: &ClientArguments, gateway: &Url) -> Result<Exit, Problem> {
    let workers = Client::connect(gateway).await?.workers().await?;
    if arguments.json {
        for worker in &workers {
            output::json(worker)?;
        }
    } else if workers.is_empty() {
        output::note("no worker is here; start one with `orchestrator worker` or `orchestrator up`");
    } else {
        output::line(worker_listing(&workers, clock::now()))?;
    }
    Ok(Exit::Success)
}

/// What a worker offers of one backend, in a few words: `sketch 1/2`, `comfyui: not reachable`.
pub(crate) fn offer(offer: &BackendOffer) -> String {
    let name = offer.backend().as_str_name();
    if offer.healthy {
        format!("{name} {}/{}", offer.busy, offer.slots)
    } else {
        format!("{name}: {}", offer.problem)
    }
}

fn worker_listing(workers: &[Worker], now: Millis) -> String {
    let rows = workers.iter().map(|worker| {
        let since = |at| {
            maybe_millis(at)
                .map(|at| moment::span(now - at))
                .unwrap_or_default()
        };
        let offers: Vec<String> = worker.backends.iter().map(offer).collect();
        let software = worker.backends.iter().map(|offer| offer.software.as_str());
        let devices = worker.backends.iter().flat_map(|offer| &offer.devices);
        let behind: Vec<&str> = software
            .chain(devices.map(|device| device.name.as_str()))
            .filter(|name| !name.is_empty())
            .collect();
        vec![
            worker.id.clone(),
            standing(worker).to_owned(),
            offers.join(", "),
            behind.join(", "),
            since(worker.started_at.as_ref()),
            since(worker.at.as_ref()),
        ]
    });
    table::table(&["WORKER", "STATE", "BUSY/SLOTS", "WITH", "UP", "HEARD"], rows)
}

const fn standing(worker: &Worker) -> &'static str {
    if worker.stopped {
        "stopped"
    } else if worker.draining {
        "draining"
    } else {
        "ready"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{Backend, moment::timestamp};

    #[test]
    fn a_worker_shows_what_it_offers_and_what_is_wrong() {
        let good = BackendOffer {
            backend: Backend::Sketch.into(),
            slots: 2,
            busy: 1,
            healthy: true,
            ..BackendOffer::default()
        };
        let bad = BackendOffer {
            backend: Backend::Comfyui.into(),
            problem: "not reachable".into(),
            ..BackendOffer::default()
        };
        let worker = Worker {
            id: "w1".into(),
            started_at: Some(timestamp(0)),
            at: Some(timestamp(58_000)),
            backends: vec![good, bad],
            draining: true,
            ..Worker::default()
        };
        let text = worker_listing(&[worker], 60_000);
        let line = text.lines().nth(1).expect("a worker");
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "w1 draining sketch 1/2, comfyui: not reachable 1m 2s"
        );
    }
}
