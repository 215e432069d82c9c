//! Job records: the truth. Every write names the revision that it replaces.

mod feed;

use std::time::Duration;

use async_nats::{HeaderMap, jetstream::message::PublishMessage};
use bytes::Bytes;
use prost::Message as _;
use proto::{
    ids::JobId,
    lifecycle::{self, Change, Refusal},
    subjects, topology,
    v1::{Job, JobRequest},
};

use crate::{
    bus::{Bus, BusError},
    clock,
};
pub use feed::{FeedEvent, follow};

/// How often a change is tried anew because somebody else wrote in between.
const MAX_ROUNDS: u32 = 64;

/// Reads and writes job records.
#[derive(Debug, Clone)]
pub struct Records {
    bus: Bus,
    retention: Duration,
}

/// What came of an attempt to create a record.
#[derive(Debug)]
pub enum Created {
    /// It is there now; with its revision.
    New(Job),
    /// A record of this id was there already.
    Existing(Job),
}

/// Why a record was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such job.
    #[error("there is no job {0}")]
    Unknown(JobId),
    /// The job's life does not allow it.
    #[error("job {} cannot be changed", .current.id)]
    Refused {
        /// Why not.
        #[source]
        refusal: Refusal,
        /// The record as it is.
        current: Box<Job>,
    },
    /// Others kept changing it.
    #[error("job {0} was changed by others too often")]
    Contended(JobId),
    /// The broker.
    #[error("the record could not be written")]
    Bus(#[from] BusError),
}

impl Records {
    /// `retention` is how long a finished job's record is kept.
    pub const fn new(bus: Bus, retention: Duration) -> Self {
        Self { bus, retention }
    }

