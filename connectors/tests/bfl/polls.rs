//! How tasks stand, and what is left of the credits.

use std::time::Duration;

use connectors::bfl::double::{AnswerFault, BROKEN, FORBIDDEN_INPUT, FORBIDDEN_OUTPUT, Options};
use connectors::bfl::{PollError, Status};

use crate::bench::{Bench, client, patient, soon};
use crate::raw::{Act, Raw, answer, with_headers};

/// What a poll comes to that is answered so.
async fn polled(said: Vec<u8>) -> Result<connectors::bfl::Poll, PollError> {
    let raw = Raw::saying(said).await;
    soon(client(&raw.url, "k").poll(&raw.at("v1/get_result?id=a"))).await
}

#[tokio::test]
async fn a_task_waits_runs_and_is_ready() {
    let bench = Bench::new(Options {
        task_time: Duration::from_secs(2),
        ..Options::default()
    })
    .await;
    let task = bench.task("a cat").await;
    assert_eq!(task.cost_cents, Some(3.0));
    let course = bench.course(&task).await;
    let Status::Ready(sample) = &course.last().expect("an end").status else {
        panic!("{course:?}")
    };
    assert_eq!(sample.prompt.as_deref(), Some("a cat"));
    assert!(sample.seed.is_some());
    let told: Vec<_> = course.iter().map(|poll| poll.progress).collect();
    assert_eq!(told, [None, Some(0.5), Some(1.0)]);
}

#[tokio::test]
async fn a_status_that_is_not_documented_is_work_in_progress() {
    let bench = Bench::new(Options {
        task_time: Duration::from_secs(2),
        reasoning: true,
        ..Options::default()
    })
    .await;
    let course = bench.course(&bench.task("a cat").await).await;
    let reasoning = Status::InProgress("Reasoning".to_owned());
    assert!(course.iter().any(|poll| poll.status == reasoning), "{course:?}");
}

#[tokio::test]
async fn a_task_that_is_not_there_is_not_found() {
    let bench = Bench::new(Options {
        late: true,
        ..Options::default()
    })
    .await;
    let task = bench.task("a cat").await;
    assert_eq!(bench.ending(&task).await, Status::NotFound, "HTTP 404 at first");
    assert!(matches!(bench.ending(&task).await, Status::Ready(_)));
    let at_base = bench.double.base().join(&format!("v1/get_result?id={}", task.id));
    let there = bench.client.poll(at_base.expect("an address").as_str()).await;
    assert_eq!(there.expect("a poll").status, Status::NotFound, "the wrong host");
    bench.double.forget_tasks();
    assert_eq!(bench.ending(&task).await, Status::NotFound, "too old");
}

#[tokio::test]
async fn what_is_moderated_or_fails_says_why() {
    let bench = Bench::plain().await;
    let input = bench.task(FORBIDDEN_INPUT).await;
    let reasons = vec!["Sexual Content".to_owned()];
    assert_eq!(bench.ending(&input).await, Status::RequestModerated(reasons));
    let output = bench.task(FORBIDDEN_OUTPUT).await;
    let reasons = vec!["Derivative Works Filter".to_owned()];
    assert_eq!(bench.ending(&output).await, Status::ContentModerated(reasons));
    let broken = bench.task(BROKEN).await;
    let words = "the task has failed".to_owned();
    assert_eq!(bench.ending(&broken).await, Status::Failed(words));
    assert_eq!(bench.double.bill().charged(), 0);
}

#[tokio::test]
async fn an_input_is_refused_before_its_time_is_over() {
    let bench = Bench::new(Options {
        task_time: Duration::from_hours(1),
        ..Options::default()
    })
    .await;
    let cat = bench.task("a cat").await;
    let forbidden = bench.task(FORBIDDEN_INPUT).await;
    assert!(matches!(
        bench.ending(&forbidden).await,
        Status::RequestModerated(_)
    ));
    let poll = bench.client.poll(&cat.polling_url).await.expect("a poll");
    assert_eq!(poll.status, Status::Pending);
}

#[tokio::test]
async fn http_202_is_work_in_progress_whatever_its_body() {
    assert_eq!(
        polled(answer(202, "")).await.expect("a poll").status,
        Status::Pending
    );
    assert_eq!(
        polled(answer(404, "<html>")).await.expect("a poll").status,
        Status::NotFound
    );
}

#[tokio::test]
async fn one_odd_byte_does_not_lose_a_result() {
    let body =
        b"\xef\xbb\xbf{\"status\":\"Ready\",\"result\":{\"sample\":\"https://d/x\",\"prompt\":\"f\xfcr\"}}";
    let poll = polled(answer(200, body)).await.expect("a poll");
    let Status::Ready(sample) = poll.status else {
        panic!("{poll:?}")
    };
    assert_eq!(
        (sample.url.as_str(), sample.prompt.as_deref()),
        ("https://d/x", Some("f\u{fffd}r"))
    );
}

