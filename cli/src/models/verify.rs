//! `orchestrator models verify`: which model files are damaged, why, and what to do.

use std::collections::{BTreeMap, BTreeSet};

use proto::v1::{FileReport, VerifyProgress};
use reqwest::Method;
use runtime::settings::ByteSize;
use serde_json::Value;
use url::Url;

use super::VerifyArguments;
use crate::{
    exit::Exit,
    http::{self, Http, Route},
    meter::Meter,
    output,
    problem::Problem,
};

/// Checks files through the gateway.
pub(super) async fn run(asked: &VerifyArguments, gateway: &Url) -> Result<Exit, Problem> {
    let http = Http::new(gateway)?;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (worker, kind, name) = (text(&asked.worker), text(&asked.kind), text(&asked.name));
    let route = Route {
        path: &["models", "verify"],
        query: &[
            ("worker", &worker),
            ("kind", &kind),
            ("name", &name),
            ("sha256", if asked.sha256 { "true" } else { "" }),
        ],
    };
    let mut telling = Telling::new(asked.client.json);
    let outcome = follow(&http, route, &mut telling).await;
    telling.meter.close();
    outcome?;
    Ok(telling.end())
}

/// Each worker ends with `done` or `failed`, the stream with the last of them.
async fn follow(http: &Http, route: Route<'_>, telling: &mut Telling) -> Result<(), Problem> {
    let mut steps = http.steps(Method::GET, route).await?;
    let mut open: BTreeSet<String> = BTreeSet::new();
    let mut failed = None;
    let mut ended = false;
    while let Some(frame) = steps.any().await? {
        let worker = http::worker_of(&frame.data);
        match frame.event.as_str() {
            "progress" => {
                open.insert(worker.clone());
                telling.progress(worker, http::message(frame.data)?);
            }
            "file" => {
                open.insert(worker.clone());
                telling.file(&worker, frame.data)?;
            }
            "done" => {
                ended = true;
                open.remove(&worker);
            }
            "failed" => {
                ended = true;
                open.remove(&worker);
                let mut problem = Problem::of_document(&frame.data);
                problem.detail = format!("{worker}: {}", problem.detail);
                // one is the answer, the others are told on the way
                if let Some(before) = failed.replace(problem) {
                    output::problem(&before, telling.as_json);
                }
            }
            // a newer gateway may tell more
            _ => {}
        }
    }
    match failed {
        Some(problem) => Err(problem),
        None if !ended || !open.is_empty() => Err(http::cut()),
        None => Ok(()),
    }
}

/// Tells of files as they are checked.
pub(super) struct Telling {
    as_json: bool,
    pub(super) meter: Meter,
    progress: BTreeMap<String, VerifyProgress>,
    files: usize,
    damaged: usize,
}

impl Telling {
    pub(super) fn new(as_json: bool) -> Self {
        Self {
            as_json,
            meter: if as_json { Meter::silent() } else { Meter::new() },
            progress: BTreeMap::new(),
            files: 0,
            damaged: 0,
        }
    }

    /// How far a worker is; all of them make one line.
    pub(super) fn progress(&mut self, worker: String, progress: VerifyProgress) {
        self.progress.insert(worker, progress);
        let sum = |part: fn(&VerifyProgress) -> u64| self.progress.values().map(part).sum::<u64>();
        let (done, whole) = (sum(|one| one.bytes_done), sum(|one| one.bytes));
        let files_done = sum(|one| one.files_done.into());
        let files = sum(|one| one.files.into());
        let fraction = match (whole, files) {
            (0, 0) => 0.0,
            (0, files) => files_done as f64 / files as f64,
            (whole, _) => done as f64 / whole as f64,
        };
        let mut text = format!("{files_done} of {files} files");
        if whole > 0 {
            text = format!("{text}, {} of {}", ByteSize(done), ByteSize(whole));
        }
        self.meter.show(fraction, &text);
    }

    pub(super) fn count(&mut self, report: &FileReport) {
        self.files += 1;
        self.damaged += usize::from(!report.reason.is_empty());
    }

    /// One file was looked at; sound ones are named where there is more to say than that.
    fn file(&mut self, worker: &str, data: Value) -> Result<(), Problem> {
        if self.as_json {
            output::json(&data)?;
            self.count(&http::message(data)?);
            return Ok(());
        }
        self.report(worker, &http::message(data)?)
    }

    /// As `file`, for people.
    pub(super) fn report(&mut self, worker: &str, report: &FileReport) -> Result<(), Problem> {
        self.count(report);
        if report.reason.is_empty() && report.sha256.is_empty() {
            return Ok(());
        }
        self.meter.line(&told(worker, report))
    }

    pub(super) fn end(self) -> Exit {
        if !self.as_json {
            output::note(match (self.files, self.damaged) {
                (0, _) => "there are no such files".to_owned(),
                (1, 0) => "✓ the file is sound".to_owned(),
                (files, 0) => format!("✓ all {files} files are sound"),
                (files, damaged) => format!("✗ {damaged} of {files} files damaged"),
            });
        }
        if self.damaged == 0 {
            Exit::Success
        } else {
            Exit::Failure
        }
    }
}

/// A file with what was found, and what to do.
fn told(worker: &str, report: &FileReport) -> String {
    let place = if worker.is_empty() {
        String::new()
    } else {
        format!("{worker}: ")
    };
    let size = ByteSize(report.size_bytes);
    let name = output::plain(&format!("{place}{} {}", report.kind, report.name));
    if report.reason.is_empty() {
        let family = if report.family.is_empty() {
            String::new()
        } else {
            format!(", {}", report.family)
        };
        return format!("✓ {name} ({size}{}) {}", output::plain(&family), report.sha256);
    }
    let mut text = format!("✗ {name} ({size}): {}", output::plain(&report.reason));
    for more in [&report.message, &report.remedy] {
        if !more.is_empty() {
            text.push_str("\n  → ");
            text.push_str(&output::plain(more));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged() -> FileReport {
        FileReport {
            kind: "checkpoint".into(),
            name: "a.safetensors".into(),
            size_bytes: 2_048,
            reason: "truncated".into(),
            message: "The file ends too early.".into(),
            remedy: "Fetch it again.".into(),
            ..FileReport::default()
        }
    }

    #[test]
    fn a_damaged_file_comes_with_reason_and_remedy() {
        assert_eq!(
            told("gpu-1", &damaged()),
            "✗ gpu-1: checkpoint a.safetensors (2.0 KiB): truncated\n  → The file ends too early.\n  → Fetch it again."
        );
        let sound = FileReport {
            kind: "vae".into(),
            name: "b".into(),
            size_bytes: 1_024,
            sha256: "00ff".into(),
            family: "sdxl".into(),
            ..FileReport::default()
        };
        assert_eq!(told("", &sound), "✓ vae b (1.0 KiB, sdxl) 00ff");
    }

    #[test]
    fn the_exit_says_whether_something_is_damaged() {
        let mut telling = Telling::new(true);
        telling.count(&FileReport::default());
        assert_eq!(telling.end(), Exit::Success);
        let mut telling = Telling::new(true);
        telling.count(&FileReport::default());
        telling.count(&damaged());
        assert_eq!(telling.end(), Exit::Failure);
    }
}
