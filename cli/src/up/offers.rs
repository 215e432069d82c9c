//! What `up` tells of its worker's backends after the start: that one takes jobs now, or does not any more.

use std::{collections::BTreeMap, time::Duration};

use proto::v1::{BackendOffer, Worker};
use runtime::{bus::Bus, live};
use tokio::time::interval;

use super::steps;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How a backend was last told of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Ready,
    Away(String),
}

/// Tells each change; does not end. `worker` is what the person has seen already.
pub(super) async fn follow(bus: Bus, worker: Worker) {
    let mut told: BTreeMap<i32, Told> = worker
        .backends
        .iter()
        .map(|offer| (offer.backend, of(offer)))
        .collect();
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let Ok(workers) = live::workers(&bus).await else {
            continue;
        };
        let ours = workers
            .into_iter()
            .find(|known| known.id == worker.id && known.incarnation == worker.incarnation);
        for offer in ours.into_iter().flat_map(|worker| worker.backends) {
            let now = of(&offer);
            if told.insert(offer.backend, now.clone()).as_ref() == Some(&now) {
                continue;
            }
            let name = offer.backend().as_str_name();
            match now {
                Told::Ready => steps::done(format!("{name} takes jobs: {}", has(&offer))),
                Told::Away(problem) => steps::doubt(format!("{name} takes no jobs: {problem}")),
            }
        }
    }
}

fn of(offer: &BackendOffer) -> Told {
    if offer.healthy {
        Told::Ready
    } else {
        Told::Away(offer.problem.clone())
    }
}

/// What it has, in a few words.
fn has(offer: &BackendOffer) -> String {
    let checkpoints = offer.models.iter().filter(|model| model.kind == "checkpoint");
    let (damaged, sound): (Vec<_>, Vec<_>) = checkpoints.partition(|model| !model.problem.is_empty());
    let known = format!("{}, checkpoints: {}", offer.software, sound.len());
    if damaged.is_empty() {
        return known;
    }
    let names: Vec<&str> = damaged.iter().map(|model| model.name.as_str()).collect();
    format!("{known}; damaged and not used: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use proto::v1::Model;

    use super::*;

    #[test]
    fn damaged_checkpoints_are_named() {
        let model = |name: &str, problem: &str| Model {
            kind: "checkpoint".to_owned(),
            name: name.to_owned(),
            problem: problem.to_owned(),
            ..Model::default()
        };
        let offer = BackendOffer {
            software: "ComfyUI 0.33.0".to_owned(),
            models: vec![model("a", ""), model("b", "cut")],
            ..BackendOffer::default()
        };
        assert_eq!(
            has(&offer),
            "ComfyUI 0.33.0, checkpoints: 1; damaged and not used: b"
        );
    }
}
