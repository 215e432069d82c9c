//! Rules for Rust files: what they open with, what they are called, how long they are, how tests wait.

use crate::repository::Repository;

/// Longer than this needs a reason.
const LONGEST: usize = 400;

/// Files that may be longer, each with its reason.
pub(crate) const LONG_FILES: &[(&str, &str)] = &[(
    "proto/src/failure.rs",
    "one closed list, a row for each code; split, it would be two lists",
)];

/// Names that say nothing of what is inside.
const DRAWERS: [&str; 9] = [
    "util", "utils", "common", "helper", "helpers", "types", "misc", "manager", "managers",
];

/// Files that do not open with `//!`.
pub(crate) fn without_header(repository: &Repository) -> Vec<String> {
    let opens =
        |text: &str| text.starts_with("//! ") && text.lines().next().is_some_and(|line| line.len() > 12);
    let sources = repository.texts_ending(".rs").filter(|(_, text)| !opens(text));
    sources
        .map(|(path, _)| format!("{path} does not open with `//!` and its job"))
        .collect()
}

/// Directories and modules with a drawer's name.
pub(crate) fn drawers(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    let modules = repository.paths().filter_map(|path| path.strip_suffix(".rs"));
    for path in repository.directories().chain(modules) {
        let name = path.rsplit('/').next().unwrap_or(path);
        if DRAWERS.contains(&name) {
            faults.push(format!("{path} says nothing of what is inside"));
        }
    }
    for (path, text) in repository.texts_ending(".rs") {
        for name in text
            .lines()
            .filter_map(inline_module)
            .filter(|name| DRAWERS.contains(name))
        {
            faults.push(format!("{path}: mod {name} says nothing of what is inside"));
        }
    }
    faults
}

/// The name in a line such as `pub(crate) mod name {`; a module in a file of its own has been seen as a file.
fn inline_module(line: &str) -> Option<&str> {
    let declaration = line.trim().strip_suffix('{')?.trim_end();
    let (before, name) = declaration.rsplit_once("mod ")?;
    (before.is_empty() || before.starts_with("pub")).then_some(name)
}

/// Files over the limit that are not listed, and entries of the list that are not needed. Tests are exempt:
/// they are read one at a time.
pub(crate) fn too_long(repository: &Repository, listed: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in repository
        .texts_ending(".rs")
        .filter(|(path, _)| !is_in_tests(path))
    {
        let lines = text.lines().count();
        if lines > LONGEST && !listed.iter().any(|(long, _)| *long == path) {
            faults.push(format!("{path} has {lines} lines, more than {LONGEST}"));
        }
    }
    for (path, reason) in listed {
        let lines = repository.text(path).map_or(0, |text| text.lines().count());
        if lines <= LONGEST || reason.is_empty() {
            faults.push(format!(
                "{path} has {lines} lines and is listed as long with the reason {reason:?}"
            ));
        }
    }
    faults
}

fn is_in_tests(path: &str) -> bool {
    path.split('/').any(|part| part == "tests")
}

/// Places in tests that wait for time to pass instead of for something to happen.
pub(crate) fn sleeps(repository: &Repository) -> Vec<String> {
    let waits = |path: &str| is_in_tests(path) || path.starts_with("e2e/");
    lines_of_code(repository, waits, |line| {
        calls(line, "sleep") || calls(line, "sleep_until")
    })
}

/// Tests that are never run.
pub(crate) fn ignored_tests(repository: &Repository) -> Vec<String> {
    lines_of_code(
        repository,
        |_| true,
        |line| line.trim_start().starts_with(concat!("#[", "ignore")),
    )
}

