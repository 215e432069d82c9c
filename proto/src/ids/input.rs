//! What a job takes: an upload, or a result of an earlier job; and how a request refers to it.

use std::{fmt, str::FromStr};

use super::{ArtifactId, AssetId, InvalidId};

/// A file that a job takes: an upload, or a result of an earlier job.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InputId {
    /// Written `asset:<id>`.
    Asset(AssetId),
    /// Written `artifact:<id>`.
    Artifact(ArtifactId),
}

/// A text that refers to no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// Neither form.
    #[error("must be `asset:<id>` of an uploaded file or `artifact:<id>` of a result")]
    Other,
    /// Of the form for uploads.
    #[error("{0}; upload the file and use the id that comes back")]
    Asset(InvalidId),
    /// Of the form for results.
    #[error("{0}; use an id of `artifacts` of a job that succeeded")]
    Artifact(InvalidId),
}

impl InputId {
    /// Reads `asset:<id>` and `artifact:<id>`; `None` where the text is no reference at all, such as a prompt
    /// that begins with the word.
    pub fn from_reference(text: &str) -> Option<Result<Self, InvalidReference>> {
        if let Some(id) = text.strip_prefix(AssetId::SCHEME) {
            return Some(id.parse().map(Self::Asset).map_err(InvalidReference::Asset));
        }
        let id = text.strip_prefix(ArtifactId::SCHEME)?;
        let is_text = id.contains(char::is_whitespace);
        (!is_text).then(|| id.parse().map(Self::Artifact).map_err(InvalidReference::Artifact))
    }

    /// Where it lies in the artifact store.
    pub fn key(&self) -> String {
        match self {
            Self::Asset(asset) => asset.key(),
            Self::Artifact(artifact) => artifact.key(),
        }
    }
}

/// As it is referred to: `asset:<id>` or `artifact:<id>`.
impl fmt::Display for InputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asset(asset) => write!(f, "{}{asset}", AssetId::SCHEME),
            Self::Artifact(artifact) => write!(f, "{}{artifact}", ArtifactId::SCHEME),
        }
    }
}

impl FromStr for InputId {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        Self::from_reference(text).unwrap_or(Err(InvalidReference::Other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;

    #[test]
    fn a_reference_says_what_it_refers_to() {
        let artifact = ArtifactId {
            job: JobId::generate(),
            attempt: 1,
            index: 0,
        };
        let asset = AssetId::from_sha256(&[1; 32]);
        for (input, key) in [
            (InputId::Artifact(artifact), artifact.key()),
            (InputId::Asset(asset.clone()), asset.key()),
        ] {
            assert_eq!(input.to_string().parse(), Ok(input.clone()));
            assert_eq!(input.key(), key);
        }
        for (text, expected) in [
            ("asset:x", "upload the file"),
            ("artifact:x", "of a job that succeeded"),
            (
                "artifact: a golden mask",
                "must be `asset:<id>` of an uploaded file or `artifact:<id>`",
            ),
            ("/etc/passwd", "must be `asset:<id>`"),
        ] {
            let error = text.parse::<InputId>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
