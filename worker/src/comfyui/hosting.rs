//! The state of ComfyUI's process as everybody is told it. Pure.

use proto::{
    moment::timestamp,
    v1::{Host, host::State},
};

use crate::host::{HostState, HostStatus};

/// The state as it is announced.
pub(super) fn told(status: &HostStatus) -> Host {
    let mut host = Host {
        restarts: status.restarts,
        message: status
            .last_restart
            .as_ref()
            .map(|reason| format!("started anew: {reason}"))
            .or_else(|| status.last_exit.map(|exit| exit.to_string()))
            .unwrap_or_default(),
        ..Host::default()
    };
    let state = match &status.state {
        HostState::Unmanaged => State::Unmanaged,
        HostState::UnmanagedRunning => {
            "somebody else started the ComfyUI that answers; it is used, and not looked after"
                .clone_into(&mut host.message);
            State::Unmanaged
        }
        HostState::Stopped => {
            host.message.clear();
            State::Stopped
        }
        HostState::Starting { since } => {
            host.since = Some(timestamp(*since));
            State::Starting
        }
        HostState::Running { since, pid, adopted } => {
            host.since = Some(timestamp(*since));
            host.pid = pid.unwrap_or_default();
            host.adopted = *adopted;
            State::Running
        }
        HostState::Stopping => {
            host.message.clear();
            State::Stopping
        }
        HostState::BackingOff { until, last_exit, .. } => {
            host.until = Some(timestamp(*until));
            host.message = last_exit.to_string();
            State::BackingOff
        }
        HostState::Failed { why } => {
            host.message.clone_from(why);
            State::Failed
        }
    };
    host.set_state(state);
    host
}

/// Why ComfyUI does not answer, where its process tells more than a failed connection does.
pub(super) fn why_away(host: Option<&Host>) -> Option<String> {
    let host = host?;
    Some(match host.state() {
        State::Stopped => "ComfyUI is stopped; start it with `orchestrator comfyui start`".to_owned(),
        State::Starting => "ComfyUI is starting".to_owned(),
        State::Stopping => "ComfyUI is being stopped".to_owned(),
        State::BackingOff => format!("ComfyUI died and is started again soon: {}", host.message),
        State::Failed => format!("ComfyUI has to be started by a person: {}", host.message),
        State::Unmanaged | State::Running => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::host::Exit;

    use super::*;

    #[test]
    fn the_state_of_the_process_says_more_than_a_failed_connection() {
        let status = |state| HostStatus {
            state,
            last_exit: None,
            last_restart: None,
            restarts: 2,
            log: None,
        };
        let exit = Exit {
            code: Some(3),
            signal: None,
        };
        let host = told(&status(HostState::BackingOff {
            until: 5_000,
            deaths: 1,
            last_exit: exit,
        }));
        assert_eq!((host.state(), host.restarts), (State::BackingOff, 2));
        let why = why_away(Some(&host)).expect("a reason");
        assert!(why.contains("exit code 3"), "{why}");
        let running = told(&status(HostState::Running {
            since: 1,
            pid: Some(7),
            adopted: true,
        }));
        assert!(running.adopted && running.pid == 7 && why_away(Some(&running)).is_none());
        assert_eq!(why_away(None), None);
    }
}