fn lines_of_code(
    repository: &Repository,
    of_interest: impl Fn(&str) -> bool,
    is_fault: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in repository
        .texts_ending(".rs")
        .filter(|(path, _)| of_interest(path))
    {
        for (index, line) in text.lines().enumerate() {
            let code = line.split_once("//").map_or(line, |(code, _comment)| code);
            if is_fault(code) {
                faults.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    faults
}

/// Whether the line calls a function of this very name.
fn calls(line: &str, function: &str) -> bool {
    line.match_indices(function).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let is_whole_name = !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        is_whole_name && line[at + function.len()..].trim_start().starts_with('(')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_file_that_does_not_say_its_job() {
        let repository = Repository::of(&[
            ("a/src/lib.rs", "//! Does something useful.\n"),
            ("a/build.rs", "fn main() {}\n"),
            ("a/src/empty.rs", ""),
            ("a/src/bare.rs", "//!\n//! Late.\n"),
            ("a/README.md", "# no Rust\n"),
        ]);
        let faults = without_header(&repository);
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults.iter().any(|fault| fault.starts_with("a/build.rs")));
    }

    #[test]
    fn finds_drawers_as_files_directories_and_modules() {
        for path in [
            "a/src/utils.rs",
            "a/src/common/lease.rs",
            "a/tests/helpers/mod.rs",
            "docs/misc/page.md",
        ] {
            assert_eq!(drawers(&Repository::of(&[(path, "")])).len(), 1, "{path}");
        }
        assert_eq!(
            drawers(&Repository::of(&[(
                "a/src/lib.rs",
                "pub(crate) mod types {\n}\n"
            )]))
            .len(),
            1
        );
        let good = [
            ("a/src/lease.rs", "mod tests {\n"),
            ("a/src/typed.rs", "// a mod utils {\n"),
        ];
        assert!(drawers(&Repository::of(&good)).is_empty());
    }

    #[test]
    fn finds_long_files_and_idle_entries_of_the_list() {
        let long = "x\n".repeat(LONGEST + 1);
        let short = "x\n".repeat(LONGEST);
        let repository = Repository::of(&[
            ("a/src/long.rs", &long),
            ("a/src/short.rs", &short),
            ("a/tests/long.rs", &long),
        ]);
        assert_eq!(too_long(&repository, &[]).len(), 1);
        assert!(too_long(&repository, &[("a/src/long.rs", "a table")]).is_empty());
        assert_eq!(too_long(&repository, &[("a/src/long.rs", "")]).len(), 1);
        assert_eq!(
            too_long(
                &repository,
                &[("a/src/long.rs", "a table"), ("a/src/short.rs", "why")]
            )
            .len(),
            1
        );
        assert_eq!(
            too_long(
                &repository,
                &[("a/src/long.rs", "a table"), ("a/src/gone.rs", "why")]
            )
            .len(),
            1
        );
    }

    #[test]
    fn finds_sleeps_in_tests_only() {
        // with another word, or this test would be a fault itself
        let repository = |path: &str, line: &str| Repository::of(&[(path, &line.replace("nap", "sleep"))]);
        for line in [
            "    std::thread::nap(SECOND);",
            "    tokio::time::nap (SECOND).await;",
            "    nap_until(deadline).await;",
            "    select! { () = nap(SECOND) => {} }",
        ] {
            for path in ["worker/tests/drain.rs", "e2e/src/lib.rs", "e2e/tests/restart.rs"] {
                assert_eq!(sleeps(&repository(path, line)).len(), 1, "{path} {line}");
            }
            assert!(sleeps(&repository("worker/src/backoff.rs", line)).is_empty());
        }
        for line in [
            "// nap(SECOND)",
            "anap();",
            "let nap = 1;",
            "naps()",
            "do_nap(1);",
        ] {
            assert!(
                sleeps(&repository("worker/tests/drain.rs", line)).is_empty(),
                "{line}"
            );
        }
    }

    #[test]
    fn finds_tests_that_are_switched_off() {
        for line in [concat!("#[", "ignore]"), concat!("    #[", "ignore = \"slow\"]")] {
            assert_eq!(
                ignored_tests(&Repository::of(&[("a/src/lib.rs", line)])).len(),
                1,
                "{line}"
            );
        }
        assert!(ignored_tests(&Repository::of(&[("a/src/lib.rs", "#[test]\n// ignore\n")])).is_empty());
    }
}
