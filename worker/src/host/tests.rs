//! The supervision with real processes.

mod bench;
mod ending;
mod living;
mod starting;
mod strangers;
