//! What a ComfyUI job asks for, as a graph: composed from a template or taken as it came, and checked.
//!
//! Reading order: `fill` (defaults), [`plan()`] with `check` and `compose` (one graph from a request),
//! [`structure`] (is it a graph at all), [`catalog`] (would this ComfyUI take it), [`workflow`] (graphs with
//! named parameters), [`names`] (what files and choices are called).

pub mod catalog;
mod check;
mod compose;
mod fill;
pub mod names;
mod needs;
mod plan;
mod splice;
pub mod structure;
mod template;
#[cfg(test)]
mod tests;
pub mod workflow;

pub use fill::fill;
pub use plan::{Plan, Source, plan, summary};

use crate::request::Fault;

/// A name as a segment of a JSON pointer.
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn fault(pointer: impl Into<String>, message: impl Into<String>) -> Fault {
    Fault {
        pointer: pointer.into(),
        message: message.into(),
    }
}
