//! The settings of the FLUX backend.

use std::time::Duration;

use runtime::settings::{Reader, Secret};
use url::Url;

/// How to use Black Forest Labs' service.
#[derive(Debug, Clone)]
pub struct FluxSettings {
    /// The API key; without one the backend is not offered.
    pub key: Option<Secret>,
    /// Where tasks are submitted.
    pub url: Url,
    /// Name of the vendor's account that the key belongs to: workers whose keys belong to the same account share
    /// its limits.
    pub account: String,
    /// Jobs at the same time on this worker.
    pub slots: usize,
    /// Tasks under way at the same time on all workers of the account.
    pub max_tasks: usize,
    /// How often a task is asked how far it is.
    pub poll: Duration,
    /// How long the answer to a submission may take; after that nobody knows whether it went through.
    pub submit_timeout: Duration,
    /// How long the service may be out of reach or busy before an attempt fails.
    pub patience: Duration,
    /// How long a task may be unknown to the service before it counts as lost.
    pub lost_after: Duration,
}

impl FluxSettings {
    /// Reads the settings of this part.
    pub fn read(reader: &mut Reader) -> Self {
        let settings = Self {
            key: reader.optional(
                "flux.key",
                "API key of Black Forest Labs; flux is not offered without one",
            ),
            url: reader.get(
                "flux.url",
                "https://api.bfl.ai",
                "where FLUX tasks are submitted; https://api.eu.bfl.ai and https://api.us.bfl.ai stay in their region",
            ),
            account: reader.get(
                "flux.account",
                "default",
                "name of the account that flux.key belongs to; workers with the same name share its limits",
            ),
            slots: reader.get("flux.slots", "24", "FLUX jobs at the same time on this worker"),
            max_tasks: reader.get(
                "flux.max_tasks",
                "24",
                "FLUX tasks at the same time on all workers of the account",
            ),
            poll: reader.get("flux.poll", "1s", "how often a FLUX task is asked how far it is"),
            submit_timeout: reader.get(
                "flux.submit_timeout",
                "2m",
                "how long the answer to a paid submission may take; after that its outcome is unknown",
            ),
            patience: reader.get(
                "flux.patience",
                "10m",
                "how long FLUX may be out of reach, in trouble or busy before an attempt fails",
            ),
            lost_after: reader.get(
                "flux.lost_after",
                "30s",
                "how long a FLUX task may be unknown to the service before it counts as lost",
            ),
        };
        for (key, number) in [
            ("flux.slots", settings.slots),
            ("flux.max_tasks", settings.max_tasks),
        ] {
            if !(1..=1024).contains(&number) {
                reader.fault(key, "must be 1 to 1024");
            }
        }
        if !(Duration::from_millis(10)..=Duration::from_mins(1)).contains(&settings.poll) {
            reader.fault("flux.poll", "must be 10ms to 1m");
        }
        let sendable = |key: &Secret| key.reveal().bytes().all(|byte| byte.is_ascii_graphic());
        if !settings.key.as_ref().is_none_or(sendable) {
            reader.fault("flux.key", "has characters that no key has; copy it again");
        }
        settings
    }
}
