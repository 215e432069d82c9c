//! The settings of the ComfyUI backend.

use std::time::Duration;

use runtime::settings::Reader;
use url::Url;

use super::shelf::Alternates;
use crate::{
    host::{HostSettings, Subject},
    models::ModelSettings,
};

/// Where ComfyUI listens if nobody says otherwise.
const USUAL: &str = "http://127.0.0.1:8188";

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
    /// How long a node may say nothing while it loads a model or takes its first step.
    pub load_timeout: Duration,
    /// How long it may go on with a run that it was told to stop before it counts as hung.
    pub hung_after: Duration,
    /// What is used instead of damaged checkpoints, for jobs that allow it.
    pub fallback: Alternates,
    /// Where its files are, if that is known.
    pub models: Option<ModelSettings>,
    /// How its process is looked after.
    pub host: HostSettings,
    /// How often its models and memory are looked at.
    pub refresh: Duration,
    /// Whether it is asked for previews of unfinished pictures.
    pub previews: bool,
}

impl ComfyuiSettings {
    /// Reads the settings of this part; `None` where no ComfyUI is configured.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let url = read_address(reader);
        let models = ModelSettings::read(reader);
        let host = HostSettings::read(reader);
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
        let load_timeout = reader.get(
            "comfyui.load_timeout",
            "15m",
            "how long a node may say nothing while it loads a model or takes its first step; after that, \
             worker.stall_timeout holds",
        );
        let hung_after = reader.get(
            "comfyui.hung_after",
            "3m",
            "how long ComfyUI may go on with a run that it was told to stop before it counts as hung: it \
             gets no jobs then, and is restarted where the worker looks after it",
        );
        let fallback = read_fallback(reader);
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
        let managed = host.subject != Subject::Nothing;
        let url = url.or_else(|| Url::parse(USUAL).ok().filter(|_| managed))?;
        let settings = Self {
            url,
            slots,
            poll,
            patience,
            lost_after,
            load_timeout,
            hung_after,
            fallback,
            models,
            host,
            refresh,
            previews,
        };
        settings.check(reader);
        Some(settings)
    }

    fn check(&self, reader: &mut Reader) {
        if self.slots == 0 {
            reader.fault("comfyui.slots", "must be at least 1");
        }
        for (key, value) in [("comfyui.poll", self.poll), ("comfyui.refresh", self.refresh)] {
            if value < Duration::from_millis(10) {
                reader.fault(key, "must be at least 10ms");
            }
        }
        let url = &self.url;
        if !matches!(url.scheme(), "http" | "https") || url.query().is_some() || url.fragment().is_some() {
            reader.fault(
                "comfyui.url",
                "must begin with http:// or https:// and have neither ? nor #",
            );
        }
    }
}

fn read_address(reader: &mut Reader) -> Option<Url> {
    reader.optional(
        "comfyui.url",
        "address of the ComfyUI that this worker uses, such as http://127.0.0.1:8188, which it is where \
         comfyui.command or comfyui.service is set; without any of these the worker does not offer ComfyUI",
    )
}

fn read_fallback(reader: &mut Reader) -> Alternates {
    let alternates = reader.optional(
        "comfyui.fallback",
        "what is used instead of a damaged checkpoint, for jobs that allow it: the name of a checkpoint, or \
         several `damaged = alternate` separated by commas",
    );
    alternates.unwrap_or_default()
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
