//! The settings of the ComfyUI backend.

use std::time::Duration;

use runtime::settings::Reader;
use url::Url;

/// How to use a ComfyUI.
#[derive(Debug, Clone)]
pub struct ComfyuiSettings {
    /// Its address, such as `http://127.0.0.1:8188`.
    pub url: Url,
    /// How many jobs it is given at the same time. It runs one after the other whatever this says.
    pub slots: usize,
    /// How often it is asked where a run stands.
    pub poll: Duration,
    /// How long it may be out of reach before an attempt fails.
    pub patience: Duration,
    /// How long a run may be unknown to it before the run counts as lost.
    pub lost_after: Duration,
    /// How often its models and memory are looked at.
    pub refresh: Duration,
    /// Whether it is asked for previews of unfinished pictures.
    pub previews: bool,
}

impl ComfyuiSettings {
    /// Reads the settings of this part; `None` where no ComfyUI is configured.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let url = reader.optional::<Url>(
            "comfyui.url",
            "address of the ComfyUI that this worker uses, such as http://127.0.0.1:8188; without it the \
             worker does not offer ComfyUI",
        );
        let slots = reader.get(
            "comfyui.slots",
            "1",
            "how many jobs ComfyUI is given at the same time; it runs one after the other in any case, a \
             second one only saves the pause between them",
        );
        let poll = reader.get(
            "comfyui.poll",
            "1s",
            "how often ComfyUI is asked where a run stands; progress comes by WebSocket beside it",
        );
        let patience = reader.get(
            "comfyui.patience",
            "30s",
            "how long ComfyUI may be out of reach before an attempt fails",
        );
        let lost_after = reader.get(
            "comfyui.lost_after",
            "5s",
            "how long a run may be neither in ComfyUI's queue nor in its history before it counts as lost",
        );
        let refresh = reader.get(
            "comfyui.refresh",
            "10s",
            "how often ComfyUI's health, models and memory are looked at",
        );
        let previews = reader.get(
            "comfyui.previews",
            "true",
            "whether ComfyUI is asked for previews of unfinished pictures",
        );
        if slots == 0 {
            reader.fault("comfyui.slots", "must be at least 1");
        }
        for (key, value) in [("comfyui.poll", poll), ("comfyui.refresh", refresh)] {
            if value < Duration::from_millis(10) {
                reader.fault(key, "must be at least 10ms");
            }
        }
        let url = url?;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            reader.fault(
                "comfyui.url",
                "must begin with http:// or https:// and have neither ? nor #",
            );
        }
        Some(Self {
            url,
            slots,
            poll,
            patience,
            lost_after,
            refresh,
            previews,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> (Option<ComfyuiSettings>, Vec<String>) {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("orchestrator.toml"), toml).expect("written");
        let mut reader = Reader::new(dir.path(), None, []);
        let settings = ComfyuiSettings::read(&mut reader);
        let faults = reader.finish().err().unwrap_or_default();
        (settings, faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn without_an_address_there_is_no_backend_and_no_fault() {
        let (settings, faults) = read("[comfyui]\nslots = 2");
        assert!(settings.is_none() && faults.is_empty(), "{faults:?}");
        let (settings, faults) = read("[comfyui]\nurl = \"http://gpu:8188\"");
        let settings = settings.expect("a backend");
        assert!(faults.is_empty() && settings.slots == 1 && settings.poll == Duration::from_secs(1));
    }

    #[test]
    fn what_cannot_be_is_a_fault() {
        let (_, faults) = read("[comfyui]\nurl = \"ftp://gpu\"\nslots = 0\npoll = \"0s\"");
        assert_eq!(faults.len(), 3, "{faults:?}");
    }
}
