//! Files in and out: results go to the artifact store, inputs come from it.
//!
//! By default both go through a gateway, which is asked over NATS for an address and permission; with a
//! store of its own the worker writes there directly, under the same keys.

use std::{io, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use proto::{
    failure::FailureCode,
    ids::{ArtifactId, ClaimId, InputId, JobId},
    v1::{Artifact, AssetGrantRequest, Failure, UploadGrantRequest},
};
use reqwest::{Body, StatusCode, header::CONTENT_LENGTH};
use runtime::{
    bus::Bus,
    calls,
    store::{Store, StoreError},
    telemetry::chain,
};
use tokio::time::{Instant, sleep};

use crate::{report::Reporter, spool::Spool};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Largest input that is read into memory.
const MAX_INPUT_BYTES: usize = 64 * 1024 * 1024;

/// Where files go and come from.
#[derive(Debug, Clone)]
pub enum Depot {
    /// Through any gateway.
    Gateway {
        /// To ask for permission.
        bus: Bus,
        /// To send and fetch.
        http: reqwest::Client,
        /// The largest result, in bytes.
        max_bytes: u64,
    },
    /// Directly.
    Store(Store),
}

impl Depot {
    /// The largest result, in bytes.
    pub const fn max_bytes(&self) -> u64 {
        match self {
            Self::Gateway { max_bytes, .. } => *max_bytes,
            Self::Store(store) => store.max_bytes(),
        }
    }
}

/// The files of one attempt.
#[derive(Debug)]
pub struct Uploads {
    pub(crate) depot: Depot,
    /// How long an upload is tried again while nobody takes it.
    pub(crate) patience: Duration,
    /// Told that an upload goes on, so that a long one is not taken for a stall.
    pub(crate) reporter: Reporter,
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) claim: ClaimId,
}

/// What an upload that did not work means.
enum Trouble {
    /// It may work the next time.
    Again(Failure),
    /// It will not.
    Final(Failure),
}

impl Uploads {
    /// The largest result, in bytes.
    pub const fn max_bytes(&self) -> u64 {
        self.depot.max_bytes()
    }

    /// Stores a result as file number `index` (from 0) of this attempt.
    ///
    /// # Errors
    /// `store_full`, `store_unavailable` and `artifact_too_large`; `upload_refused` where another attempt
    /// holds the job.
    pub async fn store(
        &self,
        index: u32,
        filename: &str,
        media_type: &str,
        spool: &Spool,
    ) -> Result<Artifact, Failure> {
        let id = ArtifactId {
            job: self.job,
            attempt: self.attempt,
            index,
        };
        let deadline = Instant::now() + self.patience;
        let mut wait = FIRST_WAIT;
        loop {
            let stored = match &self.depot {
                Depot::Store(store) => self.put(store, id, spool).await,
                Depot::Gateway { bus, http, .. } => self.send(bus, http, id, spool).await,
            };
            match stored {
                Ok(()) => break,
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Again(failure)) if Instant::now() + wait > deadline => return Err(failure),
                Err(Trouble::Again(failure)) => {
                    tracing::warn!(job.id = %self.job, failure.code, failure.message, "uploading again");
                    self.reporter.alive();
                    sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        }
        let (width, height) = spool.facts.dimensions().unwrap_or_default();
        Ok(Artifact {
            id: id.to_string(),
            key: id.key(),
            filename: filename.to_owned(),
            media_type: media_type.to_owned(),
            size_bytes: spool.size_bytes,
            sha256: spool.sha256.clone(),
            width,
            height,
            duration_seconds: spool.facts.duration_seconds.unwrap_or_default(),
            frames: spool.facts.frames.unwrap_or_default(),
        })
    }

    /// Opens an input: an upload, or a result of an earlier job.
    ///
    /// # Errors
    /// `input_missing` where there is no such input, `store_unavailable` where it cannot be fetched now.
    pub async fn open_input(
        &self,
        input: &InputId,
    ) -> Result<BoxStream<'static, Result<Bytes, Failure>>, Failure> {
        let missing =
            || FailureCode::InputMissing.failure(format!("the file {input} is not there, or no more"));
        match &self.depot {
            Depot::Store(store) => match store.get(&input.key(), None).await {
                Ok(content) => Ok(content.stream.map_err(|error| unavailable(&error)).boxed()),
                Err(StoreError::Missing(_)) => Err(missing()),
                Err(error) => Err(unavailable(&error)),
            },
            Depot::Gateway { bus, http, .. } => {
                let request = match input {
                    InputId::Asset(asset) => AssetGrantRequest {
                        asset: asset.to_string(),
                        artifact: String::new(),
                    },
                    InputId::Artifact(artifact) => AssetGrantRequest {
                        asset: String::new(),
                        artifact: artifact.to_string(),
                    },
                };
                let grant = calls::ask_for_asset(bus, &request).await.ok_or_else(no_gateway)?;
                let response = http
                    .get(grant.url)
                    .send()
                    .await
                    .map_err(|error| unavailable(&error))?;
                match response.status() {
                    StatusCode::NOT_FOUND => Err(missing()),
                    status if status.is_success() => Ok(response
                        .bytes_stream()
                        .map_err(|error| unavailable(&error))
                        .boxed()),
                    status => {
                        Err(FailureCode::StoreUnavailable.failure(format!("the gateway answered {status}")))
                    }
                }
            }
        }
    }

