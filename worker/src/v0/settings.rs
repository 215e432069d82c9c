//! The settings of the v0 backend.

use std::time::Duration;

use connectors::v0::Version;
use runtime::settings::{Reader, Secret};
use url::Url;

/// How to use Vercel's v0.
#[derive(Debug, Clone)]
pub struct V0Settings {
    /// The API key; without one the backend is not offered.
    pub key: Option<Secret>,
    /// Where v0 is.
    pub url: Url,
    /// Which edition of its API is spoken.
    pub version: Version,
    /// Name of the vendor's account that the key belongs to: workers whose keys belong to the same account share
    /// its limits.
    pub account: String,
    /// Jobs at the same time on this worker.
    pub slots: usize,
    /// Messages being made at the same time for all workers of the account.
    pub max_runs: usize,
    /// How often a message is asked how far it is.
    pub poll: Duration,
    /// How long the answer to a paid request may take; after that nobody knows whether it went through.
    pub submit_timeout: Duration,
    /// How long v0 may be out of reach or busy before an attempt fails.
    pub patience: Duration,
    /// How long a chat may be unknown to v0 before it counts as gone, and how long a chat is looked for of which
    /// nobody knows whether it was made.
    pub lost_after: Duration,
    /// How long the address of a demo is waited for; a site without one is a result too.
    pub preview_patience: Duration,
}

impl V0Settings {
    /// Reads the settings of this part.
    pub fn read(reader: &mut Reader) -> Self {
        let settings = Self {
            key: reader.optional("v0.key", "API key of v0; v0 is not offered without one"),
            url: reader.get("v0.url", connectors::v0::ADDRESS, "where v0 is"),
            version: version(reader),
            account: reader.get(
                "v0.account",
                "default",
                "name of the account that v0.key belongs to; workers with the same name share its limits",
            ),
            slots: reader.get("v0.slots", "4", "v0 jobs at the same time on this worker"),
            max_runs: reader.get(
                "v0.max_runs",
                "8",
                "v0 messages being made at the same time for all workers of the account",
            ),
            poll: reader.get("v0.poll", "2s", "how often a v0 message is asked how far it is"),
            submit_timeout: reader.get(
                "v0.submit_timeout",
                "2m",
                "how long the answer to a paid request to v0 may take; after that its outcome is unknown",
            ),
            patience: reader.get(
                "v0.patience",
                "10m",
                "how long v0 may be out of reach, in trouble or busy before an attempt fails",
            ),
            lost_after: reader.get(
                "v0.lost_after",
                "30s",
                "how long a chat may be unknown to v0 before it counts as gone",
            ),
            preview_patience: reader.get(
                "v0.preview_patience",
                "1m",
                "how long the address of a demo is waited for",
            ),
        };
        for (key, number) in [("v0.slots", settings.slots), ("v0.max_runs", settings.max_runs)] {
            if !(1..=1024).contains(&number) {
                reader.fault(key, "must be 1 to 1024");
            }
        }
        if !(Duration::from_millis(10)..=Duration::from_mins(1)).contains(&settings.poll) {
            reader.fault("v0.poll", "must be 10ms to 1m");
        }
        let sendable = |key: &Secret| key.reveal().bytes().all(|byte| byte.is_ascii_graphic());
        if !settings.key.as_ref().is_none_or(sendable) {
            reader.fault("v0.key", "has characters that no key has; copy it again");
        }
        if let Err(error) = connectors::v0::check_address(&settings.url) {
            reader.fault("v0.url", error.to_string());
        }
        settings
    }
}

fn version(reader: &mut Reader) -> Version {
    let meaning = "which edition of v0's API is spoken, v2 or v1";
    let text: String = reader.get("v0.version", Version::default().as_str(), meaning);
    text.parse()
        .unwrap_or_else(|error: connectors::v0::UnknownVersion| {
            reader.fault("v0.version", error.to_string());
            Version::default()
        })
}
