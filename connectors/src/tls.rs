//! Chooses the cryptography of TLS for the process: rustls with ring.

/// Installs ring as the process-wide provider of rustls, which every client in this crate needs before it
/// is built. Safe to call any number of times and from any thread; a provider that is already installed
/// stays.
pub fn install_tls() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // losing the race against another thread leaves a provider installed, which is all that is wanted
        drop(rustls::crypto::ring::default_provider().install_default());
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn installing_twice_is_harmless() {
        super::install_tls();
        super::install_tls();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
