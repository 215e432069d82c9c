//! The monitor's settings.

use std::net::SocketAddr;

use runtime::settings::Reader;

/// What the monitor can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where `/metrics`, `/livez` and `/readyz` are served.
    pub listen: SocketAddr,
}

impl Settings {
    /// Reads the settings of this part.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            listen: reader.get(
                "monitor.listen",
                "127.0.0.1:9180",
                "where the monitor serves /metrics, /livez and /readyz",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_default_is_on_loopback() {
        let mut reader = Reader::new(Path::new("no-such-directory"), None, []);
        assert!(Settings::read(&mut reader).listen.ip().is_loopback());
        assert!(reader.finish().is_ok());
    }
}
