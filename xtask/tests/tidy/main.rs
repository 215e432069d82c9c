//! What no other tool knows of this repository and must hold all the same, one test a rule. Each rule is a
//! pure function from what is there to a list of faults, and has been seen to find one.

mod arrows;
mod documents;
mod names;
mod repository;
mod sources;

use repository::Repository;

/// Fails with all faults at once.
fn none(faults: &[String], remedy: &str) {
    assert!(faults.is_empty(), "\n  {}\n{remedy}\n", faults.join("\n  "));
}

#[test]
fn crates_import_only_what_the_table_allows() {
    let faults = arrows::faults(&arrows::members());
    none(
        &faults,
        "the table is in xtask/tests/tidy/arrows.rs; arrows point down, from the services to the contract",
    );
}

#[test]
fn every_source_file_says_its_job() {
    let faults = sources::without_header(&Repository::read());
    none(
        &faults,
        "open the file with `//!` and one sentence that says what it is for",
    );
}

#[test]
fn no_module_is_a_drawer() {
    let faults = sources::drawers(&Repository::read());
    none(
        &faults,
        "name the module after what it does, so that the tree can be read",
    );
}

#[test]
fn files_are_short_or_listed_with_a_reason() {
    let faults = sources::too_long(&Repository::read(), sources::LONG_FILES);
    none(
        &faults,
        "split the file by decision, or give the reason in LONG_FILES of xtask/tests/tidy/sources.rs",
    );
}

#[test]
fn tests_wait_for_conditions() {
    let faults = sources::sleeps(&Repository::read());
    none(
        &faults,
        "wait for the condition itself, with a deadline; where it must be polled, tick a tokio interval",
    );
}

#[test]
fn no_test_is_switched_off() {
    let faults = sources::ignored_tests(&Repository::read());
    none(&faults, "repair the test or remove it");
}

#[test]
fn every_failure_code_has_its_page() {
    let faults = documents::code_pages(&Repository::read());
    none(
        &faults,
        "each code in proto/src/failure.rs has docs/codes/<code>.md: Means, Likely causes, Do this",
    );
}

#[test]
fn the_architecture_names_only_what_exists() {
    let faults = documents::architecture(&Repository::read());
    none(&faults, "ARCHITECTURE.md and the tree must agree");
}

#[test]
fn links_between_documents_resolve() {
    let faults = documents::links(&Repository::read());
    none(&faults, "a relative link leads to a file of the repository");
}

#[test]
fn no_path_of_one_machine() {
    let faults = names::machine_paths(&Repository::read());
    none(&faults, "make the path relative, or a setting");
}

#[test]
fn dashboards_use_metrics_that_exist() {
    let faults = names::unknown_metrics(&Repository::read());
    none(
        &faults,
        "a metric is spelled once, in the metrics.rs of its crate",
    );
}
