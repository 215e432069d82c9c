//! Starts that work, and starts that do not.

use std::time::Duration;

use runtime::clock;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use super::bench::{Bench, SERVE, failure, is_alive, running_pid, until, until_status, within};
use crate::host::{Exit, HostError, HostState, Probe, Subject};

#[tokio::test]
async fn a_start_completes_when_it_answers_and_a_stop_when_it_is_gone() {
    let mut bench = Bench::new(&format!("echo hello; echo $PYTHONUNBUFFERED >&2; {SERVE}"));
    let handle = bench.owner();
    assert_eq!(handle.status().state, HostState::Stopped);
    within("the start", handle.start()).await.expect("it starts");
    let pid = bench.pid_in("ready");
    let status = handle.status();
    let HostState::Running {
        since,
        pid: told,
        adopted,
    } = status.state
    else {
        panic!("{status:?}");
    };
    assert_eq!((told, adopted, status.restarts), (Some(pid), false, 0));
    assert!((clock::now() - since).abs() < 60_000, "{since}");
    assert_eq!(handle.logs(10).await.expect("its log"), ["hello", "1"]);
    handle.start().await.expect("it runs already");
    assert_eq!(running_pid(&handle.status()), Some(pid));

    within("the stop", handle.stop()).await.expect("it stops");
    assert!(!is_alive(pid));
    let status = handle.status();
    assert_eq!(status.state, HostState::Stopped);
    assert_eq!(status.last_exit.and_then(|exit| exit.signal), Some(15));
    assert!(!bench.path("logs/comfyui.log.pid").exists());
    handle.stop().await.expect("it is down already");
}

#[tokio::test]
async fn it_answers_when_its_address_does() {
    let mut bench = Bench::new("touch answering; exec sleep 600");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let answering = bench.path("answering");
    let mut server = JoinSet::new();
    server.spawn(async move {
        loop {
            let (mut caller, _) = listener.accept().await.expect("a caller");
            let mut request = [0; 4_096];
            let read = caller.read(&mut request).await.unwrap_or(0);
            let asked = String::from_utf8_lossy(&request[..read]).into_owned();
            let status = if !asked.starts_with("GET /base/system_stats ") {
                "404 Not Found"
            } else if answering.exists() {
                "200 OK"
            } else {
                "503 Service Unavailable"
            };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            drop(caller.write_all(answer.as_bytes()).await);
        }
    });
    let base = format!("http://{address}/base/").parse().expect("an address");
    let handle = bench.owner_with(Probe::system_stats(&base).expect("a client"));
    within("the start", handle.start()).await.expect("it starts");
    assert!(running_pid(&handle.status()).is_some());
}

#[tokio::test]
async fn one_that_ends_at_once_is_told_with_its_exit_code_and_last_words() {
    let mut bench = Bench::new("echo run >> runs; echo one; echo no module named torch >&2; exit 3");
    let handle = bench.owner();
    let error = within("the start", handle.start()).await.expect_err("it ends");
    let HostError::Died { exit, tail } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(exit.code, Some(3));
    assert_eq!(tail, &["one", "no module named torch"]);
    let text = error.to_string();
    assert!(
        text.contains("exit code 3") && text.contains("no module named torch"),
        "{text}"
    );
    let status = until_status(&handle, "the failure", |status| failure(status).is_some()).await;
    assert_eq!(failure(&status), Some(text));
    // a person was told and decides
    assert_eq!((status.restarts, bench.lines_in("runs")), (0, 1));
    assert_eq!(status.last_exit.and_then(|exit| exit.code), Some(3));
}

#[tokio::test]
async fn one_that_never_answers_is_stopped_and_told_with_its_last_words() {
    let mut bench = Bench::new("echo importing; echo $$ > pid; exec sleep 600");
    bench.settings.start_timeout = Duration::from_secs(2);
    let handle = bench.owner();
    let error = within("the start", handle.start()).await.expect_err("it hangs");
    assert!(matches!(error, HostError::Slow { .. }), "{error:?}");
    assert!(error.to_string().contains("importing"), "{error}");
    until_status(&handle, "the failure", |status| failure(status).is_some()).await;
    assert!(!is_alive(bench.pid_in("pid")));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut bench = Bench::new("");
    bench.settings.subject = Subject::Command {
        words: vec!["venv/no-such-python".to_owned(), "main.py".to_owned()],
        dir: Some(bench.dir.path().to_owned()),
    };
    bench.settings.autostart = true;
    let handle = bench.owner();
    let status = until_status(&handle, "the failure", |status| failure(status).is_some()).await;
    let why = failure(&status).expect("a failure");
    assert!(
        why.contains("venv/no-such-python") && why.contains("comfyui.command"),
        "{why}"
    );
    let error = handle.start().await.expect_err("still not there");
    assert!(matches!(error, HostError::Spawn { .. }), "{error:?}");
    assert_eq!(handle.status().last_exit, None::<Exit>);
}

#[tokio::test]
async fn a_stop_ends_a_start_that_has_not_answered() {
    let mut bench = Bench::new("echo $$ > pid; exec sleep 600");
    let handle = bench.owner();
    let starter = handle.clone();
    let mut starts = JoinSet::new();
    starts.spawn(async move { starter.start().await });
    let pid = bench.path("pid");
    until("the process", || {
        std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))
    })
    .await;
    within("the stop", handle.stop()).await.expect("it stops");
    let started = starts.join_next().await.expect("a start").expect("no crash");
    assert!(matches!(started, Err(HostError::Stopped)), "{started:?}");
    assert!(!is_alive(bench.pid_in("pid")));
    assert_eq!(handle.status().state, HostState::Stopped);
}
