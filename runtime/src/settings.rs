//! Settings: read once at start from `orchestrator.toml`, `.env`, `.env.local` and the environment.
//!
//! A crate declares a setting by reading it: key, default and meaning stand in one line, and that line is
//! also what `orchestrator config check` and docs/settings.md show. Faults are collected, not thrown, so
//! that a person sees all of them at once.

mod sources;
mod value;

use std::{collections::BTreeMap, path::Path};

pub use value::{ByteSize, Secret, Setting};

use sources::Sources;

/// Environment variables beside `ORCHESTRATOR_*` that set a key, because the world knows them by that name.
const FAMILIAR_NAMES: &[(&str, &str)] = &[
    ("nats.url", "NATS_URL"),
    ("log.filter", "RUST_LOG"),
    ("paid.allow", "ALLOW_GENERATION"),
    ("flux.key", "BFL_API_KEY"),
    ("v0.key", "V0_API_KEY"),
];
/// Keys whose environment variables are set by tests and never read as settings.
const TEST_PREFIX: &str = "ORCHESTRATOR_TEST_";

/// A setting that cannot be used, or a place that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The setting's key, or the file.
    pub key: String,
    /// Where the value came from.
    pub origin: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (from {}): {}", self.key, self.origin, self.message)
    }
}

/// One setting as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Its key, e.g. `gateway.listen`.
    pub key: &'static str,
    /// Its value as text; a secret shows as `***`.
    pub value: String,
    /// Its default as text.
    pub default: &'static str,
    /// Where the value came from, `default` if nowhere.
    pub origin: String,
    /// What it means.
    pub meaning: &'static str,
}

/// Reads settings and remembers what was asked for and what was wrong.
#[derive(Debug)]
pub struct Reader {
    sources: Sources,
    declared: BTreeMap<&'static str, Declared>,
    faults: Vec<Fault>,
}

impl Reader {
    /// Reads the sources: the file (or `orchestrator.toml` in `dir`, which may be absent), `.env` and
    /// `.env.local` in `dir`, and `environment`.
    pub fn new(
        dir: &Path,
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut faults = Vec::new();
        let sources = Sources::read(dir, file, environment, &mut faults);
        Self {
            sources,
            declared: BTreeMap::new(),
            faults,
        }
    }

    /// As [`Reader::new`], with the environment of this process and the current directory.
    pub fn of_process(file: Option<&Path>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::new(Path::new("."), file, environment)
    }

    /// A setting with a default.
    ///
    /// # Panics
    /// If the default itself cannot be parsed, which any test that reads the setting shows.
    pub fn get<T: Setting>(&mut self, key: &'static str, default: &'static str, meaning: &'static str) -> T {
        self.read(key, default, meaning).unwrap_or_else(|| {
            T::parse(default)
                .unwrap_or_else(|fault| panic!("the default of {key} is not {}: {fault}", T::FORM))
        })
    }

    /// A setting that may be absent. An empty value counts as absent.
    pub fn optional<T: Setting>(&mut self, key: &'static str, meaning: &'static str) -> Option<T> {
        self.read(key, "", meaning)
    }

    /// Notes that a value was read well but cannot be used.
    pub fn fault(&mut self, key: &'static str, message: impl Into<String>) {
        let origin = self
            .declared
            .get(key)
            .map_or_else(|| "default".to_owned(), |declared| declared.origin.clone());
        self.faults.push(Fault {
            key: key.to_owned(),
            origin,
            message: message.into(),
        });
    }

    /// All settings that were read, by key; call after everything was read.
    ///
    /// # Errors
    /// Every fault at once, unknown keys included.
    pub fn finish(mut self) -> Result<Vec<Declared>, Vec<Fault>> {
        let known: Vec<&str> = self.declared.keys().copied().collect();
        self.faults.extend(self.sources.unknown(&known));
        if self.faults.is_empty() {
            Ok(self.declared.into_values().collect())
        } else {
            Err(self.faults)
        }
    }

    /// What was read so far, by key, however faulty.
    pub fn declared(&self) -> impl Iterator<Item = &Declared> {
        self.declared.values()
    }

