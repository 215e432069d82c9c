//! `orchestrator comfyui`: starts, stops and looks at the ComfyUI beside a worker.

use clap::{Args, Subcommand};
use proto::{
    Backend,
    moment::{Millis, maybe_millis},
    v1::{BackendOffer, Host, HostLog, Worker, host::State},
};
use reqwest::Method;
use runtime::clock;
use url::Url;

use crate::{
    client::ClientArguments,
    exit::Exit,
    http::{self, Http, Route},
    moment, output,
    problem::Problem,
    table,
};

/// What `comfyui` takes.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ComfyuiCommand {
    /// Start ComfyUI and wait until it answers
    Start(HostArguments),
    /// Stop ComfyUI; its running jobs are handed back first
    Stop(HostArguments),
    /// Stop ComfyUI and start it again
    Restart(HostArguments),
    /// Show whether ComfyUI runs, since when, and how it last ended
    Status(HostArguments),
    /// Show the newest lines of what ComfyUI printed
    Logs(LogsArguments),
}

/// What a command about one worker's ComfyUI takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
    orchestrator comfyui status
    orchestrator comfyui restart --worker gpu-1")]
pub(crate) struct HostArguments {
    /// The worker beside which it runs; may be left out where only one has ComfyUI
    #[arg(long, short, value_name = "ID")]
    pub(crate) worker: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What `comfyui logs` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct LogsArguments {
    /// How many lines
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 100,
          value_parser = clap::value_parser!(u32).range(1..=2000))]
    pub(crate) lines: u32,
    #[command(flatten)]
    pub(crate) host: HostArguments,
}

impl ComfyuiCommand {
    pub(crate) const fn client(&self) -> &ClientArguments {
        match self {
            Self::Start(asked) | Self::Stop(asked) | Self::Restart(asked) | Self::Status(asked) => {
                &asked.client
            }
            Self::Logs(asked) => &asked.host.client,
        }
    }
}

/// Does it.
pub(crate) async fn run(command: ComfyuiCommand, gateway: &Url) -> Result<Exit, Problem> {
    let http = Http::new(gateway)?;
    match command {
        ComfyuiCommand::Start(asked) => control(&http, &asked, "start").await,
        ComfyuiCommand::Stop(asked) => control(&http, &asked, "stop").await,
        ComfyuiCommand::Restart(asked) => control(&http, &asked, "restart").await,
        ComfyuiCommand::Status(asked) => status(&http, &asked).await,
        ComfyuiCommand::Logs(asked) => logs(&http, &asked).await,
    }
}

async fn control(http: &Http, asked: &HostArguments, action: &str) -> Result<Exit, Problem> {
    let worker = chosen(&http.workers().await?, asked.worker.as_deref())?;
    let route = ["workers", &worker, "comfyui", action];
    let mut steps = http.steps(Method::POST, Route::of(&route)).await?;
    let mut last = Host::default();
    while let Some(frame) = steps.next().await? {
        let host: Host = http::message(frame.data)?;
        if asked.client.json {
            output::json(&host)?;
        } else if host != last {
            output::note(format!("{worker}: {}", standing(&host, clock::now())));
        }
        last = host;
    }
    if !asked.client.json {
        output::line(format!(
            "✓ {action}: ComfyUI of {worker} is {}",
            word(last.state())
        ))?;
    }
    Ok(Exit::Success)
}

async fn status(http: &Http, asked: &HostArguments) -> Result<Exit, Problem> {
    let workers = http.workers().await?;
    let worker = chosen(&workers, asked.worker.as_deref())?;
    let route = ["workers", &worker, "comfyui", "status"];
    let host: Host = http.get(Route::of(&route)).await?;
    if asked.client.json {
        output::json(&host)?;
    } else {
        let offer = workers
            .iter()
            .find(|known| known.id == worker)
            .and_then(comfyui_of);
        output::line(details(&worker, &host, offer, clock::now()))?;
    }
    Ok(Exit::Success)
}

async fn logs(http: &Http, asked: &LogsArguments) -> Result<Exit, Problem> {
    let worker = chosen(&http.workers().await?, asked.host.worker.as_deref())?;
    let lines = asked.lines.to_string();
    let route = Route {
        path: &["workers", &worker, "comfyui", "logs"],
        query: &[("lines", &lines)],
    };
    let log: HostLog = http.get(route).await?;
    if asked.host.client.json {
        output::json(&log)?;
    } else if log.lines.is_empty() {
        output::note(format!(
            "ComfyUI of {worker} has printed nothing that its worker keeps"
        ));
    }
    if !asked.host.client.json {
        for line in &log.lines {
            output::line(output::plain(line))?;
        }
    }
    Ok(Exit::Success)
}

/// What a worker offers of ComfyUI.
pub(crate) fn comfyui_of(worker: &Worker) -> Option<&BackendOffer> {
    let mut offers = worker.backends.iter();
    offers.find(|offer| offer.backend() == Backend::Comfyui)
}

