//! Where model files lie: the folders of each kind in ComfyUI's search order, and the files in them.

mod walk;

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use thiserror::Error;

use super::{
    kinds::{self, Filter, KINDS},
    paths::{self, Environment, Finding},
    settings::ModelSettings,
};

pub use walk::Skipped;

/// Why the library cannot be opened or asked.
#[derive(Debug, Error)]
pub enum LibraryError {
    /// There is no such folder.
    #[error("comfyui.dir, {0}, is not a folder of ComfyUI: it has no folder \"models\"")]
    NoModels(PathBuf),
    /// The list of further folders cannot be read.
    #[error("{path} cannot be read")]
    ExtraPaths {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither ComfyUI nor the list of further folders knows this kind.
    #[error("there is no kind of model {kind:?}{}", nearest.map_or_else(String::new, |name| format!("; did you mean {name:?}?")))]
    UnknownKind {
        /// As asked for.
        kind: String,
        /// The nearest that is known.
        nearest: Option<&'static str>,
    },
    /// No folder of the kind has such a file.
    #[error("no folder of {kind} has a file {name:?}")]
    NoFile {
        /// The kind.
        kind: String,
        /// As asked for.
        name: String,
    },
    /// The name would lead out of the folders.
    #[error("{0:?} is not the name of a model: it must be a path inside a folder, without . and ..")]
    Outside(String),
}

/// Who names a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Origin {
    /// ComfyUI itself.
    Comfyui,
    /// `extra_model_paths.yaml`.
    ExtraPaths {
        /// Its section.
        section: String,
        /// Its line, from 1.
        line: usize,
    },
}

/// A folder that is searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// Where.
    #[serde(serialize_with = "lossy")]
    pub dir: PathBuf,
    /// Who names it.
    pub origin: Origin,
}

/// A model file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelFile {
    /// Its kind, by its present name.
    pub kind: String,
    /// As ComfyUI lists it: the path inside its folder.
    pub name: String,
    /// Where it is.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// When it was last written, where the disk knows.
    pub modified: Option<Timestamp>,
    /// The file of the same name that ComfyUI loads instead, as its folder is searched before.
    #[serde(serialize_with = "lossy_option", skip_serializing_if = "Option::is_none")]
    pub shadowed_by: Option<PathBuf>,
}

/// The files of a kind.
#[derive(Debug, Default)]
pub struct Listing {
    /// By name.
    pub files: Vec<ModelFile>,
    /// What could not be looked at.
    pub skipped: Vec<Skipped>,
}

#[derive(Debug)]
struct Shelf {
    kind: String,
    filter: Filter,
    folders: Vec<Folder>,
}

/// The folders of one ComfyUI.
#[derive(Debug)]
pub struct Library {
    shelves: Vec<Shelf>,
    findings: Vec<Finding>,
    extra: Option<PathBuf>,
}

impl Library {
    /// Finds the folders. Faults of `extra_model_paths.yaml` are [`Library::findings`]; what it says rightly
    /// counts all the same.
    ///
    /// # Errors
    /// [`LibraryError::NoModels`] and [`LibraryError::ExtraPaths`].
    pub fn open(settings: &ModelSettings, environment: &Environment) -> Result<Self, LibraryError> {
        let dir = std::path::absolute(&settings.dir).unwrap_or_else(|_| settings.dir.clone());
        let models = dir.join("models");
        if !models.is_dir() {
            return Err(LibraryError::NoModels(dir));
        }
        let mut library = Self {
            shelves: KINDS.iter().map(|kind| own_shelf(kind, &dir, &models)).collect(),
            findings: Vec::new(),
            extra: settings.extra_paths_file(&dir),
        };
        if let Some(path) = library.extra.clone() {
            let extra = paths::validate(&path, environment)
                .map_err(|source| LibraryError::ExtraPaths { path, source })?;
            library.findings = extra.findings;
            for folder in extra.folders {
                library.add(folder);
            }
        }
        Ok(library)
    }

