//! Versions of nats-server: read from what the program prints, and compared.

use std::cmp::Ordering;
use std::fmt;

/// A release number; a pre-release comes before its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    /// Major, minor and patch.
    pub(crate) numbers: [u64; 3],
    /// Whether something like `-RC.1` followed.
    pub(crate) pre_release: bool,
}

impl Version {
    /// A release, not a pre-release.
    pub(crate) const fn release(major: u64, minor: u64, patch: u64) -> Self {
        Self {
            numbers: [major, minor, patch],
            pre_release: false,
        }
    }

    /// Finds the version in a line such as `nats-server: v2.15.1`.
    pub(crate) fn find(printed: &str) -> Option<Self> {
        printed.split_whitespace().find_map(Self::parse)
    }

    fn parse(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        let word = word.split_once('+').map_or(word, |(version, _build)| version);
        let (release, pre_release) = match word.split_once('-') {
            Some((release, _)) => (release, true),
            None => (word, false),
        };
        let mut parts = release.split('.').map(str::parse);
        let numbers = [parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?];
        parts.next().is_none().then_some(Self { numbers, pre_release })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then(other.pre_release.cmp(&self.pre_release))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(
            formatter,
            "{major}.{minor}.{patch}{}",
            if self.pre_release { "-pre" } else { "" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_version_in_what_the_program_prints() {
        assert_eq!(
            Version::find("nats-server: v2.15.1\n"),
            Some(Version::release(2, 15, 1))
        );
        assert_eq!(
            Version::find("cargo-deny 0.20.2"),
            Some(Version::release(0, 20, 2))
        );
        assert_eq!(
            Version::find("nats-server: v2.15.1+build.7"),
            Some(Version::release(2, 15, 1))
        );
        let candidate = Version {
            numbers: [2, 15, 0],
            pre_release: true,
        };
        assert_eq!(Version::find("nats-server: v2.15.0-RC.1"), Some(candidate));
        for nonsense in [
            "",
            "nats-server",
            "v2.15",
            "v2.15.1.4",
            "2.15.x",
            "command not found: 127",
        ] {
            assert_eq!(Version::find(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn orders_by_number_and_not_by_letter() {
        let minimum = Version::release(2, 14, 1);
        let older = [
            Version::release(2, 9, 25),
            Version::release(2, 14, 0),
            Version::release(1, 99, 99),
        ];
        let newer = [
            minimum,
            Version::release(2, 14, 10),
            Version::release(2, 15, 0),
            Version::release(10, 0, 0),
        ];
        assert!(older.iter().all(|version| *version < minimum));
        assert!(newer.iter().all(|version| *version >= minimum));
        assert!(
            Version {
                numbers: [2, 14, 1],
                pre_release: true
            } < minimum
        );
    }
}
