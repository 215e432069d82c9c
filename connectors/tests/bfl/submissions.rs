//! What is known after a submission: a task, nothing sent, refused, or unclear.

use std::time::Duration;

use connectors::bfl::double::{Fault, Options};
use connectors::bfl::{Doubt, SubmitError, Task};
use serde_json::json;

use crate::bench::{Bench, MODEL, client, patient, soon, whole};
use crate::raw::{Act, Raw, answer, with_headers};

async fn submit_to(raw: &Raw) -> Result<Task, SubmitError> {
    let client = patient(&raw.url, "k", Duration::from_secs(2));
    soon(client.submit(MODEL, &json!({"prompt": "a cat"}))).await
}

/// The id and the doubt of a submission that is unclear.
fn unclear(result: Result<Task, SubmitError>) -> (Option<String>, Doubt) {
    match result {
        Err(SubmitError::Unclear { id, doubt }) => (id, doubt),
        other => panic!("{other:?} is not unclear"),
    }
}

#[tokio::test]
async fn a_task_is_what_the_service_says_of_it() {
    let body = r#"{"id":"7f","polling_url":"https://api.us1.bfl.ai/v1/get_result?id=7f&x=%20","cost":4.5,
        "input_mp":0.0,"output_mp":1.98}"#;
    let raw = Raw::saying(answer(200, body)).await;
    let task = submit_to(&raw).await.expect("a task");
    let expected = Task {
        id: "7f".to_owned(),
        polling_url: "https://api.us1.bfl.ai/v1/get_result?id=7f&x=%20".to_owned(),
        cost_cents: Some(4.5),
        input_megapixels: Some(0.0),
        output_megapixels: Some(1.98),
    };
    assert_eq!(task, expected);
    let heard = raw.heard().join("").to_ascii_lowercase();
    assert!(heard.starts_with("post /v1/flux-2-pro http/1.1\r\n"), "{heard}");
    assert!(
        heard.contains("x-key: k\r\n") && heard.contains("content-type: application/json"),
        "{heard}"
    );
    assert!(heard.ends_with(r#"{"prompt":"a cat"}"#), "{heard}");
    let old = Raw::saying(answer(200, r#"{"id":"a","polling_url":"https://x"}"#)).await;
    assert_eq!(submit_to(&old).await.expect("a task").cost_cents, None);
}

#[tokio::test]
async fn nobody_there_means_that_nothing_was_sent() {
    let bench = Bench::plain().await;
    bench.double.go_down().await;
    let error = bench.submit("a cat").await.expect_err("nobody there");
    assert!(matches!(error, SubmitError::Unreachable { .. }), "{error:?}");
    assert!(
        error
            .to_string()
            .starts_with("no connection to http://127.0.0.1:"),
        "{error}"
    );
    bench.double.come_up().await;
    bench.task("a cat").await;
    assert_eq!(bench.double.submits().len(), 1);
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_in_time_means_that_nothing_was_sent() {
    // it listens, and never answers the greeting of TLS
    let raw = Raw::start(Vec::new()).await;
    let base = raw.url.as_str().replace("http:", "https:");
    let base = url::Url::parse(&base).expect("an address");
    let client = patient(&base, "k", Duration::from_millis(600));
    let result = soon(client.submit(MODEL, &json!({}))).await;
    assert!(
        matches!(result, Err(SubmitError::Unreachable { .. })),
        "{result:?}"
    );
    assert!(raw.heard().is_empty());
}

#[tokio::test]
async fn a_base_that_is_no_http_address_is_not_sent_to() {
    let base = url::Url::parse("ftp://flux/").expect("an address");
    let result = client(&base, "k").submit(MODEL, &json!({})).await;
    assert!(
        matches!(result, Err(SubmitError::Unreachable { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn refusals_are_told_with_their_words() {
    let bench = Bench::plain().await;
    for status in [400, 401, 402, 403, 404, 413, 422, 429, 500, 503] {
        bench.double.fault_next_submit(Fault::Status(status));
        let refused = bench.refused(MODEL, &json!({"prompt": "a cat"})).await;
        assert_eq!(
            (refused.0, refused.1.text),
            (status, format!("simulated {status}"))
        );
    }
    assert!(bench.double.bill().entries.is_empty());
    assert_eq!(bench.double.submits().len(), 10, "none was repeated");
}

#[tokio::test]
async fn a_refusal_stays_one_when_its_words_are_cut_or_too_long() {
    let cut = b"HTTP/1.1 429 X\r\ncontent-length: 100\r\nretry-after: 7\r\n\r\n{\"det".to_vec();
    let long = answer(503, vec![b'x'; 2 << 20]);
    for (said, expected) in [(cut, (429, Some(Duration::from_secs(7)))), (long, (503, None))] {
        match submit_to(&Raw::saying(said).await).await {
            Err(SubmitError::Refused {
                status, retry_after, ..
            }) => assert_eq!((status, retry_after), expected),
            other => panic!("{other:?} is no refusal"),
        }
    }
}

#[tokio::test]
async fn the_words_of_a_refusal_survive_odd_bytes_and_pages() {
    for (said, expected) in [
        (b"{\"detail\":\"f\xfcr\"}".to_vec(), "f\u{fffd}r"),
        (b"\xef\xbb\xbf{\"detail\":\"marked\"}".to_vec(), "marked"),
        (b"\xff\xfe".to_vec(), "\u{fffd}\u{fffd}"),
        (
            b"<html><head><title>Busy</title></head><body>try <b>later</b></body></html>".to_vec(),
            "Busy try later",
        ),
        (Vec::new(), ""),
    ] {
        match submit_to(&Raw::saying(answer(503, said)).await).await {
            Err(SubmitError::Refused { detail, .. }) => assert_eq!(detail.text, expected),
            other => panic!("{other:?} is no refusal"),
        }
    }
}

#[tokio::test]
async fn statuses_that_say_neither_yes_nor_no_are_unclear() {
    for status in [
        301, 302, 303, 307, 308, 408, 409, 425, 499, 501, 502, 504, 520, 524,
    ] {
        let headers = "location: /elsewhere\r\n";
        let raw = Raw::saying(with_headers(status, headers, "<html><title>Oh</title></html>")).await;
        let (id, doubt) = unclear(submit_to(&raw).await);
        assert!(
            matches!(&doubt, Doubt::Status { status: said, detail } if *said == status && detail.text == "Oh"),
            "{doubt:?}"
        );
        assert_eq!(
            (id, raw.heard().len()),
            (None, 1),
            "{status} was followed or repeated"
        );
    }
}

#[tokio::test]
async fn an_answer_that_names_no_task_is_unclear() {
    let odd: [&[u8]; 9] = [
        b"<html><body>Please wait</body></html>",
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{\"id\":7,\"polling_url\":\"https://x\"}",
        b"{\"id\":\"\",\"polling_url\":\"https://x\"}",
        b"{\"id\":\"a\xff\",\"polling_url\":\"https://x\"}",
        b"{\"polling_url\":\"https://x\"}",
    ];
    for body in odd {
        let (id, doubt) = unclear(submit_to(&Raw::saying(answer(200, body)).await).await);
        assert!(matches!(doubt, Doubt::Answer { .. }), "{doubt:?}");
        assert_eq!(id, None, "{}", String::from_utf8_lossy(body));
    }
    let long = answer(200, format!("{{\"id\":\"a\",\"x\":\"{}\"}}", "y".repeat(2 << 20)));
    let (id, doubt) = unclear(submit_to(&Raw::saying(long).await).await);
    assert!(
        doubt.to_string().starts_with("the answer is too long;"),
        "{doubt}"
    );
    assert_eq!(id.as_deref(), Some("a"));
}

#[tokio::test]
async fn an_id_without_an_address_to_ask_at_is_kept() {
    for body in [
        r#"{"id":"abc","status":"Pending","webhook_url":"https://x/y"}"#,
        r#"{"id":"abc","polling_url":null}"#,
        r#"{"id":"abc","polling_url":"  "}"#,
        r#"{"id":"abc","polling_url":"#,
    ] {
        let (id, _) = unclear(submit_to(&Raw::saying(answer(200, body)).await).await);
        assert_eq!(id.as_deref(), Some("abc"), "{body}");
    }
}

#[tokio::test]
async fn broken_and_late_answers_are_unclear_and_never_asked_for_again() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":\"abc\",\"polling_url\":\"htt";
    let half = b"HTTP/1.1 2";
    for (act, is_late, expected) in [
        (Act::Say(Vec::new()), false, None),
        (Act::Say(half.to_vec()), false, None),
        (Act::Say(cut.to_vec()), false, Some("abc")),
        (Act::Stay(Vec::new()), true, None),
        (Act::Stay(cut.to_vec()), true, None),
    ] {
        let raw = Raw::start(vec![act]).await;
        let error = submit_to(&raw).await.expect_err("no answer");
        let text = whole(&error);
        let (id, doubt) = unclear(Err(error));
        match doubt {
            Doubt::Timeout { .. } => assert!(is_late, "{text}"),
            Doubt::Broken(_) => assert!(!is_late, "{text}"),
            Doubt::Status { .. } | Doubt::Answer { .. } => panic!("{text}"),
        }
        assert_eq!(id.as_deref(), expected, "{text}");
        assert_eq!(raw.heard().len(), 1, "it was repeated");
    }
}

#[tokio::test]
async fn connections_that_are_dropped_behind_its_back_do_not_make_a_submission_unclear() {
    let task = answer(200, r#"{"id":"a","polling_url":"https://x"}"#);
    let pending = answer(200, r#"{"status":"Pending"}"#);
    let raw = Raw::start(vec![Act::Keep(pending), Act::Keep(task.clone()), Act::Keep(task)]).await;
    let client = client(&raw.url, "k");
    client.poll(&raw.at("v1/get_result?id=a")).await.expect("a poll");
    for _ in 0..2 {
        soon(client.submit(MODEL, &json!({}))).await.expect("a task");
    }
    let posts = raw
        .heard()
        .iter()
        .filter(|request| request.starts_with("POST"))
        .count();
    assert_eq!(posts, 2);
}

#[tokio::test]
async fn every_fault_of_the_double_is_told_right_and_sent_once() {
    let slow = Fault::Slow(Duration::from_millis(50));
    for (fault, is_taken, expected) in [
        (Fault::Busy, 0, "refused"),
        (Fault::Redirect, 0, "unclear"),
        (Fault::CutBefore, 0, "unclear"),
        (Fault::CutAfter, 1, "unclear"),
        (Fault::CutWithin, 1, "unclear"),
        (Fault::BadGateway { taken: false }, 0, "unclear"),
        (Fault::BadGateway { taken: true }, 1, "unclear"),
        (Fault::Html { taken: false }, 0, "unclear"),
        (Fault::Html { taken: true }, 1, "unclear"),
        (Fault::NoPollingUrl, 1, "unclear"),
        (Fault::Stall, 1, "unclear"),
        (Fault::Duplicate, 2, "a task"),
        (Fault::TaskFails, 1, "a task"),
        (slow, 1, "a task"),
    ] {
        let bench = Bench::new(Options::default()).await;
        bench.double.fault_next_submit(fault);
        let client = patient(&bench.double.base(), bench.double.key(), Duration::from_secs(3));
        let told = match soon(client.submit(MODEL, &json!({"prompt": "a cat"}))).await {
            Ok(_) => "a task",
            Err(SubmitError::Refused { .. }) => "refused",
            Err(SubmitError::Unclear { .. }) => "unclear",
            Err(SubmitError::Unreachable { .. }) => "unreachable",
        };
        let bill = bench.double.bill();
        assert_eq!((told, bill.entries.len()), (expected, is_taken), "{fault:?}");
        assert_eq!(
            bill.unanswered().len(),
            is_taken - usize::from(told == "a task"),
            "{fault:?}"
        );
        assert_eq!(
            (bench.double.submits().len(), bench.double.connections()),
            (1, 1),
            "{fault:?}"
        );
    }
}
