//! Takes jobs, runs them against its backends, and reports.
//!
//! A job's way through here: [`intake`] takes its token, [`claim`] makes it ours, [`attempt`] runs it on a
//! [`backend`] and keeps the claim alive, [`settle`] writes down what came of it.

pub mod announce;
pub mod attempt;
pub mod backend;
pub mod claim;
pub mod comfyui;
pub mod flux;
pub mod gpu;
pub mod host;
pub mod intake;
pub mod metrics;
pub mod models;
pub mod paid;
pub mod report;
pub mod roster;
pub mod settings;
pub mod settle;
pub mod sketch;
pub mod sketching;
pub mod spool;
pub mod uploads;
pub mod v0;
pub mod work;

mod start;

pub use settings::Settings;
pub use start::{StartError, start};
