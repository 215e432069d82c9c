//! The picture renderer of the built-in `sketch` backend: an algorithm, not an AI model.
//!
//! A [`Recipe`] is everything that determines a picture. [`Canvas`] draws it in steps; it does no I/O,
//! knows no clock and starts nothing. Known words of the prompt choose colours and subject, and a hash
//! of prompt and seed chooses all the rest, so every prompt has a picture of its own.
//!
//! The same recipe gives the same pixels on every platform. That rests on three choices:
//! - arithmetic on `f32` uses only `+ - * /`, `sqrt`, comparisons and roundings, which IEEE 754 defines to
//!   the last bit and which Rust neither reorders nor fuses; what libm would give (`sin`, `exp`, `cbrt`) is
//!   in `exact`, built from those;
//! - random numbers are the output stream of BLAKE3, whose specification is frozen (`dice`), and lattice
//!   noise uses an integer hash of our own (`noise`); no crate's change of algorithm can alter them;
//! - words are split and compared as ASCII, so the Unicode tables of the toolchain play no part.
//!
//! The file's bytes are as stable as the DEFLATE encoder: `fdeflate`, which is pure Rust. Any change to what
//! is drawn raises [`GENERATOR_VERSION`]; the golden tests say when that is due.

mod canvas;
mod recipe;
mod vocabulary;

mod palette;
mod swatches;

mod city;
mod cosmos;
mod landscape;
mod orbs;
mod sea;
mod silk;
mod sky;
mod streams;
mod trees;

mod layer;
mod picture;
mod png_file;
mod ridge;

mod colour;
mod dice;
mod exact;
mod noise;

#[cfg(test)]
mod golden;

pub use canvas::{Canvas, StepReport};
pub use png_file::PREVIEW_MEDIA_TYPE;
pub use recipe::{
    GENERATOR_NAME, GENERATOR_VERSION, MAX_PALETTE, MAX_PROMPT_BYTES, MAX_SIDE, MAX_STEPS, Recipe,
    SketchError,
};
pub use swatches::{MAX_SOURCE_PIXELS, palette_of};
