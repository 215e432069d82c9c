//! All jobs that there are, for lists and counts. Rebuilt from the records at every start.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use prost::Message as _;
use proto::{
    Backend, Status,
    ids::JobId,
    lifecycle,
    moment::{self, Millis},
    v1::Job,
};

/// Where a page ended: the creation time and id of its last job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    created: Millis,
    id: JobId,
}

/// Which jobs are asked for; empty means any.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In one of these states.
    pub status: Vec<Status>,
    /// Of one of these backends.
    pub backend: Vec<Backend>,
}

/// A part of a list, newest first.
#[derive(Debug, Default)]
pub struct Page {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
    /// How many match in all.
    pub total: u64,
}

/// All jobs. Finished ones are kept as the bytes of their record, which are a fraction of the message.
#[derive(Debug, Default)]
pub struct Index {
    entries: HashMap<JobId, Entry>,
    by_age: BTreeSet<Cursor>,
    live: HashMap<JobId, Job>,
    counts: BTreeMap<(Status, Backend), u64>,
}

#[derive(Debug)]
struct Entry {
    revision: u64,
    status: Status,
    backend: Backend,
    created: Millis,
    record: Bytes,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        (self.status.is_empty() || self.status.contains(&entry.status))
            && (self.backend.is_empty() || self.backend.contains(&entry.backend))
    }
}

impl Index {
    /// Whether the record is newer than what is known.
    pub fn is_news(&self, job: &Job) -> bool {
        let known = job.id.parse().ok().and_then(|id: JobId| self.entries.get(&id));
        known.is_none_or(|entry| entry.revision < job.revision)
    }

    /// Takes a record; `false` where a newer one is known already.
    pub fn take(&mut self, job: Job) -> bool {
        let Ok(id) = job.id.parse::<JobId>() else {
            return false;
        };
        if self
            .entries
            .get(&id)
            .is_some_and(|entry| entry.revision >= job.revision)
        {
            return false;
        }
        self.forget(id);
        let created = moment::maybe_millis(job.created_at.as_ref()).unwrap_or_default();
        let (status, backend) = (job.status(), job.backend());
        *self.counts.entry((status, backend)).or_default() += 1;
        self.by_age.insert(Cursor { created, id });
        let record = Bytes::from(
            Job {
                revision: 0,
                ..job.clone()
            }
            .encode_to_vec(),
        );
        self.entries.insert(
            id,
            Entry {
                revision: job.revision,
                status,
                backend,
                created,
                record,
            },
        );
        if !lifecycle::is_finished(status) {
            self.live.insert(id, job);
        }
        true
    }

