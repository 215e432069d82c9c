//! Checks the files of a library, takes their SHA-256 where wanted, and reports.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::{
    check::check,
    library::{Library, LibraryError, ModelFile, Skipped},
    verdict::{Fault, Verdict},
};

/// Bytes that are read at a time; between two reads a cancellation is noticed.
const PIECE: usize = 1024 * 1024;

/// Which files are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only the file of this name.
    pub name: Option<String>,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file that is looked at.
    pub file: &'a ModelFile,
    /// Its number, from 1.
    pub number: usize,
    /// How many there are.
    pub files: usize,
    /// Bytes that were hashed, or whose hash was known.
    pub bytes_done: u64,
    /// Bytes of all files together.
    pub bytes_total: u64,
}

/// What is said about one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// The file.
    #[serde(flatten)]
    pub file: ModelFile,
    /// Digest of its content, hex, if it was wanted and could be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether it is whole.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What may be amiss with a file that is whole, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// Files with the same content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// Digest of the content, hex.
    pub sha256: String,
    /// Bytes of each.
    pub size: u64,
    /// Where they lie.
    pub paths: Vec<String>,
}

/// What is said about all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// By kind in ComfyUI's order, then by name.
    pub files: Vec<FileReport>,
    /// What could not be looked at.
    pub skipped: Vec<Skipped>,
    /// Files that could share one place on the disk; known only with SHA-256.
    pub duplicates: Vec<Duplicates>,
    /// Whether it was cancelled before all files were looked at.
    pub cancelled: bool,
}

impl Report {
    /// The files that cannot be loaded.
    pub fn broken(&self) -> impl Iterator<Item = &FileReport> {
        self.files.iter().filter(|file| file.verdict.fault().is_some())
    }
}

/// Digests that were taken before, as long as size and time of the file are the same.
#[derive(Debug, Default)]
pub struct Hashes {
    known: HashMap<PathBuf, Known>,
}

#[derive(Debug)]
struct Known {
    size: u64,
    modified: Timestamp,
    sha256: String,
}

impl Hashes {
    /// The SHA-256 of a file in hex, if it was taken before and the file is the same. Reads nothing.
    pub fn known(&self, path: &Path) -> Option<String> {
        let known = self.known.get(path)?;
        let same = stamp(path).is_ok_and(|stamp| stamp == (known.size, Some(known.modified)));
        same.then(|| known.sha256.clone())
    }

    /// Takes over what another one knows.
    pub fn absorb(&mut self, other: Self) {
        self.known.extend(other.known);
    }

    /// The SHA-256 of a file in hex, taken now or known from before; `None` if `cancel` came first.
    /// `on_bytes` is told of each piece that was read. Blocks.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of_file(
        &mut self,
        path: &Path,
        cancel: &CancellationToken,
        mut on_bytes: impl FnMut(u64),
    ) -> io::Result<Option<String>> {
        let stamp = stamp(path)?;
        if let Some(known) = self.known.get(path)
            && stamp == (known.size, Some(known.modified))
        {
            on_bytes(known.size);
            return Ok(Some(known.sha256.clone()));
        }
        let mut file = File::open(path)?;
        let mut digest = Sha256::new();
        let mut piece = vec![0; PIECE];
        loop {
            if cancel.is_cancelled() {
                return Ok(None);
            }
            let read = match file.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            digest.update(piece.get(..read).unwrap_or_default());
            on_bytes(read as u64);
        }
        let sha256 = hex::encode(digest.finalize());
        // a file that is being written has no digest that would be worth keeping
        if self::stamp(path)? == stamp
            && let (size, Some(modified)) = stamp
        {
            let sha256 = sha256.clone();
            self.known.insert(
                path.to_owned(),
                Known {
                    size,
                    modified,
                    sha256,
                },
            );
        }
        Ok(Some(sha256))
    }
}

fn stamp(path: &Path) -> io::Result<(u64, Option<Timestamp>)> {
    let found = fs::metadata(path)?;
    let modified = found
        .modified()
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok());
    Ok((found.len(), modified))
}

