//! The checks about ComfyUI: that of this machine, and those of the workers.

use connectors::comfyui;
use proto::v1::{BackendOffer, Worker, host::State};
use runtime::{settings::ByteSize, telemetry};
use url::Url;
use worker::models::{ModelSettings, paths::Severity};

use super::{Finding, checks::PATIENCE};
use crate::{
    comfyui::{comfyui_of, word},
    models,
};

/// Older ones lack what the worker relies on.
const OLDEST: [u32; 3] = [0, 3, 45];
/// Names of damaged files that are told.
const TOLD: usize = 5;

/// What the workers say about the ComfyUI beside each of them.
pub(super) fn of_fleet(workers: &[Worker]) -> Vec<Finding> {
    let here = workers.iter().filter(|worker| !worker.stopped);
    here.filter_map(|worker| Some((worker.id.as_str(), comfyui_of(worker)?)))
        .flat_map(|(id, offer)| [Some(serving(id, offer)), stocked(id, offer), damaged(id, offer)])
        .flatten()
        .collect()
}

/// Whether it can take jobs, and if not, who has to start it.
fn serving(id: &str, offer: &BackendOffer) -> Finding {
    let state = offer.host.as_ref().map(proto::v1::Host::state);
    let host = state.map_or_else(String::new, |state| format!("; {}", word(state)));
    if offer.healthy {
        return Finding::good("comfyui", format!("{id}: {}{host}", offer.software));
    }
    let message = format!("{id}: {}{host}", offer.problem);
    let remedy = match state {
        None | Some(State::Unmanaged) => format!(
            "Start ComfyUI on the host of {id}, or set comfyui.command there so that the worker does."
        ),
        Some(State::Starting | State::Running | State::Stopping | State::BackingOff) => {
            format!("See what it prints: orchestrator comfyui logs --worker {id}")
        }
        Some(State::Stopped | State::Failed) => format!(
            "orchestrator comfyui start --worker {id}; what it printed: orchestrator comfyui logs --worker {id}"
        ),
    };
    Finding::bad("comfyui", message, remedy)
}

/// Whether it has models; nothing while it does not answer.
fn stocked(id: &str, offer: &BackendOffer) -> Option<Finding> {
    if !offer.healthy {
        return None;
    }
    let has_checkpoint = offer.models.iter().any(|model| model.kind == "checkpoint");
    let message = format!("{id}: {}", models::census(offer));
    Some(if has_checkpoint {
        Finding::good("models", message)
    } else {
        let remedy = "Put a checkpoint into ComfyUI's models/checkpoints, or name a folder that has some in \
             extra_model_paths.yaml (orchestrator models paths create); then orchestrator models rescan.";
        Finding::bad("models", format!("{message}: no checkpoint"), remedy)
    })
}

