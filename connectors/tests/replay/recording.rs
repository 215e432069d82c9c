//! Access to the recordings.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

pub(crate) fn recording(name: &str) -> Value {
    serde_json::from_slice(&fs::read(directory().join(name)).expect(name)).expect(name)
}

pub(crate) fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == extension)
}

pub(crate) fn body(name: &str) -> Value {
    recording(&format!("{name}.json"))["body"].clone()
}

/// The recordings whose names begin so, of both versions.
pub(crate) fn named(prefix: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    for folder in ["", "old_v0.3.64/"] {
        for entry in fs::read_dir(directory().join(folder)).expect("the recordings") {
            let name = entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("a name");
            if name.starts_with(prefix) && has_extension(&name, "json") {
                names.insert(format!("{folder}{}", name.trim_end_matches(".json")));
            }
        }
    }
    names.into_iter().collect()
}
