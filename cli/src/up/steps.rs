//! What `up` tells the person in front of it, step by step.

use crate::output;

/// A remark.
pub(super) fn tell(text: &str) {
    output::note(text);
}

/// A step that went well.
pub(super) fn done(text: impl AsRef<str>) {
    output::note(format!("✓ {}", output::plain(text.as_ref())));
}

/// Something that works, with a drawback.
pub(super) fn doubt(text: impl AsRef<str>) {
    output::note(format!("! {}", output::plain(text.as_ref())));
}

/// An address to open.
pub(super) fn invite(url: &str) {
    output::note(format!(
        "\nOpen {url}\nCtrl-C stops everything; running jobs finish or are handed back first\n"
    ));
}
