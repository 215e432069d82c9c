//! `orchestrator events`: what happened to a job, in order, and what goes on happening.

use clap::Args;
use jiff::tz::TimeZone;
use proto::{
    lifecycle,
    moment::maybe_millis,
    v1::{JobEvent, update},
};
use url::Url;

use crate::{
    client::{Client, ClientArguments},
    exit::Exit,
    moment, output,
    problem::Problem,
    table,
};

/// What `events` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct EventsArguments {
    /// The job's id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) job: String,
    /// Go on until the job is over
    #[arg(long, short)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Shows the timeline.
pub(crate) async fn run(arguments: EventsArguments, gateway: &Url) -> Result<Exit, Problem> {
    let client = Client::connect(gateway).await?;
    let id = client.find(&arguments.job).await?;
    let zone = TimeZone::system();
    let job = client.get(id).await?;
    let as_json = arguments.client.json;
    if as_json {
        for event in &job.timeline {
            output::json(event)?;
        }
    } else {
        output::line(listing(&job.timeline, &zone))?;
    }
    let mut last = job.timeline.last().map_or(0, |event| event.number);
    let mut over = !arguments.follow || lifecycle::is_finished(job.status());
    while !over {
        let mut updates = client.watch(id, last).await?;
        while let Some(update) = updates
            .message()
            .await
            .map_err(|status| Problem::of_status(&status))?
        {
            match update.update {
                Some(update::Update::Event(event)) if event.number > last => {
                    last = event.number;
                    if as_json {
                        output::json(&event)?;
                    } else {
                        output::line(one_line(&event, &zone))?;
                    }
                }
                Some(update::Update::Job(job)) => over = lifecycle::is_finished(job.status()),
                Some(update::Update::Event(_) | update::Update::Progress(_)) | None => {}
            }
        }
    }
    Ok(Exit::Success)
}

fn cells(event: &JobEvent, zone: &TimeZone) -> Vec<String> {
    let at = maybe_millis(event.at.as_ref()).map(|at| moment::clock_time(at, zone));
    let attempt = match event.attempt {
        0 => String::new(),
        attempt => attempt.to_string(),
    };
    let took = if event.seconds > 0.0 {
        format!("{:.2} s", event.seconds)
    } else {
        String::new()
    };
    vec![
        event.number.to_string(),
        at.unwrap_or_default(),
        event.kind().as_str_name().to_owned(),
        attempt,
        event.worker.clone(),
        event.reason.clone(),
        took,
    ]
}

fn listing(events: &[JobEvent], zone: &TimeZone) -> String {
    let header = ["#", "AT", "WHAT", "TRY", "WORKER", "WHY", "TOOK"];
    table::table(&header, events.iter().map(|event| cells(event, zone)))
}

fn one_line(event: &JobEvent, zone: &TimeZone) -> String {
    let cells = cells(event, zone);
    let told: Vec<&str> = cells
        .iter()
        .map(String::as_str)
        .filter(|cell| !cell.is_empty())
        .collect();
    output::plain(&told.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{EventKind, moment::timestamp};

    #[test]
    fn an_event_is_one_line() {
        let event = JobEvent {
            number: 4,
            at: Some(timestamp(1_500)),
            kind: EventKind::Phase.into(),
            attempt: 1,
            worker: "w1".into(),
            reason: "sampling".into(),
            seconds: 1.25,
        };
        assert_eq!(
            one_line(&event, &TimeZone::UTC),
            "4  00:00:01.500  phase  1  w1  sampling  1.25 s"
        );
        let text = listing(&[event], &TimeZone::UTC);
        assert!(text.lines().count() == 2 && text.starts_with('#'), "{text}");
    }
}
