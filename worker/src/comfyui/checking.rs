//! Checks model files for somebody who asked, and tells how far that is.

use std::sync::Arc;

use proto::{
    failure::FailureCode,
    v1::{FileReport, HostReply, VerifyCall, VerifyProgress, host_reply::Body},
};
use runtime::{
    calls::{failed, more},
    telemetry::chain,
};
use tokio::{task::spawn_blocking, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    answers::Replies,
    shelf::{Shelf, folder_of, kind_in},
};
use crate::models::{Family, Progress, Selection, verify};

/// How often progress is told.
const TELL_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// Checks the files; the last reply. When this is dropped, the check ends soon.
pub(super) async fn check(shelf: Arc<Shelf>, call: VerifyCall, replies: Replies) -> HostReply {
    let cancel = CancellationToken::new();
    let _ended = cancel.clone().drop_guard();
    let selection = Selection {
        // ComfyUI's own names are taken as they are
        kind: Some(folder_of(&call.kind).map_or(call.kind, str::to_owned)).filter(|kind| !kind.is_empty()),
        name: Some(call.name).filter(|name| !name.is_empty()),
    };
    let telling = replies.clone();
    let checked = spawn_blocking(move || {
        let mut told: Option<Instant> = None;
        let tell = |progress: Progress<'_>| {
            if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                told = Some(Instant::now());
                // one that does not fit is told the next time
                drop(telling.try_send(more(Body::Progress(progress_of(&progress)))));
            }
        };
        let report = shelf.verify(&selection, call.sha256, tell, &cancel);
        if let Ok(Some(report)) = &report {
            shelf.note(report);
        }
        report
    });
    let report = match checked.await {
        Ok(Ok(Some(report))) => report,
        Ok(Ok(None)) => {
            return failed(
                FailureCode::HostRefused,
                "this worker does not know where ComfyUI's files are; set comfyui.dir on it",
            );
        }
        Ok(Err(error)) => return failed(FailureCode::HostRefused, chain(&error)),
        Err(error) => return failed(FailureCode::WorkerPanicked, error.to_string()),
    };
    for file in &report.files {
        drop(replies.send(more(Body::File(report_of(file)))).await);
    }
    HostReply {
        last: true,
        body: None,
    }
}

fn progress_of(progress: &Progress<'_>) -> VerifyProgress {
    VerifyProgress {
        files_done: (progress.number - 1) as u32,
        files: progress.files as u32,
        bytes_done: progress.bytes_done,
        bytes: progress.bytes_total,
    }
}

fn report_of(file: &verify::FileReport) -> FileReport {
    let mut report = FileReport {
        kind: kind_in(&file.file.kind).unwrap_or(&file.file.kind).to_owned(),
        name: file.file.name.clone(),
        size_bytes: file.file.size,
        sha256: file.sha256.clone().unwrap_or_default(),
        ..FileReport::default()
    };
    if let Some(fault) = file.verdict.fault() {
        fault.name().clone_into(&mut report.reason);
        report.message = fault.sentence();
        fault.remedy().clone_into(&mut report.remedy);
    } else {
        report.message = file.hints.join(" ");
        let family = file.verdict.contents().map(|contents| contents.family);
        let known = family.filter(|family| *family != Family::Unknown);
        known.map_or("", Family::as_str).clone_into(&mut report.family);
    }
    report
}