    /// As ComfyUI does it: a folder of a default section comes first, so that the last of them is the first.
    fn add(&mut self, extra: paths::ExtraFolder) {
        let known = self.shelves.iter().position(|shelf| shelf.kind == extra.kind);
        let at = known.unwrap_or(self.shelves.len());
        if known.is_none() {
            self.shelves.push(Shelf {
                kind: extra.kind,
                filter: Filter::Any,
                folders: Vec::new(),
            });
        }
        let Some(shelf) = self.shelves.get_mut(at) else {
            return;
        };
        let known = shelf.folders.iter().position(|folder| folder.dir == extra.dir);
        let folder = match known {
            Some(_) if !extra.first => return,
            Some(at) => shelf.folders.remove(at),
            None => Folder {
                dir: extra.dir,
                origin: Origin::ExtraPaths {
                    section: extra.section,
                    line: extra.line,
                },
            },
        };
        let place = if extra.first { 0 } else { shelf.folders.len() };
        shelf.folders.insert(place, folder);
    }

    /// What is wrong with `extra_model_paths.yaml`.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The `extra_model_paths.yaml` that was read, if there is one.
    pub fn extra_paths_file(&self) -> Option<&Path> {
        self.extra.as_deref()
    }

    /// The kinds, by their present names, in ComfyUI's order.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.shelves.iter().map(|shelf| shelf.kind.as_str())
    }

    /// The folders of a kind in search order, whether they exist or not.
    ///
    /// # Errors
    /// [`LibraryError::UnknownKind`].
    pub fn folders(&self, kind: &str) -> Result<&[Folder], LibraryError> {
        Ok(&self.shelf(kind)?.folders)
    }

    /// The files of a kind. Blocks.
    ///
    /// # Errors
    /// [`LibraryError::UnknownKind`].
    pub fn files(&self, kind: &str) -> Result<Listing, LibraryError> {
        let shelf = self.shelf(kind)?;
        let mut listing = Listing::default();
        for folder in &shelf.folders {
            walk::walk(&folder.dir, &shelf.kind, shelf.filter, &mut listing);
        }
        // files of earlier folders stand first among those of a name
        listing.files.sort_by(|one, other| one.name.cmp(&other.name));
        let mut first: Option<(String, PathBuf)> = None;
        for file in &mut listing.files {
            match &first {
                Some((name, path)) if *name == file.name => file.shadowed_by = Some(path.clone()),
                Some(_) | None => first = Some((file.name.clone(), file.path.clone())),
            }
        }
        Ok(listing)
    }

    /// The path of a model by its kind and name, as ComfyUI finds it. Blocks shortly.
    ///
    /// # Errors
    /// [`LibraryError::UnknownKind`], [`LibraryError::Outside`] and [`LibraryError::NoFile`].
    pub fn resolve(&self, kind: &str, name: &str) -> Result<PathBuf, LibraryError> {
        let shelf = self.shelf(kind)?;
        let relative = Path::new(name);
        let inside = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !inside {
            return Err(LibraryError::Outside(name.to_owned()));
        }
        shelf
            .folders
            .iter()
            .map(|folder| folder.dir.join(relative))
            .find(|path| fs::metadata(path).is_ok_and(|found| found.is_file()))
            .ok_or_else(|| LibraryError::NoFile {
                kind: shelf.kind.clone(),
                name: name.to_owned(),
            })
    }

    fn shelf(&self, kind: &str) -> Result<&Shelf, LibraryError> {
        let name = kinds::present_name(kind);
        self.shelves
            .iter()
            .find(|shelf| shelf.kind == name)
            .ok_or_else(|| LibraryError::UnknownKind {
                kind: kind.to_owned(),
                nearest: kinds::nearest(kind),
            })
    }
}

fn own_shelf(kind: &kinds::Kind, dir: &Path, models: &Path) -> Shelf {
    let folder = |name: &&str| Folder {
        dir: match name.strip_prefix("../") {
            Some(beside) => dir.join(beside),
            None => models.join(name),
        },
        origin: Origin::Comfyui,
    };
    Shelf {
        kind: kind.name.to_owned(),
        filter: kind.filter,
        folders: kind.folders.iter().map(folder).collect(),
    }
}

/// A path need not be UTF-8, and JSON must be.
pub(super) fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[expect(clippy::ref_option, reason = "serde passes the field so")]
fn lossy_option<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref()
        .map(|path| path.to_string_lossy())
        .serialize(serializer)
}

#[cfg(test)]
mod tests;
