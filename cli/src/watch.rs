//! `orchestrator watch`, and the waiting of `submit` and `retry`: follows one job to its end, across lost
//! connections.

mod display;

use std::time::Duration;

use clap::Args;
use proto::{
    Status,
    ids::JobId,
    lifecycle,
    v1::{Job, update},
};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::{
    client::{Client, ClientArguments},
    download::{self, Target},
    exit::Exit,
    output,
    problem::Problem,
};
use display::Display;
pub(crate) use display::{Shown, replaced, standing};

/// How long a gateway may stay away before the watching is given up.
const PATIENCE: Duration = Duration::from_mins(1);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What `watch` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct WatchArguments {
    /// The job's id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) job: String,
    /// Save what the job made: to a file, or into a directory
    #[arg(long, short, value_name = "FILE|DIR")]
    pub(crate) output: Option<std::path::PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Watches the job that the arguments name.
pub(crate) async fn run(arguments: WatchArguments, gateway: &Url) -> Result<Exit, Problem> {
    let client = Client::connect(gateway).await?;
    let id = client.find(&arguments.job).await?;
    let shown = if arguments.client.json {
        Shown::EachUpdateAsJson
    } else {
        Shown::ForPeople
    };
    let target = arguments.output.as_deref().map(Target::of);
    follow(&client, id, shown, target.as_ref()).await
}

/// Follows a job to its end, saves what it made, and tells by the exit how it ended.
pub(crate) async fn follow(
    client: &Client,
    id: JobId,
    shown: Shown,
    target: Option<&Target>,
) -> Result<Exit, Problem> {
    let mut display = Display::new(shown);
    let ended = tokio::select! {
        biased;
        ended = until_over(client, id, &mut display) => ended,
        _ = tokio::signal::ctrl_c() => {
            display.close();
            let detail = format!("stopped watching; job {id} goes on");
            return Err(Problem::new(Exit::Interrupted, detail)
                .with_remedy(format!("orchestrator watch {id}, or orchestrator cancel {id}")));
        }
    };
    display.close();
    let job = ended?;
    let saved = match target {
        Some(target) => download::save_all(client, &job.outputs, target).await?,
        None => Vec::new(),
    };
    tell_end(client, &job, shown, &saved)?;
    Ok(exit_of(&job))
}

/// How a finished job ended, for scripts.
pub(crate) fn exit_of(job: &Job) -> Exit {
    match job.status() {
        Status::Succeeded => Exit::Success,
        Status::Cancelled => Exit::Cancelled,
        Status::Failed | Status::Unspecified | Status::Created | Status::Queued | Status::Running => {
            Exit::Failure
        }
    }
}

fn tell_end(client: &Client, job: &Job, shown: Shown, saved: &[std::path::PathBuf]) -> Result<(), Problem> {
    match shown {
        Shown::EachUpdateAsJson => return Ok(()),
        Shown::EndAsJson => return output::json(job),
        Shown::ForPeople => {}
    }
    for substitution in &job.substitutions {
        output::note(format!("replaced {}", replaced(substitution)));
    }
    output::note(display::ending(job));
    if saved.is_empty() {
        for artifact in &job.outputs {
            output::line(client.content_url(&artifact.id))?;
        }
    }
    for path in saved {
        output::line(path.display().to_string())?;
    }
    Ok(())
}

async fn until_over(client: &Client, id: JobId, display: &mut Display) -> Result<Job, Problem> {
    let mut watch = Watch {
        client,
        id,
        after: 0,
        heard: Instant::now(),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let before = watch.heard;
        let problem = match watch.run(display).await {
            Ok(Some(job)) => return Ok(job),
            Ok(None) => None,
            Err(problem) if problem.is_unreachable() => Some(problem),
            Err(problem) => return Err(problem),
        };
        if watch.heard > before {
            pause = FIRST_PAUSE;
        }
        if let Some(problem) = problem
            && watch.heard.elapsed() > PATIENCE
        {
            return Err(problem);
        }
        display.lost();
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

struct Watch<'a> {
    client: &'a Client,
    id: JobId,
    /// The number of the newest event that was shown.
    after: u32,
    /// When the gateway was last heard.
    heard: Instant,
}

impl Watch<'_> {
    /// One connection; the job if it is over, `None` where the stream ended before that.
    async fn run(&mut self, display: &mut Display) -> Result<Option<Job>, Problem> {
        let mut updates = self.client.watch(self.id, self.after).await?;
        let mut over = None;
        loop {
            let update = match updates.message().await {
                Ok(Some(update)) => update,
                Ok(None) => return Ok(over),
                // what comes after the end is of no interest
                Err(_) if over.is_some() => return Ok(over),
                Err(status) => return Err(Problem::of_status(&status)),
            };
            self.heard = Instant::now();
            display.show(&update)?;
            match update.update {
                Some(update::Update::Job(job)) if lifecycle::is_finished(job.status()) => over = Some(*job),
                Some(update::Update::Event(event)) => self.after = self.after.max(event.number),
                Some(update::Update::Job(_) | update::Update::Progress(_)) | None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_tells_how_the_job_ended() {
        let exit = |status: Status| {
            exit_of(&Job {
                status: status.into(),
                ..Job::default()
            })
        };
        assert_eq!(exit(Status::Succeeded), Exit::Success);
        assert_eq!(exit(Status::Failed), Exit::Failure);
        assert_eq!(exit(Status::Cancelled), Exit::Cancelled);
    }
}
