//! How a watched job is shown: as a bar, as lines where no terminal is, or as JSON.

use std::{
    io::{IsTerminal as _, stderr},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::{
    EventKind, Status,
    moment::{Millis, maybe_millis},
    v1::{Job, JobEvent, Progress, Substitution, Update, update},
};

use crate::{output, problem::Problem};

/// Parts of the bar.
const WHOLE: u64 = 1_000;

/// What of a watched job is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    ForPeople,
    EachUpdateAsJson,
    EndAsJson,
}

/// Shows one job.
pub(super) struct Display {
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    /// With the last line, which is not repeated.
    Lines(String),
    Json,
    Nothing,
}

impl Display {
    pub(super) fn new(shown: Shown) -> Self {
        let form = match shown {
            Shown::EachUpdateAsJson => Form::Json,
            Shown::EndAsJson => Form::Nothing,
            Shown::ForPeople if stderr().is_terminal() => Form::Bar(bar()),
            Shown::ForPeople => Form::Lines(String::new()),
        };
        Self { form }
    }

    /// Takes in an update.
    pub(super) fn show(&mut self, update: &Update) -> Result<(), Problem> {
        if matches!(self.form, Form::Json) {
            return output::json(update);
        }
        match &update.update {
            Some(update::Update::Job(job)) => self.say(&standing(job)),
            Some(update::Update::Progress(progress)) => self.advance(progress),
            Some(update::Update::Event(event)) => self.tell(event),
            None => {}
        }
        Ok(())
    }

    /// The gateway is away.
    pub(super) fn lost(&mut self) {
        self.say("the gateway does not answer, asking again");
    }

    /// Ends the display.
    pub(super) fn close(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }

    fn say(&mut self, text: &str) {
        let text = output::plain(text);
        match &mut self.form {
            Form::Bar(bar) => bar.set_message(text),
            Form::Lines(last) if *last != text && !text.is_empty() => {
                output::note(&text);
                *last = text;
            }
            Form::Lines(_) | Form::Json | Form::Nothing => {}
        }
    }

    fn advance(&mut self, progress: &Progress) {
        match &self.form {
            Form::Bar(bar) => {
                bar.set_position((progress.fraction.clamp(0.0, 1.0) * WHOLE as f64) as u64);
                bar.set_message(output::plain(&phase(progress)));
            }
            // without a terminal a line a phase is enough
            Form::Lines(_) => self.say(&progress.phase),
            Form::Json | Form::Nothing => {}
        }
    }

    /// Tells of what should not scroll away unseen.
    fn tell(&mut self, event: &JobEvent) {
        let Some(text) = trouble(event) else { return };
        match &self.form {
            Form::Bar(bar) => {
                bar.set_position(0);
                bar.println(output::plain(&text));
            }
            Form::Lines(_) => self.say(&text),
            Form::Json | Form::Nothing => {}
        }
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(WHOLE), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} [{bar:32}] {percent:>3}% {elapsed} {wide_msg}");
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━╸─"),
    );
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// What a job is doing, in a few words.
pub(crate) fn standing(job: &Job) -> String {
    match (job.status(), &job.waiting) {
        (Status::Created, _) => "held; orchestrator run lets it go".to_owned(),
        (Status::Queued, Some(waiting)) if !waiting.message.is_empty() => {
            format!("queued: {}", waiting.message)
        }
        (Status::Running, _) if job.cancel.is_some() => "running, about to be cancelled".to_owned(),
        (Status::Running, _) => match &job.claim {
            Some(claim) => format!("running on {}", claim.worker),
            None => "running".to_owned(),
        },
        (status, _) => status.as_str_name().to_owned(),
    }
}

/// What was used instead of what was asked for: `sampler: Euler a → euler_ancestral`.
pub(crate) fn replaced(substitution: &Substitution) -> String {
    let fields = substitution.pointer.trim_start_matches('/').split('/');
    // the backend's name, which comes first, is known
    let field: Vec<&str> = match fields.collect::<Vec<_>>().as_slice() {
        [_, rest @ ..] if !rest.is_empty() => rest.to_vec(),
        all => all.to_vec(),
    };
    let or_none = |text: &str| {
        if text.is_empty() {
            "nothing".to_owned()
        } else {
            text.to_owned()
        }
    };
    let why = match substitution.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    output::plain(&format!(
        "{}: {} → {}{why}",
        field.join("."),
        or_none(&substitution.given),
        or_none(&substitution.used)
    ))
}