/// Checks the selected files one after the other; with `sha256` also reads them whole. Blocks, for minutes
/// where many gigabytes are hashed.
///
/// # Errors
/// [`LibraryError::UnknownKind`], and [`LibraryError::NoFile`] where a name was given that nothing has.
pub fn verify(
    library: &Library,
    selection: &Selection,
    sha256: bool,
    hashes: &mut Hashes,
    mut on_progress: impl FnMut(Progress<'_>),
    cancel: &CancellationToken,
) -> Result<Report, LibraryError> {
    let (files, skipped) = select(library, selection)?;
    let mut report = Report {
        skipped,
        ..Report::default()
    };
    let (count, bytes_total) = (files.len(), files.iter().map(|file| file.size).sum());
    let mut bytes_before = 0;
    for (number, file) in (1..).zip(files) {
        if cancel.is_cancelled() {
            report.cancelled = true;
            break;
        }
        let mut read = 0;
        let mut tell = |more: u64| {
            read += more;
            on_progress(Progress {
                file: &file,
                number,
                files: count,
                bytes_done: bytes_before + read.min(file.size),
                bytes_total,
            });
        };
        tell(0);
        let mut verdict = look(&file);
        let mut digest = None;
        if sha256 {
            match hashes.of_file(&file.path, cancel, &mut tell) {
                Ok(taken) => digest = taken,
                Err(error) if verdict.fault().is_none() => verdict = unreadable(&error),
                Err(_) => {}
            }
        }
        bytes_before += file.size;
        report.files.push(FileReport {
            hints: hints(&file, &verdict),
            file,
            sha256: digest,
            verdict,
        });
    }
    report.cancelled |= cancel.is_cancelled();
    report.duplicates = duplicates(&report.files);
    Ok(report)
}

fn select(library: &Library, selection: &Selection) -> Result<(Vec<ModelFile>, Vec<Skipped>), LibraryError> {
    let kinds: Vec<&str> = match &selection.kind {
        Some(kind) => vec![kind],
        None => library.kinds().collect(),
    };
    let (mut files, mut skipped) = (Vec::new(), Vec::new());
    for kind in kinds {
        let listing = library.files(kind)?;
        files.extend(listing.files);
        skipped.extend(listing.skipped);
    }
    if let Some(name) = &selection.name {
        files.retain(|file| file.name == *name);
        if files.is_empty() {
            return Err(LibraryError::NoFile {
                kind: selection.kind.clone().unwrap_or_else(|| "any kind".into()),
                name: name.clone(),
            });
        }
    }
    Ok((files, skipped))
}

fn look(file: &ModelFile) -> Verdict {
    let checked = File::open(&file.path).and_then(|mut open| {
        let size = open.metadata()?.len();
        Ok(check(&file.name, size, &mut open))
    });
    checked.unwrap_or_else(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> Verdict {
    Fault::NotReadable {
        detail: error.to_string(),
    }
    .into()
}

fn hints(file: &ModelFile, verdict: &Verdict) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(contents) = verdict.contents() {
        let right = contents.family.belongs_in();
        // only where ComfyUI itself knows what belongs there
        let telling = super::kinds::find(&file.kind).is_some_and(|kind| right_or_wrong(kind.name));
        if telling && !right.is_empty() && !right.contains(&file.kind.as_str()) {
            hints.push(format!(
                "its tensors are those of the family {}, which belongs in {}; here it cannot be loaded",
                contents.family.as_str(),
                right.join(" or ")
            ));
        }
    }
    if let Some(first) = &file.shadowed_by {
        hints.push(format!(
            "ComfyUI loads {} in its place, which has the same name",
            first.display()
        ));
    }
    hints
}

/// The kinds whose loaders take one family of files and no other.
fn right_or_wrong(kind: &str) -> bool {
    matches!(
        kind,
        "checkpoints"
            | "diffusion_models"
            | "loras"
            | "vae"
            | "controlnet"
            | "upscale_models"
            | "clip_vision"
    )
}

fn duplicates(files: &[FileReport]) -> Vec<Duplicates> {
    let mut places: BTreeMap<(&str, u64), BTreeSet<PathBuf>> = BTreeMap::new();
    for report in files {
        if let Some(sha256) = &report.sha256 {
            // two ways to one file are no duplicates
            let real = fs::canonicalize(&report.file.path).unwrap_or_else(|_| report.file.path.clone());
            places.entry((sha256, report.file.size)).or_default().insert(real);
        }
    }
    places
        .into_iter()
        .filter(|(_, paths)| paths.len() > 1)
        .map(|((sha256, size), paths)| Duplicates {
            sha256: sha256.to_owned(),
            size,
            paths: paths
                .iter()
                .map(|path| path.to_string_lossy().into_owned())
                .collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
