//! Fetches the files that a run made and stores them.

use std::sync::OnceLock;

use connectors::comfyui::{Client, Error, FileRef, Folder, OutputFile};
use futures::{StreamExt as _, TryStreamExt as _};
use proto::{
    failure::FailureCode,
    v1::{Artifact, Failure},
};
use runtime::telemetry::chain;

use super::{faults::trouble, media, patience::Patience, settings::ComfyuiSettings, telling::RUN_SHARE};
use crate::{
    report::{Reporter, Step},
    spool::Spool,
    uploads::Uploads,
};

/// Why the files are not there.
#[derive(Debug)]
pub(super) enum Shortfall {
    /// ComfyUI names a file that it does not have any more. Running anew helps.
    Gone(Failure),
    /// Anything else.
    Failed(Failure),
}

impl From<Failure> for Shortfall {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Shortfall> for Failure {
    fn from(shortfall: Shortfall) -> Self {
        match shortfall {
            Shortfall::Gone(failure) | Shortfall::Failed(failure) => failure,
        }
    }
}

/// Fetches and stores them all.
pub(super) async fn collect(
    client: &Client,
    settings: &ComfyuiSettings,
    made: &[OutputFile],
    uploads: &Uploads,
    reporter: &Reporter,
) -> Result<Vec<Artifact>, Shortfall> {
    let files = results(made);
    if files.is_empty() {
        let message = "the graph ran to its end, and no node of it saved a file";
        return Err(FailureCode::ComfyuiNoOutput.failure(message).into());
    }
    let mut artifacts = Vec::with_capacity(files.len());
    for (file, index) in files.iter().zip(0_u32..) {
        let done = f64::from(index) / files.len() as f64;
        reporter.step(Step {
            phase: "uploading",
            fraction: RUN_SHARE + (1.0 - RUN_SHARE) * done,
            step: index + 1,
            steps: files.len() as u32,
            message: format!("storing {}", file.filename),
            eta_seconds: None,
        });
        let spool = fetch(client, settings, file, uploads.max_bytes(), reporter).await?;
        let head = media::head(&spool).await.map_err(|error| {
            FailureCode::StoreUnavailable
                .failure(format!("a result could not be read again: {}", chain(&error)))
        })?;
        let media_type = media::of_file(&head, &file.filename);
        artifacts.push(uploads.store(index, &file.filename, media_type, &spool).await?);
        reporter.alive();
    }
    Ok(artifacts)
}

/// The results; where a graph only shows pictures and saves none, what it shows. Each file once.
fn results(made: &[OutputFile]) -> Vec<&FileRef> {
    let in_folder = |folder: Folder| {
        let mut files: Vec<&FileRef> = Vec::new();
        for output in made.iter().filter(|output| output.file.folder == folder) {
            if !files.contains(&&output.file) {
                files.push(&output.file);
            }
        }
        files
    };
    let saved = in_folder(Folder::Output);
    if saved.is_empty() {
        in_folder(Folder::Temp)
    } else {
        saved
    }
}

async fn fetch(
    client: &Client,
    settings: &ComfyuiSettings,
    file: &FileRef,
    max_bytes: u64,
    reporter: &Reporter,
) -> Result<Spool, Shortfall> {
    let mut patience = Patience::new(settings.patience);
    loop {
        let download = match client.view(file, None).await {
            Ok(download) => download,
            Err(Error::Status { status: 404, .. }) => return Err(Shortfall::Gone(gone(file))),
            Err(error) => {
                patience.endure(&error).await?;
                continue;
            }
        };
        if let Some(length) = download.length.filter(|length| *length > max_bytes) {
            let message = format!(
                "{} has {length} bytes, which is more than artifacts.max_size, {max_bytes} bytes",
                file.filename
            );
            return Err(FailureCode::ArtifactTooLarge.failure(message).into());
        }
        // what the stream broke with: that is worth another try, a full disk is not
        let broke = OnceLock::new();
        let pieces = download.into_stream().inspect_ok(|_| reporter.alive()).boxed();
        let taken = Spool::take(pieces, max_bytes, |error| {
            let failure = trouble(&error);
            drop(broke.set(error));
            failure
        });
        match (taken.await, broke.get()) {
            (Ok(spool), _) => return Ok(spool),
            (Err(_), Some(error)) => patience.endure(error).await?,
            (Err(failure), None) => return Err(failure.into()),
        }
    }
}

fn gone(file: &FileRef) -> Failure {
    let place = if file.subfolder.is_empty() {
        file.filename.clone()
    } else {
        format!("{}/{}", file.subfolder, file.filename)
    };
    FailureCode::ComfyuiFailed.failure(format!(
        "the run succeeded, but its file {place} is not in ComfyUI's {} folder any more: it was moved or deleted",
        file.folder.as_str()
    ))
}
