//! Ends: of ComfyUI, and of the worker that looks after it.

use std::time::Duration;

use super::bench::{Bench, SERVE, is_alive, kill_hard, running_pid, until, until_status, within};
use crate::host::{HostError, HostState, HostStatus};

fn is_adopted(status: &HostStatus) -> bool {
    matches!(status.state, HostState::Running { adopted: true, .. })
}

#[tokio::test]
async fn one_that_ignores_the_request_is_killed_with_its_children() {
    let script = "trap '' TERM; sleep 600 & echo $! > child; echo $$ > ready; while :; do wait; done";
    let mut bench = Bench::new(script);
    bench.settings.stop_timeout = Duration::from_millis(300);
    let handle = bench.owner();
    within("the start", handle.start()).await.expect("it starts");
    let (parent, child) = (bench.pid_in("ready"), bench.pid_in("child"));
    assert!(is_alive(parent) && is_alive(child));
    within("the stop", handle.stop()).await.expect("it ends by force");
    until("the end of both", || !is_alive(parent) && !is_alive(child)).await;
    assert_eq!(handle.status().last_exit.and_then(|exit| exit.signal), Some(9));
}

#[tokio::test]
async fn what_a_dead_one_leaves_behind_is_swept_away() {
    let mut bench = Bench::new(&format!("sleep 600 & echo $! > child; {SERVE}"));
    bench.settings.endurance.pause = Duration::from_mins(10);
    bench.settings.endurance.pause_max = Duration::from_mins(10);
    let handle = bench.owner();
    within("the start", handle.start()).await.expect("it starts");
    let child = bench.pid_in("child");
    kill_hard(bench.pid_in("ready"));
    until("the end of the child", || !is_alive(child)).await;
}

#[tokio::test]
async fn one_that_outlives_its_worker_is_taken_over_and_stopped() {
    let mut bench = Bench::new(SERVE);
    bench.settings.autostart = true;
    let handle = bench.owner();
    let first = until_status(&handle, "the start", |status| running_pid(status).is_some()).await;
    bench.lose_owner().await;
    assert!(is_alive(bench.pid_in("ready")));
    assert!(matches!(handle.start().await, Err(HostError::Ending)));

    let handle = bench.owner();
    let second = until_status(&handle, "the adoption", is_adopted).await;
    assert_eq!(running_pid(&second), running_pid(&first));
    within("the stop", handle.stop()).await.expect("it stops");
    assert!(!is_alive(bench.pid_in("ready")));
    assert_eq!(handle.status().state, HostState::Stopped);
}

#[tokio::test]
async fn the_death_of_one_that_was_taken_over_is_noticed() {
    let mut bench = Bench::new(SERVE);
    bench.settings.autostart = true;
    let handle = bench.owner();
    until_status(&handle, "the start", |status| running_pid(status).is_some()).await;
    bench.lose_owner().await;
    let handle = bench.owner();
    until_status(&handle, "the adoption", is_adopted).await;
    kill_hard(bench.pid_in("ready"));
    let again = |status: &HostStatus| running_pid(status).is_some() && !is_adopted(status);
    let status = until_status(&handle, "the next", again).await;
    assert_eq!(status.restarts, 1);
}

#[tokio::test]
async fn one_that_was_taken_over_before_it_answered_is_waited_for() {
    let mut bench = Bench::new(&format!(
        "echo $$ > pid; while [ ! -e go ]; do sleep 0.02; done; {SERVE}"
    ));
    bench.settings.autostart = true;
    let handle = bench.owner();
    let starting = |status: &HostStatus| matches!(status.state, HostState::Starting { .. });
    until_status(&handle, "the start", starting).await;
    bench.lose_owner().await;
    let handle = bench.owner();
    until_status(&handle, "the adoption", starting).await;
    bench.touch("go");
    until_status(&handle, "the answer", is_adopted).await;
    assert_eq!(bench.pid_in("pid"), bench.pid_in("ready"));
}

#[tokio::test]
async fn the_orderly_end_of_the_worker_stops_it() {
    let mut bench = Bench::new(SERVE);
    let handle = bench.owner();
    within("the start", handle.start()).await.expect("it starts");
    within("the end", handle.shut_down()).await.expect("it stops");
    assert!(!is_alive(bench.pid_in("ready")));
    assert!(matches!(handle.start().await, Err(HostError::Ending)));
    bench.end_owner().await;

    let handle = bench.owner();
    within("the start", handle.start()).await.expect("it starts");
    let pid = bench.pid_in("ready");
    bench.end_owner().await;
    assert!(!is_alive(pid));
}

#[tokio::test]
async fn one_that_is_to_be_kept_outlives_the_orderly_end() {
    let mut bench = Bench::new(SERVE);
    bench.settings.keep = true;
    let handle = bench.owner();
    within("the start", handle.start()).await.expect("it starts");
    handle.shut_down().await.expect("nothing to do");
    bench.end_owner().await;
    let pid = bench.pid_in("ready");
    assert!(is_alive(pid));
    let handle = bench.owner();
    let status = until_status(&handle, "the adoption", is_adopted).await;
    assert_eq!(running_pid(&status), Some(pid));
}
