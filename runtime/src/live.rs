//! What is published and not kept for long: progress, previews, and who is there.

use async_nats::jetstream::stream::DirectGetErrorKind;
use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message;
use proto::{
    ids::{JobId, WorkerId},
    subjects, topology,
    v1::{Preview, Progress, Worker},
};
use tokio::sync::mpsc;

use crate::{
    bus::{Bus, BusError},
    tasks::Stop,
};

/// Publishes how far an attempt is; dropped while the broker is away.
pub async fn publish_progress(bus: &Bus, id: JobId, progress: &Progress) {
    bus.publish_lossy(subjects::progress(id), progress.encode_to_vec().into())
        .await;
}

/// Publishes a preview picture; dropped while the broker is away.
pub async fn publish_preview(bus: &Bus, id: JobId, preview: &Preview) {
    bus.publish_lossy(subjects::preview(id), preview.encode_to_vec().into())
        .await;
}

/// Announces a worker; dropped while the broker is away.
pub async fn announce(bus: &Bus, id: &WorkerId, worker: &Worker) {
    bus.publish_lossy(subjects::worker(id), worker.encode_to_vec().into())
        .await;
}

/// The last progress of a job, if it made any lately.
///
/// # Errors
/// From the broker.
pub async fn last_progress(bus: &Bus, id: JobId) -> Result<Option<Progress>, BusError> {
    last_value(bus, topology::PROGRESS, subjects::progress(id)).await
}

/// The last preview of a job, if it made any lately.
///
/// # Errors
/// From the broker.
pub async fn last_preview(bus: &Bus, id: JobId) -> Result<Option<Preview>, BusError> {
    last_value(bus, topology::PROGRESS, subjects::preview(id)).await
}

/// The last announcements of all workers of the last half minute.
///
/// # Errors
/// From the broker.
pub async fn workers(bus: &Bus) -> Result<Vec<Worker>, BusError> {
    let mut workers = Vec::new();
    for subject in bus.subjects(topology::WORKERS, subjects::WORKERS).await? {
        workers.extend(last_value(bus, topology::WORKERS, subject).await?);
    }
    Ok(workers)
}

/// Sends the progress of all jobs to `listener` until `stop`.
pub async fn follow_progress(bus: Bus, listener: mpsc::Sender<Progress>, stop: Stop) {
    follow(bus, subjects::PROGRESS, listener, stop).await;
}

/// Sends the announcements of all workers to `listener` until `stop`.
pub async fn follow_workers(bus: Bus, listener: mpsc::Sender<Worker>, stop: Stop) {
    match workers(&bus).await {
        Ok(known) => {
            for worker in known {
                if listener.send(worker).await.is_err() {
                    return;
                }
            }
        }
        Err(error) => tracing::warn!(%error, "the workers that are there already are not known yet"),
    }
    follow(bus, subjects::WORKERS, listener, stop).await;
}

async fn follow<M: Message + Default>(bus: Bus, subject: &str, listener: mpsc::Sender<M>, stop: Stop) {
    let mut messages = match bus.client().subscribe(subject.to_owned()).await {
        Ok(messages) => messages,
        Err(error) => return tracing::error!(%error, subject, "cannot subscribe"),
    };
    loop {
        let message = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            message = messages.next() => message,
        };
        let Some(message) = message else { return };
        match M::decode(message.payload) {
            Ok(decoded) => {
                if listener.send(decoded).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::warn!(subject = %message.subject, %error, "a message cannot be read"),
        }
    }
}

async fn last_value<M: Message + Default>(
    bus: &Bus,
    stream: &str,
    subject: String,
) -> Result<Option<M>, BusError> {
    bus.must_be_up("read")?;
    match bus
        .stream(stream)
        .await?
        .direct_get_last_for_subject(subject.clone())
        .await
    {
        Ok(message) => decode(subject, message.payload).map(Some),
        Err(error) => match error.kind() {
            DirectGetErrorKind::NotFound => Ok(None),
            DirectGetErrorKind::InvalidSubject
            | DirectGetErrorKind::TimedOut
            | DirectGetErrorKind::Request
            | DirectGetErrorKind::ErrorResponse(..)
            | DirectGetErrorKind::Other => Err(BusError::unavailable("read", error)),
        },
    }
}

fn decode<M: Message + Default>(subject: String, payload: Bytes) -> Result<M, BusError> {
    M::decode(payload).map_err(|source| BusError::Garbled { subject, source })
}
