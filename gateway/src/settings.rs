//! The gateway's settings.

use std::net::SocketAddr;

use runtime::{settings::Reader, store::StoreSettings, timing::Timing};
use url::Url;

/// The gateway's settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens for HTTP and gRPC.
    pub listen: SocketAddr,
    /// The address that workers reach it by, where that is not `listen`.
    pub advertise: Option<Url>,
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
