//! Where ComfyUI's files are.

use std::path::{Path, PathBuf};

use runtime::settings::Reader;

/// The name that ComfyUI looks for in its own folder.
const EXTRA_PATHS: &str = "extra_model_paths.yaml";

/// Where ComfyUI's files are, for a program that runs beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSettings {
    /// ComfyUI's folder: the one with `models` and `main.py` in it.
    pub dir: PathBuf,
    /// The list of further folders, if it is elsewhere than in [`ModelSettings::dir`].
    pub extra_model_paths: Option<PathBuf>,
}

impl ModelSettings {
    /// Reads the settings of this part; `None` where ComfyUI's folder is not known.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let dir = reader.optional::<PathBuf>(
            "comfyui.dir",
            "ComfyUI's folder, the one that has the folder models in it; with it, model files can be listed \
             and checked",
        );
        let extra_model_paths = reader.optional::<PathBuf>(
            "comfyui.extra_model_paths",
            "ComfyUI's list of further folders of models; extra_model_paths.yaml in comfyui.dir, if there is \
             one, if absent",
        );
        Some(Self {
            dir: dir?,
            extra_model_paths,
        })
    }

    /// The list of further folders: as set, else the one in `dir` if it is there.
    pub(super) fn extra_paths_file(&self, dir: &Path) -> Option<PathBuf> {
        self.extra_model_paths.clone().or_else(|| {
            let usual = dir.join(EXTRA_PATHS);
            usual.is_file().then_some(usual)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_folder_there_is_no_library() {
        let dir = tempfile::tempdir().expect("a directory");
        let read = |environment: &[(&str, &str)]| {
            let owned = environment
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            let mut reader = Reader::new(dir.path(), None, owned);
            let settings = ModelSettings::read(&mut reader);
            reader.finish().expect("no fault");
            settings
        };
        assert_eq!(read(&[]), None);
        let settings = read(&[("ORCHESTRATOR_COMFYUI_DIR", "comfy")]).expect("settings");
        assert_eq!(settings.dir, Path::new("comfy"));
        assert_eq!(settings.extra_paths_file(dir.path()), None);
        std::fs::write(dir.path().join(EXTRA_PATHS), "").expect("written");
        assert_eq!(
            settings.extra_paths_file(dir.path()),
            Some(dir.path().join(EXTRA_PATHS))
        );
    }
}
