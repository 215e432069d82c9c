//! Files as people write them, right and wrong.

use proptest::prelude::*;

use super::*;

fn said(text: &str) -> ExtraPaths {
    parse(text, Path::new("/conf"), &Environment::default())
}

/// The findings as lines of text.
fn findings(text: &str) -> Vec<String> {
    said(text).findings.iter().map(ToString::to_string).collect()
}

fn places(text: &str) -> Vec<(String, String, usize)> {
    said(text)
        .folders
        .into_iter()
        .map(|folder| {
            (
                folder.kind,
                folder.dir.to_string_lossy().into_owned(),
                folder.line,
            )
        })
        .collect()
}

fn place(kind: &str, dir: &str, line: usize) -> (String, String, usize) {
    (kind.to_owned(), dir.to_owned(), line)
}

#[test]
fn folders_start_from_base_path_and_that_from_the_file() {
    let text = "\
# a comment
a111:
    base_path: webui/
    checkpoints: models/Stable-diffusion
    loras: |
         models/Lora
         models/LyCORIS

    vae: /abs/vae
other:
    clip: ../te
empty:
";
    assert_eq!(
        places(text),
        [
            place("checkpoints", "/conf/webui/models/Stable-diffusion", 4),
            place("loras", "/conf/webui/models/Lora", 6),
            place("loras", "/conf/webui/models/LyCORIS", 7),
            place("vae", "/abs/vae", 9),
            place("text_encoders", "/te", 11),
        ]
    );
    assert!(findings(text).is_empty());
}

#[test]
fn lines_of_a_block_are_counted_however_it_is_written() {
    for block in [
        "|\n    x\n",
        "|-\n\n    x",
        "| # two\n    x\n\n\n",
        ">\n    x\n",
        "'x'",
        "\n    x\n",
    ] {
        let text = format!("s:\n  loras: {block}");
        let line = 1 + text.lines().position(|line| line.contains('x')).expect("a line");
        assert_eq!(places(&text), [place("loras", "/conf/x", line)], "{text:?}");
    }
}

#[test]
fn home_and_variables_are_filled_in_where_comfyui_does() {
    let environment = Environment {
        home: Some("/ada".into()),
        variables: [("DISK".to_owned(), "/mnt/d".to_owned())].into(),
    };
    let base = |base: &str| {
        let text = format!("s:\n  base_path: {base}\n  vae: v\n");
        let extra = parse(&text, Path::new("/conf"), &environment);
        let dir = extra
            .folders
            .first()
            .expect("a folder")
            .dir
            .to_string_lossy()
            .into_owned();
        (dir, extra.findings.len())
    };
    assert_eq!(base("~/m"), ("/ada/m/v".into(), 0));
    assert_eq!(base("$DISK/m"), ("/mnt/d/m/v".into(), 0));
    assert_eq!(base("${DISK}2"), ("/mnt/d2/v".into(), 0));
    assert_eq!(base("/x/$NONE"), ("/x/$NONE/v".into(), 1));
    assert_eq!(base("~bob/m"), ("/conf/~bob/m/v".into(), 0));
    let found = findings("s:\n  vae: ~/v\n");
    assert!(
        found.len() == 1 && found[0].starts_with("line 2: warning: ComfyUI expands ~"),
        "{found:?}"
    );
}

#[test]
fn what_is_no_yaml_is_shown_with_its_line() {
    let found = findings("a:\n  vae: v\n b: [\n");
    assert!(
        found.len() == 1 && found[0].contains("error: this is not YAML"),
        "{found:?}"
    );
    assert!(found[0].starts_with("line "), "{found:?}");
    let found = findings("a:\n\tvae: v\n\tloras: l\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("line 2: error: the line is indented with a tab"),
        "{found:?}"
    );
    let found = findings("a:\n  base_path: \"C:\\models\"\n  vae: \"D:\\new\"\n");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("line 2: error: in double quotes"),
        "{found:?}"
    );
    assert!(findings("a:\n  vae: 'C:\\models'\n").is_empty());
    assert!(findings("a:\n  vae: \"C:\\\\models\"\n").is_empty());
}

