//! Rules for names that reach beyond one file: paths of one machine, and metrics.

use std::collections::BTreeSet;

use crate::repository::Repository;

/// Where people and machines keep their own files; in pieces, or this file would break its rule.
const MACHINE_PATHS: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
];

/// What metric libraries append to a name: the kind for counters and information, the parts of a histogram.
const METRIC_ENDINGS: [&str; 6] = ["_total", "_bucket", "_sum", "_count", "_created", "_info"];

/// Before every metric of ours.
const METRIC_PREFIX: &str = "orchestrator_";

/// Absolute paths that exist on one machine only.
pub(crate) fn machine_paths(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in repository.texts().filter(|(path, _)| *path != "Cargo.lock") {
        for (index, line) in text.lines().enumerate() {
            if MACHINE_PATHS.iter().any(|marker| has_absolute(line, marker)) {
                faults.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    faults
}

/// Whether the marker begins a path; after a name or a variable it is the middle of a relative one.
fn has_absolute(line: &str, marker: &str) -> bool {
    line.match_indices(marker).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_alphanumeric() || "._-~})>*".contains(letter))
    })
}

/// Metrics that a dashboard or an alert uses and no `metrics.rs` spells.
pub(crate) fn unknown_metrics(repository: &Repository) -> Vec<String> {
    let spelled: BTreeSet<&str> = repository
        .texts_ending("/metrics.rs")
        .flat_map(|(_, text)| text.split('"').skip(1).step_by(2))
        .collect();
    let mut faults = Vec::new();
    for (path, text) in repository.texts().filter(|(path, _)| is_dashboard(path)) {
        let unknown: BTreeSet<&str> = metrics_in(text)
            .filter(|metric| !is_spelled(metric, &spelled))
            .collect();
        faults.extend(
            unknown
                .iter()
                .map(|metric| format!("{path} uses {metric}, which no metrics.rs spells")),
        );
    }
    faults
}

fn is_dashboard(path: &str) -> bool {
    path.starts_with("grafana/")
        && [".json", ".yml", ".yaml"]
            .iter()
            .any(|ending| path.ends_with(ending))
}

fn metrics_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.len() > METRIC_PREFIX.len() && word.starts_with(METRIC_PREFIX))
}

/// As it is, or without what the library adds when it prints: the ending, and the prefix of the registry.
fn is_spelled(metric: &str, spelled: &BTreeSet<&str>) -> bool {
    let shorter = METRIC_ENDINGS
        .iter()
        .filter_map(|ending| metric.strip_suffix(ending));
    std::iter::once(metric).chain(shorter).any(|name| {
        let bare = name.strip_prefix(METRIC_PREFIX).unwrap_or(name);
        spelled.contains(name) || spelled.contains(bare)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_paths_of_one_machine() {
        for marker in MACHINE_PATHS {
            for line in [
                format!("cd {marker}project"),
                format!("dir = \"{marker}x\""),
                format!("({marker}x)"),
            ] {
                assert_eq!(
                    machine_paths(&Repository::of(&[("docs/a.md", &line)])).len(),
                    1,
                    "{line}"
                );
            }
            for line in [
                format!("https://example.com{marker}x"),
                format!("~{marker}x"),
                format!("${{dir}}{marker}"),
            ] {
                assert!(
                    machine_paths(&Repository::of(&[("docs/a.md", &line)])).is_empty(),
                    "{line}"
                );
            }
            let lock = format!("\"{marker}x\"");
            assert!(machine_paths(&Repository::of(&[("Cargo.lock", &lock)])).is_empty());
        }
    }

    fn used(metric: &str) -> Vec<String> {
        let board = format!(r#"{{ "expr": "sum by (le) (rate({metric}{{code=\"x\"}}[5m]))" }}"#);
        unknown_metrics(&Repository::of(&[
            (
                "worker/src/metrics.rs",
                r#"const A: &str = "orchestrator_attempt_seconds"; f("jobs_accepted", "Help.");"#,
            ),
            ("worker/src/other.rs", r#""orchestrator_elsewhere""#),
            ("grafana/dashboards/main.json", &board),
            ("docs/example.json", "orchestrator_not_a_dashboard"),
        ]))
    }

    #[test]
    fn finds_metrics_that_nobody_spells() {
        for metric in [
            "orchestrator_attempt_seconds_bucket",
            "orchestrator_jobs_accepted_total",
        ] {
            assert!(used(metric).is_empty(), "{metric}");
        }
        for metric in [
            "orchestrator_attempt_secs_bucket",
            "orchestrator_elsewhere",
            "orchestrator_jobs_total",
        ] {
            assert_eq!(used(metric).len(), 1, "{metric}");
        }
        assert!(used("up").is_empty());
    }
}
