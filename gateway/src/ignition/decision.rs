//! What has to be done about a ComfyUI, and how its steps are summed up. Pure.

use proto::v1::{BackendOffer, Host, IgniteStep, Model, host::State, ignite_step::State as Step};

/// What has to be done about a ComfyUI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It serves.
    Nothing(String),
    /// It is down, and its worker can start it.
    Start,
    /// It runs but does not serve yet.
    Wait(String),
    /// A person has to do something.
    GiveUp(String),
}

/// What has to be done about a ComfyUI, by what its worker says about the process and by the worker's offer.
pub fn decide(host: &Host, offer: &BackendOffer) -> Deed {
    match host.state() {
        State::Unmanaged if offer.healthy => {
            Deed::Nothing(format!("{} runs; somebody else looks after it", software(offer)))
        }
        State::Unmanaged => Deed::GiveUp(format!(
            "ComfyUI does not answer ({}), and this worker may not start it: start it on its host, or let the \
             worker look after it by setting comfyui.command",
            or(&offer.problem, "no reason is known")
        )),
        State::Running if offer.healthy => Deed::Nothing(format!("{} runs", software(offer))),
        State::Running => Deed::Wait(format!(
            "ComfyUI runs and does not serve yet: {}",
            or(&offer.problem, "the worker has not looked yet")
        )),
        State::Starting => Deed::Wait("ComfyUI is starting".to_owned()),
        State::Stopped | State::Stopping | State::BackingOff | State::Failed => Deed::Start,
    }
}

/// What the models of an offer come to; `None` where it has none.
pub fn count_models(offer: &BackendOffer) -> Option<String> {
    let count = |kind: &str| {
        let sound = |model: &&Model| model.kind == kind && model.problem.is_empty();
        offer.models.iter().filter(sound).count()
    };
    let damaged = offer
        .models
        .iter()
        .filter(|model| !model.problem.is_empty())
        .count();
    let files = |model: &&Model| !matches!(model.kind.as_str(), "sampler" | "scheduler" | "node");
    let sound = offer
        .models
        .iter()
        .filter(files)
        .filter(|model| model.problem.is_empty());
    let sound = sound.count();
    if sound == 0 {
        return None;
    }
    let checkpoints = count("checkpoint");
    let damaged = match damaged {
        0 => String::new(),
        damaged => format!("; {damaged} more are damaged and not used"),
    };
    Some(format!(
        "{sound} model files, {checkpoints} of them checkpoints{damaged}"
    ))
}

/// What all steps come to: how many failed, and a sentence.
pub fn sum_up(steps: &[IgniteStep]) -> (usize, String) {
    let failed: Vec<&IgniteStep> = steps.iter().filter(|step| step.state() == Step::Failed).collect();
    let told = match failed.as_slice() {
        [] => "everything is up".to_owned(),
        [only] => format!("{}: {}", label(only), only.message),
        [first, rest @ ..] => format!("{}: {}; and {} more", label(first), first.message, rest.len()),
    };
    (failed.len(), told)
}

fn label(step: &IgniteStep) -> String {
    if step.worker.is_empty() {
        step.name.clone()
    } else {
        format!("{} of {}", step.name, step.worker)
    }
}

pub(super) fn software(offer: &BackendOffer) -> &str {
    or(&offer.software, "ComfyUI")
}

pub(super) fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(state: State) -> Host {
        Host {
            state: state.into(),
            ..Host::default()
        }
    }

    fn offer(healthy: bool) -> BackendOffer {
        BackendOffer {
            healthy,
            problem: if healthy {
                String::new()
            } else {
                "no answer".into()
            },
            ..BackendOffer::default()
        }
    }

    #[test]
    fn what_is_down_is_started_and_what_runs_is_left_alone() {
        for state in [State::Stopped, State::Stopping, State::BackingOff, State::Failed] {
            assert_eq!(decide(&host(state), &offer(false)), Deed::Start, "{state:?}");
            // what is announced may be older than what was asked
            assert_eq!(decide(&host(state), &offer(true)), Deed::Start, "{state:?}");
        }
        for state in [State::Running, State::Unmanaged] {
            assert!(
                matches!(decide(&host(state), &offer(true)), Deed::Nothing(_)),
                "{state:?}"
            );
        }
        for state in [State::Running, State::Starting] {
            assert!(
                matches!(decide(&host(state), &offer(false)), Deed::Wait(_)),
                "{state:?}"
            );
        }
    }

    #[test]
    fn what_nobody_may_start_says_what_to_do() {
        let Deed::GiveUp(message) = decide(&host(State::Unmanaged), &offer(false)) else {
            panic!("a person has to start it");
        };
        assert!(
            message.contains("no answer") && message.contains("start it on its host"),
            "{message}"
        );
    }

    #[test]
    fn damaged_files_and_samplers_are_no_models() {
        let model = |kind: &str, problem: &str| Model {
            kind: kind.into(),
            problem: problem.into(),
            ..Model::default()
        };
        let mut offer = offer(true);
        offer.models = vec![model("sampler", ""), model("checkpoint", "cut off")];
        assert_eq!(count_models(&offer), None);
        offer.models.extend([model("checkpoint", ""), model("lora", "")]);
        assert_eq!(
            count_models(&offer).as_deref(),
            Some("2 model files, 1 of them checkpoints; 1 more are damaged and not used")
        );
    }

    #[test]
    fn the_end_tells_what_failed() {
        let step = |worker: &str, state: Step, message: &str| IgniteStep {
            worker: worker.into(),
            name: "start ComfyUI".into(),
            state: state.into(),
            message: message.into(),
        };
        assert_eq!(
            sum_up(&[step("", Step::Done, "")]),
            (0, "everything is up".into())
        );
        let steps = [
            step("w1", Step::Failed, "no dir"),
            step("w2", Step::Failed, "no GPU"),
        ];
        assert_eq!(
            sum_up(&steps),
            (2, "start ComfyUI of w1: no dir; and 1 more".into())
        );
    }
}
