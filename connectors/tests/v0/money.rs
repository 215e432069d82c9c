//! One paid call is one request on the wire, and every failure says whether v0 may have carried it out.

use std::time::Duration;

use connectors::v0::double::{Double, DoubleOptions, Fault};
use connectors::v0::{Delivery, Error, Version};
use futures::future::join_all;

use crate::bench::{BOTH, Bench, chat, limited, prompt, soon};

/// A fault, what the failure says, and whether the run was begun and charged.
fn faults() -> Vec<(Fault, Delivery, bool)> {
    let words = || "words".to_owned();
    vec![
        (Fault::Busy(Some(7)), Delivery::Refused, false),
        (Fault::Refusal(402, words()), Delivery::Refused, false),
        (Fault::Refusal(500, words()), Delivery::Refused, false),
        (Fault::Refusal(503, words()), Delivery::Refused, false),
        (
            Fault::Redirect("https://elsewhere.example/".to_owned()),
            Delivery::Refused,
            false,
        ),
        (Fault::BadGateway, Delivery::Unclear, false),
        (Fault::Page, Delivery::Unclear, false),
        (Fault::Endless, Delivery::Unclear, false),
        (Fault::CutBefore, Delivery::Unclear, false),
        (Fault::Stall, Delivery::Unclear, false),
        (Fault::GatewayTimeout, Delivery::Unclear, true),
        (Fault::CutAfter, Delivery::Unclear, true),
        (Fault::CutAnswer, Delivery::Unclear, true),
        (Fault::Unanswered, Delivery::Unclear, true),
    ]
}

async fn bench(version: Version) -> Bench {
    let double = Double::start(DoubleOptions::default()).await.expect("a double");
    let client = limited(&double, version, "v0-test-key", |options| {
        options.submit_timeout = Duration::from_secs(1);
        options.max_answer = 1 << 20;
    });
    Bench { double, client }
}

fn check(bench: &Bench, fault: &Fault, error: &Error, delivery: Delivery, charged: bool) {
    assert_eq!(error.delivery(), delivery, "{fault:?}: {error}");
    assert_eq!(bench.posts(), 1, "{fault:?}");
    let bill = bench.double.bill();
    assert_eq!(bill.len(), usize::from(charged), "{fault:?}");
    assert!(bill.iter().all(|charge| !charge.answered), "{fault:?}");
}

/// Each fault at both APIs, all beside each other.
async fn with_each(faults: Vec<(Fault, Delivery, bool)>, test: impl AsyncFn(Bench, Fault, Delivery, bool)) {
    let mut benches = Vec::new();
    for version in BOTH {
        for fault in &faults {
            benches.push((bench(version).await, fault.clone()));
        }
    }
    let tries = benches.into_iter();
    join_all(tries.map(|(bench, (fault, delivery, charged))| test(bench, fault, delivery, charged))).await;
}

#[tokio::test]
async fn a_chat_is_asked_for_once_whatever_goes_wrong() {
    let test = async |bench: Bench, fault: Fault, delivery, charged| {
        bench.double.fault_next("POST", fault.clone());
        let error = soon(bench.client.create(&chat("x")))
            .await
            .expect_err("a failure");
        check(&bench, &fault, &error, delivery, charged);
    };
    with_each(faults(), test).await;
}

#[tokio::test]
async fn a_message_is_sent_once_whatever_goes_wrong() {
    let test = async |bench: Bench, fault: Fault, delivery, charged| {
        let first = bench.made("x").await;
        bench.double.fault_next("POST", fault.clone());
        let sent = soon(bench.client.send(&first.chat, &prompt("more"))).await;
        let error = sent.expect_err("a failure");
        assert_eq!(error.delivery(), delivery, "{fault:?}: {error}");
        assert_eq!(bench.posts(), 2, "{fault:?}");
        assert_eq!(bench.double.bill().len(), 1 + usize::from(charged), "{fault:?}");
    };
    with_each(faults(), test).await;
}

#[tokio::test]
async fn a_stream_is_asked_for_once_whatever_goes_wrong() {
    // the others break after the head of the answer, which is a success
    let before_the_head = faults()
        .into_iter()
        .filter(|(fault, ..)| !matches!(fault, Fault::Endless | Fault::CutAnswer));
    let test = async |bench: Bench, fault: Fault, delivery, charged| {
        bench.double.fault_next("POST", fault.clone());
        let opened = soon(bench.client.create_streaming(&chat("x"))).await;
        let error = opened.expect_err("a failure");
        check(&bench, &fault, &error, delivery, charged);
    };
    with_each(before_the_head.collect(), test).await;
}

#[tokio::test]
async fn what_was_never_sent_is_known() {
    let double = Double::start(DoubleOptions::default()).await.expect("a double");
    let client = limited(&double, Version::V2, "k", |_| {});
    double.stop().await;
    let error = client.create(&chat("x")).await.expect_err("nobody is there");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert_eq!(error.delivery(), Delivery::NotSent);
}

#[tokio::test]
async fn a_question_is_asked_again_where_the_connection_had_gone_and_only_then() {
    let bench = Bench::new(Version::V2).await;
    let begun = bench.made("x").await;
    for fault in [
        Fault::Refusal(500, "no".to_owned()),
        Fault::BadGateway,
        Fault::Busy(None),
    ] {
        let before = bench.lines().len();
        bench.double.fault_next("GET", fault);
        bench.client.chat(&begun.chat).await.expect_err("a failure");
        assert_eq!(bench.lines().len(), before + 1);
    }
    bench.double.fault_next("GET", Fault::CutBefore);
    bench.client.chat(&begun.chat).await.expect("asked again");
}
