//! A vendor's API key, which cannot be printed.

use std::fmt;

/// An API key. Shown as `***`, and neither written out nor compared; a header that carries it is to be marked
/// as sensitive.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    /// A key as the vendor gave it.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key itself, for the header that carries it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_printed() {
        let key = Key::new("bfl_secret");
        assert_eq!(format!("{key:?} {key:#?}"), "*** ***");
        assert_eq!(key.reveal(), "bfl_secret");
    }
}
