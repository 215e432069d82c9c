//! `orchestrator submit`: makes a job of the command line, and waits for it if asked.

mod contract;
mod graph;
mod request;
mod upload;

use std::{fs, io::Read as _, path::PathBuf, str::FromStr};

use clap::{Args, builder::PossibleValuesParser};
use proto::Backend;
use runtime::clock;
use url::Url;

use crate::{
    client::{Client, ClientArguments},
    download::Target,
    exit::Exit,
    output,
    problem::Problem,
    watch::{self, Shown},
};
use graph::Graph;
use request::Material;

/// The names of the backends, as options and filters take them.
pub(crate) fn backends() -> PossibleValuesParser {
    PossibleValuesParser::new([Backend::Sketch, Backend::Comfyui].map(|backend| backend.as_str_name()))
}

/// Width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl FromStr for Size {
    type Err = String;

    /// `640x480`, or `512` for a square.
    fn from_str(text: &str) -> Result<Self, String> {
        let (width, height) = text.split_once(['x', 'X', '×']).unwrap_or((text, text));
        match (width.trim().parse(), height.trim().parse()) {
            (Ok(width), Ok(height)) if width > 0 && height > 0 => Ok(Self { width, height }),
            _ => Err("a size is written as 640x480, in pixels".to_owned()),
        }
    }
}

/// What `submit` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct SubmitArguments {
    /// What to draw; `-` reads it from standard input
    #[arg(required_unless_present_any = ["graph", "param"])]
    pub(crate) prompt: Option<String>,
    /// Who makes it; comfyui where a graph or a checkpoint is given, otherwise sketch, which is no AI model
    #[arg(long, short, value_parser = backends())]
    pub(crate) backend: Option<String>,
    /// Pixels, such as 640x480
    #[arg(long, short, value_name = "WxH")]
    pub(crate) size: Option<Size>,
    /// Steps of the drawing or the sampler
    #[arg(long)]
    pub(crate) steps: Option<u32>,
    /// The same seed with the same request gives the same picture; chosen at random if absent
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// What not to draw
    #[arg(long, value_name = "PROMPT")]
    pub(crate) negative: Option<String>,
    /// Model file as ComfyUI lists it; see `orchestrator models`
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<String>,
    /// Graph in ComfyUI's API format; `-` reads it from standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) graph: Option<PathBuf>,
    /// Sets any field of the request by its name in the contract, or NODE.INPUT of the graph; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) param: Vec<(String, String)>,
    /// Uploads a file and refers to it: in a field of the request, or in NODE.INPUT of the graph; may be repeated
    #[arg(long, short, value_name = "NAME=FILE", value_parser = pair)]
    pub(crate) input: Vec<(String, String)>,
    /// What goes first: high, normal or low
    #[arg(long, value_parser = PossibleValuesParser::new(["high", "normal", "low"]))]
    pub(crate) priority: Option<String>,
    /// How often it is tried, 1 to 10; 3 if absent
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_attempts: Option<u32>,
    /// Do not start before this time: 2026-05-01T08:00:00Z, or +10m from now
    #[arg(long, value_name = "TIME")]
    pub(crate) not_before: Option<String>,
    /// Fail if not started by this time: 2026-05-01T08:00:00Z, or +10m from now
    #[arg(long, value_name = "TIME")]
    pub(crate) deadline: Option<String>,
    /// Do nothing until `orchestrator run` lets it go
    #[arg(long, conflicts_with_all = ["watch", "output"])]
    pub(crate) hold: bool,
    /// A word to find it by; may be repeated
    #[arg(long, value_name = "WORD")]
    pub(crate) tag: Vec<String>,
    /// Submitting twice with the same key makes one job
    #[arg(long, value_name = "KEY", default_value = "")]
    pub(crate) idempotency_key: String,
    /// Wait until the job is over and show how far it is
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// Wait until the job is over and save what it made: to a file, or into a directory
    #[arg(long, short, value_name = "FILE|DIR")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("it is written as NAME=VALUE".to_owned()),
    }
}

/// Submits, and waits if asked.
pub(crate) async fn run(arguments: SubmitArguments, gateway: &Url) -> Result<Exit, Problem> {
    let mut material = read_material(&arguments)?;
    let now = clock::now();
    // an upload is worth its while only for a request that can be
    material.assets = vec!["0".repeat(64); arguments.input.len()];
    request::build(&arguments, material.clone(), now)?;
    for (name, path) in &arguments.input {
        fs::metadata(path).map_err(|error| Problem::usage(format!("--input {name}: {path}: {error}")))?;
    }
    let client = Client::connect(gateway).await?;
    material.assets.clear();
    for (_, path) in &arguments.input {
        material
            .assets
            .push(upload::upload(&client, path.as_ref()).await?.id);
    }
    let request = request::build(&arguments, material, now)?;
    let answer = client.submit(request, arguments.idempotency_key).await?;
    let job = answer.job.unwrap_or_default();
    if answer.repeated {
        output::note(format!("the job was submitted before with this key: {}", job.id));
    }
    let waits = arguments.watch || arguments.output.is_some();
    if arguments.client.json {
        if !waits {
            output::json(&job)?;
        }
    } else {
        output::line(&job.id)?;
    }
    if !waits {
        return Ok(Exit::Success);
    }
    let id = client.find(&job.id).await?;
    let shown = match (arguments.client.json, arguments.watch) {
        (true, true) => Shown::EachUpdateAsJson,
        (true, false) => Shown::EndAsJson,
        (false, _) => Shown::ForPeople,
    };
    let target = arguments.output.as_deref().map(Target::of);
    watch::follow(&client, id, shown, target.as_ref()).await
}

fn read_material(arguments: &SubmitArguments) -> Result<Material, Problem> {
    let from_stdin = |what: &str| {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| Problem::usage(format!("{what} cannot be read from standard input: {error}")))?;
        Ok(text)
    };
    let prompt = match arguments.prompt.as_deref() {
        Some("-") => Some(from_stdin("the prompt")?.trim_end().to_owned()),
        other => other.map(str::to_owned),
    };
    let graph = match &arguments.graph {
        None => None,
        Some(path) => {
            let shown = path.display().to_string();
            let text = if shown == "-" {
                from_stdin("the graph")?
            } else {
                fs::read_to_string(path)
                    .map_err(|error| Problem::usage(format!("--graph {shown}: {error}")))?
            };
            Some(Graph::parse(&text, &shown).map_err(Problem::usage)?)
        }
    };
    Ok(Material {
        prompt,
        graph,
        assets: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_with_an_x() {
        let size = |width, height| Ok(Size { width, height });
        assert_eq!("640x480".parse(), size(640, 480));
        assert_eq!("512".parse(), size(512, 512));
        assert_eq!(" 8 X 9".parse(), size(8, 9));
        for wrong in ["", "x", "640x", "0x5", "a", "1x2x3", "-1x5"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pair_is_split_at_the_first_equals_sign() {
        assert_eq!(pair("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(pair("a="), Ok(("a".to_owned(), String::new())));
        assert!(pair("ab").is_err() && pair("=b").is_err());
    }
}
