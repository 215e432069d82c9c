//! Everything that was ever written about jobs, and whether it keeps the promises.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use prost::Message as _;
use proto::{
    EventKind, Status, lifecycle, subjects, topology,
    v1::{Job, JobEvent},
};
use tokio::sync::mpsc;

use crate::TestBroker;

/// Listens to every write of a record from the moment it begins.
///
/// The stream keeps the newest record of a job only, so the writes are heard as they are published;
/// [`History::check`] reads the newest ones once more for what was missed while the broker was away.
#[derive(Debug)]
pub struct History {
    url: String,
    writes: mpsc::UnboundedReceiver<Job>,
    listener: tokio::task::JoinHandle<()>,
}

impl History {
    /// Begins to listen.
    ///
    /// # Panics
    /// If the broker does not answer.
    #[expect(clippy::disallowed_methods, reason = "the handle is kept and aborted on drop")]
    pub async fn of(broker: &TestBroker) -> Self {
        let url = broker.url();
        let client = async_nats::connect(&url).await.expect("a connection");
        let mut messages = client.subscribe(subjects::JOBS).await.expect("a subscription");
        client.flush().await.expect("the subscription stands");
        let (sender, writes) = mpsc::unbounded_channel();
        let listener = tokio::spawn(async move {
            while let Some(message) = messages.next().await {
                if let Ok(job) = Job::decode(message.payload)
                    && !job.id.is_empty()
                {
                    sender.send(job).ok();
                }
            }
        });
        Self {
            url,
            writes,
            listener,
        }
    }

    /// Checks the promises for these jobs, which have to be over.
    ///
    /// # Panics
    /// With the promise that was broken.
    pub async fn check(&mut self, accepted: &[String]) {
        let mut written: BTreeMap<String, Vec<Job>> = BTreeMap::new();
        while let Ok(job) = self.writes.try_recv() {
            written.entry(job.id.clone()).or_default().push(job);
        }
        let newest = self.newest().await;
        for id in accepted {
            let job = newest
                .get(id)
                .unwrap_or_else(|| panic!("accepted job {id} is lost"));
            assert!(
                lifecycle::is_finished(job.status()),
                "job {id} is stuck: {job:#?}"
            );
            check_record(job);
            check_writes(job, written.get(id).map(Vec::as_slice).unwrap_or_default());
        }
    }

    async fn newest(&self) -> BTreeMap<String, Job> {
        let client = async_nats::connect(&self.url).await.expect("a connection");
        let context = async_nats::jetstream::new(client);
        let stream = context.get_stream(topology::JOBS).await.expect("the records");
        let config = async_nats::jetstream::consumer::pull::OrderedConfig {
            deliver_policy: async_nats::jetstream::consumer::DeliverPolicy::LastPerSubject,
            filter_subject: subjects::JOBS.to_owned(),
            ..Default::default()
        };
        let count = stream.cached_info().state.messages;
        let consumer = stream.create_consumer(config).await.expect("a consumer");
        let messages = consumer
            .messages()
            .await
            .expect("messages")
            .take(usize::try_from(count).expect("few"));
        let jobs = messages.filter_map(|message| async { Job::decode(message.ok()?.payload.clone()).ok() });
        jobs.map(|job| (job.id.clone(), job)).collect().await
    }
}

impl Drop for History {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// The record tells a whole and single story.
fn check_record(job: &Job) {
    let numbers: Vec<u32> = job.timeline.iter().map(|event| event.number).collect();
    assert!(
        numbers.is_sorted_by(|a, b| a < b),
        "events out of order: {job:#?}"
    );
    let ends = job.timeline.iter().filter(|event| is_end(event)).count();
    assert_eq!(ends, 1, "one terminal event: {job:#?}");
    assert!(
        job.timeline.last().is_some_and(is_end),
        "nothing after the end: {job:#?}"
    );
    assert!(
        job.attempt - job.handed_back <= job.max_attempts,
        "too many attempts: {job:#?}"
    );
    let attempts: BTreeSet<u32> = job.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(
        attempts.len(),
        job.attempts.len(),
        "every attempt is told once: {job:#?}"
    );
    for output in &job.outputs {
        assert!(
            output.id.starts_with(&format!("{}-{}-", job.id, job.attempt)),
            "outputs of the last attempt: {job:#?}"
        );
    }
}

/// Of the writes that the stream accepted, those after the end are none. Refused writes are heard as well:
/// they are recognised by not being part of the final timeline.
fn check_writes(job: &Job, writes: &[Job]) {
    let ended: Vec<&Job> = writes
        .iter()
        .filter(|write| lifecycle::is_finished(write.status()) && write.timeline == job.timeline)
        .collect();
    for pair in ended.windows(2) {
        assert_eq!(
            pair[0], pair[1],
            "a finished record was written again with other content"
        );
    }
    let started = |job: &Job| {
        job.timeline
            .iter()
            .filter(|event| event.kind() == EventKind::Started)
            .count()
    };
    assert!(
        job.status() != Status::Succeeded || started(job) >= 1,
        "succeeded without a start: {job:#?}"
    );
}

fn is_end(event: &JobEvent) -> bool {
    matches!(
        event.kind(),
        EventKind::Succeeded | EventKind::Failed | EventKind::Cancelled
    )
}