    /// The record expired at this revision.
    pub fn remove(&mut self, id: JobId, revision: u64) -> bool {
        let known = self
            .entries
            .get(&id)
            .is_some_and(|entry| entry.revision < revision);
        if known {
            self.forget(id);
        }
        known
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The job as far as it is known.
    pub fn get(&self, id: JobId) -> Option<Job> {
        self.live
            .get(&id)
            .cloned()
            .or_else(|| decode(self.entries.get(&id)?))
    }

    /// Jobs that are not over.
    pub fn live(&self) -> impl Iterator<Item = (JobId, &Job)> {
        self.live.iter().map(|(id, job)| (*id, job))
    }

    /// When a finished job was finished; `None` where it is not known or not over.
    pub fn finished_at(&self, id: JobId) -> Option<Millis> {
        moment::maybe_millis(self.finished(id)?.finished_at.as_ref())
    }

    /// A job that is over; `None` where it is not known or not over.
    pub fn finished(&self, id: JobId) -> Option<Job> {
        let entry = self.entries.get(&id)?;
        lifecycle::is_finished(entry.status).then(|| decode(entry))?
    }

    /// Whether there is a record of this job.
    pub fn contains(&self, id: JobId) -> bool {
        self.entries.contains_key(&id)
    }

    /// Jobs by state and backend.
    pub const fn counts(&self) -> &BTreeMap<(Status, Backend), u64> {
        &self.counts
    }

    /// The jobs changed after `revision`, in the order of their changes.
    pub fn since(&self, revision: u64) -> Vec<Job> {
        let mut jobs: Vec<&Entry> = self
            .entries
            .values()
            .filter(|entry| entry.revision > revision)
            .collect();
        jobs.sort_by_key(|entry| entry.revision);
        jobs.into_iter().filter_map(decode).collect()
    }

    /// One page of the jobs that match, newest first.
    pub fn page(&self, filter: &Filter, after: Option<Cursor>, limit: usize) -> Page {
        let matches = |entry: &Entry| filter.takes(entry);
        let total = self
            .counts
            .iter()
            .filter(|((status, backend), _)| {
                (filter.status.is_empty() || filter.status.contains(status))
                    && (filter.backend.is_empty() || filter.backend.contains(backend))
            })
            .map(|(_, count)| count)
            .sum();
        let older: Box<dyn Iterator<Item = &Cursor>> = match after {
            Some(cursor) => Box::new(self.by_age.range(..cursor).rev()),
            None => Box::new(self.by_age.iter().rev()),
        };
        let mut found = older.filter(|cursor| self.entries.get(&cursor.id).is_some_and(matches));
        let cursors: Vec<Cursor> = found.by_ref().take(limit).copied().collect();
        let more = found.next().is_some();
        Page {
            jobs: cursors.iter().filter_map(|cursor| self.get(cursor.id)).collect(),
            next: cursors.last().copied().filter(|_| more),
            total,
        }
    }

    /// The newest of the jobs that match and are wanted.
    pub fn newest(&self, filter: &Filter, wanted: impl Fn(&Job) -> bool) -> Option<Job> {
        let newest_first = self.by_age.iter().rev();
        let matching = newest_first.filter(|cursor| {
            let entry = self.entries.get(&cursor.id);
            entry.is_some_and(|entry| filter.takes(entry))
        });
        let mut jobs = matching.filter_map(|cursor| self.get(cursor.id));
        jobs.find(wanted)
    }

    fn forget(&mut self, id: JobId) {
        let Some(entry) = self.entries.remove(&id) else {
            return;
        };
        self.live.remove(&id);
        self.by_age.remove(&Cursor {
            created: entry.created,
            id,
        });
        if let Some(count) = self.counts.get_mut(&(entry.status, entry.backend)) {
            *count = count.saturating_sub(1);
        }
    }
}

fn decode(entry: &Entry) -> Option<Job> {
    Job::decode(entry.record.clone()).ok().map(|job| Job {
        revision: entry.revision,
        ..job
    })
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.created, self.id)
    }
}

impl std::str::FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (created, id) = text.split_once('_')?;
            Some(Self {
                created: created.parse().ok()?,
                id: id.parse().ok()?,
            })
        };
        parse().ok_or("is not a cursor; use `next_cursor` of the page before")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::moment::timestamp;

    fn job(created: Millis, status: Status, revision: u64) -> Job {
        Job {
            id: JobId::generate().to_string(),
            status: status.into(),
            backend: Backend::Sketch.into(),
            created_at: Some(timestamp(created)),
            revision,
            ..Job::default()
        }
    }

    #[test]
    fn pages_join_without_gap_or_repetition() {
        let mut index = Index::default();
        for n in 0..25 {
            let status = if n % 5 == 0 {
                Status::Failed
            } else {
                Status::Succeeded
            };
            index.take(job(n / 3, status, u64::try_from(n).unwrap() + 1));
        }
        let filter = Filter {
            status: vec![Status::Succeeded],
            ..Filter::default()
        };
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = index.page(&filter, after, 7);
            assert_eq!(page.total, 20);
            seen.extend(
                page.jobs
                    .into_iter()
                    .map(|job| (moment::maybe_millis(job.created_at.as_ref()), job.id)),
            );
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 20);
        assert!(seen.is_sorted_by(|a, b| a > b), "newest first");
    }

    #[test]
    fn an_older_revision_changes_nothing() {
        let mut index = Index::default();
        let new = job(1, Status::Succeeded, 9);
        assert!(index.take(new.clone()));
        assert!(!index.take(Job {
            revision: 8,
            status: Status::Queued.into(),
            ..new.clone()
        }));
        assert_eq!(index.live().count(), 0);
        let id = new.id.parse().unwrap();
        assert!(!index.remove(id, 9) && index.remove(id, 10) && !index.contains(id));
        assert_eq!(index.counts().values().sum::<u64>(), 0);
    }

    #[test]
    fn changes_are_told_in_their_order() {
        let mut index = Index::default();
        for revision in [5, 3, 8] {
            index.take(job(1, Status::Queued, revision));
        }
        let told: Vec<u64> = index.since(3).into_iter().map(|job| job.revision).collect();
        assert_eq!(told, [5, 8]);
    }
}