    /// The connection beneath.
    pub const fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Stores the request of a job whose record cannot hold it. The same request may be stored again.
    ///
    /// # Errors
    /// From the broker; [`BusError::Conflict`] where another request lies there.
    pub async fn store_request(&self, id: JobId, request: &JobRequest) -> Result<(), BusError> {
        let payload = Bytes::from(request.encode_to_vec());
        let message = PublishMessage::build()
            .payload(payload.clone())
            .expected_last_subject_sequence(0);
        match self.publish(subjects::spec(id), message).await {
            Ok(_) => Ok(()),
            Err(error @ (BusError::Conflict | BusError::Unavailable { .. })) => {
                match self.load_request(id).await? {
                    Some(found) if found.encode_to_vec() == payload => Ok(()),
                    _ => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// The request that lies beside a record.
    ///
    /// # Errors
    /// From the broker.
    pub async fn load_request(&self, id: JobId) -> Result<Option<JobRequest>, BusError> {
        let subject = subjects::spec(id);
        let Some(message) = self.bus.last(topology::SPECS, &subject).await? else {
            return Ok(None);
        };
        JobRequest::decode(message.payload)
            .map(Some)
            .map_err(|source| BusError::Garbled { subject, source })
    }

    /// The whole request of a job, wherever it lies.
    ///
    /// # Errors
    /// From the broker.
    pub async fn whole_request(&self, job: &Job) -> Result<Option<JobRequest>, BusError> {
        match job.id.parse() {
            Ok(id) if job.request_is_abridged => self.load_request(id).await,
            _ => Ok(job.request.clone()),
        }
    }

    /// Creates the record of a job: the moment at which the job is accepted.
    ///
    /// # Errors
    /// From the broker; with [`BusError::Unavailable`] it is not known whether the record was stored.
    pub async fn create(&self, id: JobId, job: &Job) -> Result<Created, BusError> {
        let mut replaces = 0;
        loop {
            match self.put(id, job, replaces).await {
                Ok(revision) => {
                    return Ok(Created::New(Job {
                        revision,
                        ..job.clone()
                    }));
                }
                Err(BusError::Conflict) => match self.look(id).await? {
                    Found::Record(existing) => return Ok(Created::Existing(*existing)),
                    Found::Nothing { replaces: marker } if marker != replaces => replaces = marker,
                    Found::Nothing { .. } => return Err(BusError::Conflict),
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// The newest record, as the stream's leader has it.
    ///
    /// # Errors
    /// From the broker.
    pub async fn load(&self, id: JobId) -> Result<Option<Job>, BusError> {
        match self.look(id).await? {
            Found::Record(job) => Ok(Some(*job)),
            Found::Nothing { .. } => Ok(None),
        }
    }

    /// Applies a change to the newest record, however often others get in between. `known` is a record
    /// that may still be the newest; it saves a read.
    ///
    /// A write that was not answered is looked up, so that a change happens once.
    ///
    /// # Errors
    /// [`ChangeError::Refused`] tells the record as it is.
    pub async fn change(&self, id: JobId, known: Option<Job>, change: &Change) -> Result<Job, ChangeError> {
        let mut current = known;
        let mut unanswered: Option<Job> = None;
        for _ in 0..MAX_ROUNDS {
            let may_be_old = current.is_some();
            let job = match current.take() {
                Some(job) => job,
                None => self.load(id).await?.ok_or(ChangeError::Unknown(id))?,
            };
            if let Some(wanted) = unanswered.take()
                && same_record(&wanted, &job)
            {
                return Ok(job);
            }
            let next = match lifecycle::apply(&job, change.clone(), clock::now()) {
                Ok(next) => next,
                Err(_) if may_be_old => continue,
                Err(refusal) => {
                    return Err(ChangeError::Refused {
                        refusal,
                        current: Box::new(job),
                    });
                }
            };
            match self.put(id, &next, job.revision).await {
                Ok(revision) => return Ok(Job { revision, ..next }),
                Err(BusError::Conflict) => {}
                Err(error @ BusError::Unavailable { .. }) => {
                    self.bus.must_be_up("write a record").map_err(|_| error)?;
                    unanswered = Some(next);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(ChangeError::Contended(id))
    }

    /// The jobs whose requests lie beside their records, whether there is a record or not.
    ///
    /// # Errors
    /// From the broker.
    pub async fn list_requests(&self) -> Result<Vec<JobId>, BusError> {
        let subjects = self.bus.subjects(topology::SPECS, subjects::SPECS).await?;
        Ok(subjects
            .iter()
            .filter_map(|subject| subjects::job_of(subject))
            .collect())
    }

    /// Removes the request that lies beside a record that is gone.
    ///
    /// # Errors
    /// From the broker.
    pub async fn remove_request(&self, id: JobId) -> Result<(), BusError> {
        if let Some(message) = self.bus.last(topology::SPECS, &subjects::spec(id)).await? {
            self.bus.remove(topology::SPECS, message.revision).await?;
        }
        Ok(())
    }

    async fn put(&self, id: JobId, job: &Job, expected: u64) -> Result<u64, BusError> {
        // what is filled in for readers is not stored
        let bare = job.revision == 0 && job.waiting.is_none();
        let payload = if bare {
            job.encode_to_vec()
        } else {
            stored(job).encode_to_vec()
        };
        let mut message = PublishMessage::build()
            .payload(payload.into())
            .expected_last_subject_sequence(expected);
        if lifecycle::is_finished(job.status()) {
            message = message.ttl(self.retention);
        }
        self.publish(subjects::job(id), message).await
    }

    async fn publish(&self, subject: String, message: PublishMessage) -> Result<u64, BusError> {
        let written = async {
            let ack = self.bus.context().send_publish(subject, message).await?;
            ack.await
        };
        let ack = self.bus.answered("write", written).await?;
        ack.map(|ack| ack.sequence).map_err(BusError::of_publish)
    }

    async fn look(&self, id: JobId) -> Result<Found, BusError> {
        let subject = subjects::job(id);
        let Some(message) = self.bus.last(topology::JOBS, &subject).await? else {
            return Ok(Found::Nothing { replaces: 0 });
        };
        if is_marker(&message.headers) {
            return Ok(Found::Nothing {
                replaces: message.revision,
            });
        }
        match Job::decode(message.payload) {
            Ok(job) => Ok(Found::Record(Box::new(Job {
                revision: message.revision,
                ..job
            }))),
            Err(source) => Err(BusError::Garbled { subject, source }),
        }
    }
}

/// What lies on a job's subject.
enum Found {
    Record(Box<Job>),
    /// Nothing, or the marker of something that expired; a new record replaces revision `replaces`.
    Nothing {
        replaces: u64,
    },
}

fn same_record(wanted: &Job, found: &Job) -> bool {
    stored(wanted) == stored(found)
}

/// The record without what is filled in for readers.
fn stored(job: &Job) -> Job {
    Job {
        revision: 0,
        waiting: None,
        ..job.clone()
    }
}

/// Whether a message only marks that the subject's last one expired or was removed.
pub(crate) fn is_marker(headers: &HeaderMap) -> bool {
    headers.get(async_nats::header::NATS_MARKER_REASON).is_some()
}
