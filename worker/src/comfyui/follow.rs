//! Follows a prompt to its end. What ComfyUI says when asked decides; what comes by WebSocket only tells
//! how far it is, and when asking is worth while.

use std::{pin::Pin, time::Duration};

use connectors::comfyui::{Client, Error, Event, GraphProgress, Outcome, OutputFile, Standing};
use futures::{Stream, StreamExt as _, stream::unfold};
use proto::{failure::FailureCode, v1::Failure};
use runtime::telemetry::chain;
use serde_json::Value;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    faults,
    graph::Source,
    live::Ear,
    patience::Patience,
    settings::ComfyuiSettings,
    telling::{Heard, Teller},
};
use crate::report::Reporter;

/// How often in a row a prompt must be unknown, at least, to count as lost.
const UNKNOWN_POLLS: u32 = 3;

/// A prompt that ComfyUI has.
#[derive(Debug)]
pub(super) struct Prompt<'a> {
    pub(super) id: Uuid,
    pub(super) graph: &'a Value,
    pub(super) source: Source,
}

enum Wake {
    Heard(Event),
    Asked(Result<Standing, Error>),
}

/// Follows a prompt; the files that it made.
pub(super) async fn follow(
    client: &Client,
    settings: &ComfyuiSettings,
    prompt: &Prompt<'_>,
    ear: Ear,
    reporter: &Reporter,
) -> Result<Vec<OutputFile>, Failure> {
    let hurry = Notify::new();
    let mut answers = ask(client, prompt.id, settings.poll, &hurry);
    let mut events = ear.listen();
    let mut teller = Teller::new(reporter, GraphProgress::new(prompt.id, prompt.graph));
    let mut verdict = Verdict::new(settings);
    loop {
        let wake = tokio::select! {
            // what was heard comes first, so that the timeline is whole when the end is seen
            biased;
            Some(event) = events.next() => Wake::Heard(event),
            Some(answer) = answers.next() => Wake::Asked(answer),
        };
        match wake {
            Wake::Heard(event) => {
                if teller.hear(&event) == Heard::Over {
                    hurry.notify_one();
                }
            }
            Wake::Asked(answer) => {
                if let Ok(standing) = &answer {
                    teller.look(standing);
                }
                if let Some(outcome) = verdict.on(answer)? {
                    return result(outcome, prompt);
                }
            }
        }
    }
}

/// Asks where the prompt stands: now, then every so often, and at once when it is hurried. Does not end.
fn ask<'a>(
    client: &'a Client,
    id: Uuid,
    every: Duration,
    hurry: &'a Notify,
) -> Pin<Box<impl Stream<Item = Result<Standing, Error>> + Send + 'a>> {
    Box::pin(unfold(true, move |first| async move {
        if !first {
            tokio::select! {
                () = hurry.notified() => {}
                () = sleep(every) => {}
            }
        }
        Some((client.standing(id).await, false))
    }))
}

/// Decides from the answers in a row whether the prompt is over.
struct Verdict {
    patience: Patience,
    lost_after: Duration,
    /// Since when, and how often, the prompt has been unknown.
    unknown: Option<(Instant, u32)>,
}

impl Verdict {
    const fn new(settings: &ComfyuiSettings) -> Self {
        Self {
            patience: Patience::new(settings.patience),
            lost_after: settings.lost_after,
            unknown: None,
        }
    }

    fn on(&mut self, answer: Result<Standing, Error>) -> Result<Option<Outcome>, Failure> {
        let standing = match answer {
            Ok(standing) => standing,
            Err(error) => {
                tracing::debug!(error = chain(&error), "comfyui could not be asked");
                return self.patience.try_on(&error).map(|()| None);
            }
        };
        self.patience.calm();
        match standing {
            Standing::Ended(outcome) => return Ok(Some(outcome)),
            Standing::Pending { .. } | Standing::Running => self.unknown = None,
            Standing::Unknown => {
                let (since, times) = self.unknown.unwrap_or((Instant::now(), 0));
                self.unknown = Some((since, times + 1));
                if times + 1 >= UNKNOWN_POLLS && since.elapsed() >= self.lost_after {
                    let message = "ComfyUI had accepted the run and does not know it any more: it was restarted, \
                                   or the run was removed from its queue";
                    return Err(FailureCode::ComfyuiLost.failure(message));
                }
            }
        }
        Ok(None)
    }
}

fn result(outcome: Outcome, prompt: &Prompt<'_>) -> Result<Vec<OutputFile>, Failure> {
    match outcome {
        Outcome::Succeeded { outputs } => Ok(outputs),
        Outcome::Failed(failure) => Err(faults::broken(&failure, prompt.graph, prompt.source)),
        Outcome::Interrupted(interruption) => Err(faults::interrupted(&interruption)),
    }
}
