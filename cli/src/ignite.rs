//! `orchestrator ignite`: brings everything up, and tells each step as it comes.

use clap::Args;
use proto::v1::{IgniteRequest, IgniteStep, ignite_step::State};
use url::Url;

use crate::{
    client::ClientArguments,
    exit::Exit,
    http::{self, Frame, Http, Route, Steps},
    output,
    problem::Problem,
};

/// What `ignite` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
    orchestrator ignite
    orchestrator ignite --worker gpu-1 --worker gpu-2")]
pub(crate) struct IgniteArguments {
    /// Only this worker's ComfyUI; may be repeated
    #[arg(long, short, value_name = "ID")]
    pub(crate) worker: Vec<String>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Starts what is not running.
pub(crate) async fn run(asked: IgniteArguments, gateway: &Url) -> Result<Exit, Problem> {
    let http = Http::new(gateway)?;
    let request = IgniteRequest {
        workers: asked.worker,
    };
    let route = Route::of(&["system", "ignite"]);
    let mut steps = http.steps_of(route, &request).await?;
    while let Some(frame) = next(&mut steps).await? {
        let step: IgniteStep = http::message(frame.data)?;
        if asked.client.json {
            output::json(&step)?;
        } else if step.state() == State::Started {
            output::note(line(&step));
        } else {
            output::line(line(&step))?;
        }
    }
    Ok(Exit::Success)
}

async fn next(steps: &mut Steps) -> Result<Option<Frame>, Problem> {
    steps.next().await.map_err(|problem| match problem.remedy {
        Some(_) => problem,
        None => problem.with_remedy(
            "orchestrator comfyui logs shows what ComfyUI printed; orchestrator doctor checks the rest",
        ),
    })
}

fn line(step: &IgniteStep) -> String {
    let sign = match step.state() {
        State::Started => '…',
        State::Done => '✓',
        State::Skipped => '–',
        State::Failed => '✗',
    };
    let mut text = format!("{sign} {}", step.name);
    if !step.worker.is_empty() {
        text = format!("{sign} {}: {}", step.worker, step.name);
    }
    if !step.message.is_empty() {
        text = format!("{text}: {}", step.message);
    }
    output::plain(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_tells_where_what_and_how_it_went() {
        let step = IgniteStep {
            worker: "gpu-1".into(),
            name: "start ComfyUI".into(),
            state: State::Failed.into(),
            message: "no such program".into(),
        };
        assert_eq!(line(&step), "✗ gpu-1: start ComfyUI: no such program");
        let step = IgniteStep {
            name: "broker".into(),
            state: State::Skipped.into(),
            ..IgniteStep::default()
        };
        assert_eq!(line(&step), "– broker");
    }
}
