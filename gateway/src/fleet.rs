//! Who is there: the workers by their announcements, and since when nothing was heard of them.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use proto::{
    ids::Incarnation,
    moment::Millis,
    v1::{ModelPlace, Worker},
};

/// Missed announcements after which a worker is not shown any more.
const MISSED: i64 = 3;

/// The workers as they announced themselves.
#[derive(Debug, Clone)]
pub struct Fleet {
    workers: BTreeMap<String, Seen>,
    /// When each life of a worker was last heard of.
    heard: HashMap<Incarnation, Millis>,
    announce_every: i64,
}

#[derive(Debug, Clone)]
struct Seen {
    worker: Worker,
    at: Millis,
}

/// What is known about one life of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Heard of at this time.
    Heard(Millis),
    /// The worker has begun another life, or said that it stopped.
    Over,
    /// Never heard of.
    Unheard,
}

impl Fleet {
    /// An empty fleet whose workers announce themselves every so often.
    pub fn new(announce_every: Duration) -> Self {
        let announce_every = i64::try_from(announce_every.as_millis()).unwrap_or(i64::MAX / MISSED);
        Self {
            workers: BTreeMap::new(),
            heard: HashMap::new(),
            announce_every,
        }
    }

    /// Takes an announcement that arrived at `now`; tells whether it begins or ends a life.
    pub fn take(&mut self, worker: Worker, now: Millis) -> bool {
        let Ok(incarnation) = worker.incarnation.parse::<Incarnation>() else {
            return false;
        };
        let older = |seen: &Seen| seen.worker.incarnation.as_str() > worker.incarnation.as_str();
        if self.workers.get(&worker.id).is_some_and(older) {
            return false;
        }
        self.heard.insert(incarnation, now);
        let changed = |seen: &Seen| seen.worker.incarnation != worker.incarnation || worker.stopped;
        let turn = self.workers.get(&worker.id).is_none_or(changed);
        self.workers.insert(worker.id.clone(), Seen { worker, at: now });
        turn
    }

    /// Forgets lives that were over long ago.
    pub fn prune(&mut self, now: Millis, keep: Duration) {
        let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        self.heard.retain(|_, at| now.saturating_sub(*at) <= keep);
        self.workers.retain(|_, seen| now.saturating_sub(seen.at) <= keep);
    }

    /// What is known about one life of a worker.
    pub fn life(&self, worker: &str, incarnation: Incarnation) -> Life {
        if let Some(seen) = self.workers.get(worker) {
            let newer = seen
                .worker
                .incarnation
                .parse::<Incarnation>()
                .is_ok_and(|current| current > incarnation);
            let stopped = seen.worker.stopped && seen.worker.incarnation == incarnation.to_string();
            if newer || stopped {
                return Life::Over;
            }
        }
        self.heard
            .get(&incarnation)
            .map_or(Life::Unheard, |at| Life::Heard(*at))
    }

    /// Whether this life of the worker said lately that it works on the job.
    pub fn claims(&self, worker: &str, incarnation: Incarnation, job: &str) -> bool {
        self.workers.get(worker).is_some_and(|seen| {
            seen.worker.incarnation == incarnation.to_string()
                && seen.worker.running.iter().any(|claim| claim.job == job)
        })
    }

    /// The workers that are there.
    pub fn present(&self, now: Millis) -> impl Iterator<Item = &Worker> {
        let patience = self.announce_every.saturating_mul(MISSED);
        self.workers
            .values()
            .filter(move |seen| !seen.worker.stopped && now.saturating_sub(seen.at) <= patience)
            .map(|seen| &seen.worker)
    }

    /// A worker by its name, whether it is there or was heard of before.
    pub fn worker(&self, id: &str) -> Option<&Worker> {
        self.workers.get(id).map(|seen| &seen.worker)
    }

