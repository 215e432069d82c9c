//! What every binary of Orchestrator stands on, and the only crate that speaks NATS.

pub mod admin;
pub mod broker;
pub mod bus;
pub mod calls;
pub mod clock;
pub mod ledger;
pub mod live;
pub mod media;
pub mod paid;
pub mod queue;
pub mod records;
pub mod settings;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod timing;
pub mod tls;
pub mod workflows;
