//! Walks a folder of models, through links, and comes back.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{Listing, ModelFile, lossy};
use crate::models::kinds::Filter;

/// Entries of one kind after which no more are looked at: links may multiply what is there.
const MOST_ENTRIES: usize = 200_000;
const DEEPEST: usize = 64;

/// Something that is not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Where.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// Why, for people.
    pub why: String,
}

struct Walk<'a> {
    root: &'a Path,
    kind: &'a str,
    filter: Filter,
    entries: usize,
    listing: &'a mut Listing,
}

/// Adds the files under `root`. A folder that does not exist has none.
pub(super) fn walk(root: &Path, kind: &str, filter: Filter, listing: &mut Listing) {
    if filter == Filter::Nothing {
        return;
    }
    let mut walk = Walk {
        root,
        kind,
        filter,
        entries: 0,
        listing,
    };
    // what ComfyUI's user may not see must not look as if it were not there
    match fs::canonicalize(root) {
        Ok(real) => walk.enter(root, &mut vec![real]),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => walk.skip(root, error.to_string()),
    }
}

impl Walk<'_> {
    fn enter(&mut self, dir: &Path, above: &mut Vec<PathBuf>) {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => return self.skip(dir, error.to_string()),
        };
        for entry in entries {
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                if self.entries == MOST_ENTRIES + 1 {
                    self.skip(
                        dir,
                        format!("more than {MOST_ENTRIES} entries; the rest is not listed"),
                    );
                }
                return;
            }
            match entry {
                Ok(entry) => self.entry(entry.path(), above),
                Err(error) => self.skip(dir, error.to_string()),
            }
        }
    }

    fn entry(&mut self, path: PathBuf, above: &mut Vec<PathBuf>) {
        // through links
        let found = match fs::metadata(&path) {
            Ok(found) => found,
            Err(error) => {
                let link = fs::symlink_metadata(&path).is_ok_and(|link| link.is_symlink());
                let why = if link {
                    format!("a link that leads nowhere: {error}")
                } else {
                    error.to_string()
                };
                return self.skip(&path, why);
            }
        };
        if found.is_dir() {
            if path.file_name().is_some_and(|name| name == ".git") {
                return;
            }
            match fs::canonicalize(&path) {
                Ok(real) if above.contains(&real) => {
                    self.skip(&path, "a link to a folder that it lies in".into());
                }
                Ok(_) if above.len() >= DEEPEST => self.skip(&path, "too many folders deep".into()),
                Ok(real) => {
                    above.push(real);
                    self.enter(&path, above);
                    above.pop();
                }
                Err(error) => self.skip(&path, error.to_string()),
            }
        } else if found.is_file() {
            self.file(path, &found);
        }
    }

    fn file(&mut self, path: PathBuf, found: &fs::Metadata) {
        let Ok(relative) = path.strip_prefix(self.root) else {
            return;
        };
        let Some(name) = relative.to_str().map(str::to_owned) else {
            return self.skip(&path, "the name is not UTF-8".into());
        };
        if self.filter.takes(&name) {
            self.listing.files.push(ModelFile {
                kind: self.kind.to_owned(),
                name,
                size: found.len(),
                modified: found
                    .modified()
                    .ok()
                    .and_then(|time| Timestamp::try_from(time).ok()),
                path,
                shadowed_by: None,
            });
        }
    }

    fn skip(&mut self, path: &Path, why: String) {
        let path = path.to_owned();
        self.listing.skipped.push(Skipped { path, why });
    }
}
