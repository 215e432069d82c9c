//! Processes that are not ours are used and never touched.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::process::{Child, Command};

use super::bench::{Bench, SERVE, is_alive, running_pid, until_status, within};
use crate::host::{HostError, HostState, Poison, Probe, Subject, trace};

/// A process in a group of its own, as ours would be.
fn bystander() -> Child {
    let mut command = Command::new("sleep");
    command.arg("600").process_group(0).kill_on_drop(true);
    command.spawn().expect("a bystander")
}

#[tokio::test]
async fn one_that_answers_already_is_used_and_left_alone() {
    let mut bench = Bench::new("touch started; exec sleep 600");
    bench.settings.autostart = true;
    let handle = bench.owner_with(Probe::new(|| async { true }));
    let wanted = HostState::UnmanagedRunning;
    until_status(&handle, "the stranger", |status| status.state == wanted).await;
    handle.start().await.expect("one answers");
    let answers = [
        handle.stop().await,
        handle.restart("new nodes").await,
        handle.poisoned(Poison::IllegalAccess).await,
    ];
    for answer in answers {
        assert!(matches!(answer, Err(HostError::UnmanagedRunning)), "{answer:?}");
    }
    handle.shut_down().await.expect("nothing to do");
    assert_eq!(handle.status().state, HostState::UnmanagedRunning);
    assert!(!bench.path("started").exists());
}

#[tokio::test(start_paused = true)]
async fn strangers_come_and_go() {
    let mut bench = Bench::new("touch started; exec sleep 600");
    let answers = Arc::new(AtomicBool::new(false));
    let asked = answers.clone();
    let handle = bench.owner_with(Probe::new(move || {
        let answer = asked.load(Ordering::Relaxed);
        async move { answer }
    }));
    for (answer, state) in [(true, HostState::UnmanagedRunning), (false, HostState::Stopped)] {
        answers.store(answer, Ordering::Relaxed);
        until_status(&handle, state.name(), |status| status.state == state).await;
    }
    assert!(!bench.path("started").exists());
}

#[tokio::test]
async fn a_number_that_went_to_another_process_is_not_taken_for_ours() {
    let mut bench = Bench::new(SERVE);
    bench.settings.autostart = true;
    let Subject::Command { words, dir } = &bench.settings.subject else {
        panic!("a command");
    };
    let ours = trace::digest(words, dir.as_ref());
    let stranger = bystander();
    let pid = stranger.id().expect("it runs");
    let of_now = trace::Trace::of(pid, ours.clone()).expect("it runs");
    let reused = trace::Trace {
        started: of_now.started - 100,
        ..of_now.clone()
    };
    let of_another_command = trace::Trace {
        command: "other".to_owned(),
        ..of_now
    };
    for left_behind in [reused, of_another_command] {
        fs::create_dir_all(bench.path("logs")).expect("a directory");
        left_behind
            .write(&bench.path("logs/comfyui.log.pid"))
            .expect("written");
        let handle = bench.owner();
        let status = until_status(&handle, "the start", |status| running_pid(status).is_some()).await;
        assert!(
            matches!(status.state, HostState::Running { adopted: false, .. }),
            "{status:?}"
        );
        assert_ne!(running_pid(&status), Some(pid));
        within("the stop", handle.stop()).await.expect("ours stops");
        assert!(is_alive(pid));
        bench.lose_owner().await;
    }
}

#[tokio::test]
async fn without_a_command_everything_is_refused_with_what_to_set() {
    let mut bench = Bench::new("");
    bench.settings.subject = Subject::Nothing;
    let handle = bench.owner();
    assert_eq!(handle.status().state, HostState::Unmanaged);
    let answers = [
        handle.start().await,
        handle.stop().await,
        handle.restart("why not").await,
        handle.poisoned(Poison::IllegalAccess).await,
        handle.logs(1).await.map(drop),
    ];
    for answer in answers {
        let error = answer.expect_err("nothing is looked after").to_string();
        assert!(error.contains("comfyui.command"), "{error}");
    }
    handle.shut_down().await.expect("nothing to do");
    assert!(!bench.path("logs").exists());
}
