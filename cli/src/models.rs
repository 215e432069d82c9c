//! `orchestrator models`: what the workers have, whether it is sound, and where ComfyUI looks for it.

mod local;
mod paths;
mod verify;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use proto::v1::{BackendOffer, ModelPlace};
use url::Url;

pub(crate) use paths::findings;

use crate::{
    client::{Client, ClientArguments},
    exit::Exit,
    http::{self, Http, Route},
    output,
    problem::Problem,
    table,
};

/// What `models` takes.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
    orchestrator models
    orchestrator models rescan --worker gpu-1
    orchestrator models verify --kind checkpoint --sha256
    orchestrator models verify --local /opt/ComfyUI
    orchestrator models paths validate --dir /opt/ComfyUI"
)]
pub(crate) struct ModelsArguments {
    #[command(subcommand)]
    pub(crate) command: Option<ModelsCommand>,
    /// Only models of this kind, such as checkpoint, lora or vae
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What can be done with models.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Let workers look at their models and node classes now, and lift what was set aside as damaged
    Rescan(RescanArguments),
    /// Check model files: name each damaged one with what is wrong and what to do
    Verify(VerifyArguments),
    /// Look at `extra_model_paths.yaml`, where ComfyUI is told of further folders; on this machine
    Paths(paths::PathsArguments),
}

/// What `models rescan` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct RescanArguments {
    /// Only this worker; all if absent
    #[arg(long, short, value_name = "ID")]
    pub(crate) worker: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What `models verify` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The exit code is 1 where a file is damaged.

Examples:
    orchestrator models verify
    orchestrator models verify --worker gpu-1 --kind lora
    orchestrator models verify v1-5-pruned-emaonly.safetensors --sha256
    orchestrator models verify --local /opt/ComfyUI")]
