//! Runs: begun, followed to their end, stopped.

use connectors::v0::double::DoubleOptions;
use connectors::v0::{Begun, Finish, NewChat, Prompt, Standing, Version};

use crate::bench::{BOTH, Bench, chat, prompt, refused};

#[tokio::test]
async fn a_chat_is_begun_at_once_and_ends_after_a_while() {
    for version in BOTH {
        let options = DoubleOptions {
            pending: 3,
            ..DoubleOptions::default()
        };
        let bench = Bench::with(version, options).await;
        let begun = bench.create("a shop").await;
        let mut seen = Vec::new();
        let ended = loop {
            match bench
                .client
                .standing(&begun.chat, begun.message.as_deref())
                .await
                .expect("a standing")
            {
                Standing::Running(activity) => seen.push(activity),
                Standing::Ended(ended) => break ended,
            }
        };
        assert_eq!(seen.len(), 3, "{version}");
        assert_eq!(ended.finish, Finish::Stop, "{version}");
        assert!(ended.words.contains("a shop"), "{version}: {}", ended.words);
        if version == Version::V2 {
            assert_eq!(seen[1].doing, "writing app/layout.tsx");
            assert_eq!((seen[1].files, seen[1].steps), (1, 2));
            assert_eq!(ended.usage.map(|usage| usage.credits), Some(0.25));
        }
        let charged = bench
            .client
            .charged(&begun.chat, &ended.message)
            .await
            .expect("an answer");
        assert_eq!(charged, Some(0.25), "{version}");
        assert_eq!(bench.double.bill().len(), 1, "{version}");
    }
}

#[tokio::test]
async fn everything_that_was_said_is_sent() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let whole = NewChat {
            prompt: Prompt {
                message: "größer 🎨".to_owned(),
                system: Some("be terse".to_owned()),
                model: Some("v0-max".to_owned()),
                attachments: vec!["data:image/png;base64,AA==".to_owned()],
            },
            ..chat("x")
        };
        let begun = bench.client.create(&whole).await.expect("a chat");
        let received = bench.double.received();
        assert_eq!(received[0].body, whole.payload(version), "{version}");
        assert_eq!(bench.double.bill()[0].model, "v0-max");
        let told = bench.client.chat(&begun.chat).await.expect("a chat");
        assert_eq!(
            (told.privacy.as_str(), &told.metadata),
            ("private", &whole.metadata)
        );
    }
}

#[tokio::test]
async fn a_chat_goes_on_with_another_message() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let first = bench.made("a shop").await;
        let second = bench
            .client
            .send(&first.chat, &prompt("in red"))
            .await
            .expect("an answer");
        assert_eq!(second.chat, first.chat);
        let busy = bench.client.send(&first.chat, &prompt("in blue")).await;
        assert_eq!(refused(busy).0, 409, "{version}");
        let ended = bench.ended(&second).await;
        assert!(ended.words.contains("in red"), "{version}: {}", ended.words);
        assert_eq!(bench.double.bill().len(), 2, "{version}");
    }
}

#[tokio::test]
async fn the_newest_run_is_found_without_its_id() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let begun = bench.create("a shop").await;
        let unnamed = Begun {
            message: None,
            ..begun.clone()
        };
        let ended = bench.ended(&unnamed).await;
        assert_eq!(Some(ended.message), begun.message, "{version}");
    }
}

#[tokio::test]
async fn every_way_to_end_is_told() {
    for version in BOTH {
        for finish in [
            Finish::Length,
            Finish::ContentFilter,
            Finish::Error,
            Finish::ToolCalls,
        ] {
            let bench = Bench::new(version).await;
            bench.double.finish_next(finish);
            let begun = bench.create("a shop").await;
            let ended = bench.ended(&begun).await;
            let expected = match (version, finish) {
                // its version has failed, and that is all that counts
                (Version::V1, Finish::ContentFilter) => Finish::Error,
                (Version::V1 | Version::V2, finish) => finish,
            };
            assert_eq!(ended.finish, expected, "{version}");
            if (version, finish) == (Version::V2, Finish::ToolCalls) {
                assert_eq!(ended.words, "Which colour shall it have?");
            }
        }
    }
}

#[tokio::test]
async fn a_run_can_be_stopped_once() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        bench.double.hold();
        let begun = bench.create("a shop").await;
        let message = begun.message.clone().expect("a message");
        bench.client.stop(&begun.chat, &message).await.expect("stopped");
        assert_eq!(bench.ended(&begun).await.finish, Finish::Other, "{version}");
        let again = bench.client.stop(&begun.chat, &message).await;
        assert_eq!(refused(again).0, 409, "{version}");
        assert!(
            (bench.double.bill()[0].credits - 0.125).abs() < 1e-9,
            "{version}: half was charged"
        );
    }
}
