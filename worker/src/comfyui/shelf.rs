//! Which model files of this worker are fit for use, and what stands in for one that is not.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use proto::v1::Model;
use runtime::{settings::Setting, telemetry::chain};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::quarantine::{Quarantine, Stamp};
use crate::models::{
    Library, ModelSettings,
    paths::Environment,
    verify::{Hashes, Progress, Report, Selection, verify},
};

/// The kinds of model files as they are announced, with ComfyUI's folder of each.
pub(super) const FOLDERS: &[(&str, &str)] = &[
    ("checkpoint", "checkpoints"),
    ("lora", "loras"),
    ("vae", "vae"),
    ("controlnet", "controlnet"),
    ("upscaler", "upscale_models"),
    ("clip_vision", "clip_vision"),
    ("text_encoder", "text_encoders"),
    ("diffusion_model", "diffusion_models"),
];

/// ComfyUI's folder of a kind as it is announced.
pub(super) fn folder_of(kind: &str) -> Option<&'static str> {
    let (_, folder) = FOLDERS.iter().find(|(known, _)| *known == kind)?;
    Some(folder)
}

/// The kind, as it is announced, of what lies in a folder of ComfyUI.
pub(super) fn kind_in(folder: &str) -> Option<&'static str> {
    let (kind, _) = FOLDERS.iter().find(|(_, known)| *known == folder)?;
    Some(kind)
}

/// The model files as far as this worker knows them.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    quarantine: Quarantine,
    alternates: Alternates,
    /// Where ComfyUI's files are, if that is known.
    place: Option<ModelSettings>,
    library: Mutex<Option<Arc<Library>>>,
    hashes: Mutex<Hashes>,
}

/// What is known of a model that a run used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) size_bytes: Option<u64>,
    pub(super) sha256: Option<String>,
}

/// What is used instead of a damaged checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alternates {
    /// By the name of the damaged one.
    by_name: BTreeMap<String, String>,
    /// For all others.
    otherwise: Option<String>,
}

impl Setting for Alternates {
    const FORM: &'static str = "a checkpoint, or several `damaged = alternate` separated by commas";

    fn parse(text: &str) -> Result<Self, String> {
        let mut alternates = Self::default();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let twice = match entry
                .split_once('=')
                .map(|(name, other)| (name.trim(), other.trim()))
            {
                Some((name, other)) if !name.is_empty() && !other.is_empty() && name != other => {
                    alternates.by_name.insert(name.to_owned(), other.to_owned())
                }
                None => alternates.otherwise.replace(entry.to_owned()),
                Some(_) => return Err(format!("{entry:?} is not of the form `checkpoint = alternate`")),
            };
            if twice.is_some() {
                return Err(format!("{entry:?}: there is an alternate for this already"));
            }
        }
        Ok(alternates)
    }
}

impl Alternates {
    /// What is used instead of this checkpoint.
    pub fn of(&self, checkpoint: &str) -> Option<&str> {
        let alternate = self.by_name.get(checkpoint).or(self.otherwise.as_ref())?;
        (alternate != checkpoint).then_some(alternate)
    }
}

impl Shelf {
    /// Nothing is known to be damaged yet.
    pub(super) fn new(alternates: Alternates, place: Option<ModelSettings>) -> Self {
        Self {
            alternates,
            place,
            ..Self::default()
        }
    }