    fn read<T: Setting>(
        &mut self,
        key: &'static str,
        default: &'static str,
        meaning: &'static str,
    ) -> Option<T> {
        let found = self.sources.find(key).filter(|found| !found.text.is_empty());
        let (text, origin) = found.map_or_else(
            || (default.to_owned(), "default".to_owned()),
            |found| (found.text, found.origin),
        );
        let value = if T::IS_SECRET && !text.is_empty() {
            "***".to_owned()
        } else {
            text.clone()
        };
        self.declared.insert(
            key,
            Declared {
                key,
                value,
                default,
                origin: origin.clone(),
                meaning,
            },
        );
        if text.is_empty() && default.is_empty() {
            return None;
        }
        match T::parse(&text) {
            Ok(parsed) => Some(parsed),
            Err(fault) => {
                let shown = if T::IS_SECRET {
                    String::new()
                } else {
                    format!("{text:?} ")
                };
                let message = format!("{shown}is not {}: {fault}", T::FORM);
                self.faults.push(Fault {
                    key: key.to_owned(),
                    origin,
                    message,
                });
                None
            }
        }
    }
}

/// The environment variable that sets a key.
pub fn environment_name(key: &str) -> String {
    format!("ORCHESTRATOR_{}", key.to_ascii_uppercase().replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, time::Duration};

    fn reader(toml: &str, env: &[(&str, &str)]) -> (tempfile::TempDir, Reader) {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("orchestrator.toml"), toml).expect("written");
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let reader = Reader::new(dir.path(), None, env);
        (dir, reader)
    }

    #[test]
    fn the_environment_overrides_the_file_and_the_file_the_default() {
        let (_dir, mut reader) = reader(
            "[lease]\ntime = \"5s\"\nbeat = \"1s\"",
            &[("ORCHESTRATOR_LEASE_TIME", "9s")],
        );
        assert_eq!(
            reader.get::<Duration>("lease.time", "45s", ""),
            Duration::from_secs(9)
        );
        assert_eq!(
            reader.get::<Duration>("lease.beat", "15s", ""),
            Duration::from_secs(1)
        );
        assert_eq!(
            reader.get::<Duration>("lease.other", "3s", ""),
            Duration::from_secs(3)
        );
        let origins: Vec<_> = reader
            .declared()
            .map(|declared| declared.origin.clone())
            .collect();
        assert!(origins[0].contains("orchestrator.toml") && origins[1] == "default");
        assert!(origins[2].contains("ORCHESTRATOR_LEASE_TIME"));
    }

    #[test]
    fn env_files_lie_between_the_file_and_the_environment() {
        let (dir, _) = reader("[a]\nb = \"toml\"\nc = \"toml\"", &[]);
        fs::write(
            dir.path().join(".env"),
            "ORCHESTRATOR_A_B=env\nORCHESTRATOR_A_C=env\nUNRELATED=1\n",
        )
        .expect("written");
        fs::write(dir.path().join(".env.local"), "ORCHESTRATOR_A_C=local\n").expect("written");
        let mut reader = Reader::new(dir.path(), None, []);
        assert_eq!(reader.get::<String>("a.b", "", "").as_str(), "env");
        assert_eq!(reader.get::<String>("a.c", "", "").as_str(), "local");
        assert!(reader.finish().is_ok());
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let (_dir, mut reader) = reader(
            "[gateway]\nlisten = \"nowhere\"\nlistne = 1",
            &[("ORCHESTRATOR_LEASE_TIME", "9")],
        );
        reader.get::<std::net::SocketAddr>("gateway.listen", "127.0.0.1:8080", "");
        reader.get::<Duration>("lease.time", "45s", "");
        let faults = reader.finish().expect_err("three faults");
        let all: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 3, "{all:#?}");
        assert!(all[2].contains("did you mean gateway.listen"), "{all:#?}");
    }

    #[test]
    fn a_secret_is_never_shown() {
        let (_dir, mut reader) = reader("", &[("ORCHESTRATOR_S3_KEY", "hunter2")]);
        let secret = reader.optional::<Secret>("s3.key", "").expect("is set");
        assert_eq!(secret.reveal(), "hunter2");
        assert!(!format!("{secret:?} {:?}", reader.finish()).contains("hunter2"));
    }

    #[test]
    fn a_broken_file_is_a_fault_with_its_place() {
        let (_dir, reader) = reader("[gateway\nlisten = 1", &[]);
        let faults = reader.finish().expect_err("a broken file");
        assert!(faults[0].key.contains("orchestrator.toml"), "{faults:?}");
    }
}
