//! Vendors in their own words: clients that speak each vendor's protocol and know nothing else.
//!
//! There is no notion of a job, a queue or a broker in here, nothing is spawned, and nothing is retried
//! behind the caller's back (but a GET that met a connection which the server had dropped): a call is one
//! question to the vendor and its answer, typed. That makes the crate usable alone.
//!
//! Reading order: [`tls`] (once per process), [`key`] and [`guard`] (for vendors that are paid), then a vendor;
//! [`comfyui`], [`bfl`] and [`v0`] start at their `client`.

pub mod bfl;
pub mod comfyui;
pub mod guard;
pub mod key;
pub mod tls;
pub mod v0;

pub use guard::Refusal;
pub use key::Key;
pub use tls::install_tls;
