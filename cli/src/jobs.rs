//! `orchestrator jobs`, `job`, `cancel`, `retry` and `run`.

use clap::{Args, builder::PossibleValuesParser};
use jiff::tz::TimeZone;
use proto::{
    Backend, Status,
    moment::{Millis, maybe_millis},
    v1::{Job, ListRequest},
};
use runtime::{clock, settings::ByteSize};
use url::Url;

use crate::{
    client::{Client, ClientArguments},
    exit::Exit,
    moment, output,
    problem::Problem,
    spend, submit, table,
    watch::{self, Shown},
};

/// Jobs a call of the list.
const PAGE: u32 = 500;

fn statuses() -> PossibleValuesParser {
    let known = [
        Status::Created,
        Status::Queued,
        Status::Running,
        Status::Succeeded,
        Status::Failed,
        Status::Cancelled,
    ];
    PossibleValuesParser::new(known.map(|status| status.as_str_name()))
}

/// What `jobs` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct JobsArguments {
    /// Only jobs in this state; may be repeated
    #[arg(long, short, value_parser = statuses())]
    pub(crate) status: Vec<String>,
    /// Only jobs of this backend; may be repeated
    #[arg(long, short, value_parser = submit::backends())]
    pub(crate) backend: Vec<String>,
    /// How many at most, newest first
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What a command about one job takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct JobArguments {
    /// The job's id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What `cancel` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct CancelArguments {
    /// The job's id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) job: String,
    /// Why; shown in the job's timeline
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What `retry` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct RetryArguments {
    /// The id of a finished job, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) job: String,
    /// Wait until the new job is over and show how far it is
    #[arg(long, short)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Lists jobs.
pub(crate) async fn list(arguments: JobsArguments, gateway: &Url) -> Result<Exit, Problem> {
    let client = Client::connect(gateway).await?;
    let known_status = |word: &String| Status::from_str_name(word).map(i32::from);
    let known_backend = |word: &String| Backend::from_str_name(word).map(i32::from);
    let mut request = ListRequest {
        status: arguments.status.iter().filter_map(known_status).collect(),
        backend: arguments.backend.iter().filter_map(known_backend).collect(),
        ..ListRequest::default()
    };
    let limit = arguments.limit as usize;
    let mut jobs = Vec::new();
    let mut total = 0;
    while jobs.len() < limit {
        request.limit = u32::try_from(limit - jobs.len()).unwrap_or(PAGE).min(PAGE);
        let page = client.list(request.clone()).await?;
        total = page.total;
        jobs.extend(page.jobs);
        request.cursor = page.next_cursor;
        if request.cursor.is_empty() {
            break;
        }
    }
    if arguments.client.json {
        for job in &jobs {
            output::json(job)?;
        }
        return Ok(Exit::Success);
    }
    if jobs.is_empty() {
        output::note("there are no such jobs");
        return Ok(Exit::Success);
    }
    output::line(listing(&jobs, clock::now()))?;
    if total > jobs.len() as u64 {
        output::note(format!("{} of {total}; --limit shows more", jobs.len()));
    }
    Ok(Exit::Success)
}

/// Shows one job.
pub(crate) async fn show(arguments: JobArguments, gateway: &Url) -> Result<Exit, Problem> {
    let client = Client::connect(gateway).await?;
    let id = client.find(&arguments.job).await?;
    let job = client.get(id).await?;
    if arguments.client.json {
        output::json(&job)?;
        return Ok(Exit::Success);
    }
    output::line(details(&job, &TimeZone::system()))?;
    for artifact in &job.outputs {
        output::line(format!("output  {}", client.content_url(&artifact.id)))?;
    }
    Ok(Exit::Success)
}

/// Asks for a job not to go on.
pub(crate) async fn cancel(arguments: CancelArguments, gateway: &Url) -> Result<Exit, Problem> {
    let client = Client::connect(gateway).await?;
    let id = client.find(&arguments.job).await?;
    let job = client.cancel(id, arguments.reason).await?;
    told(&job, arguments.client.json)
}

/// Makes a new job of a finished one.
pub(crate) async fn retry(arguments: RetryArguments, gateway: &Url) -> Result<Exit, Problem> {
    let client = Client::connect(gateway).await?;
    let id = client.find(&arguments.job).await?;
    let job = client.retry(id).await?;
    if !arguments.watch {
        return told(&job, arguments.client.json);
    }
    let shown = if arguments.client.json {
        Shown::EachUpdateAsJson
    } else {
        output::line(&job.id)?;
        Shown::ForPeople
    };
    let id = client.find(&job.id).await?;
    watch::follow(&client, id, shown, None).await
}

/// Lets a held job go.
pub(crate) async fn run(arguments: JobArguments, gateway: &Url) -> Result<Exit, Problem> {
    let client = Client::connect(gateway).await?;
    let id = client.find(&arguments.job).await?;
    told(&client.run(id).await?, arguments.client.json)
}

fn told(job: &Job, as_json: bool) -> Result<Exit, Problem> {
    if as_json {
        output::json(job)?;
    } else {
        output::line(&job.id)?;
        output::note(watch::standing(job));
    }
    Ok(Exit::Success)
}

fn listing(jobs: &[Job], now: Millis) -> String {
    let costs = jobs.iter().any(|job| job.spend.is_some());
    let rows = jobs.iter().map(|job| {
        let created = maybe_millis(job.created_at.as_ref()).unwrap_or(now);
        let mut row = vec![
            job.id.clone(),
            job.status().as_str_name().to_owned(),
            job.backend().as_str_name().to_owned(),
            moment::span(now - created),
            job.attempt.to_string(),
            remark(job),
        ];
        if costs {
            row.insert(5, spend::cost(job));
        }
        row
    });
    let mut header = vec!["ID", "STATUS", "BACKEND", "AGE", "TRY", "WHAT"];
    if costs {
        header.insert(5, "COST");
    }
    table::table(&header, rows)
}

/// The prompt's beginning, and what is to be known about the job's state.
fn remark(job: &Job) -> String {
    let note = match (job.status(), &job.failure, &job.waiting) {
        (Status::Failed, Some(failure), _) => &failure.code,
        (Status::Queued, _, Some(waiting)) => &waiting.message,
        _ => return job.summary.clone(),
    };
    format!("{} ({note})", job.summary)
}

fn details(job: &Job, zone: &TimeZone) -> String {
    let at = |timestamp| {
        maybe_millis(timestamp)
            .map(|at| moment::local(at, zone))
            .unwrap_or_default()
    };
    let failure = job.failure.as_ref();
    let tags = job.request.as_ref().map(|request| request.tags.join(", "));
    let mut lines = vec![
        ("id", job.id.clone()),
        ("status", watch::standing(job)),
        ("backend", job.backend().as_str_name().to_owned()),
        ("what", job.summary.clone()),
        ("tags", tags.unwrap_or_default()),
        ("created", at(job.created_at.as_ref())),
        ("started", at(job.started_at.as_ref())),
        ("finished", at(job.finished_at.as_ref())),
        ("next try", at(job.retry_at.as_ref())),
        (
            "attempt",
            format!("{} of {}", job.attempt, job.max_attempts + job.handed_back),
        ),
        (
            "worker",
            job.claim
                .as_ref()
                .map(|claim| claim.worker.clone())
                .unwrap_or_default(),
        ),
        ("retry of", job.retry_of.clone()),
        ("cost", spend::cost(job)),
    ];
    if let Some(failure) = failure {
        lines.extend([
            ("failure", format!("{} [{}]", failure.message, failure.code)),
            ("detail", failure.detail.clone()),
            ("remedy", failure.remedy.clone()),
        ]);
    }
    for artifact in &job.outputs {
        let size = ByteSize(artifact.size_bytes);
        let pixels = match artifact.width {
            0 => String::new(),
            width => format!(", {width}x{}", artifact.height),
        };
        lines.push((
            "file",
            format!("{} ({}{pixels}, {size})", artifact.filename, artifact.media_type),
        ));
    }
    let substitutions = job.substitutions.iter();
    lines.extend(substitutions.map(|one| ("replaced", watch::replaced(one))));
    if let Some(recipe) = &job.recipe {
        let size = ByteSize(recipe.size_bytes);
        let fetch = format!("orchestrator download {} --recipe", job.id);
        lines.push(("recipe", format!("{} ({size}); {fetch}", recipe.filename)));
    }
    table::details(&lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{
        failure::FailureCode,
        moment::timestamp,
        v1::{Artifact, Spend, Substitution},
    };

    fn job() -> Job {
        Job {
            id: "018f0000-0000-7000-8000-000000000000".into(),
            status: Status::Failed.into(),
            backend: Backend::Sketch.into(),
            summary: "a lake".into(),
            created_at: Some(timestamp(0)),
            attempt: 3,
            max_attempts: 3,
            failure: Some(FailureCode::BackendStalled.failure("silent")),
            ..Job::default()
        }
    }

    #[test]
    fn a_list_has_a_line_a_job() {
        let text = listing(&[job()], 180_000);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("ID ") && lines[0].ends_with("WHAT"));
        let words: Vec<&str> = lines[1].split_whitespace().collect();
        assert_eq!(
            words[1..],
            ["failed", "sketch", "3m", "3", "a", "lake", "(backend_stalled)"]
        );
    }

    #[test]
    fn what_it_costs_is_shown_where_it_costs_anything() {
        let paid = Job {
            spend: Some(Spend {
                charged_microdollars: Some(30_000),
                ..Spend::default()
            }),
            ..job()
        };
        let text = listing(&[paid.clone(), job()], 180_000);
        let words: Vec<&str> = text.lines().nth(1).expect("a line").split_whitespace().collect();
        assert_eq!(words[4..7], ["3", "$0.03", "a"], "{text}");
        assert!(
            details(&paid, &TimeZone::UTC).contains("cost      $0.03"),
            "{text}"
        );
        assert!(!details(&job(), &TimeZone::UTC).contains("cost"));
    }

    #[test]
    fn details_leave_out_what_is_not_there() {
        let mut job = job();
        job.outputs = vec![Artifact {
            filename: "lake.png".into(),
            media_type: "image/png".into(),
            size_bytes: 2_048,
            width: 64,
            height: 32,
            ..Artifact::default()
        }];
        job.recipe = Some(Artifact {
            filename: "recipe.json".into(),
            size_bytes: 1_024,
            ..Artifact::default()
        });
        job.substitutions = vec![Substitution {
            pointer: "/comfyui/sampler".into(),
            given: "Euler a".into(),
            used: "euler_ancestral".into(),
            reason: String::new(),
        }];
        let text = details(&job, &TimeZone::UTC);
        assert!(text.contains("created   1970-01-01 00:00:00"), "{text}");
        assert!(
            text.contains("file      lake.png (image/png, 64x32, 2.0 KiB)"),
            "{text}"
        );
        assert!(
            text.contains("replaced  sampler: Euler a → euler_ancestral")
                && text.contains("recipe    recipe.json (1.0 KiB); orchestrator download 018f"),
            "{text}"
        );
        assert!(
            text.contains("attempt   3 of 3") && !text.contains("started"),
            "{text}"
        );
    }
}