    /// Reads a small input whole.
    ///
    /// # Errors
    /// As [`Uploads::open_input`]; `input_missing` also where it is too large for its purpose.
    pub async fn read_input(&self, input: &InputId) -> Result<Vec<u8>, Failure> {
        let mut stream = self.open_input(input).await?;
        let mut content = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            content.extend_from_slice(&chunk);
            if content.len() > MAX_INPUT_BYTES {
                let message = format!("the file {input} is larger than {MAX_INPUT_BYTES} bytes");
                return Err(FailureCode::InputMissing.failure(message));
            }
        }
        Ok(content)
    }

    async fn send(
        &self,
        bus: &Bus,
        http: &reqwest::Client,
        id: ArtifactId,
        spool: &Spool,
    ) -> Result<(), Trouble> {
        let request = UploadGrantRequest {
            job: self.job.to_string(),
            claim_id: self.claim.to_string(),
            attempt: self.attempt,
            index: id.index,
        };
        let grant = calls::ask_for_upload(bus, &request)
            .await
            .ok_or_else(|| Trouble::Again(no_gateway()))?;
        if !grant.refusal.is_empty() {
            // the record may say so only because the broker is away; the heartbeat finds out
            let failure = FailureCode::UploadRefused.failure(grant.refusal);
            return Err(Trouble::Again(failure));
        }
        let content = spool
            .open()
            .await
            .map_err(|error| Trouble::Again(unavailable(&error)))?;
        let sent = http
            .put(grant.url)
            .bearer_auth(grant.token)
            .header("x-content-sha256", &spool.sha256)
            .header(CONTENT_LENGTH, spool.size_bytes)
            .body(Body::wrap_stream(content))
            .send()
            .await;
        let response = sent.map_err(|error| Trouble::Again(unavailable(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let words: String = response
            .text()
            .await
            .unwrap_or_default()
            .chars()
            .take(500)
            .collect();
        let failure = |code: FailureCode| code.failure(format!("the gateway answered {status}: {words}"));
        Err(match status {
            StatusCode::INSUFFICIENT_STORAGE => Trouble::Final(failure(FailureCode::StoreFull)),
            StatusCode::PAYLOAD_TOO_LARGE => Trouble::Final(failure(FailureCode::ArtifactTooLarge)),
            _ => Trouble::Again(failure(FailureCode::StoreUnavailable)),
        })
    }

    async fn put(&self, store: &Store, id: ArtifactId, spool: &Spool) -> Result<(), Trouble> {
        let content = self.read(spool).await?;
        match store.put(&id.key(), Some(&spool.sha256), content).await {
            Ok(_) => Ok(()),
            Err(error @ StoreError::Full(_)) => {
                Err(Trouble::Final(FailureCode::StoreFull.failure(chain(&error))))
            }
            Err(error @ StoreError::TooLarge(_)) => Err(Trouble::Final(
                FailureCode::ArtifactTooLarge.failure(chain(&error)),
            )),
            Err(error) => Err(Trouble::Again(unavailable(&error))),
        }
    }

    /// The content, each piece of which is a sign of life.
    async fn read(
        &self,
        spool: &Spool,
    ) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + Unpin + use<>, Trouble> {
        let content = spool
            .open()
            .await
            .map_err(|error| Trouble::Again(unavailable(&error)))?;
        let reporter = self.reporter.clone();
        Ok(content.inspect(move |_| reporter.alive()))
    }
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Failure {
    FailureCode::StoreUnavailable.failure(chain(error))
}

fn no_gateway() -> Failure {
    FailureCode::StoreUnavailable.failure("no gateway answers; it takes the files of this worker")
}
