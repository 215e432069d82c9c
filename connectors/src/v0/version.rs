//! Which of the two APIs is spoken.

use std::{fmt, str::FromStr};

/// An edition of v0's Platform API. They differ in paths, fields and error bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Version {
    /// The older one, below `/v1`: projects, versions, `latestVersion`.
    V1,
    /// The present one, below `/v2`: chats, messages and files only.
    #[default]
    V2,
}

/// A text that names no edition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be v1 or v2")]
pub struct UnknownVersion;

impl Version {
    /// As it stands in paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            _ => Err(UnknownVersion),
        }
    }
}
