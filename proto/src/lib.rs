//! The contract of Orchestrator: messages, ids, the life of a job, failure codes, subjects and streams.
//!
//! Pure: no async, no I/O, no clock. Everything that two processes must agree on stands here once.

pub mod backoff;
pub mod comfyui;
pub mod failure;
pub mod flux;
pub mod ids;
pub mod ledger;
pub mod lifecycle;
pub mod moment;
pub mod money;
pub mod request;
pub mod subjects;
pub mod topology;
pub mod v0;
pub mod waiting;

/// The generated messages, the gRPC client and server, and their JSON mapping.
#[expect(clippy::allow_attributes, reason = "generated code")]
#[allow(
    clippy::all,
    clippy::pedantic,
    missing_docs,
    unused_qualifications,
    unreachable_pub,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("orchestrator.v1");
    include!(concat!(env!("OUT_DIR"), "/orchestrator.v1.serde.rs"));
}

pub use v1::backend::Value as Backend;
pub use v1::comfy_ui_task::Value as Task;
pub use v1::job_event_kind::Value as EventKind;
pub use v1::job_status::Value as Status;
pub use v1::ledger_entry_kind::Value as EntryKind;
pub use v1::model_family::Value as Family;
pub use v1::priority::Value as Priority;
pub use v1::rehearsal::Act;
pub use v1::spend_state::Value as SpendState;
pub use v1::upstream::Phase as UpstreamPhase;
pub use v1::v0_action::Value as V0Action;

/// The compiled contract as a `FileDescriptorSet`, for gRPC reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
