//! Questions between processes: who works on a job, may a file be uploaded, look at a record now.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use futures::StreamExt as _;
use prost::Message;
use proto::{
    ids::{ClaimId, Incarnation, JobId, WorkerId},
    subjects,
    v1::{
        AssetGrant, AssetGrantRequest, Nudge, OwnershipAnswer, OwnershipQuestion, UploadGrant,
        UploadGrantRequest,
    },
};

mod host;

pub use host::{
    KEEP_ALIVE, PIECE_BYTES, SILENCE, answer_host, ask_host, ask_host_within, failed, last, more,
};

use crate::{
    bus::{Bus, BusError},
    tasks::Stop,
};

const PATIENCE: Duration = Duration::from_secs(2);

/// What a worker's process says about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// It works on it, by this claim.
    Claimed(ClaimId),
    /// It is there and does not work on it.
    NotClaimed,
    /// It does not answer.
    Silent,
}

/// Asks one life of a worker whether it works on a job.
pub async fn ask_owner(bus: &Bus, incarnation: Incarnation, job: JobId) -> Ownership {
    let question = OwnershipQuestion { job: job.to_string() }.encode_to_vec();
    let answer = bus
        .ask(subjects::ownership(incarnation), question.into(), PATIENCE)
        .await;
    match answer.and_then(|answer| OwnershipAnswer::decode(answer).ok()) {
        None => Ownership::Silent,
        Some(answer) => answer
            .claim_id
            .parse()
            .map_or(Ownership::NotClaimed, Ownership::Claimed),
    }
}

/// Whether a worker of this name answers.
pub async fn is_name_taken(bus: &Bus, id: &WorkerId) -> bool {
    let question = OwnershipQuestion::default().encode_to_vec();
    bus.ask(subjects::name(id), question.into(), PATIENCE)
        .await
        .is_some()
}

/// Asks one life of a worker to look at a job's record at once. Nothing depends on its arrival.
pub async fn nudge(bus: &Bus, incarnation: Incarnation, job: JobId) {
    let nudge = Nudge { job: job.to_string() };
    bus.publish_lossy(subjects::control(incarnation), nudge.encode_to_vec().into())
        .await;
}

/// Asks any gateway for permission to upload; `None` where none answers.
pub async fn ask_for_upload(bus: &Bus, request: &UploadGrantRequest) -> Option<UploadGrant> {
    let answer = bus
        .ask(
            subjects::GRANT_UPLOAD.to_owned(),
            request.encode_to_vec().into(),
            PATIENCE,
        )
        .await?;
    UploadGrant::decode(answer).ok()
}

/// Asks any gateway where an asset can be fetched; `None` where none answers.
pub async fn ask_for_asset(bus: &Bus, request: &AssetGrantRequest) -> Option<AssetGrant> {
    let answer = bus
        .ask(
            subjects::GRANT_ASSET.to_owned(),
            request.encode_to_vec().into(),
            PATIENCE,
        )
        .await?;
    AssetGrant::decode(answer).ok()
}

/// Answers questions on `subject` until `stop`. Processes that give the same `group` share the work.
///
/// A question that cannot be read is not answered. Answers are given one after the other.
pub async fn serve<Q, A, F>(
    bus: Bus,
    subject: String,
    group: Option<&str>,
    stop: Stop,
    mut answer: impl FnMut(Q) -> F,
) where
    Q: Message + Default,
    A: Message,
    F: Future<Output = A>,
{
    let subscribed = match group {
        Some(group) => {
            bus.client()
                .queue_subscribe(subject.clone(), group.to_owned())
                .await
        }
        None => bus.client().subscribe(subject.clone()).await,
    };
    let mut questions = match subscribed {
        Ok(questions) => questions,
        Err(error) => return tracing::error!(%error, subject, "cannot subscribe"),
    };
    loop {
        let question = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            question = questions.next() => question,
        };
        let Some(question) = question else { return };
        let Ok(decoded) = Q::decode(question.payload) else {
            tracing::warn!(subject, "a question cannot be read");
            continue;
        };
        let reply = answer(decoded).await;
        if let Some(to) = question.reply {
            bus.publish_lossy(to.to_string(), Bytes::from(reply.encode_to_vec()))
                .await;
        }
    }
}

/// As [`serve`], for messages that want no answer.
///
/// # Errors
/// If the subject cannot be subscribed to.
pub async fn listen_for_nudges(
    bus: &Bus,
    incarnation: Incarnation,
) -> Result<impl futures::Stream<Item = JobId> + use<>, BusError> {
    let messages = bus
        .client()
        .subscribe(subjects::control(incarnation))
        .await
        .map_err(|error| BusError::unavailable("listen", error))?;
    Ok(messages.filter_map(|message| {
        let nudge = Nudge::decode(message.payload).ok();
        std::future::ready(nudge.and_then(|nudge| nudge.job.parse().ok()))
    }))
}
