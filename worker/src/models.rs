//! The model files of a ComfyUI: where they lie, whether they are whole, and how their places are configured.

pub mod check;
pub mod family;
pub mod kinds;
pub mod library;
pub mod paths;
pub mod settings;
pub mod verdict;
pub mod verify;

mod explain;
mod header;
mod yaml;

pub use explain::{ExplainedFolder, Explanation};
pub use family::Family;
pub use library::{Library, LibraryError, Listing, ModelFile};
pub use settings::ModelSettings;
pub use verdict::{Broken, Contents, Fault, Format, Verdict};
pub use verify::{Hashes, Progress, Report, Selection, verify};
