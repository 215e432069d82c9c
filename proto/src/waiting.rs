//! Why a queued job has not started: one pure answer for every place that shows it.

use crate::{
    Backend, Status, lifecycle,
    moment::{Millis, timestamp},
    subjects,
    v1::{BackendOffer, Job, Waiting, Worker},
};

/// Why the job waits, given the workers that announced themselves lately; `None` where it does not wait.
pub fn explain<'a>(job: &Job, fleet: impl IntoIterator<Item = &'a Worker>, now: Millis) -> Option<Waiting> {
    if job.status() != Status::Queued {
        return None;
    }
    if let Some(due) = lifecycle::due_at(job).filter(|due| *due > now) {
        let (reason, message) = match &job.failure {
            Some(failure) if job.retry_at.is_some() => (
                "retry_at",
                format!("tried again later after: {}", failure.message),
            ),
            _ => ("not_before", "waits for its time".to_owned()),
        };
        return Some(Waiting {
            reason: reason.to_owned(),
            message,
            until: Some(timestamp(due)),
        });
    }
    let verdicts = fleet
        .into_iter()
        .filter(|worker| !worker.stopped)
        .map(|worker| (worker, standing(job, worker)));
    let best = verdicts.max_by_key(|(_, standing)| standing.rank());
    let (reason, message) = match best {
        None => ("unservable", "no worker is here; start one".to_owned()),
        Some((worker, standing)) => (standing.reason(), standing.message(job, &worker.id)),
    };
    Some(Waiting {
        reason: reason.to_owned(),
        message,
        until: None,
    })
}

/// Whether some worker could take the job at this moment.
pub fn has_taker<'a>(job: &Job, fleet: impl IntoIterator<Item = &'a Worker>) -> bool {
    fleet
        .into_iter()
        .any(|worker| !worker.stopped && matches!(standing(job, worker), Standing::Free))
}

/// How near one worker is to taking one job, from far to near.
enum Standing<'a> {
    OtherBackend,
    Draining,
    OtherModels,
    Unhealthy(&'a str),
    Busy,
    Free,
}

impl Standing<'_> {
    const fn rank(&self) -> u8 {
        match self {
            Self::OtherBackend => 0,
            Self::Draining => 1,
            Self::Unhealthy(_) => 2,
            Self::OtherModels => 3,
            Self::Busy => 4,
            Self::Free => 5,
        }
    }

    const fn reason(&self) -> &'static str {
        match self {
            Self::OtherBackend | Self::Draining | Self::OtherModels | Self::Unhealthy(_) => "unservable",
            Self::Busy | Self::Free => "busy",
        }
    }

    fn message(&self, job: &Job, worker: &str) -> String {
        let backend = job.backend().as_str_name();
        match self {
            Self::OtherBackend => format!("no worker offers {backend}; start one that does"),
            Self::Draining => format!("worker {worker} offers {backend} but is stopping"),
            Self::OtherModels => format!("worker {worker} offers {backend} but does not have the model"),
            Self::Unhealthy(problem) => format!("worker {worker} cannot take it now: {problem}"),
            Self::Busy => "all workers that can serve it are busy".to_owned(),
            Self::Free => format!("worker {worker} is about to take it"),
        }
    }
}

fn standing<'a>(job: &Job, worker: &'a Worker) -> Standing<'a> {
    let Some(offer) = worker
        .backends
        .iter()
        .find(|offer| offer.backend() == job.backend())
    else {
        return Standing::OtherBackend;
    };
    if worker.draining {
        Standing::Draining
    } else if !offer.healthy {
        // what it has is not known while it does not answer
        Standing::Unhealthy(&offer.problem)
    } else if !serves_lane(offer, job) {
        Standing::OtherModels
    } else if offer.busy >= offer.slots {
        Standing::Busy
    } else {
        Standing::Free
    }
}

fn serves_lane(offer: &BackendOffer, job: &Job) -> bool {
    debug_assert_ne!(
        offer.backend(),
        Backend::Unspecified,
        "an offer names its backend"
    );
    job.lane == subjects::ANY_LANE || offer.lanes.contains(&job.lane)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(lane: &str) -> Job {
        Job {
            status: Status::Queued.into(),
            backend: Backend::Comfyui.into(),
            lane: lane.into(),
            ..Job::default()
        }
    }

    fn worker(backend: Backend, lanes: &[&str], busy: u32) -> Worker {
        let offer = BackendOffer {
            backend: backend.into(),
            slots: 1,
            busy,
            lanes: lanes.iter().map(ToString::to_string).collect(),
            healthy: true,
            ..BackendOffer::default()
        };
        Worker {
            id: "w1".into(),
            backends: vec![offer],
            ..Worker::default()
        }
    }

    fn reason(job: &Job, fleet: &[Worker]) -> String {
        explain(job, fleet, 1_000)
            .map(|waiting| format!("{}: {}", waiting.reason, waiting.message))
            .unwrap_or_default()
    }

    #[test]
    fn the_nearest_worker_is_named() {
        let far = worker(Backend::Sketch, &["_"], 0);
        let near = worker(Backend::Comfyui, &["_", "other"], 0);
        assert_eq!(reason(&job("m"), &[]), "unservable: no worker is here; start one");
        assert_eq!(
            reason(&job("m"), std::slice::from_ref(&far)),
            "unservable: no worker offers comfyui; start one that does"
        );
        assert_eq!(
            reason(&job("m"), &[near, far]),
            "unservable: worker w1 offers comfyui but does not have the model"
        );
        assert_eq!(
            reason(&job("m"), &[worker(Backend::Comfyui, &["m"], 1)]),
            "busy: all workers that can serve it are busy"
        );
    }

    #[test]
    fn its_own_time_comes_before_the_fleet() {
        let mut job = job("m");
        job.retry_at = Some(timestamp(5_000));
        job.failure = Some(crate::failure::FailureCode::WorkerLost.failure("gone"));
        assert_eq!(reason(&job, &[]), "retry_at: tried again later after: gone");
        job.status = Status::Running.into();
        assert_eq!(explain(&job, &[], 1_000), None);
    }
}
