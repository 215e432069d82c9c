//! A client of Black Forest Labs' FLUX service: tasks that cost money.
//!
//! What to know before using it:
//! - [`Client::submit`] sends one POST, once, and its error says which of three things is so: the request
//!   certainly did not arrive, it was certainly refused, or nobody knows. Only the first two may be tried again.
//! - A task is asked for at the address that came with it, which is not the one that it was submitted to.
//! - What is charged is what became [`Status::Ready`]. There is no way to cancel.
//! - A result can be fetched for ten minutes, from an address that is itself the permission: it is in no error
//!   and no log.
//!
//! Reading order: `client` (the connection), `submit`, `standing` and `poll`, `sample`, `detail` (why something was
//! refused), `wording` (what may be shown of it). `double` is a strict local stand-in for tests.

mod client;
mod detail;
#[cfg(feature = "double")]
pub mod double;
mod poll;
mod sample;
mod standing;
mod submit;
mod wording;

pub use client::{Client, Settings};
pub use detail::{Detail, FieldFault};
pub use poll::PollError;
pub use sample::{Download, SampleError};
pub use standing::{Poll, Sample, Status};
pub use submit::{Doubt, SubmitError, Task};
