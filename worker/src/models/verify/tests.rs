//! A small library with whole, broken, misplaced and doubled files.

use super::*;
use crate::models::{ModelSettings, check::tests::safetensors_file, paths::Environment};

const WHOLE: &str = r#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
const LORA: &str = r#"{"x.lora_down.weight":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;

fn library(files: &[(&str, Vec<u8>)]) -> (tempfile::TempDir, Library) {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, content) in files {
        let path = dir.path().join("models").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    }
    let settings = ModelSettings {
        dir: dir.path().to_owned(),
        extra_model_paths: None,
    };
    let library = Library::open(&settings, &Environment::default()).expect("a library");
    (dir, library)
}

fn usual() -> (tempfile::TempDir, Library) {
    library(&[
        ("checkpoints/a.safetensors", safetensors_file(WHOLE, 4)),
        ("checkpoints/b.safetensors", safetensors_file(WHOLE, 3)),
        ("checkpoints/c.safetensors", safetensors_file(LORA, 4)),
        ("vae/copy.safetensors", safetensors_file(WHOLE, 4)),
    ])
}

fn all(library: &Library, sha256: bool, hashes: &mut Hashes) -> Report {
    let never = CancellationToken::new();
    verify(library, &Selection::default(), sha256, hashes, |_| {}, &never).expect("a report")
}

#[test]
fn every_file_is_judged() {
    let (_dir, library) = usual();
    let report = all(&library, false, &mut Hashes::default());
    assert_eq!(report.files.len(), 4);
    let broken: Vec<&str> = report.broken().map(|file| file.file.name.as_str()).collect();
    assert_eq!(broken, ["b.safetensors"]);
    let hinted: Vec<&FileReport> = report
        .files
        .iter()
        .filter(|file| !file.hints.is_empty())
        .collect();
    assert!(
        hinted.len() == 1 && hinted[0].file.name == "c.safetensors",
        "{hinted:?}"
    );
    assert!(hinted[0].hints[0].contains("belongs in loras"));
    assert!(report.duplicates.is_empty() && !report.cancelled);
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["files"][1]["reason"], "data_cut");
    assert_eq!(json["files"][0]["kind"], "checkpoints");
    assert!(
        json["files"][0]["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("a.safetensors"))
    );
}

#[test]
fn equal_contents_are_found_and_progress_counts_bytes() {
    let (_dir, library) = usual();
    let mut seen = Vec::new();
    let never = CancellationToken::new();
    let report = verify(
        &library,
        &Selection::default(),
        true,
        &mut Hashes::default(),
        |progress| seen.push((progress.number, progress.bytes_done, progress.bytes_total)),
        &never,
    )
    .expect("a report");
    let total: u64 = report.files.iter().map(|file| file.file.size).sum();
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(seen.last(), Some(&(4, total, total)));
    assert_eq!(report.duplicates.len(), 1);
    let doubled = &report.duplicates[0];
    assert!(
        doubled.paths.len() == 2 && doubled.paths[1].ends_with("copy.safetensors"),
        "{doubled:?}"
    );
    let expected = hex::encode(Sha256::digest(safetensors_file(WHOLE, 4)));
    assert_eq!(doubled.sha256, expected);
}

#[test]
fn a_digest_is_taken_anew_only_for_a_changed_file() {
    let (dir, library) = usual();
    let mut hashes = Hashes::default();
    let before = all(&library, true, &mut hashes);
    let path = dir.path().join("models/vae/copy.safetensors");
    // what is known is told without reading: the entry is changed here to see that it is used
    hashes.known.get_mut(&path).expect("known").sha256 = "remembered".into();
    let vae = |report: &Report| report.files[3].sha256.clone();
    assert_eq!(
        vae(&all(&library, true, &mut hashes)).as_deref(),
        Some("remembered")
    );
    fs::write(&path, safetensors_file(WHOLE, 5)).expect("written");
    let after = vae(&all(&library, true, &mut hashes));
    assert!(after.is_some() && after.as_deref() != Some("remembered") && after != vae(&before));
}

#[test]
fn one_kind_or_one_file_can_be_asked_for() {
    let (_dir, library) = usual();
    let never = CancellationToken::new();
    let count = |kind: Option<&str>, name: Option<&str>| {
        let selection = Selection {
            kind: kind.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        verify(
            &library,
            &selection,
            false,
            &mut Hashes::default(),
            |_| {},
            &never,
        )
        .map(|report| report.files.len())
    };
    assert_eq!(count(Some("vae"), None).expect("a report"), 1);
    assert_eq!(count(None, Some("b.safetensors")).expect("a report"), 1);
    assert!(matches!(
        count(Some("vae"), Some("b.safetensors")),
        Err(LibraryError::NoFile { .. })
    ));
    assert!(matches!(
        count(Some("vaes"), None),
        Err(LibraryError::UnknownKind { .. })
    ));
}

#[test]
fn a_cancelled_verification_reports_what_it_has() {
    let (_dir, library) = usual();
    let cancel = CancellationToken::new();
    let stop_at_third = |progress: Progress<'_>| {
        if progress.number == 3 {
            cancel.cancel();
        }
    };
    let report = verify(
        &library,
        &Selection::default(),
        true,
        &mut Hashes::default(),
        stop_at_third,
        &cancel,
    )
    .expect("a report");
    assert!(report.cancelled && report.files.len() == 3);
    assert_eq!(report.files[2].sha256, None);
    assert!(report.files[1].sha256.is_some());
}
