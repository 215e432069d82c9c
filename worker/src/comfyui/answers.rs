//! Answers what people ask of this worker's ComfyUI: its state, its log, its files, what it can do.

use std::{future::Future, sync::Arc};

use connectors::comfyui::Error;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use proto::{
    failure::FailureCode,
    v1::{
        CatalogPiece, ControlCall, FetchCall, FetchHead, FetchPiece, Host, HostCall, HostLog, HostReply,
        VerifyCall, control_call::Action, host_call::Call, host_reply::Body,
    },
};
use runtime::{
    calls::{KEEP_ALIVE, PIECE_BYTES, failed, last, more},
    telemetry::chain,
};
use tokio::sync::mpsc;

use super::{Comfyui, checking};
use crate::host::HostError;

const DEFAULT_LINES: u32 = 100;
const MAX_LINES: u32 = 2000;
/// What ComfyUI itself keeps of its log, for whom no log file is kept.
const OWN_LOG: &str = "/internal/logs";

/// Where replies go. Sending to somebody who has left does nothing.
pub(super) type Replies = mpsc::Sender<HostReply>;

/// The answer to one call.
pub fn answer(comfyui: Arc<Comfyui>, call: HostCall) -> impl Stream<Item = HostReply> + Send + 'static {
    let (replies, mut sent) = mpsc::channel(4);
    let work = async move {
        let end = comfyui.reply(call, &replies).await;
        drop(replies.send(end).await);
    };
    let work = work.into_stream().filter_map(|()| std::future::ready(None));
    let sent = stream::poll_fn(move |context| sent.poll_recv(context));
    stream::select(work, sent)
}

impl Comfyui {
    /// Does what is asked; the last reply.
    async fn reply(self: &Arc<Self>, call: HostCall, replies: &Replies) -> HostReply {
        match call.call {
            Some(Call::Catalog(_)) => self.give_catalog(replies).await,
            Some(Call::Rescan(_)) => {
                let rescan = async {
                    self.shelf.survey().await;
                    self.showcase.rescan().await
                };
                last(Body::Offer(patiently(replies, rescan).await))
            }
            Some(Call::Control(call)) => self.control(call, replies).await,
            Some(Call::Status(_)) => last(Body::Host(self.host_now())),
            Some(Call::Log(call)) => self.give_log(call.lines).await,
            Some(Call::Verify(call)) => self.check_files(call, replies).await,
            Some(Call::Fetch(call)) => match self.pass_on(&call, replies).await {
                Ok(end) => end,
                Err(error) => failed(FailureCode::ComfyuiUnreachable, chain(&error)),
            },
            Some(Call::V0(_)) | None => failed(
                FailureCode::HostRefused,
                "the worker does not know this call; it may be older than who calls",
            ),
        }
    }

    async fn give_catalog(&self, replies: &Replies) -> HostReply {
        let catalog = self.showcase.catalog();
        let mut pieces = catalog.packed.chunks(PIECE_BYTES).peekable();
        while let Some(piece) = pieces.next() {
            let body = Body::Catalog(CatalogPiece {
                content: piece.to_vec().into(),
            });
            if pieces.peek().is_none() {
                return last(body);
            }
            drop(replies.send(more(body)).await);
        }
        failed(
            FailureCode::ComfyuiUnreachable,
            "ComfyUI has not told yet what it can do",
        )
    }

    async fn control(&self, call: ControlCall, replies: &Replies) -> HostReply {
        let action = async {
            match call.action() {
                Action::Start => Some(self.host.start().await),
                Action::Stop => Some(self.host.stop().await),
                Action::Restart => Some(self.host.restart("somebody asked for it").await),
                Action::Unspecified => None,
            }
        };
        let mut action = std::pin::pin!(action);
        let mut changes = self.host.subscribe();
        let telling = async {
            loop {
                tokio::select! {
                    biased;
                    done = &mut action => break done,
                    Ok(()) = changes.changed() => {
                        drop(replies.send(more(Body::Host(self.host_now()))).await);
                    }
                }
            }
        };
        let done: Option<Result<(), HostError>> = patiently(replies, telling).await;
        // what it offers now shows at once
        self.showcase.doubt();
        match done {
            Some(Ok(())) => last(Body::Host(self.host_now())),
            Some(Err(error)) => failed(code_of(&error), chain(&error)),
            None => failed(FailureCode::HostRefused, "say whether to start, stop or restart"),
        }
    }

