//! What the end-to-end tests stand on: a real broker, the roles in this process or as processes of their
//! own, a client that sees only what a user sees, and a checker of everything that was ever written.

pub mod bench;
pub mod broker;
pub mod client;
pub mod history;
pub mod patience;
pub mod process;
pub mod sse;
pub mod system;
pub mod vendor;

pub use broker::TestBroker;
pub use client::Client;
pub use history::History;
pub use process::Process;
pub use system::System;