/// The worker that is meant: the one that was named, or the only one with ComfyUI.
fn chosen(workers: &[Worker], named: Option<&str>) -> Result<String, Problem> {
    // the gateway has the last word about a worker that was named
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let having: Vec<&Worker> = workers
        .iter()
        .filter(|worker| !worker.stopped && comfyui_of(worker).is_some())
        .collect();
    match having.as_slice() {
        [one] => Ok(one.id.clone()),
        [] => Err(Problem::new(Exit::Unknown, "no worker that is here has ComfyUI")
            .with_remedy("Set comfyui.url on the worker's host and start it: see docs/gpu-host.md.")),
        several => {
            let ids: Vec<String> = several
                .iter()
                .map(
                    |worker| match comfyui_of(worker).and_then(|offer| offer.host.as_ref()) {
                        Some(host) => format!("{} ({})", worker.id, word(host.state())),
                        None => worker.id.clone(),
                    },
                )
                .collect();
            Err(
                Problem::usage(format!("several workers have ComfyUI: {}", ids.join(", ")))
                    .with_remedy("Name one with --worker."),
            )
        }
    }
}

/// The state in words.
pub(crate) const fn word(state: State) -> &'static str {
    match state {
        State::Unmanaged => "started and stopped by somebody else",
        State::Stopped => "stopped",
        State::Starting => "starting",
        State::Running => "running",
        State::Stopping => "stopping",
        State::BackingOff => "down, to be started again",
        State::Failed => "down, and not started again by itself",
    }
}

/// The state with what is to be known about it, in one line.
fn standing(host: &Host, now: Millis) -> String {
    let mut text = word(host.state()).to_owned();
    if host.pid != 0 {
        text = format!("{text}, process {}", host.pid);
    }
    if let Some(until) = maybe_millis(host.until.as_ref()) {
        text = format!("{text}, in {}", moment::span(until - now));
    }
    if !host.message.is_empty() {
        text = format!("{text}: {}", host.message);
    }
    output::plain(&text)
}

fn details(worker: &str, host: &Host, offer: Option<&BackendOffer>, now: Millis) -> String {
    let since = maybe_millis(host.since.as_ref()).map(|since| moment::span(now - since));
    let again = maybe_millis(host.until.as_ref()).map(|until| format!("in {}", moment::span(until - now)));
    let number = |number: u32| {
        if number == 0 {
            String::new()
        } else {
            number.to_string()
        }
    };
    let serves = offer.map(|offer| {
        if offer.healthy {
            format!("yes, {} of {} slots busy", offer.busy, offer.slots)
        } else {
            format!("no: {}", offer.problem)
        }
    });
    table::details(&[
        ("worker", worker.to_owned()),
        ("ComfyUI", word(host.state()).to_owned()),
        ("since", since.unwrap_or_default()),
        ("starts again", again.unwrap_or_default()),
        ("process", number(host.pid)),
        (
            "taken over",
            if host.adopted {
                "from an earlier life of the worker".to_owned()
            } else {
                String::new()
            },
        ),
        ("restarts", number(host.restarts)),
        ("message", host.message.clone()),
        ("takes jobs", serves.unwrap_or_default()),
        (
            "version",
            offer.map(|offer| offer.software.clone()).unwrap_or_default(),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::moment::timestamp;

    fn worker(id: &str, backend: Backend) -> Worker {
        let offer = BackendOffer {
            backend: backend.into(),
            ..BackendOffer::default()
        };
        Worker {
            id: id.into(),
            backends: vec![offer],
            ..Worker::default()
        }
    }

    #[test]
    fn the_only_worker_with_comfyui_need_not_be_named() {
        let mut workers = vec![worker("a", Backend::Sketch), worker("b", Backend::Comfyui)];
        assert_eq!(chosen(&workers, None), Ok("b".to_owned()));
        assert_eq!(chosen(&workers, Some("z")), Ok("z".to_owned()));
        workers.push(worker("c", Backend::Comfyui));
        let problem = chosen(&workers, None).expect_err("two");
        assert_eq!(problem.exit, Exit::Usage);
        assert!(problem.detail.ends_with("b, c"), "{problem}");
        workers[2].stopped = true;
        assert_eq!(chosen(&workers, None), Ok("b".to_owned()));
        assert_eq!(
            chosen(&workers[..1], None).map_err(|problem| problem.exit),
            Err(Exit::Unknown)
        );
    }

    #[test]
    fn a_state_says_what_comes_next_and_why() {
        let host = Host {
            state: State::BackingOff.into(),
            until: Some(timestamp(9_000)),
            restarts: 2,
            message: "it ended with exit status 1".into(),
            ..Host::default()
        };
        assert_eq!(
            standing(&host, 1_000),
            "down, to be started again, in 8s: it ended with exit status 1"
        );
        let text = details("gpu-1", &host, None, 1_000);
        assert!(
            text.contains("starts again  in 8s") && text.contains("restarts      2"),
            "{text}"
        );
        assert!(!text.contains("process"), "{text}");
    }
}
