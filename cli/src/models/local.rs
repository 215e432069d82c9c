//! `orchestrator models verify --local`: checks model files of this machine, without a gateway.

use std::path::{Path, PathBuf};

use proto::v1::{FileReport, VerifyProgress};
use tokio_util::sync::CancellationToken;
use worker::models::{
    Hashes, Library, LibraryError, ModelSettings, Report, Selection, Verdict, paths::Environment, verify,
    verify::Progress,
};

use super::{VerifyArguments, verify::Telling};
use crate::{exit::Exit, output, problem::Problem};

/// Checks the files under a directory of ComfyUI, or under its directory of models.
pub(super) async fn run(asked: &VerifyArguments, dir: &Path) -> Result<Exit, Problem> {
    let settings = ModelSettings {
        dir: home_of(dir),
        extra_model_paths: None,
    };
    let (kind, name, sha256) = (asked.kind.clone(), asked.name.clone(), asked.sha256);
    let mut telling = Telling::new(asked.client.json);
    let checking = tokio::task::spawn_blocking(move || {
        let library = Library::open(&settings, &Environment::of_process())?;
        let selection = Selection {
            kind: kind.map(|kind| listed(&library, kind)),
            name,
        };
        let progress = |at: Progress<'_>| telling.progress(String::new(), so_far(&at));
        let never = CancellationToken::new();
        let report = verify(
            &library,
            &selection,
            sha256,
            &mut Hashes::default(),
            progress,
            &never,
        )?;
        Ok::<_, LibraryError>((report, telling))
    });
    let (report, telling) = checking
        .await
        .map_err(|error| Problem::failed("the files cannot be checked", &error))?
        .map_err(|error| unusable(&error))?;
    tell(&report, telling, asked.client.json)
}

fn tell(report: &Report, mut telling: Telling, as_json: bool) -> Result<Exit, Problem> {
    telling.meter.close();
    for file in &report.files {
        let told = of_contract(file);
        if as_json {
            telling.count(&told);
            output::json(file)?;
        } else {
            telling.report("", &told)?;
            for hint in &file.hints {
                output::note(output::plain(&format!("{} {}: {hint}", told.kind, told.name)));
            }
        }
    }
    if !as_json {
        for skipped in &report.skipped {
            output::note(output::plain(&format!(
                "{} is left out: {}",
                skipped.path.display(),
                skipped.why
            )));
        }
        for same in &report.duplicates {
            output::note(output::plain(&format!(
                "the same content: {}",
                same.paths.join(", ")
            )));
        }
    }
    Ok(telling.end())
}

/// ComfyUI's directory: the one that was named, or the one around it where that is its directory of models.
fn home_of(dir: &Path) -> PathBuf {
    let whole = std::fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    let is_models = !whole.join("models").is_dir() && whole.file_name().is_some_and(|name| name == "models");
    match whole.parent() {
        Some(parent) if is_models => parent.to_owned(),
        _ => dir.to_owned(),
    }
}

/// The kind as ComfyUI names its folder; `orchestrator models` shows some by other names.
fn listed(library: &Library, kind: String) -> String {
    let folder = match kind.as_str() {
        "upscaler" => "upscale_models".to_owned(),
        singular => format!("{singular}s"),
    };
    let known = |name: &str| library.kinds().any(|known| known == name);
    if !known(&kind) && known(&folder) {
        folder
    } else {
        kind
    }
}

fn so_far(at: &Progress<'_>) -> VerifyProgress {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    VerifyProgress {
        files_done: number(at.number),
        files: number(at.files),
        bytes_done: at.bytes_done,
        bytes: at.bytes_total,
    }
}

/// As a worker would tell it.
fn of_contract(found: &verify::FileReport) -> FileReport {
    let mut told = FileReport {
        kind: found.file.kind.clone(),
        name: found.file.name.clone(),
        size_bytes: found.file.size,
        sha256: found.sha256.clone().unwrap_or_default(),
        ..FileReport::default()
    };
    match &found.verdict {
        Verdict::Ok(contents) => contents.family.as_str().clone_into(&mut told.family),
        Verdict::Broken(broken) => {
            let word = serde_json::to_value(&broken.fault).unwrap_or_default();
            word["reason"]
                .as_str()
                .unwrap_or("damaged")
                .clone_into(&mut told.reason);
            broken.sentence.clone_into(&mut told.message);
            broken.remedy.clone_into(&mut told.remedy);
        }
    }
    told
}

pub(super) fn unusable(error: &LibraryError) -> Problem {
    match error {
        LibraryError::NoModels(dir) => {
            Problem::usage(format!("{} has no directory \"models\"", dir.display()))
                .with_remedy("Name the directory of ComfyUI, or its directory models.")
        }
        LibraryError::UnknownKind { .. } | LibraryError::Outside(_) => Problem::usage(error.to_string()),
        LibraryError::NoFile { .. } => Problem::new(Exit::Unknown, error.to_string()),
        LibraryError::ExtraPaths { .. } => Problem::failed("ComfyUI's models cannot be listed", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comfyui() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let checkpoints = dir.path().join("models/checkpoints");
        std::fs::create_dir_all(&checkpoints).expect("made");
        std::fs::write(
            checkpoints.join("page.safetensors"),
            "<!DOCTYPE html><html>no such file</html>",
        )
        .expect("written");
        dir
    }

    fn asked(kind: &str) -> VerifyArguments {
        VerifyArguments {
            name: None,
            worker: None,
            kind: Some(kind.to_owned()),
            sha256: false,
            local: None,
            client: crate::client::ClientArguments::default(),
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_found_by_either_name_of_its_kind_and_from_either_directory() {
        let dir = comfyui();
        for place in [dir.path().to_owned(), dir.path().join("models")] {
            for kind in ["checkpoint", "checkpoints"] {
                assert_eq!(
                    run(&asked(kind), &place).await,
                    Ok(Exit::Failure),
                    "{place:?} {kind}"
                );
            }
            assert_eq!(run(&asked("lora"), &place).await, Ok(Exit::Success));
        }
        let problem = run(&asked("checkpiont"), dir.path())
            .await
            .expect_err("no such kind");
        assert!(problem.detail.contains("did you mean"), "{problem}");
        let elsewhere = run(&asked("vae"), &dir.path().join("models/checkpoints")).await;
        assert_eq!(elsewhere.map_err(|problem| problem.exit), Err(Exit::Usage));
    }
}