#[tokio::test]
async fn trouble_that_passes_is_told_from_trouble_that_stays() {
    for status in [408, 425, 429, 500, 502, 503, 504, 524] {
        let error = polled(with_headers(
            status,
            "retry-after: 3\r\n",
            "{\"detail\":\"later\"}",
        ))
        .await;
        let error = error.expect_err("trouble");
        assert!(error.is_transient(), "{status}: {error:?}");
        assert_eq!(error.to_string(), format!("HTTP {status}: later"));
        assert!(
            matches!(error, PollError::Unavailable { retry_after: Some(wait), .. } if wait.as_secs() == 3)
        );
    }
    for status in [301, 307, 400, 401, 402, 403, 405, 422] {
        let error = polled(with_headers(status, "location: /x\r\n", "{\"detail\":\"no\"}")).await;
        let error = error.expect_err("trouble");
        assert!(!error.is_transient(), "{status}: {error:?}");
        assert_eq!(error.to_string(), format!("refused with HTTP {status}: no"));
    }
}

#[tokio::test]
async fn answers_that_cannot_be_understood_are_garbled() {
    let odd: [&[u8]; 6] = [
        b"<html>wait</html>",
        b"",
        b"{}",
        b"{\"status\":null}",
        b"{\"status\":\"Ready\",\"result\":null}",
        b"\xff\xfe{\x00",
    ];
    for body in odd {
        let error = polled(answer(200, body)).await.expect_err("garbage");
        assert!(
            matches!(error, PollError::Garbled { .. }) && !error.is_transient(),
            "{error:?}"
        );
    }
    let error = polled(answer(200, vec![b' '; 2 << 20]))
        .await
        .expect_err("too long");
    assert!(
        error.to_string().starts_with("the answer is too long;"),
        "{error}"
    );
}

#[tokio::test]
async fn broken_late_and_missing_answers_may_be_asked_for_again() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"status\":".to_vec();
    let error = polled(cut.clone()).await.expect_err("cut");
    assert!(
        matches!(error, PollError::Broken { .. }) && error.is_transient(),
        "{error:?}"
    );
    let raw = Raw::start(vec![Act::Stay(cut)]).await;
    let impatient = patient(&raw.url, "k", Duration::from_millis(300));
    let error = soon(impatient.poll(&raw.at("x"))).await.expect_err("late");
    assert!(
        matches!(error, PollError::Timeout { .. }) && error.is_transient(),
        "{error:?}"
    );
    let bench = Bench::plain().await;
    let task = bench.task("a cat").await;
    bench.double.go_down().await;
    // a kept connection breaks first, if it is not gone already
    let error = soon(async {
        loop {
            let error = bench
                .client
                .poll(&task.polling_url)
                .await
                .expect_err("nobody there");
            assert!(error.is_transient(), "{error:?}");
            if matches!(error, PollError::Unreachable { .. }) {
                return error;
            }
        }
    })
    .await;
    assert_eq!(error.to_string(), "no connection");
    bench.double.come_up().await;
    assert!(
        matches!(bench.ending(&task).await, Status::Ready(_)),
        "the task went on"
    );
}

#[tokio::test]
async fn faults_of_the_double_pass() {
    let bench = Bench::plain().await;
    let task = bench.task("a cat").await;
    for (fault, transient) in [
        (AnswerFault::Status(503), true),
        (AnswerFault::Cut, true),
        (AnswerFault::Html, false),
    ] {
        bench.double.fault_next_poll(fault);
        let error = bench.client.poll(&task.polling_url).await.expect_err("a fault");
        assert_eq!(error.is_transient(), transient, "{fault:?}: {error:?}");
    }
    assert!(matches!(bench.ending(&task).await, Status::Ready(_)));
}

#[tokio::test]
async fn credits_are_what_is_left() {
    let bench = Bench::new(Options {
        credits: 10.0,
        ..Options::default()
    })
    .await;
    let credits = async || bench.client.credits().await.expect("credits");
    assert!((credits().await - 10.0).abs() < 1e-9);
    bench.task("a cat").await;
    assert!((credits().await - 7.0).abs() < 1e-9);
    let stranger = client(&bench.double.base(), "wrong");
    let error = stranger.credits().await.expect_err("a wrong key");
    assert!(
        matches!(error, PollError::Refused { status: 403, .. }),
        "{error:?}"
    );
    let raw = Raw::saying(answer(200, "{}")).await;
    let error = client(&raw.url, "k")
        .credits()
        .await
        .expect_err("no credits named");
    assert!(matches!(error, PollError::Garbled { .. }), "{error:?}");
    assert!(raw.heard()[0].starts_with("GET /v1/credits "));
}
