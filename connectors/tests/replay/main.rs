//! What live servers of two versions answered, read by the client's parsers.
//!
//! The answers were recorded from ComfyUI v0.33.0 and v0.3.64; the client must understand every one of
//! them, and give each prompt the outcome that it really had.

mod answers;
mod conversations;
mod recording;
