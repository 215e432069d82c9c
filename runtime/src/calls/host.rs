//! Calls to one worker about itself: one question, then as many replies as it takes.
//!
//! Core NATS, so nothing is kept. The asker has an inbox for the replies; each reply in turn carries an inbox
//! of the answering side, to which the broker says "no responders" once the asker has left. Replies are
//! numbered, because a subscription that is too slow loses messages without a word.

use std::{collections::HashMap, pin::pin, time::Duration};

use async_nats::{HeaderMap, Message as NatsMessage, StatusCode, Subject, Subscriber};
use futures::{Stream, StreamExt as _, stream};
use prost::Message as _;
use proto::{
    failure::FailureCode,
    ids::WorkerId,
    subjects,
    v1::{HostCall, HostReply, host_reply::Body},
};
use tokio::task::{Id, JoinSet};

use crate::{
    bus::Bus,
    tasks::{Stop, panic_message},
};

/// A worker that says nothing for this long while it is asked has gone.
pub const SILENCE: Duration = Duration::from_secs(15);
/// How often an answer that takes long has to say that it goes on.
pub const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How much content one reply carries; far below what a broker takes by default.
pub const PIECE_BYTES: usize = 256 * 1024;

const MAX_CALLS: usize = 16;
const NUMBER: &str = "Orchestrator-Reply";

/// A reply after which nothing follows.
pub const fn last(body: Body) -> HostReply {
    HostReply {
        last: true,
        body: Some(body),
    }
}

/// A reply after which others follow.
pub const fn more(body: Body) -> HostReply {
    HostReply {
        last: false,
        body: Some(body),
    }
}

/// The reply that ends an answer because it did not work.
pub fn failed(code: FailureCode, message: impl Into<String>) -> HostReply {
    last(Body::Failure(code.failure(message)))
}

/// Asks a worker about itself. The last reply says so, and there always is one: where the worker is not there
/// or goes silent for [`SILENCE`], it is a failure. Dropping the stream ends the call on both sides.
pub fn ask_host(
    bus: &Bus,
    worker: &WorkerId,
    call: &HostCall,
) -> impl Stream<Item = HostReply> + Send + use<> {
    ask_host_within(bus, worker, call, SILENCE)
}

/// As [`ask_host`], with another patience between two replies.
pub fn ask_host_within(
    bus: &Bus,
    worker: &WorkerId,
    call: &HostCall,
    silence: Duration,
) -> impl Stream<Item = HostReply> + Send + use<> {
    let asker = Asker {
        bus: bus.clone(),
        worker: worker.clone(),
        silence,
        next: 0,
    };
    let call = call.encode_to_vec();
    stream::once(async move {
        match asker.send(call).await {
            Ok(replies) => stream::unfold(Some((asker, replies)), follow).left_stream(),
            Err(failure) => stream::iter([failure]).right_stream(),
        }
    })
    .flatten()
}

type Open = Option<(Asker, Subscriber)>;

async fn follow(open: Open) -> Option<(HostReply, Open)> {
    let (mut asker, mut replies) = open?;
    let reply = asker.next(&mut replies).await;
    let open = (!reply.last).then_some((asker, replies));
    Some((reply, open))
}

struct Asker {
    bus: Bus,
    worker: WorkerId,
    silence: Duration,
    next: u64,
}

impl Asker {
    async fn send(&self, call: Vec<u8>) -> Result<Subscriber, HostReply> {
        let away = |error: &dyn std::fmt::Display| {
            failed(
                FailureCode::BrokerUnavailable,
                format!("worker {} cannot be asked: {error}", self.worker),
            )
        };
        self.bus
            .must_be_up("ask a worker")
            .map_err(|error| away(&error))?;
        let client = self.bus.client();
        let inbox = client.new_inbox();
        let replies = client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| away(&error))?;
        client
            .publish_with_reply(subjects::host(&self.worker), inbox, call.into())
            .await
            .map_err(|error| away(&error))?;
        Ok(replies)
    }

    async fn next(&mut self, replies: &mut Subscriber) -> HostReply {
        match tokio::time::timeout(self.silence, replies.next()).await {
            Err(_) => failed(
                FailureCode::WorkerSilent,
                format!("worker {} said nothing for {:?}", self.worker, self.silence),
            ),
            Ok(None) => failed(
                FailureCode::BrokerUnavailable,
                "the connection to the broker was closed",
            ),
            Ok(Some(message)) => self.read(&message),
        }
    }

    fn read(&mut self, message: &NatsMessage) -> HostReply {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return failed(
                FailureCode::WorkerUnreachable,
                format!("no worker listens under the name {}", self.worker),
            );
        }
        let number = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get(NUMBER))
            .and_then(|number| number.as_str().parse::<u64>().ok());
        let whole = number.is_none_or(|number| number == self.next);
        self.next = self.next.saturating_add(1);
        match HostReply::decode(message.payload.clone()) {
            Ok(reply) if whole => reply,
            Ok(_) => failed(
                FailureCode::WorkerSilent,
                format!("a part of what worker {} said was lost on the way", self.worker),
            ),
            Err(error) => failed(
                FailureCode::WorkerSilent,
                format!("what worker {} said cannot be read: {error}", self.worker),
            ),
        }
    }
}