/// Which files are damaged.
fn damaged(id: &str, offer: &BackendOffer) -> Option<Finding> {
    let broken = offer.models.iter().filter(|model| !model.problem.is_empty());
    let names: Vec<String> = broken
        .map(|model| format!("{} {}", model.kind, model.name))
        .collect();
    if names.is_empty() {
        return None;
    }
    let more = match names.len().saturating_sub(TOLD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let told: Vec<&str> = names.iter().take(TOLD).map(String::as_str).collect();
    let message = format!("{id}: damaged: {}{more}", told.join(", "));
    let remedy = format!("What is wrong with each, and what to do: orchestrator models verify --worker {id}");
    Some(Finding::bad("models", message, remedy))
}

/// Whether `extra_model_paths.yaml` of this machine's ComfyUI says what ComfyUI understands.
pub(super) fn models(settings: &ModelSettings) -> Finding {
    let remedy = "orchestrator models paths validate tells all of it; orchestrator models paths create writes a \
         sound one and keeps the old one.";
    match models::findings(settings) {
        Err(problem) => Finding::bad(
            "model paths",
            problem.detail,
            problem
                .remedy
                .unwrap_or_else(|| "Correct comfyui.dir.".to_owned()),
        ),
        Ok(None) => Finding::good("model paths", "ComfyUI uses its own folders only"),
        Ok(Some((path, findings))) => {
            let path = path.display();
            let worst = findings
                .iter()
                .find(|finding| finding.severity == Severity::Error);
            match (worst, findings.first()) {
                (Some(error), _) => Finding::bad("model paths", format!("{path}: {error}"), remedy),
                (None, Some(warning)) => Finding::good("model paths", format!("{path}: {warning}")),
                (None, None) => Finding::good("model paths", format!("{path} is sound")),
            }
        }
    }
}

/// Whether the ComfyUI of this machine's settings answers, is new enough, and has checkpoints.
pub(super) async fn comfyui(url: &Url) -> Vec<Finding> {
    let client = match comfyui::Client::new(url.clone(), comfyui::Options::default()) {
        Ok(client) => client,
        Err(error) => {
            let remedy = "Correct comfyui.url.";
            return vec![Finding::bad("comfyui", telemetry::chain(&error), remedy)];
        }
    };
    let answers = answers(&client).await;
    if !answers.ok {
        return vec![answers];
    }
    let found = tokio::time::timeout(PATIENCE * 2, client.models("checkpoints")).await;
    let found = match found {
        Ok(Ok(names)) => names.unwrap_or_default().len(),
        // who has just answered and now does not has other troubles than this
        Ok(Err(_)) | Err(_) => return vec![answers],
    };
    let models = match found {
        0 => Finding::bad(
            "models",
            format!("{} lists no checkpoint", client.origin()),
            "Put one into ComfyUI's models/checkpoints, or look where it searches: orchestrator models paths explain",
        ),
        found => Finding::good("models", format!("{} lists {found} checkpoints", client.origin())),
    };
    vec![answers, models]
}

async fn answers(client: &comfyui::Client) -> Finding {
    let remedy = "Start ComfyUI on the worker's host, or correct comfyui.url.";
    match tokio::time::timeout(PATIENCE * 2, client.system_stats()).await {
        Ok(Ok(stats)) if stats.comfyui_version.as_deref().is_some_and(is_too_old) => Finding::bad(
            "comfyui",
            format!(
                "ComfyUI {} at {} is too old",
                stats.comfyui_version.unwrap_or_default(),
                client.origin()
            ),
            "Update ComfyUI to v0.3.45 or newer.",
        ),
        Ok(Ok(stats)) => {
            let version = stats
                .comfyui_version
                .unwrap_or_else(|| "of an unknown version".to_owned());
            let device = stats.devices.first().map(|device| {
                let memory = |bytes: Option<u64>| {
                    bytes.map_or_else(|| "?".to_owned(), |bytes| ByteSize(bytes).to_string())
                };
                format!(
                    ", {} ({} of {} free)",
                    device.name,
                    memory(device.vram_free),
                    memory(device.vram_total)
                )
            });
            Finding::good(
                "comfyui",
                format!(
                    "ComfyUI {version} at {}{}",
                    client.origin(),
                    device.unwrap_or_default()
                ),
            )
        }
        Ok(Err(error)) => Finding::bad(
            "comfyui",
            format!("{}: {}", client.origin(), telemetry::chain(&error)),
            remedy,
        ),
        Err(_) => Finding::bad("comfyui", format!("{} does not answer", client.origin()), remedy),
    }
}

/// Whether a version is known to be older than what is needed.
fn is_too_old(version: &str) -> bool {
    let numbers: Option<Vec<u32>> = version
        .trim_start_matches('v')
        .split('.')
        .map(|part| part.parse().ok())
        .collect();
    numbers.is_some_and(|numbers| numbers.as_slice() < OLDEST.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{
        Backend,
        v1::{Host, Model},
    };

    fn worker(offer: BackendOffer) -> Worker {
        Worker {
            id: "gpu-1".into(),
            backends: vec![BackendOffer {
                backend: Backend::Comfyui.into(),
                ..offer
            }],
            ..Worker::default()
        }
    }

    fn lines(offer: BackendOffer) -> Vec<String> {
        of_fleet(&[worker(offer)]).iter().map(Finding::line).collect()
    }

    #[test]
    fn a_comfyui_that_is_down_names_who_can_start_it() {
        let down = |state: State| {
            lines(BackendOffer {
                problem: "not reachable".into(),
                host: Some(Host {
                    state: state.into(),
                    ..Host::default()
                }),
                ..BackendOffer::default()
            })
        };
        let managed = down(State::Failed);
        assert!(
            managed[0].starts_with("✗ comfyui: gpu-1: not reachable; down,")
                && managed[0].contains("comfyui start --worker gpu-1"),
            "{managed:?}"
        );
        assert!(down(State::Unmanaged)[0].contains("Start ComfyUI on the host of gpu-1"));
    }

    #[test]
    fn missing_and_damaged_models_are_found() {
        let offer = BackendOffer {
            healthy: true,
            software: "ComfyUI 0.33.0".into(),
            ..BackendOffer::default()
        };
        let told = lines(offer.clone());
        assert_eq!(told[0], "✓ comfyui: gpu-1: ComfyUI 0.33.0");
        assert!(
            told[1].starts_with("✗ models: gpu-1: no models: no checkpoint"),
            "{told:?}"
        );
        let model = |problem: &str| Model {
            kind: "checkpoint".into(),
            name: "a".into(),
            problem: problem.into(),
            ..Model::default()
        };
        let told = lines(BackendOffer {
            models: vec![model(""), model("truncated")],
            ..offer
        });
        assert_eq!(told[1], "✓ models: gpu-1: 2 checkpoint; 1 damaged");
        assert!(
            told[2].starts_with("✗ models: gpu-1: damaged: checkpoint a"),
            "{told:?}"
        );
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(is_too_old("0.3.9") && is_too_old("v0.2.100"));
        assert!(!is_too_old("0.3.45") && !is_too_old("0.33.0") && !is_too_old("nightly"));
    }

    #[test]
    fn a_faulty_list_of_folders_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = ModelSettings {
            dir: dir.path().to_owned(),
            extra_model_paths: None,
        };
        assert!(!models(&settings).ok, "no folder of models");
        std::fs::create_dir(dir.path().join("models")).expect("made");
        assert!(models(&settings).ok);
        std::fs::write(dir.path().join("extra_model_paths.yaml"), "a: [\n").expect("written");
        let finding = models(&settings);
        assert!(!finding.ok && finding.message.contains("line"), "{finding:?}");
    }
}
