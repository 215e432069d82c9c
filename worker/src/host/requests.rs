//! What the owner does when it is asked, in each phase.

use std::mem;

use tokio::time::Instant;

use super::{
    HostError, HostState, Poison, Reply, Subject,
    owner::{Host, answer},
    phase::{Phase, Starter, Then},
};

impl Host {
    pub(super) async fn start(&mut self, reply: Reply) {
        if let Some(refusal) = self.refusal() {
            return answer([reply], &Err(refusal));
        }
        match &mut self.phase {
            Phase::Running { .. } => answer([reply], &Ok(())),
            Phase::Starting { waiting, .. } => waiting.push(reply),
            Phase::Stopping { then, .. } => match then {
                Then::Start(waiting) => waiting.push(reply),
                Then::Rest | Then::Die(_) | Then::Fail(_) => *then = Then::Start(vec![reply]),
            },
            Phase::Idle | Phase::BackingOff { .. } => {
                self.phase = Phase::Idle;
                self.deaths.forget();
                self.launch(Starter::Person, vec![reply]).await;
            }
        }
    }

    pub(super) async fn stop(&mut self, reply: Reply) {
        if self.settings.subject == Subject::Nothing {
            return answer([reply], &Err(HostError::Unmanaged));
        }
        match self.phase.take() {
            Phase::Idle => {
                if self.probe.answers().await {
                    self.enter(HostState::UnmanagedRunning);
                    return answer([reply], &Err(HostError::UnmanagedRunning));
                }
                self.enter(HostState::Stopped);
                answer([reply], &Ok(()));
            }
            Phase::BackingOff { .. } => {
                self.enter(HostState::Stopped);
                answer([reply], &Ok(()));
            }
            Phase::Starting { process, waiting, .. } => {
                answer(waiting, &Err(HostError::Stopped));
                self.begin_stop(process, Then::Rest, vec![reply]).await;
            }
            Phase::Running { process } => self.begin_stop(process, Then::Rest, vec![reply]).await,
            stopping @ Phase::Stopping { .. } => {
                self.phase = stay_down(stopping, HostError::Stopped, [reply]);
            }
        }
    }

    pub(super) async fn restart(&mut self, reason: String, reply: Reply) {
        if let Some(refusal) = self.refusal() {
            return answer([reply], &Err(refusal));
        }
        tracing::info!(reason, "comfyui is restarted");
        match self.phase.take() {
            Phase::Idle if self.probe.answers().await => {
                self.enter(HostState::UnmanagedRunning);
                answer([reply], &Err(HostError::UnmanagedRunning));
            }
            Phase::Idle | Phase::BackingOff { .. } => {
                self.deaths.forget();
                self.note_reason(reason);
                self.start_again(Starter::Person, vec![reply]).await;
            }
            Phase::Starting {
                process, mut waiting, ..
            } => {
                waiting.push(reply);
                self.note_reason(reason);
                self.begin_stop(process, Then::Start(waiting), Vec::new()).await;
            }
            Phase::Running { process } => {
                self.note_reason(reason);
                self.begin_stop(process, Then::Start(vec![reply]), Vec::new())
                    .await;
            }
            stopping @ Phase::Stopping { .. } => {
                self.phase = stopping;
                self.note_reason(reason);
                self.start(reply).await;
            }
        }
    }

    pub(super) async fn poisoned(&mut self, poison: Poison, reply: Option<Reply>) {
        let outcome = match self.phase.take() {
            Phase::Running { process } => {
                tracing::warn!(?poison, "{poison}; comfyui is restarted");
                self.begin_stop(process, Then::Die(poison.to_string()), Vec::new())
                    .await;
                Ok(())
            }
            // whoever is being started has run nothing yet: what is told is of the one before
            other @ (Phase::Starting { .. } | Phase::Stopping { .. } | Phase::BackingOff { .. }) => {
                self.phase = other;
                Ok(())
            }
            Phase::Idle if self.settings.subject == Subject::Nothing => Err(HostError::Unmanaged),
            Phase::Idle if self.is_unmanaged_running() => Err(HostError::UnmanagedRunning),
            Phase::Idle => Ok(()),
        };
        answer(reply, &outcome);
    }

    pub(super) async fn shut_down(&mut self, reply: Option<Reply>) {
        self.ending = true;
        let stops = matches!(self.settings.subject, Subject::Command { .. }) && !self.settings.keep;
        match self.phase.take() {
            Phase::Starting { process, waiting, .. } if stops => {
                answer(waiting, &Err(HostError::Ending));
                self.begin_stop(process, Then::Rest, reply.into_iter().collect())
                    .await;
            }
            Phase::Running { process } if stops => {
                self.begin_stop(process, Then::Rest, reply.into_iter().collect())
                    .await;
            }
            stopping @ Phase::Stopping { .. } => {
                self.phase = stay_down(stopping, HostError::Ending, reply);
            }
            Phase::BackingOff { .. } => {
                self.enter(HostState::Stopped);
                answer(reply, &Ok(()));
            }
            other @ (Phase::Idle | Phase::Starting { .. } | Phase::Running { .. }) => {
                self.phase = other;
                answer(reply, &Ok(()));
            }
        }
    }

    pub(super) async fn begin_stop(
        &mut self,
        process: super::process::Process,
        then: Then,
        waiting: Vec<Reply>,
    ) {
        process.body.terminate().await;
        self.phase = Phase::Stopping {
            process,
            due: Instant::now() + self.settings.stop_timeout,
            forced: 0,
            then,
            waiting,
        };
        self.enter(HostState::Stopping);
    }

    fn refusal(&self) -> Option<HostError> {
        if self.settings.subject == Subject::Nothing {
            Some(HostError::Unmanaged)
        } else {
            self.ending.then_some(HostError::Ending)
        }
    }
}

/// Lets what is being stopped stay down, also where it was to be started again: whoever waits for that is
/// told `why`.
fn stay_down(mut stopping: Phase, why: HostError, replies: impl IntoIterator<Item = Reply>) -> Phase {
    if let Phase::Stopping { then, waiting, .. } = &mut stopping {
        if let Then::Start(starters) = mem::replace(then, Then::Rest) {
            answer(starters, &Err(why));
        }
        waiting.extend(replies);
    }
    stopping
}
