//! The gateway's settings.

use std::{net::SocketAddr, time::Duration};

use runtime::{
    paid::PaidSettings,
    settings::{ByteSize, Reader},
    store::StoreSettings,
    timing::Timing,
};
use url::Url;

/// The gateway's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens for HTTP and gRPC.
    pub listen: SocketAddr,
    /// The address that workers reach it by, where that is not `listen`.
    pub advertise: Option<Url>,
    /// The largest answer of a ComfyUI that is passed on.
    pub max_fetch: ByteSize,
    /// How long a ComfyUI that is brought up may take until it serves.
    pub ignite_timeout: Duration,
    /// Who may spend money, and how much.
    pub paid: PaidSettings,
    /// Where artifacts are kept.
    pub store: StoreSettings,
    /// The times of the protocol.
    pub timing: Timing,
}

impl Settings {
    /// Reads the settings of this role.
    pub fn read(reader: &mut Reader) -> Self {
        let settings = Self {
            listen: reader.get(
                "gateway.listen",
                "127.0.0.1:8080",
                "where the gateway listens for HTTP and gRPC",
            ),
            advertise: reader.optional(
                "gateway.advertise",
                "address by which workers reach this gateway; where it listens if absent",
            ),
            max_fetch: reader.get(
                "gateway.max_fetch",
                "64MiB",
                "largest answer of a worker's ComfyUI that is passed on",
            ),
            ignite_timeout: reader.get(
                "gateway.ignite_timeout",
                "5m",
                "how long a ComfyUI that is brought up may take until it serves",
            ),
            paid: PaidSettings::read(reader),
            store: StoreSettings::read(reader),
            timing: Timing::read(reader),
        };
        if !settings.listen.ip().is_loopback() {
            reader.fault(
                "gateway.listen",
                "without API keys only a loopback address is safe; put a proxy that authenticates in front",
            );
        }
        if settings.store.is_gateway() {
            reader.fault(
                "artifacts.url",
                "the gateway itself needs a directory or a bucket",
            );
        }
        settings
    }

    /// The address that workers are told, without a slash at the end.
    pub fn advertised(&self, bound: SocketAddr) -> String {
        match &self.advertise {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("http://{bound}"),
        }
    }
}
