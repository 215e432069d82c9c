//! Streams of what happens, without a gap: first what is known, then every change.

use futures::{Stream, StreamExt as _, stream};
use proto::{
    ids::JobId,
    lifecycle,
    v1::{Job, Progress, Update, update},
};
use runtime::{records::Records, tasks::Stop};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::picture::Picture;

/// Where a listener that fell behind looks again.
pub struct Source {
    /// The records.
    pub records: Records,
    /// What is known about the fleet.
    pub picture: Picture,
}

/// Everything that happens to one job. `job` is its record, read after `listener` began to listen, so
/// nothing is missed in between; what is told twice is recognised by its revision or number.
pub fn one(
    source: Source,
    id: JobId,
    job: Job,
    progress: Option<Progress>,
    after: u32,
    listener: Receiver<Update>,
    stop: Stop,
) -> impl Stream<Item = Update> + Send + use<> {
    let mut teller = Teller {
        told: after,
        revision: 0,
        attempt: 0,
    };
    let mut first = teller.tell(job);
    first.extend(progress.and_then(|progress| teller.tell_progress(progress)));
    let state = Watch {
        source,
        id,
        teller,
        listener,
        stop,
    };
    stream::unfold((first, Some(state)), |(ready, state)| async move {
        let state = state?;
        let (updates, state) = if ready.is_empty() {
            state.next().await?
        } else {
            (ready, state)
        };
        let over = updates.iter().any(crate::picture::is_last);
        Some((stream::iter(updates), (Vec::new(), (!over).then_some(state))))
    })
    .flatten()
}

struct Watch {
    source: Source,
    id: JobId,
    teller: Teller,
    listener: Receiver<Update>,
    stop: Stop,
}

impl Watch {
    /// The next updates; `None` when the gateway stops or the job is gone.
    async fn next(mut self) -> Option<(Vec<Update>, Self)> {
        loop {
            let update = hear(&mut self.listener, &self.stop).await?;
            let updates = match update {
                Ok(Update {
                    update: Some(update::Update::Job(job)),
                }) => self.teller.tell(self.source.picture.explained(*job)),
                Ok(Update {
                    update: Some(update::Update::Progress(progress)),
                }) => self.teller.tell_progress(progress).into_iter().collect(),
                Ok(_) => Vec::new(),
                Err(RecvError::Lagged(_)) => match self.source.records.load(self.id).await {
                    Ok(job) => self.teller.tell(job?),
                    Err(_) => Vec::new(),
                },
                Err(RecvError::Closed) => return None,
            };
            if !updates.is_empty() {
                return Some((updates, self));
            }
        }
    }
}

/// Remembers what was told about one job.
struct Teller {
    /// Number of the last timeline event.
    told: u32,
    revision: u64,
    attempt: u32,
}

impl Teller {
    /// The events of the record's timeline that were not told, then the record.
    fn tell(&mut self, job: Job) -> Vec<Update> {
        if job.revision <= self.revision {
            return Vec::new();
        }
        self.revision = job.revision;
        self.attempt = if lifecycle::holder(&job).is_some() {
            job.attempt
        } else {
            0
        };
        let told = self.told;
        let fresh = job.timeline.iter().filter(|event| event.number > told).cloned();
        let mut updates: Vec<Update> = fresh
            .map(|event| Update {
                update: Some(update::Update::Event(event)),
            })
            .collect();
        self.told = job.timeline.last().map_or(told, |event| event.number.max(told));
        updates.push(Update {
            update: Some(update::Update::Job(Box::new(job))),
        });
        updates
    }

    /// Progress of an attempt that is over, or not known to have begun, is not told.
    fn tell_progress(&self, progress: Progress) -> Option<Update> {
        (progress.attempt == self.attempt).then_some(Update {
            update: Some(update::Update::Progress(progress)),
        })
    }
}

/// Everything that happens to all jobs after `after` (0: from now on).
pub fn all(picture: Picture, after: u64, stop: Stop) -> impl Stream<Item = Update> + Send + use<> {
    let listener = picture.listen_to_all();
    let first = if after == 0 {
        Vec::new()
    } else {
        records_since(&picture, after)
    };
    let state = WatchAll {
        told: newest(&first, after),
        picture,
        listener,
        stop,
    };
    stream::unfold((first, state), |(ready, state)| async move {
        let (updates, state) = if ready.is_empty() {
            state.next().await?
        } else {
            (ready, state)
        };
        Some((stream::iter(updates), (Vec::new(), state)))
    })
    .flatten()
}

struct WatchAll {
    picture: Picture,
    listener: Receiver<Update>,
    told: u64,
    stop: Stop,
}

impl WatchAll {
    async fn next(mut self) -> Option<(Vec<Update>, Self)> {
        loop {
            let update = hear(&mut self.listener, &self.stop).await?;
            let updates = match update {
                Ok(Update {
                    update: Some(update::Update::Job(job)),
                }) => {
                    if job.revision <= self.told {
                        continue;
                    }
                    vec![Update {
                        update: Some(update::Update::Job(Box::new(self.picture.explained(*job)))),
                    }]
                }
                Ok(update) => vec![update],
                Err(RecvError::Lagged(_)) => records_since(&self.picture, self.told),
                Err(RecvError::Closed) => return None,
            };
            self.told = newest(&updates, self.told);
            if !updates.is_empty() {
                return Some((updates, self));
            }
        }
    }
}

fn records_since(picture: &Picture, revision: u64) -> Vec<Update> {
    let explained = picture
        .since(revision)
        .into_iter()
        .map(|job| picture.explained(job));
    explained
        .map(|job| Update {
            update: Some(update::Update::Job(Box::new(job))),
        })
        .collect()
}

fn newest(updates: &[Update], told: u64) -> u64 {
    let revisions = updates.iter().filter_map(|update| match &update.update {
        Some(update::Update::Job(job)) => Some(job.revision),
        Some(update::Update::Event(_) | update::Update::Progress(_)) | None => None,
    });
    revisions.max().map_or(told, |newest| newest.max(told))
}

/// What happens next; `None` when the gateway stops.
async fn hear(listener: &mut Receiver<Update>, stop: &Stop) -> Option<Result<Update, RecvError>> {
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        update = listener.recv() => Some(update),
    }
}
