//! What v0 refuses, in the words of both editions.

use std::collections::BTreeMap;
use std::time::Duration;

use connectors::v0::double::{DoubleOptions, Fault};
use connectors::v0::{Error, NewChat, Prompt, Version};

use crate::bench::{BOTH, Bench, chat, client, limited, prompt, refused};

#[tokio::test]
async fn a_wrong_key_and_a_wrong_plan_are_refused() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let stranger = client(&bench.double, version, "another-key");
        assert_eq!(
            refused(stranger.create(&chat("x")).await),
            (401, "Invalid API key".to_owned())
        );
        bench.double.set_forbidden(true);
        assert_eq!(
            refused(bench.client.chats(1, None, &[]).await).0,
            403,
            "{version}"
        );
        assert!(bench.double.bill().is_empty());
    }
}

#[tokio::test]
async fn without_credits_nothing_is_begun() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        bench.double.set_credits(0.3);
        let first = bench.made("x").await;
        let (status, words) = refused(bench.client.send(&first.chat, &prompt("more")).await);
        assert_eq!(status, 402, "{version}");
        assert!(words.starts_with("You are out of credits"), "{words}");
        assert_eq!(bench.double.chats().len(), 1);
    }
}

#[tokio::test]
async fn a_busy_v0_says_when_to_come_again() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        bench.double.fault_next("GET", Fault::Busy(Some(7)));
        let error = bench.client.chats(1, None, &[]).await.expect_err("busy");
        let refusal = error.refusal().expect("a refusal");
        assert_eq!(
            (refusal.status, refusal.retry_after),
            (429, Some(Duration::from_secs(7))),
            "{version}"
        );
        let kind = (version == Version::V1).then_some("too_many_requests_error");
        assert_eq!(refusal.kind.as_deref(), kind);
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let model = Prompt {
            model: Some("gpt-2".to_owned()),
            ..prompt("x")
        };
        let privacy = NewChat {
            privacy: Some("secret".to_owned()),
            ..chat("x")
        };
        let long = NewChat {
            metadata: BTreeMap::from([("k".repeat(41), "v".to_owned())]),
            ..chat("x")
        };
        for (wrong, name) in [
            (chat(""), "message"),
            (
                NewChat {
                    prompt: model,
                    ..chat("x")
                },
                "modelId",
            ),
            (privacy, "rivacy"),
            (long, "metadata"),
        ] {
            let (status, words) = refused(bench.client.create(&wrong).await);
            assert_eq!(status, 422, "{version}: {words}");
            assert!(words.contains(name), "{version}: {words}");
        }
        let unknown = bench.client.send("nochat", &prompt("x")).await;
        assert_eq!(refused(unknown), (404, "Chat not found".to_owned()));
        assert!(bench.double.bill().is_empty() && bench.double.chats().is_empty());
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    for version in BOTH {
        let options = DoubleOptions {
            max_body: 2000,
            ..DoubleOptions::default()
        };
        let bench = Bench::with(version, options).await;
        let (status, _) = refused(bench.client.create(&chat(&"x".repeat(3000))).await);
        assert_eq!(status, 413, "{version}");
    }
}

#[tokio::test]
async fn an_answer_may_be_long_but_not_without_end() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let client = limited(&bench.double, version, "v0-test-key", |options| {
            options.max_answer = 1 << 20;
        });
        bench.double.fault_next("GET", Fault::Endless);
        let error = client.chats(1, None, &[]).await.expect_err("too much");
        assert!(
            matches!(
                error,
                Error::TooLarge {
                    limit: 0x0010_0000,
                    ..
                }
            ),
            "{version}: {error:?}"
        );
    }
}