#[test]
fn what_comfyui_would_stumble_over_is_named_all_at_once() {
    let text = "\
a:
  base_path: 7
  is_default: maybe
  vae:
  loras:
    - one
    - two
  controlnet: 12
b: text
c:
  lora: x
  vae: v
  vae: w
c:
  loras: l
  text_encoders: t
  clip: t
";
    let found = findings(text);
    let lines: Vec<&str> = found
        .iter()
        .map(|line| line.split(": ").next().unwrap_or_default())
        .collect();
    assert_eq!(
        lines,
        [
            "line 2", "line 3", "line 4", "line 5", "line 8", "line 9", "line 14", "line 17"
        ],
        "{found:#?}"
    );
    let one = findings("c:\n  lora: x\n  vae: v\n  vae: w\n");
    assert!(one[0].contains("\"loras\" is the nearest"), "{one:?}");
    assert!(one[1].contains("stands in line 3 already"), "{one:?}");
    assert!(
        findings("")
            .first()
            .is_some_and(|line| line.contains("does not start")),
        "an empty file"
    );
    assert!(
        findings("- a\n- b\n")
            .first()
            .is_some_and(|line| line.contains("sections belong here"))
    );
}

#[test]
fn anchors_and_merged_lines_are_understood() {
    let text = "a: &base\n  base_path: /m\n  vae: v\nb:\n  <<: *base\n  loras: l\n";
    assert_eq!(
        places(text),
        [
            place("vae", "/m/v", 3),
            place("loras", "/m/l", 6),
            place("vae", "/m/v", 3)
        ]
    );
}

#[test]
fn folders_that_are_not_there_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("there")).expect("made");
    fs::write(dir.path().join("file"), "").expect("written");
    let path = dir.path().join("extra_model_paths.yaml");
    fs::write(&path, "a:\n  vae: there\n  loras: file\n  clip: gone/deep/er\n").expect("written");
    let extra = validate(&path, &Environment::default()).expect("read");
    let found: Vec<String> = extra.findings.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("line 3") && found[0].contains("is a file"),
        "{found:?}"
    );
    assert!(found[1].contains("does not exist (only"), "{found:?}");
    assert!(!extra.is_sound());
    fs::write(&path, b"a:\n  vae: \xff\n").expect("written");
    let extra = validate(&path, &Environment::default()).expect("read");
    assert!(
        extra
            .findings
            .first()
            .is_some_and(|finding| finding.line == Some(2))
    );
}

#[test]
fn a_new_file_is_sound_and_the_old_one_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let base = dir.path().join("it's here");
    for folder in ["models/loras", "models/clip", "models/text_encoders"] {
        fs::create_dir_all(base.join(folder)).expect("made");
    }
    let path = dir.path().join("extra_model_paths.yaml");
    let created = create_default(&path, &base).expect("written");
    assert_eq!(created.backup, None);
    let extra = validate(&path, &Environment::default()).expect("read");
    assert!(extra.findings.is_empty(), "{:?}", extra.findings);
    let mut kinds: Vec<&str> = extra.folders.iter().map(|folder| folder.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["loras", "text_encoders", "text_encoders"]);
    let mut backups = std::collections::HashSet::new();
    for turn in 0..3 {
        fs::write(&path, format!("mine {turn}")).expect("written");
        let backup = create_default(&path, &base)
            .expect("written")
            .backup
            .expect("a backup");
        assert_eq!(fs::read_to_string(&backup).expect("read"), format!("mine {turn}"));
        assert!(backup.to_string_lossy().ends_with(".bak") && backups.insert(backup));
    }
    assert_eq!(fs::read_dir(dir.path()).expect("read").count(), 5, "no leftovers");
}

#[test]
fn a_new_file_without_any_folder_does_not_stop_comfyui() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("extra_model_paths.yaml");
    create_default(&path, dir.path()).expect("written");
    let extra = validate(&path, &Environment::default()).expect("read");
    assert!(extra.is_sound() && extra.folders.is_empty(), "{extra:?}");
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,200}") {
        drop(said(&text));
    }

    #[test]
    fn nothing_like_yaml_makes_the_reader_panic(text in "([a-z]{1,3}|[-:|>&*?!%@`'\"#~$\\\\{}\\[\\], \t\n]|<<: |\n  ){0,60}") {
        drop(said(&text));
    }
}
