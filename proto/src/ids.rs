//! Typed ids. Each is valid as a token of a NATS subject and as a segment of a URL and a file path.

mod input;

use std::{fmt, str::FromStr};

use uuid::Uuid;

pub use input::{InputId, InvalidReference};

/// An id that is not of its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {expected}")]
pub struct InvalidId {
    /// What was found, cut to 80 characters.
    pub found: String,
    /// What was expected, in words.
    pub expected: &'static str,
}

impl InvalidId {
    fn new(found: &str, expected: &'static str) -> Self {
        Self {
            found: found.chars().take(80).collect(),
            expected,
        }
    }
}

macro_rules! uuid_id {
    ($(#[$meta:meta])* $name:ident, $expected:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The UUID itself.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            /// Only the canonical form (lower case, hyphens) is accepted, so that one id has one spelling.
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match Uuid::try_parse(text) {
                    Ok(uuid) if text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase()) => Ok(Self(uuid)),
                    _ => Err(InvalidId::new(text, $expected)),
                }
            }
        }
    };
}

uuid_id!(
    /// A job. UUID v7, or v8 where it is derived from an idempotency key.
    JobId,
    "a job id (a lower-case UUID with hyphens)"
);
uuid_id!(
    /// One attempt's hold on a job; the fencing token.
    ClaimId,
    "a claim id (a lower-case UUID with hyphens)"
);
uuid_id!(
    /// One life of a worker's process.
    Incarnation,
    "an incarnation (a lower-case UUID with hyphens)"
);

impl JobId {
    /// A new id; ids made later sort later.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id that an idempotency key of a submitter stands for: always the same.
    pub fn from_idempotency_key(submitter: &str, key: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("orchestrator 2026 job id from idempotency key");
        hasher.update(&(submitter.len() as u64).to_le_bytes());
        hasher.update(submitter.as_bytes());
        hasher.update(key.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(Uuid::new_v8(bytes))
    }
}

impl ClaimId {
    /// A new, unguessable id.
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Incarnation {
    /// A new id; made once when a worker starts.
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }
}

/// A worker's name: 1 to 64 of `a-z A-Z 0-9 _ -`. Stays the same over restarts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(String);

impl WorkerId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A worker id made of any text: what is not allowed becomes `-`.
    pub fn from_any(text: &str) -> Self {
        let mut name: String = text
            .chars()
            .take(64)
            .map(|c| if is_token_char(c) { c } else { '-' })
            .collect();
        if name.is_empty() {
            name.push_str("worker");
        }
        Self(name)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WorkerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=64).contains(&text.len()) && text.chars().all(is_token_char) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(
                text,
                "a worker id (1 to 64 letters, digits, _ or -)",
            ))
        }
    }
}

/// A file that an attempt of a job made: `<job>-<attempt>-<index>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArtifactId {
    /// Whose it is.
    pub job: JobId,
    /// Which attempt made it, from 1.
    pub attempt: u32,
    /// Its place among the attempt's files, from 0.
    pub index: u32,
}

impl ArtifactId {
    /// What refers to a result within a request: `artifact:<id>`.
    pub const SCHEME: &str = "artifact:";

    /// Where it lies in the artifact store. A repeated upload overwrites itself.
    pub fn key(&self) -> String {
        format!("jobs/{}/{}/{}", self.job, self.attempt, self.index)
    }
}

impl fmt::Display for ArtifactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.job, self.attempt, self.index)
    }
}

impl FromStr for ArtifactId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parse = || {
            let (rest, index) = text.rsplit_once('-')?;
            let (job, attempt) = rest.rsplit_once('-')?;
            let id = Self {
                job: job.parse().ok()?,
                attempt: attempt.parse().ok()?,
                index: index.parse().ok()?,
            };
            (id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| InvalidId::new(text, "an artifact id (<job>-<attempt>-<index>)"))
    }
}

/// An uploaded input, named by the SHA-256 of its content.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AssetId(String);

impl AssetId {
    /// What refers to an asset within a request: `asset:<id>`.
    pub const SCHEME: &str = "asset:";

    /// From the digest of the content.
    pub fn from_sha256(digest: &[u8; 32]) -> Self {
        Self(hex(digest))
    }

    /// The digest in hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it lies in the artifact store.
    pub fn key(&self) -> String {
        format!("assets/{}", self.0)
    }

    /// Where the description of it lies in the artifact store.
    pub fn description_key(&self) -> String {
        format!("assets/{}.json", self.0)
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AssetId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId::new(text, "an asset id (64 hex digits)"))
        }
    }
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    bytes.iter().flat_map(digits).map(char::from).collect()
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = JobId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<JobId>().is_err());
        assert!(id.uuid().simple().to_string().parse::<JobId>().is_err());
        assert!("../../etc/passwd".parse::<JobId>().is_err());
    }

    #[test]
    fn an_idempotency_key_stands_for_one_job_of_one_submitter() {
        let id = JobId::from_idempotency_key("a", "key");
        assert_eq!(id, JobId::from_idempotency_key("a", "key"));
        assert_ne!(id, JobId::from_idempotency_key("ak", "ey"));
    }

    proptest! {
        #[test]
        fn artifact_ids_round_trip(attempt: u32, index: u32) {
            let id = ArtifactId { job: JobId::generate(), attempt, index };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn no_text_makes_an_id_with_a_dot_or_a_slash(text in ".{0,80}") {
            prop_assert!(text.parse::<ArtifactId>().is_err());
            if let Ok(worker) = text.parse::<WorkerId>() {
                prop_assert!(!worker.as_str().contains(['.', '/', '*', '>', ' ']));
            }
            prop_assert!(WorkerId::from_any(&text).as_str().parse::<WorkerId>().is_ok());
        }
    }
}
