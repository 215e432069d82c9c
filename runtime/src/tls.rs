//! TLS for everything that makes connections: ring, installed once a process.

/// Makes ring the process's provider of cryptography. A second call changes nothing.
pub fn install() {
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::trace!("a provider of cryptography was installed already");
    }
}
