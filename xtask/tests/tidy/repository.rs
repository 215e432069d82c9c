//! The files of the repository, read once for a rule, or made up for the test of a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Directories that a build or a run makes, for the walk where git cannot say what belongs to the project.
const MADE_HERE: [&str; 4] = [".git", ".tools", "data", "target"];

/// Every file that belongs to the project, by its path from the root with forward slashes.
pub(crate) struct Repository {
    /// `None` is a file that is not text.
    files: BTreeMap<String, Option<String>>,
    directories: BTreeSet<String>,
}

impl Repository {
    /// Reads the working tree: tracked files and new ones that are not ignored.
    pub(crate) fn read() -> Self {
        let root = root();
        let paths = listed_by_git(&root).unwrap_or_else(|| walked(&root));
        Self::new(paths.into_iter().filter_map(|path| {
            // a file that was deleted and is still in the index is not there any more
            let bytes = std::fs::read(root.join(&path)).ok()?;
            Some((path, String::from_utf8(bytes).ok()))
        }))
    }

    /// A repository of these texts.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self::new(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned()))),
        )
    }

    fn new(files: impl Iterator<Item = (String, Option<String>)>) -> Self {
        let files: BTreeMap<_, _> = files.collect();
        let mut directories = BTreeSet::new();
        for path in files.keys() {
            let slashes = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
            directories.extend(slashes);
        }
        Self { files, directories }
    }

    /// The files that are text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// The text files with this ending.
    pub(crate) fn texts_ending(&self, ending: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(ending))
    }

    /// One text file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// All paths of files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// All paths of directories.
    pub(crate) fn directories(&self) -> impl Iterator<Item = &str> {
        self.directories.iter().map(String::as_str)
    }

    /// Whether there is such a file or directory; the root is the empty path.
    pub(crate) fn has(&self, path: &str) -> bool {
        path.is_empty() || self.files.contains_key(path) || self.directories.contains(path)
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .expect("the package is in the repository")
        .to_path_buf()
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    let listing = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> = listing.split_terminator('\0').map(str::to_owned).collect();
    // an archive of the sources, unpacked inside some other repository, is unknown to that one
    (!paths.is_empty()).then_some(paths)
}

fn walked(root: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in directory.read_dir().expect("a readable directory").flatten() {
            let path = entry.path();
            let relative = path.strip_prefix(root).expect("below the root");
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            // links are not followed: they may lead in a circle
            let kind = entry.file_type().expect("a file type");
            if kind.is_file() {
                paths.push(parts.join("/"));
            } else if kind.is_dir() && !MADE_HERE.contains(&parts.join("/").as_str()) {
                open.push(path);
            }
        }
    }
    paths
}

#[test]
fn reads_the_same_with_and_without_git() {
    let listed = listed_by_git(&root()).unwrap_or_default();
    let walked: BTreeSet<String> = walked(&root()).into_iter().collect();
    let missed: Vec<&String> = listed
        .iter()
        .filter(|path| !walked.contains(*path) && root().join(path).is_file())
        .collect();
    assert!(missed.is_empty(), "{missed:?}");
    assert!(walked.contains("xtask/tests/tidy/repository.rs"));
}
