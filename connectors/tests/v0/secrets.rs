//! The key, and what v1 hands out beside it, go where they belong and nowhere else.

use connectors::v0::Version;
use connectors::v0::double::{Double, DoubleOptions, Fault};

use crate::bench::{Bench, chat, client};

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays() {
    let elsewhere = Bench::new(Version::V2).await;
    let bench = Bench::new(Version::V2).await;
    let target = elsewhere.double.url().join("/v2/chats").expect("an address");
    for line in ["GET", "POST"] {
        bench.double.fault_next(line, Fault::Redirect(target.to_string()));
    }
    bench.client.chats(1, None, &[]).await.expect_err("a redirect");
    bench.client.create(&chat("x")).await.expect_err("a redirect");
    assert!(elsewhere.double.received().is_empty());
}

#[tokio::test]
async fn the_key_is_taken_out_of_the_words_of_others() {
    let key = "v0-canary-key";
    let options = DoubleOptions {
        key: key.to_owned(),
        ..DoubleOptions::default()
    };
    let double = Double::start(options).await.expect("a double");
    let client = client(&double, Version::V2, key);
    double.fault_next("GET", Fault::Refusal(401, format!("{key} is not known")));
    let error = client.chats(1, None, &[]).await.expect_err("a refusal");
    assert_eq!(error.to_string(), "GET /chats: HTTP 401: *** is not known");
    assert!(!format!("{error:?} {client:?}").contains("canary"));
}

#[tokio::test]
async fn v1_gets_its_session_back_and_v2_is_not_told_of_it() {
    let bench = Bench::new(Version::V1).await;
    for _ in 0..3 {
        bench.client.clone().chats(1, None, &[]).await.expect("a page");
    }
    let sessions: Vec<Option<String>> = bench
        .double
        .received()
        .into_iter()
        .map(|received| received.session)
        .collect();
    assert_eq!(
        sessions,
        [None, Some("session-1".to_owned()), Some("session-2".to_owned())]
    );
    let debug = format!("{:?}", bench.client);
    assert!(!debug.contains("session-3"), "{debug}");
}
