//! Follows a prompt to its end. What ComfyUI says when asked decides; what comes by WebSocket only tells
//! how far it is, and when asking is worth while.

use std::{pin::Pin, sync::Arc, time::Duration};

use connectors::comfyui::{
    Client, Error, Event, Failure as NodeFailure, GraphProgress, Outcome, OutputFile, Standing,
};
use futures::{Stream, StreamExt as _, stream::unfold};
use proto::{comfyui::Plan, failure::FailureCode, v1::Failure};
use runtime::telemetry::chain;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use uuid::Uuid;

use super::{
    faults,
    live::Ear,
    patience::Patience,
    settings::ComfyuiSettings,
    shelf::Shelf,
    telling::{Heard, Teller, Usual},
    vitals,
};
use crate::report::Reporter;

/// How often in a row a prompt must be unknown, at least, to count as lost.
const UNKNOWN_POLLS: u32 = 3;

/// A prompt that ComfyUI has.
#[derive(Debug)]
pub(super) struct Prompt<'a> {
    pub(super) id: Uuid,
    pub(super) plan: &'a Plan,
    /// How long such a run may be expected to take.
    pub(super) expected: Option<Duration>,
    /// Where damaged files are noted.
    pub(super) shelf: &'a Arc<Shelf>,
}

/// A run that succeeded.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) files: Vec<OutputFile>,
    /// How long it ran, as far as that was seen.
    pub(super) took: Duration,
}

enum Wake {
    Heard(Event),
    Asked(Result<Look, Error>),
}

struct Look {
    standing: Standing,
    /// Nothing runs, although it waits.
    idle: bool,
}

/// Follows a prompt to its end.
pub(super) async fn follow(
    client: &Client,
    settings: &ComfyuiSettings,
    prompt: &Prompt<'_>,
    ear: Ear,
    reporter: &Reporter,
) -> Result<Ran, Failure> {
    let hurry = Notify::new();
    let mut answers = ask(client, prompt.id, settings.poll, &hurry);
    let mut events = ear.listen();
    let usual = Usual {
        duration: prompt.expected,
        silence: settings.load_timeout,
    };
    let mut teller = Teller::new(reporter, GraphProgress::new(prompt.id, &prompt.plan.graph), usual);
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
                if let Ok(look) = &answer {
                    teller.look(&look.standing);
                }
                if let Some(outcome) = verdict.on(answer)? {
                    let files = result(outcome, prompt).await?;
                    let took = teller.ran();
                    return Ok(Ran { files, took });
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
) -> Pin<Box<impl Stream<Item = Result<Look, Error>> + Send + 'a>> {
    Box::pin(unfold(true, move |first| async move {
        if !first {
            tokio::select! {
                () = hurry.notified() => {}
                () = sleep(every) => {}
            }
        }
        Some((look(client, id).await, false))
    }))
}

async fn look(client: &Client, id: Uuid) -> Result<Look, Error> {
    let standing = client.standing(id).await?;
    let idle = matches!(standing, Standing::Pending { .. }) && vitals::is_idle(&client.queue().await?);
    Ok(Look { standing, idle })
}

/// Decides from the answers in a row whether the prompt is over.
struct Verdict {
    patience: Patience,
    lost_after: Duration,
    hung_after: Duration,
    /// Since when, and how often, the prompt has been unknown.
    unknown: Option<(Instant, u32)>,
    /// Since when nothing runs although it waits.
    idle: Option<Instant>,
}

impl Verdict {
    const fn new(settings: &ComfyuiSettings) -> Self {
        Self {
            patience: Patience::new(settings.patience),
            lost_after: settings.lost_after,
            hung_after: settings.hung_after,
            unknown: None,
            idle: None,
        }
    }

    fn on(&mut self, answer: Result<Look, Error>) -> Result<Option<Outcome>, Failure> {
        let Look { standing, idle } = match answer {
            Ok(look) => look,
            Err(error) => {
                tracing::debug!(error = chain(&error), "comfyui could not be asked");
                return self.patience.try_on(&error).map(|()| None);
            }
        };
        self.patience.calm();
        if !idle {
            self.idle = None;
        } else if self.idle.get_or_insert_with(Instant::now).elapsed() >= vitals::idle_limit(self.hung_after)
        {
            return Err(FailureCode::ComfyuiHung.failure(vitals::dead()));
        }
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

async fn result(outcome: Outcome, prompt: &Prompt<'_>) -> Result<Vec<OutputFile>, Failure> {
    match outcome {
        Outcome::Succeeded { outputs } => Ok(outputs),
        Outcome::Failed(failure) => Err(examined(&failure, prompt).await),
        Outcome::Interrupted(interruption) => Err(faults::interrupted(&interruption)),
    }
}

/// The failure of a node. A file that it could not read is looked at, and not used any more.
async fn examined(broken: &NodeFailure, prompt: &Prompt<'_>) -> Failure {
    let mut failure = faults::broken(broken, prompt.plan);
    if failure.code != FailureCode::ComfyuiModelCorrupt.as_str() {
        return failure;
    }
    for (kind, name) in faults::files_by_kind(broken) {
        let found = prompt.shelf.diagnose(kind, name).await;
        if let Some(found) = &found {
            failure.message = format!("{}. On disk: {name}: {found}", failure.message);
        }
        let problem = found.unwrap_or_else(|| faults::cut(broken.message.trim(), faults::MAX_MESSAGE_CHARS));
        prompt.shelf.condemn(kind, name, problem);
    }
    failure
}
