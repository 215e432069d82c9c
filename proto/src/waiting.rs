//! Why a queued job has not started: one pure answer for every place that shows it.

use crate::{
    Backend, Status, lifecycle,
    moment::{Millis, timestamp},
    subjects,
    v1::{BackendOffer, Job, Model, Waiting, Worker, job_request::Body},
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

/// Why a worker with this offer cannot run the job: the first thing that it needs and the worker does not
/// have. `None` where it has all, as far as it says what it has.
pub fn lacks(job: &Job, offer: &BackendOffer) -> Option<String> {
    lack(job, offer).map(|lack| match lack {
        Lack::Absent(need) => format!("lacks {}", named(need)),
        Lack::Damaged(model) => format!("{} is damaged: {}", named(model), model.problem),
    })
}

/// What stands between a worker and a job.
enum Lack<'a> {
    Absent(&'a Model),
    Damaged(&'a Model),
}

fn lack<'a>(job: &'a Job, offer: &'a BackendOffer) -> Option<Lack<'a>> {
    let body = job.request.as_ref().and_then(|request| request.body.as_ref());
    let allows_fallback = matches!(body, Some(Body::Comfyui(comfyui)) if comfyui.allow_fallback);
    job.needs.iter().find_map(|need| {
        if need.kind == "node" {
            let known = offer.node_classes.is_empty() || offer.node_classes.contains(&need.name);
            return (!known).then_some(Lack::Absent(need));
        }
        let mut of_kind = offer
            .models
            .iter()
            .filter(|model| model.kind == need.kind)
            .peekable();
        // a kind of which it tells nothing may well be there
        of_kind.peek()?;
        match of_kind.find(|model| model.name == need.name) {
            None => Some(Lack::Absent(need)),
            Some(model) => {
                let usable = model.problem.is_empty() || (allows_fallback && !model.fallback.is_empty());
                (!usable).then_some(Lack::Damaged(model))
            }
        }
    })
}

/// A model as a sentence names it.
fn named(model: &Model) -> String {
    let kind = match model.kind.as_str() {
        "lora" => "LoRA",
        "vae" => "VAE",
        "controlnet" => "ControlNet",
        "upscaler" => "upscaling model",
        "clip_vision" => "CLIP vision model",
        "text_encoder" => "text encoder",
        "diffusion_model" => "diffusion model",
        "node" => "node class",
        other => other,
    };
    format!("the {kind} {}", model.name)
}

/// How near one worker is to taking one job, from far to near.
enum Standing<'a> {
    OtherBackend,
    Unset(&'a str),
    Draining,
    OtherModels,
    Lacking(Lack<'a>),
    Unhealthy(&'a str),
    Busy,
    Free,
}

impl Standing<'_> {
    const fn rank(&self) -> u8 {
        match self {
            Self::OtherBackend => 0,
            Self::Unset(_) => 1,
            Self::Draining => 2,
            Self::Unhealthy(_) => 3,
            Self::OtherModels | Self::Lacking(_) => 4,
            Self::Busy => 5,
            Self::Free => 6,
        }
    }

    const fn reason(&self) -> &'static str {
        match self {
            Self::OtherBackend
            | Self::Unset(_)
            | Self::Draining
            | Self::OtherModels
            | Self::Lacking(_)
            | Self::Unhealthy(_) => "unservable",
            Self::Busy | Self::Free => "busy",
        }
    }

    fn message(&self, job: &Job, worker: &str) -> String {
        let backend = job.backend().as_str_name();
        match self {
            Self::OtherBackend => format!("no worker offers {backend}; start one that does"),
            Self::Unset(reason) => format!("worker {worker} does not offer {backend}: {reason}"),
            Self::Draining => format!("worker {worker} offers {backend} but is stopping"),
            Self::OtherModels => format!("worker {worker} offers {backend} but does not have the model"),
            Self::Lacking(Lack::Absent(need)) => format!("worker {worker} lacks {}", named(need)),
            Self::Lacking(Lack::Damaged(model)) => {
                format!(
                    "on worker {worker} {} is damaged: {}",
                    named(model),
                    model.problem
                )
            }
            Self::Unhealthy(problem) => format!("worker {worker} cannot take it now: {problem}"),
            Self::Busy => "all workers that can serve it are busy".to_owned(),
            Self::Free => format!("worker {worker} is about to take it"),
        }
    }
}

fn standing<'a>(job: &'a Job, worker: &'a Worker) -> Standing<'a> {
    let Some(offer) = worker
        .backends
        .iter()
        .find(|offer| offer.backend() == job.backend())
    else {
        let mut unset = worker.not_offered.iter();
        let unset = unset.find(|missing| missing.backend() == job.backend());
        return unset.map_or(Standing::OtherBackend, |missing| Standing::Unset(&missing.reason));
    };
    if worker.draining {
        Standing::Draining
    } else if !offer.healthy {
        // what it has is not known while it does not answer
        Standing::Unhealthy(&offer.problem)
    } else if let Some(lack) = lack(job, offer) {
        Standing::Lacking(lack)
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
    use crate::v1::MissingBackend;

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
    fn what_would_have_to_be_set_is_named() {
        let job = Job {
            backend: Backend::Flux.into(),
            ..job("_")
        };
        let far = worker(Backend::Sketch, &["_"], 0);
        let unset = Worker {
            not_offered: vec![MissingBackend {
                backend: Backend::Flux.into(),
                reason: "BFL_API_KEY is not set".into(),
            }],
            ..far.clone()
        };
        let told = "unservable: worker w1 does not offer flux: BFL_API_KEY is not set";
        assert_eq!(reason(&job, &[far.clone(), unset.clone()]), told);
        assert_eq!(reason(&job, &[unset.clone(), far]), told);
        let stopping = Worker {
            draining: true,
            ..worker(Backend::Flux, &["_"], 0)
        };
        assert_eq!(
            reason(&job, &[stopping, unset]),
            "unservable: worker w1 offers flux but is stopping"
        );
    }

    fn model(kind: &str, name: &str) -> Model {
        Model {
            kind: kind.into(),
            name: name.into(),
            ..Model::default()
        }
    }

    fn worker_with(models: Vec<Model>, node_classes: &[&str]) -> Worker {
        let mut worker = worker(Backend::Comfyui, &["_"], 0);
        worker.backends[0].models = models;
        worker.backends[0].node_classes = node_classes.iter().map(ToString::to_string).collect();
        worker
    }

    #[test]
    fn what_a_worker_lacks_is_named() {
        let mut job = job("_");
        job.needs = vec![
            model("checkpoint", "a.ckpt"),
            model("lora", "x.safetensors"),
            model("node", "Odd"),
        ];
        let has = |models: &[(&str, &str)], classes: &[&str]| {
            let models = models.iter().map(|(kind, name)| model(kind, name)).collect();
            reason(&job, &[worker_with(models, classes)])
        };
        let taken = "busy: worker w1 is about to take it";
        assert_eq!(has(&[], &[]), taken, "it tells nothing of what it has");
        assert_eq!(has(&[("checkpoint", "a.ckpt"), ("vae", "v")], &["Odd"]), taken);
        assert_eq!(
            has(&[("checkpoint", "a.ckpt"), ("lora", "y")], &["Odd"]),
            "unservable: worker w1 lacks the LoRA x.safetensors"
        );
        assert_eq!(
            has(&[("lora", "x.safetensors")], &["KSampler"]),
            "unservable: worker w1 lacks the node class Odd"
        );
        let poor = worker_with(vec![model("checkpoint", "b")], &[]);
        assert!(!has_taker(&job, [&poor]));
        assert_eq!(
            lacks(&job, &poor.backends[0]).as_deref(),
            Some("lacks the checkpoint a.ckpt")
        );
    }

    #[test]
    fn a_damaged_model_is_missing_unless_another_may_be_used() {
        let mut job = job("_");
        job.needs = vec![model("checkpoint", "a.ckpt")];
        let mut damaged = Model {
            problem: "its end is missing".into(),
            ..model("checkpoint", "a.ckpt")
        };
        let told = "unservable: on worker w1 the checkpoint a.ckpt is damaged: its end is missing";
        assert_eq!(reason(&job, &[worker_with(vec![damaged.clone()], &[])]), told);
        damaged.fallback = "b.ckpt".into();
        let worker = worker_with(vec![damaged], &[]);
        assert_eq!(reason(&job, std::slice::from_ref(&worker)), told);
        let body = crate::v1::ComfyUiRequest {
            allow_fallback: true,
            ..Default::default()
        };
        job.request = Some(crate::v1::JobRequest {
            body: Some(Body::Comfyui(body)),
            ..Default::default()
        });
        assert_eq!(
            reason(&job, std::slice::from_ref(&worker)),
            "busy: worker w1 is about to take it"
        );
        assert_eq!(lacks(&job, &worker.backends[0]), None);
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
