//! Servers that restart, die, hang or answer wrongly.

use std::time::Duration;

use connectors::comfyui::double::{DoubleOptions, Fault};
use connectors::comfyui::{Cancellation, Error, Options, Outcome, Standing, Submission};
use futures::StreamExt;
use uuid::Uuid;

use crate::bench::{Bench, next, quick, sampler, soon, succeeded};

#[tokio::test]
async fn a_restart_loses_the_prompt() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let mut events = bench.connect().await;
    bench.double.hold();
    let id = bench.post(&sampler(1, 4)).await;
    bench.runs(id).await;
    bench.double.restart_empty();
    let ended = loop {
        if let Err(error) = next(&mut events).await {
            break error;
        }
    };
    assert!(ended.is_transient(), "{ended}");
    assert!(
        soon(events.next()).await.is_none(),
        "nothing comes after the error"
    );
    assert_eq!(
        bench.client.standing(id).await.expect("a standing"),
        Standing::Unknown
    );
    bench.double.run_freely();
    let again = bench.post(&sampler(1, 4)).await;
    succeeded(bench.ends(again).await);
}

#[tokio::test]
async fn a_dead_server_is_unreachable_until_it_is_back() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.kill().await;
    let error = bench.client.system_stats().await.expect_err("nobody there");
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(!error.may_have_arrived() && error.is_transient());
    let socket = bench.client.connect_events("x").await.expect_err("nobody there");
    assert!(matches!(socket, Error::Unreachable { .. }), "{socket:?}");
    bench.double.revive().await.expect("back");
    assert!(bench.client.system_stats().await.is_ok());
}

#[tokio::test]
async fn a_hung_server_answers_and_does_nothing() {
    let bench = Bench::new(DoubleOptions::default()).await;
    bench.double.hold();
    let id = bench.post(&sampler(1, 4)).await;
    bench.runs(id).await;
    bench.double.hang();
    bench.double.run_freely();
    assert_eq!(
        bench.client.cancel(id).await.expect("an answer"),
        Cancellation::Interrupting
    );
    assert_eq!(
        bench.client.standing(id).await.expect("a standing"),
        Standing::Running
    );
    bench.double.unhang();
    assert!(matches!(bench.ends(id).await, Outcome::Interrupted(_)));
}

#[tokio::test]
async fn an_unclear_post_is_looked_up_and_not_repeated() {
    for fault in [Fault::Unanswered, Fault::CutAnswer] {
        let bench = Bench::with(DoubleOptions::default(), quick(Duration::from_millis(500))).await;
        bench.double.fault_next("/prompt", fault.clone());
        let (graph, prompt_id) = (sampler(1, 2), Uuid::new_v4());
        let submission = Submission {
            graph: &graph,
            prompt_id,
            client_id: &bench.client_id,
            extra_data: None,
        };
        let error = bench.client.submit(&submission).await.expect_err("no answer");
        assert!(error.may_have_arrived(), "{fault:?}: {error:?}");
        succeeded(bench.ends(prompt_id).await);
        assert_eq!(bench.double.received().len(), 1);
    }
}

#[tokio::test]
async fn answers_that_go_wrong_are_typed() {
    let limits = Options {
        max_json: 64 << 10,
        ..quick(Duration::from_millis(500))
    };
    let bench = Bench::with(DoubleOptions::default(), limits).await;
    let fails = async |fault| {
        bench.double.fault_next("/queue", fault);
        bench.client.queue().await.expect_err("a fault")
    };
    let garbage = fails(Fault::Garbage).await;
    assert!(
        matches!(&garbage, Error::Unparseable { excerpt, .. } if excerpt.contains("<html>")),
        "{garbage:?}"
    );
    let endless = fails(Fault::Endless).await;
    assert!(
        matches!(endless, Error::TooLarge { limit, .. } if limit == 64 << 10),
        "{endless:?}"
    );
    let stalled = fails(Fault::Stall).await;
    assert!(matches!(stalled, Error::Timeout { .. }), "{stalled:?}");
    let cut = fails(Fault::CutAnswer).await;
    assert!(matches!(cut, Error::Broken { .. }), "{cut:?}");
    let status = fails(Fault::Status(503, "warming up".to_owned())).await;
    assert_eq!(status.to_string(), "GET /queue: HTTP 503: warming up");
    assert!(bench.client.queue().await.is_ok(), "faults are spent");
}