/// Answers calls to this worker until `stop`, at most 16 at once; a further one is told to come later.
///
/// An answer that takes long has to give a reply at least every [`KEEP_ALIVE`]; one without a body will do.
/// Its stream is dropped when the asker has left. One that ends without a last reply is ended for it.
pub async fn answer_host<S>(bus: Bus, worker: &WorkerId, stop: Stop, handler: impl Fn(HostCall) -> S)
where
    S: Stream<Item = HostReply> + Send + 'static,
{
    let subject = subjects::host(worker);
    let mut calls = match bus.client().subscribe(subject.clone()).await {
        Ok(calls) => calls,
        Err(error) => return tracing::error!(%error, subject, "cannot subscribe"),
    };
    let mut open = Calls::default();
    loop {
        let message = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(()) = open.reap(&bus) => continue,
            message = calls.next() => message,
        };
        let Some(message) = message else { break };
        let Some(to) = message.reply else { continue };
        let Ok(call) = HostCall::decode(message.payload) else {
            tracing::warn!(subject, "a call cannot be read");
            let refusal = failed(
                FailureCode::HostRefused,
                "the worker cannot read the call; it may be older than who calls",
            );
            refuse(&bus, to, refusal).await;
            continue;
        };
        if open.set.len() >= MAX_CALLS {
            let refusal = failed(
                FailureCode::HostBusy,
                format!("the worker answers {MAX_CALLS} calls already"),
            );
            refuse(&bus, to, refusal).await;
            continue;
        }
        open.start(to.clone(), answer(bus.clone(), to, stop.clone(), handler(call)));
    }
    while open.reap(&bus).await.is_some() {}
    // who asked is told even if this was the last that the process had to say
    bus.close().await;
}

#[derive(Default)]
struct Calls {
    set: JoinSet<()>,
    askers: HashMap<Id, Subject>,
}

impl Calls {
    fn start(&mut self, asker: Subject, answer: impl Future<Output = ()> + Send + 'static) {
        let handle = self.set.spawn(answer);
        self.askers.insert(handle.id(), asker);
    }

    /// Waits for the end of one; `None` where there is none. Who asked one that crashed is told.
    async fn reap(&mut self, bus: &Bus) -> Option<()> {
        match self.set.join_next_with_id().await? {
            Ok((id, ())) => drop(self.askers.remove(&id)),
            Err(error) => {
                let asker = self.askers.remove(&error.id());
                let message = panic_message(error);
                tracing::error!(message, "the answer to a call crashed");
                if let Some(asker) = asker {
                    let reply = failed(
                        FailureCode::WorkerPanicked,
                        format!("the answer crashed: {message}"),
                    );
                    refuse(bus, asker, reply).await;
                }
            }
        }
        Some(())
    }
}

/// A last reply without a number, so that it is taken wherever the answer stands.
async fn refuse(bus: &Bus, to: Subject, reply: HostReply) {
    bus.publish_lossy(to.to_string(), reply.encode_to_vec().into())
        .await;
}

async fn answer(bus: Bus, to: Subject, stop: Stop, replies: impl Stream<Item = HostReply>) {
    let inbox = bus.client().new_inbox();
    let mut left = match bus.client().subscribe(inbox.clone()).await {
        Ok(left) => left,
        Err(error) => return tracing::warn!(%error, "a call cannot be answered"),
    };
    let mut replies = pin!(replies);
    let mut number = 0_u64;
    loop {
        let reply = tokio::select! {
            biased;
            () = stop.cancelled() => {
                let reply = failed(FailureCode::WorkerUnreachable, "the worker is stopping");
                return refuse(&bus, to, reply).await;
            }
            _ = left.next() => return tracing::debug!("who asked has left"),
            reply = replies.next() => reply,
        };
        let reply =
            reply.unwrap_or_else(|| failed(FailureCode::WorkerPanicked, "the answer ended before its end"));
        let mut headers = HeaderMap::new();
        headers.insert(NUMBER, number.to_string());
        number += 1;
        let sent = bus
            .client()
            .publish_with_reply_and_headers(to.clone(), inbox.clone(), headers, reply.encode_to_vec().into())
            .await;
        if let Err(error) = sent {
            tracing::warn!(%error, "a reply cannot be sent");
            let reply = failed(
                FailureCode::WorkerPanicked,
                format!("a part of the answer cannot be sent: {error}"),
            );
            return refuse(&bus, to, reply).await;
        }
        if reply.last {
            return;
        }
    }
}