    /// The state of the process.
    fn host_now(&self) -> Host {
        super::hosting::told(&self.host.status())
    }

    async fn give_log(&self, lines: u32) -> HostReply {
        let lines = if lines == 0 {
            DEFAULT_LINES
        } else {
            lines.min(MAX_LINES)
        } as usize;
        match self.host.logs(lines).await {
            Ok(lines) => last(Body::Log(HostLog { lines })),
            Err(HostError::Unmanaged) => match self.own_log(lines).await {
                Ok(lines) => last(Body::Log(HostLog { lines })),
                Err(error) => failed(
                    FailureCode::ComfyuiUnreachable,
                    format!(
                        "this worker keeps no log of ComfyUI, and ComfyUI itself cannot be asked for its own: {}",
                        chain(&error)
                    ),
                ),
            },
            Err(error) => failed(code_of(&error), chain(&error)),
        }
    }

    async fn own_log(&self, lines: usize) -> Result<Vec<String>, Error> {
        let mut pieces = Box::pin(self.client.fetch(OWN_LOG, "").await?.into_stream());
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await {
            text.extend_from_slice(&piece?);
            if text.len() > PIECE_BYTES * 16 {
                break;
            }
        }
        // a JSON text, with the lines in it
        let text = String::from_utf8_lossy(&text);
        let text = serde_json::from_str::<String>(&text).unwrap_or_else(|_| text.into_owned());
        let all: Vec<&str> = text.lines().collect();
        let newest = all.len().saturating_sub(lines);
        Ok(all.iter().skip(newest).map(|line| (*line).to_owned()).collect())
    }

    async fn check_files(&self, call: VerifyCall, replies: &Replies) -> HostReply {
        let check = checking::check(self.shelf.clone(), call, replies.clone());
        patiently(replies, check).await
    }

    async fn pass_on(&self, call: &FetchCall, replies: &Replies) -> Result<HostReply, Error> {
        let fetched = self.client.fetch(&call.path, &call.query).await?;
        let head = FetchHead {
            status: u32::from(fetched.status),
            content_type: fetched.content_type.clone(),
            size_bytes: fetched.length.unwrap_or_default(),
        };
        drop(replies.send(more(Body::Head(head))).await);
        let mut pieces = Box::pin(fetched.into_stream());
        while let Some(piece) = pieces.next().await {
            for part in piece?.chunks(PIECE_BYTES) {
                let content = part.to_vec().into();
                drop(replies.send(more(Body::Piece(FetchPiece { content }))).await);
            }
        }
        Ok(HostReply {
            last: true,
            body: None,
        })
    }
}

/// Waits for something that takes long, and says meanwhile that it goes on.
async fn patiently<T>(replies: &Replies, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut alive = tokio::time::interval(KEEP_ALIVE);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = alive.tick() => drop(replies.send(HostReply::default()).await),
        }
    }
}

fn code_of(error: &HostError) -> FailureCode {
    match error {
        HostError::Unmanaged
        | HostError::UnmanagedRunning
        | HostError::LogTaken(_)
        | HostError::NoLogs(_) => FailureCode::HostRefused,
        HostError::Ending => FailureCode::WorkerUnreachable,
        HostError::File { .. }
        | HostError::Spawn { .. }
        | HostError::Service { .. }
        | HostError::Died { .. }
        | HostError::Slow { .. }
        | HostError::Stopped
        | HostError::Unkillable => FailureCode::ComfyuiUnreachable,
    }
}
