//! Runs told as events.

use connectors::v0::double::{Double, DoubleOptions, Fault};
use connectors::v0::{Error, Event, Events, Finish, Version};

use crate::bench::{BOTH, Bench, chat, limited, prompt, soon};

async fn all(mut events: Events) -> (Vec<Event>, Option<Error>) {
    let mut told = Vec::new();
    while let Some(event) = soon(events.next()).await {
        match event {
            Ok(event) => told.push(event),
            Err(error) => {
                assert!(soon(events.next()).await.is_none(), "nothing follows an error");
                return (told, Some(error));
            }
        }
    }
    (told, None)
}

fn title(event: &Event) -> Option<&str> {
    let Event::Title(title) = event else {
        return None;
    };
    Some(title)
}

fn chat_id(event: &Event) -> Option<&str> {
    let Event::Chat(chat) = event else {
        return None;
    };
    Some(&chat.id)
}

fn credits(event: &Event) -> Option<f64> {
    let Event::Usage(usage) = event else {
        return None;
    };
    Some(usage.credits)
}

fn those<'a, T>(told: &'a [Event], which: impl Fn(&'a Event) -> Option<T>) -> Vec<T> {
    told.iter().filter_map(which).collect()
}

#[tokio::test]
async fn a_run_is_told_as_it_goes() {
    for version in BOTH {
        for done_mark in [true, false] {
            let options = DoubleOptions {
                done_mark,
                ..DoubleOptions::default()
            };
            let bench = Bench::with(version, options).await;
            let events = bench
                .client
                .create_streaming(&chat("a shop"))
                .await
                .expect("a stream");
            let (told, error) = all(events).await;
            assert!(error.is_none(), "{version}: {error:?}");
            // the pieces are cut within the characters of this
            assert_eq!(those(&told, title), ["a shop größer 🎨"], "{version}");
            let chat = bench.double.chats()[0].clone();
            assert_eq!(those(&told, chat_id), [chat.as_str(), chat.as_str()], "{version}");
            let steps = told.iter().filter(|event| **event == Event::Step).count();
            assert_eq!(steps, 4, "{version}");
            let ends = told.last() == Some(&Event::Done);
            assert_eq!(ends, version == Version::V1, "{version}: v2 just ends");
        }
    }
}

#[tokio::test]
async fn an_answer_in_a_chat_is_told_too() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let first = bench.made("a shop").await;
        let events = bench.client.send_streaming(&first.chat, &prompt("in red")).await;
        let (told, error) = all(events.expect("a stream")).await;
        assert!(error.is_none());
        if version == Version::V2 {
            assert_eq!(those(&told, credits), [0.25]);
        }
        assert_eq!(bench.double.bill().len(), 2);
    }
}

#[tokio::test]
async fn a_run_that_goes_wrong_says_so_within_a_success() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        bench.double.finish_next(Finish::Error);
        let events = bench
            .client
            .create_streaming(&chat("a shop"))
            .await
            .expect("a stream");
        let (told, _) = all(events).await;
        let failed = told.iter().any(|event| {
            matches!(event, Event::Failed { message, .. } if message == "Something went wrong while generating.")
        });
        assert!(failed, "{version}: {told:?}");
    }
}

#[tokio::test]
async fn a_run_that_is_under_way_can_be_followed_without_a_second_charge() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        let begun = bench.create("a shop").await;
        let message = begun.message.clone().expect("a message");
        let events = bench
            .client
            .follow(&begun.chat, &message)
            .await
            .expect("a stream");
        let (told, error) = all(events).await;
        assert!(
            error.is_none() && told.contains(&Event::Step),
            "{version}: {told:?}"
        );
        assert_eq!(bench.double.bill().len(), 1, "{version}");
    }
}

#[tokio::test]
async fn a_broken_stream_ends_with_an_error_and_the_run_is_there() {
    for version in BOTH {
        let bench = Bench::new(version).await;
        bench.double.fault_next("POST", Fault::CutAnswer);
        let events = bench
            .client
            .create_streaming(&chat("a shop"))
            .await
            .expect("a stream");
        let (told, error) = all(events).await;
        assert!(
            matches!(error, Some(Error::Broken { .. })),
            "{version}: {error:?} {told:?}"
        );
        let page = bench
            .client
            .chats(10, None, &[("orchestrator-job", "a shop")])
            .await;
        assert_eq!(page.expect("a page").items.len(), 1, "{version}");
    }
}

#[tokio::test]
async fn an_event_may_be_long_but_not_without_end() {
    let double = Double::start(DoubleOptions::default()).await.expect("a double");
    let client = limited(&double, Version::V2, "v0-test-key", |options| {
        options.max_answer = 100;
    });
    let events = client.create_streaming(&chat("a shop")).await.expect("a stream");
    let (_, error) = all(events).await;
    assert!(
        matches!(error, Some(Error::TooLarge { limit: 100, .. })),
        "{error:?}"
    );
}
