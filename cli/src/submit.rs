//! `orchestrator submit`: makes a job of the command line, and waits for it if asked.

mod asking;
mod dry;
mod filling;
mod graph;
mod models;
mod options;
mod paid;
mod request;
mod upload;

use std::{collections::hash_map::Entry, fs, io::Read as _, path::PathBuf, str::FromStr};

use clap::{Args, builder::PossibleValuesParser};
use proto::{Backend, v1::JobRequest};
use runtime::clock;
use url::Url;

use crate::{
    client::{Client, ClientArguments},
    download::Target,
    exit::Exit,
    http::{Http, Route},
    output,
    problem::Problem,
    watch::{self, Shown},
    workflows,
};
pub(crate) use dry::shown;
use graph::Graph;
pub(crate) use options::ComfyuiOptions;
pub(crate) use paid::PaidOptions;
use request::Material;

/// The names of the backends, as options and filters take them.
pub(crate) fn backends() -> PossibleValuesParser {
    let all = [Backend::Sketch, Backend::Comfyui, Backend::Flux, Backend::V0];
    PossibleValuesParser::new(all.map(|backend| backend.as_str_name()))
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
#[derive(Debug, Clone, Default, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SubmitArguments {
    /// What to draw; `-` reads it from standard input
    #[arg(required_unless_present_any = ["graph", "param", "workflow", "image", "task", "chat", "change"])]
    pub(crate) prompt: Option<String>,
    /// Who makes it; follows from the other options, otherwise sketch, which is no AI model
    #[arg(long, short, value_parser = backends())]
    pub(crate) backend: Option<String>,
    /// Pixels, such as 640x480
    #[arg(long, short, value_name = "WxH")]
    pub(crate) size: Option<Size>,
    /// Pixels, instead of --size
    #[arg(long, value_name = "PIXELS", conflicts_with = "size")]
    pub(crate) width: Option<u32>,
    /// Pixels, instead of --size
    #[arg(long, value_name = "PIXELS", conflicts_with = "size")]
    pub(crate) height: Option<u32>,
    /// Picture to begin with or to go by: a file, which is uploaded, `asset:<id>`, or `artifact:<id>` of a result;
    /// may be repeated where several are taken
    #[arg(long, value_name = "FILE|ID")]
    pub(crate) image: Vec<String>,
    /// What is white in it is painted anew: a file, which is uploaded, `asset:<id>`, or `artifact:<id>` of a result
    #[arg(long, value_name = "FILE|ID")]
    pub(crate) mask: Option<String>,
    /// Steps of the drawing or the sampler
    #[arg(long)]
    pub(crate) steps: Option<u32>,
    /// The same seed with the same request gives the same picture; chosen at random if absent
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Sets any field of the request by its name in the contract, NODE.INPUT of the graph, or a parameter of
    /// the workflow; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) param: Vec<(String, String)>,
    /// Uploads a file and refers to it: in a field of the request, NODE.INPUT of the graph, or a parameter of
    /// the workflow; may be repeated
    #[arg(long, short, value_name = "NAME=FILE", value_parser = pair)]
    pub(crate) input: Vec<(String, String)>,
    // those with a heading come last: what follows them would stand under it
    #[command(flatten)]
    pub(crate) client: ClientArguments,
    #[command(flatten)]
    pub(crate) comfyui: ComfyuiOptions,
    #[command(flatten)]
    pub(crate) paid: PaidOptions,
    #[command(flatten)]
    pub(crate) frame: FrameOptions,
}

