//! The benchmark's two contestants, the product and raw JetStream, and how they are measured.
//!
//! Both see the same broker, the same machine and the same moment: rounds are interleaved, and what counts
//! is the ratio. "Done" is seen on the wire by one subscription to the records, the same way for both.

pub mod product;
pub mod raw;

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

/// Something that takes jobs.
pub trait Contestant: Send + Sync {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Submits a job; gives its id once it is accepted.
    fn submit(&self) -> impl Future<Output = anyhow::Result<String>> + Send;
}

/// What is seen of a job on the wire.
#[derive(Debug)]
pub struct Sighting {
    /// Whose.
    pub id: String,
    /// It is over; otherwise it started.
    pub over: bool,
    /// When it was seen.
    pub at: Instant,
}

/// Latencies of single jobs, in seconds.
#[derive(Debug, Default, Clone)]
pub struct Latency {
    /// From the call to the answer that accepts the job.
    pub accepted: Vec<f64>,
    /// From the call to the start.
    pub start: Vec<f64>,
    /// From the call to the end.
    pub done: Vec<f64>,
}

/// What one wants to be told about: start and end of a job.
type Waiter = (Option<oneshot::Sender<Instant>>, Option<oneshot::Sender<Instant>>);

/// Tells waiters about sightings, in whichever order the two arrive.
#[derive(Debug)]
pub struct Lookout {
    requests: mpsc::UnboundedSender<(String, Waiter)>,
}

impl Lookout {
    /// Begins to watch.
    #[expect(clippy::disallowed_methods, reason = "ends with its channels")]
    pub fn new(mut sightings: mpsc::UnboundedReceiver<Sighting>) -> Self {
        let (requests, mut asked) = mpsc::unbounded_channel::<(String, Waiter)>();
        tokio::spawn(async move {
            let mut waiting: HashMap<String, Waiter> = HashMap::new();
            let mut seen: HashMap<String, (Option<Instant>, Option<Instant>)> = HashMap::new();
            loop {
                let id = tokio::select! {
                    Some((id, waiter)) = asked.recv() => {
                        waiting.insert(id.clone(), waiter);
                        id
                    }
                    Some(sighting) = sightings.recv() => {
                        let entry = seen.entry(sighting.id.clone()).or_default();
                        let place = if sighting.over { &mut entry.1 } else { &mut entry.0 };
                        place.get_or_insert(sighting.at);
                        sighting.id
                    }
                    else => return,
                };
                if let (Some(waiter), Some((start, done))) = (waiting.get_mut(&id), seen.get(&id)) {
                    for (sender, at) in [(&mut waiter.0, start), (&mut waiter.1, done)] {
                        if let (true, Some(at)) = (sender.is_some(), at)
                            && let Some(sender) = sender.take()
                        {
                            sender.send(*at).ok();
                        }
                    }
                    if done.is_some() {
                        waiting.remove(&id);
                        seen.remove(&id);
                    }
                }
            }
        });
        Self { requests }
    }

    /// When the job starts and when it is over.
    fn expect(&self, id: String) -> (oneshot::Receiver<Instant>, oneshot::Receiver<Instant>) {
        let (start, started) = oneshot::channel();
        let (over, ended) = oneshot::channel();
        self.requests.send((id, (Some(start), Some(over)))).ok();
        (started, ended)
    }
}

/// One job after the other.
///
/// # Errors
/// If a job is not accepted or not finished.
pub async fn one_at_a_time(
    contestant: &impl Contestant,
    lookout: &Lookout,
    jobs: usize,
) -> anyhow::Result<Latency> {
    let mut latency = Latency::default();
    for _ in 0..jobs {
        let began = Instant::now();
        let id = contestant.submit().await?;
        latency.accepted.push(began.elapsed().as_secs_f64());
        let (started, ended) = lookout.expect(id);
        let patience = Duration::from_secs(30);
        latency
            .start
            .push((tokio::time::timeout(patience, started).await?? - began).as_secs_f64());
        latency
            .done
            .push((tokio::time::timeout(patience, ended).await?? - began).as_secs_f64());
    }
    Ok(latency)
}

/// `at_once` jobs under way at any time, for about `time`.
///
/// # Errors
/// If a job is not accepted or not finished.
pub async fn many_at_once<C: Contestant + 'static>(
    contestant: Arc<C>,
    lookout: Arc<Lookout>,
    at_once: usize,
    time: Duration,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let (contestant, lookout) = (contestant.clone(), lookout.clone());
        callers.spawn(async move {
            let mut jobs = 0_u32;
            while began.elapsed() < time {
                let id = contestant.submit().await?;
                let (_started, ended) = lookout.expect(id);
                tokio::time::timeout(Duration::from_secs(30), ended).await??;
                jobs += 1;
            }
            anyhow::Ok(jobs)
        });
    }
    let mut jobs = 0;
    while let Some(caller) = callers.join_next().await {
        jobs += caller??;
    }
    Ok(f64::from(jobs) / began.elapsed().as_secs_f64())
}

/// Jobs accepted a second by `at_once` callers, without waiting for their end; afterwards the queue is
/// emptied.
///
/// # Errors
/// If a job is not accepted or not finished.
pub async fn accept<C: Contestant + 'static>(
    contestant: Arc<C>,
    lookout: Arc<Lookout>,
    at_once: usize,
    jobs: usize,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let places = Arc::new(Semaphore::new(at_once));
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..jobs {
        let place = places.clone().acquire_owned().await?;
        let contestant = contestant.clone();
        calls.spawn(async move {
            let id = contestant.submit().await;
            drop(place);
            id
        });
    }
    let mut ends = Vec::new();
    while let Some(call) = calls.join_next().await {
        ends.push(lookout.expect(call??).1);
    }
    let accepted = jobs as f64 / began.elapsed().as_secs_f64();
    for end in ends {
        tokio::time::timeout(Duration::from_mins(1), end).await??;
    }
    Ok(accepted)
}

/// The value below which `share` (0 to 1) of the values lie.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or(f64::NAN)
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}