fn phase(progress: &Progress) -> String {
    let steps = match progress.steps {
        0 => String::new(),
        steps => format!(" {}/{steps}", progress.step),
    };
    let to_go = match progress.eta_seconds {
        Some(seconds) => format!(", {seconds:.0} s to go"),
        None => String::new(),
    };
    let more = match progress.message.as_str() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    format!("{}{steps}{to_go}{more}", progress.phase)
}

fn trouble(event: &JobEvent) -> Option<String> {
    let text = match event.kind() {
        EventKind::RetryScheduled => format!(
            "attempt {} failed ({}), it is tried again",
            event.attempt, event.reason
        ),
        EventKind::TakenBack => format!("attempt {} was taken back: {}", event.attempt, event.reason),
        EventKind::HandedBack => format!("attempt {} was handed back: {}", event.attempt, event.reason),
        EventKind::CancelRequested => "its cancellation was requested".to_owned(),
        EventKind::Unspecified
        | EventKind::Submitted
        | EventKind::Held
        | EventKind::Released
        | EventKind::Started
        | EventKind::Phase
        | EventKind::Succeeded
        | EventKind::Failed
        | EventKind::Cancelled => return None,
    };
    Some(text)
}

/// How a job ended: one line, and for a failure what to do.
pub(super) fn ending(job: &Job) -> String {
    let took = seconds(
        maybe_millis(job.started_at.as_ref()),
        maybe_millis(job.finished_at.as_ref()),
    );
    match (job.status(), &job.failure) {
        (Status::Succeeded, _) => format!("✓ job {} succeeded{took}", job.id),
        (Status::Failed, Some(failure)) => {
            let mut text = format!(
                "✗ job {} failed: {} [{}]",
                job.id,
                output::plain(&failure.message),
                failure.code
            );
            for more in [&failure.detail, &failure.remedy] {
                if !more.is_empty() {
                    text.push_str("\n  → ");
                    text.push_str(&output::plain(more));
                }
            }
            text
        }
        (status, _) => format!("✗ job {} {}", job.id, status.as_str_name()),
    }
}

fn seconds(from: Option<Millis>, to: Option<Millis>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!(" in {:.1} s", (to - from).max(0) as f64 / 1_000.0),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{failure::FailureCode, moment::timestamp, v1::Waiting};

    #[test]
    fn a_waiting_job_says_why() {
        let waiting = Waiting {
            reason: "unservable".into(),
            message: "no worker is here; start one".into(),
            until: None,
        };
        let job = Job {
            status: Status::Queued.into(),
            waiting: Some(waiting),
            ..Job::default()
        };
        assert_eq!(standing(&job), "queued: no worker is here; start one");
    }

    #[test]
    fn progress_tells_step_and_time_to_go() {
        let progress = Progress {
            phase: "sampling".into(),
            step: 3,
            steps: 20,
            eta_seconds: Some(4.4),
            ..Progress::default()
        };
        assert_eq!(phase(&progress), "sampling 3/20, 4 s to go");
    }

    #[test]
    fn what_was_replaced_names_the_field_and_why() {
        let mut substitution = Substitution {
            pointer: "/comfyui/sampler".into(),
            given: "Euler a".into(),
            used: "euler_ancestral".into(),
            reason: String::new(),
        };
        assert_eq!(replaced(&substitution), "sampler: Euler a → euler_ancestral");
        substitution.pointer = "/comfyui/loras/0/name".into();
        substitution.reason = "as it is listed".into();
        assert_eq!(
            replaced(&substitution),
            "loras.0.name: Euler a → euler_ancestral (as it is listed)"
        );
    }

    #[test]
    fn an_end_says_how_long_it_took_or_what_to_do() {
        let mut job = Job {
            id: "7".into(),
            status: Status::Succeeded.into(),
            started_at: Some(timestamp(1_000)),
            finished_at: Some(timestamp(2_500)),
            ..Job::default()
        };
        assert_eq!(ending(&job), "✓ job 7 succeeded in 1.5 s");
        job.status = Status::Failed.into();
        job.failure = Some(FailureCode::BackendStalled.failure("silent for 60 s"));
        let text = ending(&job);
        assert!(
            text.starts_with("✗ job 7 failed: silent for 60 s [backend_stalled]\n  → Look at"),
            "{text}"
        );
    }
}
