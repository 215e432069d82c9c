//! The pipeline end to end: a real nats-server, the roles in this process, one question a module.

mod cancel;
mod content;
mod control;
mod damaged;
mod drain;
mod fitting;
mod fleet;
mod graphs;
mod grpc;
mod happy;
mod hosts;
mod idempotency;
mod input;
mod keeping;
mod outage;
mod retry;
mod standin;
mod store;
mod story;
mod stream;
mod studio;
mod tasks;
mod transitions;
mod upload;
mod workflows;
