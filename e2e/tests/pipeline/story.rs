//! What the JSON of a job tells, and what lies in the artifact store.

use std::{
    fs,
    path::{Path, PathBuf},
};

use e2e::{Client, System};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// The elements of a list; none where it is left out because it is empty.
pub(crate) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The kinds of the timeline's events, in order, without the phases.
pub(crate) fn turns(job: &Value) -> Vec<&str> {
    let kinds = list(job, "timeline").iter().map(|event| &event["kind"]);
    kinds
        .filter_map(Value::as_str)
        .filter(|kind| *kind != "phase")
        .collect()
}

/// A moment that the JSON names.
pub(crate) fn moment(value: &Value) -> Timestamp {
    let text = value.as_str().expect("a moment");
    text.parse().expect("RFC 3339")
}

/// From one moment to another, in seconds.
pub(crate) fn seconds(from: &Value, to: &Value) -> f64 {
    moment(to).duration_since(moment(from)).as_secs_f64()
}

/// A moment from now, as a request names it.
pub(crate) fn in_millis(millis: i64) -> String {
    (Timestamp::now() + SignedDuration::from_millis(millis)).to_string()
}

/// How many jobs there are.
pub(crate) async fn total(client: &Client) -> u64 {
    let (_, page) = client.get("/api/jobs?limit=1").await;
    let total = page["total"].as_str().expect("a total");
    total.parse().expect("a number")
}

/// The id of the only output.
pub(crate) fn output(job: &Value) -> &str {
    assert_eq!(list(job, "outputs").len(), 1, "{job:#}");
    job["outputs"][0]["id"].as_str().expect("an id")
}

/// The directory of the artifact store.
pub(crate) fn store(system: &System) -> PathBuf {
    system.dir.path().join("artifacts")
}

/// All files below a directory, relative to it; none where it is not there.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
            if entry.path().is_dir() {
                collect(&entry.path(), found);
            } else {
                found.push(entry.path());
            }
        }
    }
    let mut found = Vec::new();
    collect(dir, &mut found);
    let mut relative: Vec<PathBuf> = found
        .iter()
        .filter_map(|path| path.strip_prefix(dir).ok())
        .map(Path::to_path_buf)
        .collect();
    relative.sort();
    relative
}
