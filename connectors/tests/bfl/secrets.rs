//! Nothing that is shown shows the key, or an address that is itself a permission.

use std::time::Duration;

use connectors::bfl::double::Options;
use connectors::bfl::{Settings, Status};
use connectors::{Key, bfl::SubmitError};
use serde_json::json;
use url::Url;

use crate::bench::{Bench, MODEL, client, patient, soon, whole};
use crate::raw::{Raw, answer};

const SECRET: &str = "bfl_canary_key";
const SIGNATURE: &str = "canary_signature";

fn clean(shown: &str) {
    assert!(!shown.contains(SECRET) && !shown.contains(SIGNATURE), "{shown}");
}

#[tokio::test]
async fn what_is_made_from_the_key_does_not_print_it() {
    let key = Key::new(SECRET);
    clean(&format!("{key:?}"));
    let settings = Settings {
        base: Url::parse(&format!("https://u:{SECRET}@api.bfl.ai/?x={SIGNATURE}")).expect("an address"),
        key,
        submit_timeout: Duration::from_secs(1),
        poll_timeout: Duration::from_secs(1),
    };
    clean(&format!("{settings:?}"));
    connectors::install_tls();
    let client = connectors::bfl::Client::new(settings).expect("a client");
    clean(&format!("{client:?} {client:#?} {}", client.origin()));
}

#[tokio::test]
async fn a_whole_life_of_a_task_prints_no_permission() {
    let bench = Bench::new(Options {
        key: SECRET.to_owned(),
        ..Options::default()
    })
    .await;
    let task = bench.task("a cat").await;
    let poll = bench.client.poll(&task.polling_url).await.expect("a poll");
    let Status::Ready(sample) = &poll.status else {
        panic!("{poll:?}")
    };
    let signature = sample
        .url
        .split_once("sig=")
        .expect("a signed address")
        .1
        .to_owned();
    let download = bench.client.sample(&sample.url).await.expect("a result");
    let shown = format!("{:?} {task:?} {poll:?} {sample:?} {download:?}", bench.client);
    clean(&shown);
    assert!(!shown.contains(&signature), "{shown}");
}

#[tokio::test]
async fn errors_of_the_transport_show_no_query() {
    let gone = Raw::saying(Vec::new()).await;
    let address = gone.at(&format!("x?sig={SIGNATURE}"));
    let client = patient(&gone.url, SECRET, Duration::from_millis(500));
    let broken = soon(client.sample(&address)).await.expect_err("broken");
    clean(&whole(&broken));
    let broken = soon(client.poll(&address)).await.expect_err("broken");
    clean(&whole(&broken));
    drop(gone);
    let nobody = soon(client.sample(&address)).await.expect_err("nobody there");
    clean(&whole(&nobody));
    let nobody = soon(client.poll(&address)).await.expect_err("nobody there");
    clean(&whole(&nobody));
    let nobody = soon(client.submit(MODEL, &json!({})))
        .await
        .expect_err("nobody there");
    clean(&whole(&nobody));
}

#[tokio::test]
async fn a_service_that_repeats_secrets_is_not_quoted() {
    let echo = format!(r#"{{"detail":"key {SECRET} may not fetch https://d.bfl.ai/a.png?sig={SIGNATURE}"}}"#);
    let raw = Raw::saying(answer(403, &echo)).await;
    let error = soon(client(&raw.url, SECRET).submit(MODEL, &json!({})))
        .await
        .expect_err("refused");
    clean(&whole(&error));
    assert_eq!(
        error.to_string(),
        "refused with HTTP 403: key *** may not fetch https://d.bfl.ai/a.png?…"
    );
    for body in [
        format!(r#"{{"result":{{"sample":"https://d.bfl.ai/a.png?sig={SIGNATURE}"}},"k":"{SECRET}"}}"#),
        format!(r#"{{"result":"https:\/\/d.bfl.ai\/a.png?sig={SIGNATURE}"}}"#),
    ] {
        let raw = Raw::saying(answer(200, &body)).await;
        let error = soon(client(&raw.url, SECRET).poll(&raw.at("x")))
            .await
            .expect_err("garbled");
        clean(&whole(&error));
        let raw = Raw::saying(answer(200, &body)).await;
        let error = soon(client(&raw.url, SECRET).submit(MODEL, &json!({})))
            .await
            .expect_err("unclear");
        assert!(matches!(error, SubmitError::Unclear { .. }));
        clean(&whole(&error));
    }
}