    /// Looks at all files anew: which there are, and whether they are whole. Names each broken one.
    pub(super) async fn survey(self: &Arc<Self>) {
        let Some(place) = self.place.clone() else {
            return self.quarantine.forgive();
        };
        let shelf = self.clone();
        let surveyed = spawn_blocking(move || {
            let library = Library::open(&place, &Environment::of_process())?;
            for finding in library.findings() {
                tracing::warn!("extra_model_paths.yaml: {finding}");
            }
            *shelf.library.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(library));
            shelf.verify(&Selection::default(), false, |_| {}, &CancellationToken::new())
        });
        match surveyed.await {
            Ok(Ok(Some(report))) => self.note(&report),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => tracing::warn!(error = chain(&error), "model files cannot be checked"),
            Err(error) => tracing::error!(%error, "the check of the model files crashed"),
        }
    }

    /// Checks the selected files; `None` where their place is not known. Blocks.
    pub(super) fn verify(
        &self,
        selection: &Selection,
        sha256: bool,
        on_progress: impl FnMut(Progress<'_>),
        cancel: &CancellationToken,
    ) -> Result<Option<Report>, crate::models::LibraryError> {
        let Some(library) = self.library() else {
            return Ok(None);
        };
        // whoever needs a hash meanwhile does without
        let mut hashes = std::mem::take(&mut *self.hashes.lock().unwrap_or_else(PoisonError::into_inner));
        let report = verify(&library, selection, sha256, &mut hashes, on_progress, cancel);
        self.hashes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .absorb(hashes);
        report.map(Some)
    }

    /// Takes broken files out of use.
    pub(super) fn note(&self, report: &Report) {
        for file in report.broken() {
            let (Some(kind), Some(fault)) = (kind_in(&file.file.kind), file.verdict.fault()) else {
                continue;
            };
            let (problem, remedy) = (fault.sentence(), fault.remedy());
            tracing::warn!(
                model.kind = kind,
                model.name = file.file.name,
                remedy,
                "{problem}"
            );
            if self.quarantine.problem(kind, &file.file.name).is_none() {
                self.condemn(kind, &file.file.name, problem);
            }
        }
    }

    /// What is wrong with a file, where that can be seen from here.
    pub(super) async fn diagnose(self: &Arc<Self>, kind: &str, name: &str) -> Option<String> {
        let selection = Selection {
            kind: Some(folder_of(kind)?.to_owned()),
            name: Some(name.to_owned()),
        };
        let shelf = self.clone();
        let looked =
            spawn_blocking(move || shelf.verify(&selection, false, |_| {}, &CancellationToken::new()));
        let report = looked.await.ok()?.ok()??;
        let fault = report.broken().next()?.verdict.fault()?.clone();
        Some(format!("{} {}", fault.sentence(), fault.remedy()))
    }

    /// A file turned out to be damaged.
    pub(super) fn condemn(&self, kind: &str, name: &str, problem: String) {
        self.quarantine.put(kind, name, problem, self.stamp(kind, name));
    }

    /// Lifts the quarantine of files that have changed.
    pub(super) async fn review(self: &Arc<Self>) {
        let shelf = self.clone();
        let reviewed = spawn_blocking(move || shelf.quarantine.review(|kind, name| shelf.stamp(kind, name)));
        if let Err(error) = reviewed.await {
            tracing::error!(%error, "the review of the model files crashed");
        }
    }

    /// Why a checkpoint is not used.
    pub(super) fn problem(&self, checkpoint: &str) -> Option<String> {
        self.quarantine.problem("checkpoint", checkpoint)
    }

    /// What is used instead of a checkpoint, if that is sound.
    pub(super) fn alternate(&self, checkpoint: &str) -> Option<&str> {
        let alternate = self.alternates.of(checkpoint)?;
        self.problem(alternate).is_none().then_some(alternate)
    }

    /// Notes on models which of them are damaged, and what stands in for them.
    pub(super) fn mark(&self, models: &mut [Model]) {
        for model in models {
            model.problem = self
                .quarantine
                .problem(&model.kind, &model.name)
                .unwrap_or_default();
            model.fallback.clear();
            if !model.problem.is_empty()
                && model.kind == "checkpoint"
                && let Some(alternate) = self.alternate(&model.name)
            {
                alternate.clone_into(&mut model.fallback);
            }
        }
    }

    /// What is known of a file without reading it.
    pub(super) fn identity(&self, kind: &str, name: &str) -> Identity {
        let Some(path) = self.path(kind, name) else {
            return Identity::default();
        };
        Identity {
            size_bytes: fs::metadata(&path).map(|found| found.len()).ok(),
            sha256: self
                .hashes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .known(&path),
        }
    }

    fn library(&self) -> Option<Arc<Library>> {
        self.library
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn path(&self, kind: &str, name: &str) -> Option<PathBuf> {
        self.library()?.resolve(folder_of(kind)?, name).ok()
    }

    fn stamp(&self, kind: &str, name: &str) -> Option<Stamp> {
        let found = fs::metadata(self.path(kind, name)?).ok()?;
        Some(Stamp {
            size: found.len(),
            modified: found.modified().ok(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternates_are_read_by_name_or_for_all() {
        let alternates = Alternates::parse("a = b, c").expect("alternates");
        assert_eq!((alternates.of("a"), alternates.of("x")), (Some("b"), Some("c")));
        assert_eq!(alternates.of("c"), None, "nothing stands in for itself");
        for wrong in ["a=", "=b", "a=a", "a=b,a=c", "x,y"] {
            assert!(Alternates::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn broken_files_are_out_of_use_until_they_change() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("models").join("checkpoints");
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("a.safetensors");
        fs::write(
            &file,
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        )
        .expect("written");
        let place = ModelSettings {
            dir: dir.path().to_owned(),
            extra_model_paths: None,
        };
        let alternates = Alternates::parse("good.safetensors").expect("alternates");
        let shelf = Arc::new(Shelf::new(alternates, Some(place)));
        shelf.survey().await;
        let mut models = [Model {
            kind: "checkpoint".to_owned(),
            name: "a.safetensors".to_owned(),
            ..Model::default()
        }];
        shelf.mark(&mut models);
        assert!(models[0].problem.contains("git-lfs"), "{}", models[0].problem);
        assert_eq!(models[0].fallback, "good.safetensors");
        shelf.review().await;
        assert!(shelf.problem("a.safetensors").is_some());
        fs::write(&file, "something else").expect("written");
        shelf.review().await;
        shelf.mark(&mut models);
        assert_eq!(
            (models[0].problem.as_str(), models[0].fallback.as_str()),
            ("", "")
        );
    }
}
