//! The worker's settings.

use std::{net::SocketAddr, time::Duration};

use proto::{Backend, ids::WorkerId, v1::MissingBackend};
use runtime::{
    paid::PaidSettings,
    settings::{Reader, Secret},
    store::StoreSettings,
    timing::Timing,
};
use url::Url;

use crate::{comfyui::ComfyuiSettings, flux::FluxSettings, v0::V0Settings};

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
    /// Black Forest Labs' service.
    pub flux: FluxSettings,
    /// Vercel's v0.
    pub v0: V0Settings,
    /// Whether jobs that cost money are run.
    pub paid: PaidSettings,
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
    /// After the record said that a paid call is about to be made, before it was.
    Asking,
    /// After a paid call was answered, before the record says so.
    Answered,
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
        let meaning = "for drills: the process dies at this point: claimed, asking, answered, stored, recorded or nowhere";
        let text: String = reader.get("worker.crash_at", "nowhere", meaning);
        match text.as_str() {
            "nowhere" => Self::Nowhere,
            "claimed" => Self::Claimed,
            "asking" => Self::Asking,
            "answered" => Self::Answered,
            "stored" => Self::Stored,
            "recorded" => Self::Recorded,
            _ => {
                reader.fault(
                    "worker.crash_at",
                    "must be claimed, asking, answered, stored, recorded or nowhere",
                );
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
            flux: FluxSettings::read(reader),
            v0: V0Settings::read(reader),
            paid: PaidSettings::read(reader),
            timing: Timing::read(reader),
            attempts: AttemptSettings::read(reader),
        };
        if settings.backends().is_empty() {
            reader.fault(
                "sketch.enabled",
                "the worker has no backend: enable sketch, set comfyui.url, or a key and paid.allow",
            );
        }
        settings
    }

    /// The backends that are configured.
    pub fn backends(&self) -> Vec<Backend> {
        [
            (Backend::Sketch, self.sketch.is_some()),
            (Backend::Comfyui, self.comfyui.is_some()),
            (Backend::Flux, self.flux_key().is_some()),
            (Backend::V0, self.v0_key().is_some()),
        ]
        .into_iter()
        .filter_map(|(backend, is_there)| is_there.then_some(backend))
        .collect()
    }

    /// The key for FLUX, where it may be used.
    pub fn flux_key(&self) -> Option<&Secret> {
        self.flux.key.as_ref().filter(|_| self.paid.allow)
    }

    /// The key for v0, where it may be used.
    pub fn v0_key(&self) -> Option<&Secret> {
        self.v0.key.as_ref().filter(|_| self.paid.allow)
    }

    /// Backends that would be offered if something were set, and what.
    pub fn not_offered(&self) -> Vec<MissingBackend> {
        let flux = self.why_not(self.flux.key.as_ref(), "BFL_API_KEY", "https://dashboard.bfl.ai");
        let v0_keys = "https://v0.app/chat/settings/keys";
        let v0 = self.why_not(self.v0.key.as_ref(), "V0_API_KEY", v0_keys);
        let reasons = [(Backend::Flux, flux), (Backend::V0, v0)];
        reasons
            .into_iter()
            .filter_map(|(backend, reason)| {
                Some(MissingBackend {
                    backend: backend.into(),
                    reason: reason?,
                })
            })
            .collect()
    }

    /// Why a service that costs money is not offered.
    fn why_not(&self, key: Option<&Secret>, name: &str, place: &str) -> Option<String> {
        if key.is_none() {
            Some(format!("{name} is not set; get one at {place}"))
        } else if self.paid.allow {
            None
        } else {
            Some(
                "generation that costs money is switched off here; set ALLOW_GENERATION=true (paid.allow)"
                    .to_owned(),
            )
        }
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