pub(crate) struct VerifyArguments {
    /// Only the file of this name, as ComfyUI lists it; all if absent
    pub(crate) name: Option<String>,
    /// Only files of this worker; of all if absent
    #[arg(long, short, value_name = "ID")]
    pub(crate) worker: Option<String>,
    /// Only files of this kind, such as checkpoint, lora or vae
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Also read the files whole and tell their SHA-256; takes minutes
    #[arg(long)]
    pub(crate) sha256: bool,
    /// Check files on this machine, without a gateway: a directory of ComfyUI, or one of models
    #[arg(long, value_name = "DIR", conflicts_with_all = ["worker", "gateway"])]
    pub(crate) local: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

impl ModelsArguments {
    pub(crate) const fn is_json(&self) -> bool {
        match &self.command {
            None => self.client.json,
            Some(ModelsCommand::Rescan(asked)) => asked.client.json,
            Some(ModelsCommand::Verify(asked)) => asked.client.json,
            Some(ModelsCommand::Paths(asked)) => asked.json,
        }
    }
}

/// Does it; the gateway's address is asked for only where it is needed.
pub(crate) async fn run(
    asked: ModelsArguments,
    config: Option<&Path>,
    gateway: impl FnOnce(&ClientArguments) -> Result<Url, Problem>,
) -> Result<Exit, Problem> {
    match &asked.command {
        None => list(&asked, &gateway(&asked.client)?).await,
        Some(ModelsCommand::Rescan(asked)) => rescan(asked, &gateway(&asked.client)?).await,
        Some(ModelsCommand::Verify(asked)) => match &asked.local {
            Some(dir) => local::run(asked, dir).await,
            None => verify::run(asked, &gateway(&asked.client)?).await,
        },
        Some(ModelsCommand::Paths(asked)) => paths::run(asked, config),
    }
}

async fn list(asked: &ModelsArguments, gateway: &Url) -> Result<Exit, Problem> {
    let mut models = Client::connect(gateway).await?.models().await?;
    if let Some(kind) = &asked.kind {
        models.retain(|model| model.kind == *kind);
    }
    show(&models, asked.client.json)
}

async fn rescan(asked: &RescanArguments, gateway: &Url) -> Result<Exit, Problem> {
    let http = Http::new(gateway)?;
    let worker = asked.worker.as_deref().unwrap_or_default();
    let route = Route {
        path: &["models", "rescan"],
        query: &[("worker", worker)],
    };
    let answer = http.post(route).await?;
    let looked = answer["workers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut failed = None;
    for one in looked {
        let worker = http::worker_of(one);
        if asked.client.json {
            output::json(one)?;
        }
        if let Some(failure) = one.get("failure") {
            let mut problem = Problem::of_document(failure);
            problem.detail = format!("{worker}: {}", problem.detail);
            if let Some(before) = failed.replace(problem) {
                output::problem(&before, asked.client.json);
            }
        } else if !asked.client.json {
            let offer: BackendOffer = http::message(one["offer"].clone())?;
            output::line(format!("✓ {}: {}", output::plain(&worker), census(&offer)))?;
        }
    }
    failed.map_or(Ok(Exit::Success), Err)
}

/// How many models of each kind an offer has, and how many of them are damaged.
pub(crate) fn census(offer: &BackendOffer) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let files = offer.models.iter().filter(|model| is_file(&model.kind));
    for model in files.clone() {
        *kinds.entry(&model.kind).or_default() += 1;
    }
    if kinds.is_empty() {
        return "no models".to_owned();
    }
    let told: Vec<String> = kinds
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    match files.filter(|model| !model.problem.is_empty()).count() {
        0 => told.join(", "),
        damaged => format!("{}; {damaged} damaged", told.join(", ")),
    }
}

/// Whether a kind is one of files; samplers and schedulers are listed as models too.
fn is_file(kind: &str) -> bool {
    !matches!(kind, "sampler" | "scheduler" | "node")
}

fn show(models: &[ModelPlace], as_json: bool) -> Result<Exit, Problem> {
    if as_json {
        for model in models {
            output::json(model)?;
        }
    } else if models.is_empty() {
        output::note("no worker offers a model; sketch needs none, ComfyUI's appear when its worker sees it");
    } else {
        output::line(listing(models))?;
        if models.iter().any(|model| !model.damaged_on.is_empty()) {
            output::note("orchestrator models verify says what is wrong with the damaged ones");
        }
    }
    Ok(Exit::Success)
}

fn listing(models: &[ModelPlace]) -> String {
    let rows = models.iter().map(|model| {
        let mark = |worker: &String| {
            let loaded = model.loaded_by.contains(worker).then_some("loaded");
            let damaged = model.damaged_on.contains(worker).then_some("damaged");
            let marks: Vec<&str> = loaded.into_iter().chain(damaged).collect();
            if marks.is_empty() {
                worker.clone()
            } else {
                format!("{worker} ({})", marks.join(", "))
            }
        };
        // a worker may name a damaged file only as such
        let only_damaged = model.damaged_on.iter().filter(|id| !model.workers.contains(id));
        let workers: Vec<String> = model.workers.iter().chain(only_damaged).map(mark).collect();
        vec![
            model.kind.clone(),
            model.name.clone(),
            model.backend().as_str_name().to_owned(),
            workers.join(", "),
        ]
    });
    table::table(&["KIND", "NAME", "BACKEND", "WORKERS"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::Backend;

    #[test]
    fn a_model_shows_where_it_is_loaded_and_damaged() {
        let model = ModelPlace {
            kind: "checkpoint".into(),
            name: "sd15.safetensors".into(),
            backend: Backend::Comfyui.into(),
            workers: vec!["w1".into(), "w2".into(), "w3".into()],
            loaded_by: vec!["w1".into()],
            damaged_on: vec!["w2".into(), "w4".into()],
        };
        let text = listing(&[model]);
        assert!(
            text.lines()
                .nth(1)
                .is_some_and(|line| line.ends_with("comfyui  w1 (loaded), w2 (damaged), w3, w4 (damaged)")),
            "{text}"
        );
    }
}