    /// The workers that were heard of within this time, those that have stopped since included.
    pub fn heard_within(&self, now: Millis, time: Duration) -> impl Iterator<Item = &Worker> {
        let time = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.workers
            .values()
            .filter(move |seen| now.saturating_sub(seen.at) <= time)
            .map(|seen| &seen.worker)
    }

    /// The models that the present workers have: which of them has each, holds it in memory, or has a damaged
    /// file of it.
    pub fn models(&self, now: Millis) -> Vec<ModelPlace> {
        let mut places: BTreeMap<(i32, &str, &str), ModelPlace> = BTreeMap::new();
        for worker in self.present(now) {
            for offer in &worker.backends {
                for model in &offer.models {
                    let key = (offer.backend, model.kind.as_str(), model.name.as_str());
                    let place = places.entry(key).or_insert_with(|| ModelPlace {
                        kind: model.kind.clone(),
                        name: model.name.clone(),
                        backend: offer.backend,
                        ..ModelPlace::default()
                    });
                    place.workers.push(worker.id.clone());
                    if model.loaded {
                        place.loaded_by.push(worker.id.clone());
                    }
                    if !model.problem.is_empty() {
                        place.damaged_on.push(worker.id.clone());
                    }
                }
            }
        }
        places.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::{BackendOffer, Model};

    fn worker(incarnation: Incarnation) -> Worker {
        Worker {
            id: "w1".into(),
            incarnation: incarnation.to_string(),
            ..Worker::default()
        }
    }

    #[test]
    fn a_new_life_ends_the_old_one_and_late_words_of_the_old_one_do_not_count() {
        let (old, new) = (Incarnation::generate(), Incarnation::generate());
        let mut fleet = Fleet::new(Duration::from_secs(5));
        assert!(fleet.take(worker(old), 0));
        assert!(!fleet.take(worker(old), 5_000));
        assert_eq!(fleet.life("w1", old), Life::Heard(5_000));
        assert!(fleet.take(worker(new), 6_000));
        assert!(!fleet.take(worker(old), 7_000));
        assert_eq!(
            (fleet.life("w1", old), fleet.life("w1", new)),
            (Life::Over, Life::Heard(6_000))
        );
    }

    #[test]
    fn who_is_silent_is_not_shown() {
        let mut fleet = Fleet::new(Duration::from_secs(5));
        fleet.take(worker(Incarnation::generate()), 0);
        assert_eq!(
            (fleet.present(15_000).count(), fleet.present(15_001).count()),
            (1, 0)
        );
    }

    #[test]
    fn a_model_says_where_it_is_loaded_and_where_it_is_damaged() {
        let mut fleet = Fleet::new(Duration::from_secs(5));
        for (id, loaded, problem) in [("a", true, ""), ("b", false, "it is cut off")] {
            let model = Model {
                kind: "checkpoint".into(),
                name: "base".into(),
                loaded,
                problem: problem.into(),
                ..Model::default()
            };
            let offer = BackendOffer {
                models: vec![model],
                ..BackendOffer::default()
            };
            let mut worker = worker(Incarnation::generate());
            worker.id = id.into();
            worker.backends.push(offer);
            fleet.take(worker, 0);
        }
        let models = fleet.models(0);
        assert_eq!(models.len(), 1);
        assert_eq!(models[0].workers, ["a", "b"]);
        assert_eq!(
            (&models[0].loaded_by[..], &models[0].damaged_on[..]),
            (&["a".to_owned()][..], &["b".to_owned()][..])
        );
    }

    #[test]
    fn who_stopped_a_while_ago_is_still_known() {
        let mut fleet = Fleet::new(Duration::from_secs(5));
        let mut gone = worker(Incarnation::generate());
        gone.stopped = true;
        fleet.take(gone, 0);
        let hour = Duration::from_hours(1);
        assert_eq!(fleet.present(1).count(), 0);
        assert_eq!(
            (
                fleet.heard_within(3_600_000, hour).count(),
                fleet.heard_within(3_600_001, hour).count()
            ),
            (1, 0)
        );
    }
}
