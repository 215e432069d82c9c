//! Folders as ComfyUI has them, made for each test.

use super::*;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir_all(dir.path().join("comfy/models")).expect("made");
        Self { dir }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    fn put(&self, relative: &str, content: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    }

    fn open(&self) -> Library {
        let settings = ModelSettings {
            dir: self.path("comfy"),
            extra_model_paths: None,
        };
        Library::open(&settings, &Environment::default()).expect("a library")
    }
}

fn names(library: &Library, kind: &str) -> Vec<String> {
    let listing = library.files(kind).expect("a kind");
    listing.files.into_iter().map(|file| file.name).collect()
}

#[test]
fn files_are_listed_by_kind_with_their_path_inside() {
    let place = Place::new();
    place.put("comfy/models/checkpoints/sd/b.safetensors", "12345");
    place.put("comfy/models/checkpoints/a.ckpt", "");
    place.put("comfy/models/checkpoints/put_checkpoints_here", "");
    place.put("comfy/models/checkpoints/.git/c.ckpt", "");
    place.put("comfy/models/unet/u.safetensors", "");
    place.put("comfy/models/diffusion_models/d.safetensors", "");
    place.put("comfy/models/clip/t5.safetensors", "");
    let library = place.open();
    let inner = format!("sd{}b.safetensors", std::path::MAIN_SEPARATOR);
    assert_eq!(names(&library, "checkpoints"), ["a.ckpt", inner.as_str()]);
    assert_eq!(names(&library, "unet"), ["d.safetensors", "u.safetensors"]);
    assert_eq!(names(&library, "text_encoders"), ["t5.safetensors"]);
    assert!(names(&library, "loras").is_empty());
    let listing = library.files("checkpoints").expect("a kind");
    let file = listing.files.last().expect("a file");
    assert_eq!(file.size, 5);
    assert!(file.modified.is_some_and(|time| time > Timestamp::UNIX_EPOCH));
}

#[test]
fn a_name_never_leads_out_of_the_folders() {
    let place = Place::new();
    place.put("comfy/models/loras/style/a.safetensors", "");
    place.put("comfy/models/secret.safetensors", "");
    let library = place.open();
    let found = library.resolve("loras", "style/a.safetensors").expect("found");
    assert_eq!(found, place.path("comfy/models/loras/style/a.safetensors"));
    let absolute = place.path("comfy/models/secret.safetensors");
    for name in [
        "../secret.safetensors",
        "style/../../secret.safetensors",
        "",
        "./style/a.safetensors",
        absolute.to_str().expect("text"),
    ] {
        let refused = library.resolve("loras", name);
        assert!(
            matches!(refused, Err(LibraryError::Outside(_))),
            "{name}: {refused:?}"
        );
    }
    assert!(matches!(
        library.resolve("loras", "style"),
        Err(LibraryError::NoFile { .. })
    ));
    let error = library.resolve("lora", "a").expect_err("no such kind");
    assert!(error.to_string().contains("did you mean \"loras\"?"), "{error}");
}

#[test]
fn further_folders_are_searched_in_comfyuis_order() {
    let place = Place::new();
    place.put("comfy/models/loras/a.safetensors", "own");
    place.put("more/loras/a.safetensors", "more");
    place.put("more/loras/b.safetensors", "more");
    place.put("best/a.safetensors", "best");
    place.put("more/ultralytics/x.anything", "");
    let yaml = "late:\n  base_path: ../more\n  loras: loras\n  ultralytics: ultralytics\n\
                early:\n  is_default: true\n  loras: ../best\n";
    place.put("comfy/extra_model_paths.yaml", yaml);
    let library = place.open();
    let content = |name: &str| {
        let path = library.resolve("loras", name).expect("found");
        fs::read_to_string(path).expect("read")
    };
    assert_eq!(
        (content("a.safetensors"), content("b.safetensors")),
        ("best".into(), "more".into())
    );
    let listing = library.files("loras").expect("a kind");
    let shadowed: Vec<bool> = listing
        .files
        .iter()
        .map(|file| file.shadowed_by.is_some())
        .collect();
    assert_eq!(shadowed, [false, true, true, false]);
    assert_eq!(names(&library, "ultralytics"), ["x.anything"]);
    let explained = library.explain(Some("loras")).expect("a kind");
    let text = explained.first().expect("one").to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[1].contains("best (1 file), from section \"early\", line 7"),
        "{text}"
    );
    assert!(lines[2].contains("loras (1 file), ComfyUI's own"), "{text}");
    assert!(
        lines[3].contains("(2 files), from section \"late\", line 3"),
        "{text}"
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_never_in_circles() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    place.put("disk/big.safetensors", "123");
    place.put("disk/folder/c.safetensors", "");
    place.put("comfy/models/loras/in/x.safetensors", "");
    let loras = place.path("comfy/models/loras");
    symlink(
        place.path("disk/big.safetensors"),
        loras.join("linked.safetensors"),
    )
    .expect("linked");
    symlink(place.path("disk/folder"), loras.join("there")).expect("linked");
    symlink(&loras, loras.join("in/circle")).expect("linked");
    symlink(place.path("gone"), loras.join("gone.safetensors")).expect("linked");
    let library = place.open();
    assert_eq!(
        names(&library, "loras"),
        ["in/x.safetensors", "linked.safetensors", "there/c.safetensors"]
    );
    let skipped = library.files("loras").expect("a kind").skipped;
    assert_eq!(skipped.len(), 2, "{skipped:?}");
    assert!(
        skipped
            .iter()
            .any(|skipped| skipped.why.contains("leads nowhere"))
    );
}

#[test]
fn a_folder_without_models_is_no_comfyui() {
    let place = Place::new();
    let settings = ModelSettings {
        dir: place.path("comfy/models"),
        extra_model_paths: None,
    };
    let error = Library::open(&settings, &Environment::default()).expect_err("no models");
    assert!(error.to_string().contains("no folder \"models\""));
}
