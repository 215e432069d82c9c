//! A WebSocket that is cut, goes silent or loses its registration.

use std::time::Duration;

use connectors::comfyui::double::DoubleOptions;
use connectors::comfyui::{Error, Event, Options, SocketOptions};
use futures::StreamExt;

use crate::bench::{Bench, next, sampler, soon, succeeded, until_over};

#[tokio::test]
async fn a_cut_socket_does_not_hide_the_outcome() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let mut events = bench.connect().await;
    bench.double.hold();
    let id = bench.post(&sampler(1, 4)).await;
    bench.double.release(2);
    soon(bench.double.until(|seen| seen.steps == 2)).await;
    bench.double.cut_sockets();
    while next(&mut events).await.is_ok() {}
    drop(events);
    let mut events = bench.connect().await;
    let mut first = Vec::new();
    while first.len() < 2 {
        let event = next(&mut events).await.expect("an event");
        if !matches!(event, Event::FeatureFlags(_)) {
            first.push(event);
        }
    }
    assert!(matches!(&first[0], Event::Status { sid: Some(sid), .. } if *sid == bench.client_id));
    let unnamed = Event::Executing {
        prompt_id: None,
        node: Some("3".to_owned()),
        display_node: None,
    };
    assert_eq!(first[1], unnamed);
    bench.double.run_freely();
    until_over(&mut events, id).await;
    succeeded(bench.ends(id).await);
}

#[tokio::test]
async fn a_silent_socket_is_found_dead_though_the_server_lives() {
    let socket = SocketOptions {
        ping_every: Duration::from_millis(50),
        silence: Duration::from_millis(400),
        ..SocketOptions::default()
    };
    let bench = Bench::with(
        DoubleOptions::default(),
        Options {
            socket,
            ..Options::default()
        },
    )
    .await;
    let mut events = bench.connect().await;
    bench.double.hold();
    let id = bench.post(&sampler(1, 4)).await;
    bench.runs(id).await;
    bench.double.mute_sockets();
    let error = loop {
        if let Err(error) = next(&mut events).await {
            break error;
        }
    };
    assert!(matches!(error, Error::Silent { .. }), "{error:?}");
    bench.double.run_freely();
    succeeded(bench.ends(id).await);
}

#[tokio::test]
async fn pings_keep_a_quiet_socket_alive() {
    let socket = SocketOptions {
        ping_every: Duration::from_millis(20),
        silence: Duration::from_secs(5),
        ..SocketOptions::default()
    };
    let bench = Bench::with(
        DoubleOptions::default(),
        Options {
            socket,
            ..Options::default()
        },
    )
    .await;
    let mut events = bench.connect().await;
    bench.double.hold();
    let id = bench.post(&sampler(1, 1)).await;
    bench.runs(id).await;
    let quiet = tokio::time::timeout(Duration::from_millis(300), async {
        while let Some(event) = events.next().await {
            event.expect("alive");
        }
    });
    assert!(quiet.await.is_err(), "the stream goes on");
    bench.double.run_freely();
    until_over(&mut events, id).await;
}

#[tokio::test]
async fn the_second_socket_of_one_id_goes_silent_when_the_first_closes() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let first = bench.connect().await;
    let mut second = bench.connect().await;
    assert!(matches!(
        next(&mut second).await,
        Ok(Event::Status { sid: Some(_), .. })
    ));
    drop(first);
    soon(bench.double.until(|seen| seen.sockets == 0)).await;
    let id = bench.post(&sampler(1, 1)).await;
    succeeded(bench.ends(id).await);
    let heard = tokio::time::timeout(Duration::from_millis(200), async {
        loop {
            match second.next().await {
                Some(Ok(Event::FeatureFlags(_))) => {}
                other => break other,
            }
        }
    });
    assert!(heard.await.is_err(), "which is why a caller polls");
}
