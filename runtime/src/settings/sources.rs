//! Where values come from, in order: environment, `.env.local`, `.env`, the file.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use super::{FAMILIAR_NAMES, Fault, TEST_PREFIX, environment_name};

/// A value as it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) origin: String,
}

#[derive(Debug, Default)]
pub(super) struct Sources {
    /// By variable name; later sources have replaced earlier ones.
    variables: BTreeMap<String, Found>,
    /// By key.
    file: BTreeMap<String, Found>,
}

impl Sources {
    pub(super) fn read(
        dir: &Path,
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        faults: &mut Vec<Fault>,
    ) -> Self {
        let mut sources = Self::default();
        let path = file.map_or_else(|| dir.join("orchestrator.toml"), Path::to_path_buf);
        match fs::read_to_string(&path) {
            Ok(text) => sources.take_toml(&path, &text, faults),
            Err(error) if error.kind() == ErrorKind::NotFound && file.is_none() => {}
            Err(error) => faults.push(unreadable(&path, &error.to_string())),
        }
        for name in [".env", ".env.local"] {
            sources.take_env_file(&dir.join(name), faults);
        }
        for (name, text) in environment {
            let origin = format!("environment variable {name}");
            sources.variables.insert(name, Found { text, origin });
        }
        sources
    }

    pub(super) fn find(&self, key: &str) -> Option<Found> {
        let familiar = FAMILIAR_NAMES
            .iter()
            .find(|(familiar, _)| *familiar == key)
            .map(|(_, name)| *name);
        self.variables
            .get(&environment_name(key))
            .or_else(|| familiar.and_then(|name| self.variables.get(name)))
            .or_else(|| self.file.get(key))
            .cloned()
    }

    /// What is set and nobody asked for.
    pub(super) fn unknown(&self, known: &[&str]) -> Vec<Fault> {
        let names: Vec<String> = known.iter().map(|key| environment_name(key)).collect();
        let in_file = self.file.iter().filter(|(key, _)| !known.contains(&key.as_str()));
        let in_environment = self.variables.iter().filter(|(name, _)| {
            name.starts_with("ORCHESTRATOR_") && !name.starts_with(TEST_PREFIX) && !names.contains(name)
        });
        let name_list: Vec<&str> = names.iter().map(String::as_str).collect();
        in_file
            .map(|(key, found)| unknown_fault(key, found, known))
            .chain(in_environment.map(|(name, found)| unknown_fault(name, found, &name_list)))
            .collect()
    }

    fn take_toml(&mut self, path: &Path, text: &str, faults: &mut Vec<Fault>) {
        match text.parse::<toml::Table>() {
            Ok(table) => self.flatten(path, "", &table),
            Err(error) => faults.push(unreadable(path, &error.to_string())),
        }
    }

    fn flatten(&mut self, path: &Path, prefix: &str, table: &toml::Table) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.clone()
            } else {
                format!("{prefix}.{name}")
            };
            if let toml::Value::Table(inner) = value {
                self.flatten(path, &key, inner);
            } else {
                let origin = path.display().to_string();
                self.file.insert(
                    key,
                    Found {
                        text: plain(value),
                        origin,
                    },
                );
            }
        }
    }

    fn take_env_file(&mut self, path: &Path, faults: &mut Vec<Fault>) {
        let iterator = match dotenvy::from_path_iter(path) {
            Ok(iterator) => iterator,
            Err(error) if error.not_found() => return,
            Err(error) => return faults.push(unreadable(path, &error.to_string())),
        };
        for line in iterator {
            match line {
                Ok((name, text)) => {
                    let origin = format!("{} ({name})", path.display());
                    self.variables.insert(name, Found { text, origin });
                }
                Err(error) => faults.push(unreadable(path, &error.to_string())),
            }
        }
    }
}

fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Table(_) => value.to_string(),
    }
}

fn unreadable(path: &Path, message: &str) -> Fault {
    Fault {
        key: path.display().to_string(),
        origin: "the file itself".to_owned(),
        message: format!("cannot be read: {}", message.trim_end()),
    }
}

fn unknown_fault(key: &str, found: &Found, known: &[&str]) -> Fault {
    let nearest = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(key, a).total_cmp(&strsim::jaro_winkler(key, b)));
    let hint = nearest
        .map(|nearest| format!("; did you mean {nearest}?"))
        .unwrap_or_default();
    Fault {
        key: key.to_owned(),
        origin: found.origin.clone(),
        message: format!("there is no such setting{hint}"),
    }
}
