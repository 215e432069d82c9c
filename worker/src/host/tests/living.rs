//! What happens to one that ran: deaths, poison, a log that grows.

use runtime::settings::ByteSize;

use super::bench::{Bench, SERVE, failure, is_alive, kill_hard, running_pid, until, until_status, within};
use crate::host::{HostState, HostStatus, Poison, Probe};

#[tokio::test]
async fn one_that_dies_is_started_again_after_a_pause() {
    let mut bench = Bench::new(SERVE);
    let handle = bench.owner();
    within("the start", handle.start()).await.expect("it starts");
    let first = bench.pid_in("ready");
    let mut status = handle.subscribe();
    kill_hard(first);
    let pause = within(
        "the pause",
        status.wait_for(|status| matches!(status.state, HostState::BackingOff { .. })),
    );
    let told = pause.await.expect("an owner").clone();
    let HostState::BackingOff {
        deaths, last_exit, ..
    } = told.state
    else {
        panic!("{told:?}");
    };
    assert_eq!((deaths, last_exit.signal), (1, Some(9)));
    let status = until_status(&handle, "the next", |status| running_pid(status).is_some()).await;
    assert_ne!(running_pid(&status), Some(first));
    assert_eq!(status.restarts, 1);
    let reason = status.last_restart.expect("a reason");
    assert!(
        reason.contains("died") && reason.contains("want of memory"),
        "{reason}"
    );
}

#[tokio::test]
async fn one_that_dies_too_often_stays_down_until_a_person_starts_it() {
    let mut bench = Bench::new(&format!("echo run >> runs; [ -e cured ] || exit 4; {SERVE}"));
    bench.settings.autostart = true;
    let handle = bench.owner();
    let status = until_status(&handle, "the end", |status| failure(status).is_some()).await;
    let why = failure(&status).expect("a reason");
    assert!(why.contains("death 5") && why.contains("exit code 4"), "{why}");
    assert_eq!(bench.lines_in("runs"), 5);
    bench.touch("cured");
    within("the start", handle.start()).await.expect("it starts");
    assert_eq!(bench.lines_in("runs"), 6);
}

#[tokio::test]
async fn a_poisoned_one_is_recognised_by_its_log_and_restarted() {
    let script = format!(
        "if [ -e poisoned ]; then {SERVE}; fi; touch poisoned; echo $$ > ready; \
         while [ ! -e go ]; do sleep 0.02; done; \
         echo 'RuntimeError: CUDA error: an illegal memory access was encountered' >&2; exec sleep 600"
    );
    let mut bench = Bench::new(&script);
    let handle = bench.owner();
    within("the start", handle.start()).await.expect("it starts");
    let first = bench.pid_in("ready");
    bench.touch("go");
    let restarted = |status: &HostStatus| status.restarts == 1 && running_pid(status).is_some();
    let status = until_status(&handle, "the restart", restarted).await;
    assert!(!is_alive(first));
    let reason = status.last_restart.expect("a reason");
    assert!(reason.contains("illegal memory access"), "{reason}");
}

#[tokio::test]
async fn one_that_a_failed_run_shows_to_be_poisoned_is_restarted() {
    let mut bench = Bench::new(SERVE);
    let handle = bench.owner();
    within("the start", handle.start()).await.expect("it starts");
    let first = bench.pid_in("ready");
    handle
        .poisoned(Poison::DeviceAssert)
        .await
        .expect("it is restarted");
    // the log tells the same a moment later
    handle
        .poisoned(Poison::DeviceAssert)
        .await
        .expect("nothing to do");
    let running = |status: &HostStatus| running_pid(status).is_some_and(|pid| pid != first);
    let status = until_status(&handle, "the restart", running).await;
    assert_eq!(status.restarts, 1);
    assert!(
        status
            .last_restart
            .is_some_and(|reason| reason.contains("device-side assert"))
    );
}

#[tokio::test]
async fn a_restart_gives_another_process() {
    let mut bench = Bench::new(SERVE);
    let handle = bench.owner();
    within("a start", handle.restart("new nodes"))
        .await
        .expect("it starts");
    let first = bench.pid_in("ready");
    within("the restart", handle.restart("newer nodes"))
        .await
        .expect("it restarts");
    let status = handle.status();
    assert!(running_pid(&status).is_some_and(|pid| pid != first) && !is_alive(first));
    assert_eq!(status.last_restart.as_deref(), Some("newer nodes"));
}

#[tokio::test]
async fn a_log_that_grows_is_rotated_and_its_last_lines_are_found_across() {
    let script = "lines=$(seq -f 'line %g' 0 999); printf '%s\\n' \"$lines\"; echo $$ > ready; \
                  while [ ! -e go ]; do sleep 0.02; done; \
                  seq -f 'line %g' 1000 1099; touch done; exec sleep 600";
    let mut bench = Bench::new(script);
    bench.settings.log_max_size = ByteSize(4_000);
    let handle = bench.owner();
    within("the start", handle.start()).await.expect("it starts");
    until("the rotation", || bench.path("logs/comfyui.log.1").exists()).await;
    bench.touch("go");
    until("the rest", || bench.path("done").exists()).await;
    let expected: Vec<String> = (1_100 - 300..1_100).map(|nth| format!("line {nth}")).collect();
    assert_eq!(handle.logs(300).await.expect("the log"), expected);
}

#[tokio::test]
async fn two_workers_do_not_share_a_log() {
    let mut bench = Bench::new(SERVE);
    let first = bench.owner();
    within("the start", first.start()).await.expect("it starts");
    let second = bench.owner_with(Probe::new(|| async { false }));
    bench.settings.autostart = true;
    let error = within("the refusal", second.start())
        .await
        .expect_err("the log is taken");
    assert!(error.to_string().contains("comfyui.log"), "{error}");
    assert!(failure(&second.status()).is_some_and(|why| why.contains("comfyui.log")));
    assert!(running_pid(&first.status()).is_some());
    within("the stop", first.stop()).await.expect("it stops");
    bench.lose_owner().await;
    let third = bench.owner();
    until_status(&third, "the next", |status| running_pid(status).is_some()).await;
}
