//! The pipeline end to end: a real nats-server, the roles in this process, one question a module.

mod cancel;
mod content;
mod drain;
mod fleet;
mod grpc;
mod happy;
mod idempotency;
mod input;
mod outage;
mod retry;
mod store;
mod story;
mod stream;
mod transitions;
mod upload;
