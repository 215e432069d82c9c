//! A client of the ComfyUI server: its HTTP API and its WebSocket, as servers from v0.3.45 on speak them.
//!
//! What to know before using it:
//! - A prompt id is chosen by the caller, but it is **not** an idempotency key: posting twice runs twice.
//!   After an unclear [`Client::submit`] (see [`Error::may_have_arrived`]) ask [`Client::standing`] first.
//! - The WebSocket is a hint. It replays nothing, and the server can leave a socket open and silent for
//!   ever; the truth about a prompt is what [`Client::standing`] reads by polling.
//! - A restarted server forgets every prompt: a lost prompt looks like one that was never posted
//!   ([`Standing::Unknown`]).
//!
//! Reading order: `client` (the connection), `error`, `system`, `catalog` and `node_input` (what the server can
//! do), `submit` and `rejection` (a prompt goes in), `queue`, `standing` and `output` (where it stands, what it
//! made), `job` (the newer API), `cancel`, `file` (upload and download), then `event`, `frame`,
//! `socket`, `node_role` and `progress` (live progress). `double` is a strict local stand-in for tests.

mod cancel;
mod catalog;
mod client;
#[cfg(feature = "double")]
pub mod double;
mod error;
mod event;
mod fetch;
mod file;
mod frame;
mod job;
mod node_input;
mod node_role;
mod output;
mod progress;
mod queue;
mod rejection;
mod socket;
mod standing;
mod submit;
mod system;

pub use cancel::Cancellation;
pub use catalog::{NodeClass, ObjectInfo};
pub use client::{Client, Options};
pub use error::Error;
pub use event::{Event, NodeProgress, NodeState};
pub use fetch::Fetched;
pub use file::{ByteRange, Download, Upload, Uploaded};
pub use frame::{Preview, PreviewFormat};
pub use job::{Job, JobLookup, JobStatus};
pub use node_input::{NodeInput, Presence};
pub use output::{FileRef, Folder, OutputFile};
pub use progress::{GraphProgress, Phase, Snapshot};
pub use queue::{Queue, Queued};
pub use rejection::{NodeFault, Rejection};
pub use socket::{Events, SocketOptions};
pub use standing::{Failure, Interruption, Outcome, Standing, standing_of};
pub use submit::{Accepted, Submission};
pub use system::{Device, SystemStats};
