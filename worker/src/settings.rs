//! The worker's settings.

use std::{net::SocketAddr, time::Duration};

use proto::{Backend, ids::WorkerId};
use runtime::{settings::Reader, store::StoreSettings, timing::Timing};
use url::Url;

use crate::comfyui::ComfyuiSettings;

/// The worker's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name, the same over restarts and different from every other worker's.
    pub id: WorkerId,
    /// Where it answers `/livez`, `/readyz` and `/metrics`, if anywhere.
    pub listen: Option<SocketAddr>,
    /// How results are stored.
    pub store: StoreSettings,
    /// The built-in backend, if it is offered.
    pub sketch: Option<SketchSettings>,
    /// ComfyUI, if there is one.
    pub comfyui: Option<ComfyuiSettings>,
    /// The times of the protocol.
    pub timing: Timing,
    /// How one attempt is treated.
    pub attempts: AttemptSettings,
}

/// How one attempt is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptSettings {
    /// The longest that an attempt may take.
    pub timeout: Duration,
    /// A backend that reports nothing for this long has stalled.
    pub stall: Duration,
    /// A cancelled backend gets this long to stop by itself.
    pub cancel_grace: Duration,
    /// When the worker stops, running attempts get this long to finish.
    pub drain_grace: Duration,
    /// How long an upload is tried again while nobody takes it.
    pub upload_patience: Duration,
    /// Where the process kills itself, for drills.
    pub crash_at: CrashPoint,
}

/// A place at which a drill may let the process die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Nowhere.
    Nowhere,
    /// After the job was claimed.
    Claimed,
    /// After the backend finished and the files were stored.
    Stored,
    /// After the outcome was recorded, before the token was acknowledged.
    Recorded,
}

impl CrashPoint {
    /// Ends the process as a crash would, if this is the point.
    pub fn pass(self, point: Self) {
        if self == point {
            tracing::error!(?point, "dying here, as worker.crash_at demands");
            std::process::abort();
        }
    }

    fn read(reader: &mut Reader) -> Self {
        let meaning = "for drills: the process dies at this point: claimed, stored, recorded or nowhere";
        let text: String = reader.get("worker.crash_at", "nowhere", meaning);
        match text.as_str() {
            "nowhere" => Self::Nowhere,
            "claimed" => Self::Claimed,
            "stored" => Self::Stored,
            "recorded" => Self::Recorded,
            _ => {
                reader.fault("worker.crash_at", "must be claimed, stored, recorded or nowhere");
                Self::Nowhere
            }
        }
    }
}

/// The built-in backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SketchSettings {
    /// Jobs at the same time.
    pub slots: usize,
    /// Whether it misbehaves on request.
    pub rehearsals: bool,
}

impl Settings {
    /// Reads the settings of this role.
    pub fn read(reader: &mut Reader) -> Self {
        let meaning = "the worker's name, unlike every other worker's; the host's name if absent";
        let id = reader
            .optional("worker.id", meaning)
            .unwrap_or_else(|| WorkerId::from_any(&gethostname::gethostname().to_string_lossy()));
        let settings = Self {
            id,
            listen: reader.optional(
                "worker.listen",
                "where the worker answers /livez, /readyz and /metrics; nowhere if absent",
            ),
            store: StoreSettings::read_for_worker(reader),
            sketch: SketchSettings::read(reader),
            comfyui: ComfyuiSettings::read(reader),
            timing: Timing::read(reader),
            attempts: AttemptSettings::read(reader),
        };
        if settings.sketch.is_none() && settings.comfyui.is_none() {
            reader.fault(
                "sketch.enabled",
                "the worker has no backend: enable sketch or set comfyui.url",
            );
        }
        settings
    }

    /// The backends that are configured.
    pub fn backends(&self) -> Vec<Backend> {
        let sketch = self.sketch.is_some().then_some(Backend::Sketch);
        sketch
            .into_iter()
            .chain(self.comfyui.is_some().then_some(Backend::Comfyui))
            .collect()
    }

    /// Where ComfyUI is, if there is one.
    pub fn comfyui_url(&self) -> Option<&Url> {
        self.comfyui.as_ref().map(|comfyui| &comfyui.url)
    }
}

impl SketchSettings {
    fn read(reader: &mut Reader) -> Option<Self> {
        let enabled: bool = reader.get(
            "sketch.enabled",
            "true",
            "whether the built-in backend (no AI model) is offered",
        );
        let settings = Self {
            slots: reader.get("sketch.slots", "2", "sketches at the same time"),
            rehearsals: reader.get(
                "sketch.rehearsals",
                "false",
                "for drills: whether sketches may misbehave on request",
            ),
        };
        if !(1..=1024).contains(&settings.slots) {
            reader.fault("sketch.slots", "must be 1 to 1024");
        }
        enabled.then_some(settings)
    }
}

impl AttemptSettings {
    fn read(reader: &mut Reader) -> Self {
        Self {
            timeout: reader.get(
                "worker.attempt_timeout",
                "2h",
                "the longest that one attempt may take",
            ),
            stall: reader.get(
                "worker.stall_timeout",
                "5m",
                "a backend that reports nothing for this long has stalled",
            ),
            cancel_grace: reader.get(
                "worker.cancel_grace",
                "10s",
                "how long a cancelled backend may take to stop by itself",
            ),
            drain_grace: reader.get(
                "worker.drain_grace",
                "20s",
                "how long running attempts may take to finish when the worker stops",
            ),
            upload_patience: reader.get(
                "worker.upload_patience",
                "60s",
                "how long a result is offered again while no gateway takes it",
            ),
            crash_at: CrashPoint::read(reader),
        }
    }
}
