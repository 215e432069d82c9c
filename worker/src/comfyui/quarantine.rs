//! Model files that turned out to be damaged: not used until they change.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
}

/// The damaged files, by kind and name.
#[derive(Debug, Default)]
pub(super) struct Quarantine {
    entries: Mutex<BTreeMap<(String, String), Entry>>,
}

#[derive(Debug)]
struct Entry {
    problem: String,
    /// As it was when it was found damaged; `None` where the file cannot be looked at from here.
    stamp: Option<Stamp>,
}

impl Quarantine {
    /// Takes a file out of use.
    pub(super) fn put(&self, kind: &str, name: &str, problem: String, stamp: Option<Stamp>) {
        tracing::warn!(
            model.kind = kind,
            model.name = name,
            problem,
            "a model file is not used any more"
        );
        let entry = Entry { problem, stamp };
        self.entries().insert((kind.to_owned(), name.to_owned()), entry);
    }

    /// Why a file is not used.
    pub(super) fn problem(&self, kind: &str, name: &str) -> Option<String> {
        let entries = self.entries();
        let entry = entries.get(&(kind.to_owned(), name.to_owned()))?;
        Some(entry.problem.clone())
    }

    /// Lifts those whose file is another by now. `stamp` looks at a file.
    pub(super) fn review(&self, stamp: impl Fn(&str, &str) -> Option<Stamp>) {
        self.entries().retain(|(kind, name), entry| {
            let same = entry.stamp.is_none() || stamp(kind, name) == entry.stamp;
            if !same {
                tracing::info!(
                    model.kind = kind,
                    model.name = name,
                    "a damaged model file has changed, and is used again"
                );
            }
            same
        });
    }

    /// Lifts those whose file cannot be looked at: whoever asks for this has seen to them.
    pub(super) fn forgive(&self) {
        self.entries().retain(|_, entry| entry.stamp.is_some());
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_used_again_when_it_has_changed() {
        let quarantine = Quarantine::default();
        let stamp = |size| Some(Stamp { size, modified: None });
        quarantine.put("checkpoint", "a", "cut".to_owned(), stamp(1));
        quarantine.put("checkpoint", "far", "cut".to_owned(), None);
        quarantine.review(|_, _| stamp(1));
        assert_eq!(quarantine.problem("checkpoint", "a").as_deref(), Some("cut"));
        assert_eq!(quarantine.problem("lora", "a"), None);
        quarantine.review(|_, _| stamp(2));
        assert_eq!(quarantine.problem("checkpoint", "a"), None);
        assert!(
            quarantine.problem("checkpoint", "far").is_some(),
            "nobody can see whether it changed"
        );
        quarantine.forgive();
        assert_eq!(quarantine.problem("checkpoint", "far"), None);
    }
}