/// What is said about a job, whatever it makes, and what is done when it is submitted.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Job")]
pub(crate) struct FrameOptions {
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
    /// Submit nothing; show what would run, what that needs, which workers could, and what it would cost
    #[arg(long, conflicts_with_all = ["watch", "output", "idempotency_key"])]
    pub(crate) dry_run: bool,
    /// Do not ask before money is spent
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Wait until the job is over and show how far it is
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// Wait until the job is over and save what it made: to a file, or into a directory
    #[arg(long, short, value_name = "FILE|DIR")]
    pub(crate) output: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
    orchestrator submit \"a lake\" --size 768x512 --output lake.png
    orchestrator submit \"a lighthouse\" --checkpoint sd15.safetensors --lora ink:0.7 --watch
    orchestrator submit \"in autumn\" --checkpoint sd15.safetensors --image house.png -o autumn.png
    orchestrator submit \"a dancer\" --checkpoint sd15.safetensors --controlnet openpose=pose.png:0.8
    orchestrator submit --task upscale --image small.png --upscaler 4x.pth -o large.png
    orchestrator submit --task image_to_video --checkpoint svd.safetensors --image sea.png -o sea.webp
    orchestrator submit --graph workflow_api.json --param 6.text=\"a lake\" --dry-run
    orchestrator submit --workflow portrait -p prompt=\"a sailor\" -p face=sailor.png --watch
    orchestrator submit \"a lighthouse\" --model flux-2-pro --size 1024x768 --dry-run
    orchestrator submit \"in winter\" --model flux-kontext-pro --image artifact:<id> -o winter.png --yes
    orchestrator submit \"a page for a bakery\" --model v0-mini --output bakery/";

/// `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("it is written as NAME=VALUE".to_owned()),
    }
}

/// Submits, and waits if asked.
pub(crate) async fn run(arguments: SubmitArguments, gateway: &Url) -> Result<Exit, Problem> {
    let mut material = read_material(&arguments)?;
    if let Some(name) = &arguments.comfyui.workflow {
        let route = ["workflows", name];
        let told = Http::new(gateway)?.get_json(Route::of(&route)).await?;
        material.workflow = Some(workflows::of_gateway(told)?);
    }
    let now = clock::now();
    // an upload is worth its while only for a request that can be
    let draft = request::build(&arguments, material.clone(), now)?;
    for file in &draft.files {
        fs::metadata(&file.path)
            .map_err(|error| Problem::usage(format!("{}: {}: {error}", file.option, file.path)))?;
    }
    if arguments.frame.dry_run && draft.files.is_empty() {
        return dry::run(&draft.request, gateway, arguments.client.json).await;
    }
    let client = Client::connect(gateway).await?;
    for file in draft.files {
        if let Entry::Vacant(place) = material.assets.entry(file.path) {
            let asset = upload::upload(&client, place.key().as_ref()).await?;
            place.insert(asset.id);
        }
    }
    let request = request::build(&arguments, material, now)?.request;
    if arguments.frame.dry_run {
        return dry::run(&request, gateway, arguments.client.json).await;
    }
    asking::agree(&client, &request, arguments.frame.yes).await?;
    send(&client, request, arguments.frame, arguments.client.json).await
}

async fn send(
    client: &Client,
    request: JobRequest,
    frame: FrameOptions,
    as_json: bool,
) -> Result<Exit, Problem> {
    let answer = client.submit(request, frame.idempotency_key).await?;
    if let Some(checked) = answer.validation {
        return dry::tell(&checked, as_json);
    }
    let job = answer.job.unwrap_or_default();
    if answer.repeated {
        output::note(format!("the job was submitted before with this key: {}", job.id));
    }
    let waits = frame.watch || frame.output.is_some();
    if as_json {
        if !waits {
            output::json(&job)?;
        }
    } else {
        output::line(&job.id)?;
        for substitution in &job.substitutions {
            output::note(watch::replaced(substitution));
        }
    }
    if !waits {
        return Ok(Exit::Success);
    }
    let id = client.find(&job.id).await?;
    let shown = match (as_json, frame.watch) {
        (true, true) => Shown::EachUpdateAsJson,
        (true, false) => Shown::EndAsJson,
        (false, _) => Shown::ForPeople,
    };
    let target = frame.output.as_deref().map(Target::of);
    watch::follow(client, id, shown, target.as_ref()).await
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
    let graph = match &arguments.comfyui.graph {
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
    let changes = arguments.paid.change.iter().map(paid::Change::read);
    Ok(Material {
        prompt,
        graph,
        changes: changes.collect::<Result<_, _>>()?,
        ..Material::default()
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
