//! Which addresses are asked, and which of them see the key.

use connectors::bfl::double::Options;
use connectors::bfl::{PollError, SampleError, Status};
use serde_json::json;
use url::Url;

use crate::bench::{Bench, MODEL, client, soon};
use crate::raw::{Raw, answer};

const SECRET: &str = "bfl_canary";

fn sees_the_key(raw: &Raw) -> bool {
    raw.heard().iter().any(|request| request.contains(SECRET))
}

#[tokio::test]
async fn a_service_of_the_internet_cannot_make_this_host_ask_its_neighbours() {
    let neighbour = Raw::saying(answer(200, r#"{"status":"Pending"}"#)).await;
    let real = client(&Url::parse("https://api.bfl.ai").expect("an address"), SECRET);
    let port = neighbour.url.port().expect("a port");
    for bad in [
        neighbour.at("x?sig=canary"),
        format!("http://localhost:{port}/x?sig=canary"),
        format!("https://[::1]:{port}/x?sig=canary"),
        "https://169.254.169.254/latest?sig=canary".to_owned(),
        "http://api.bfl.ai/v1/get_result?sig=canary".to_owned(),
        "no address, sig=canary".to_owned(),
    ] {
        let poll = real.poll(&bad).await.expect_err("refused");
        assert!(
            matches!(poll, PollError::AddressRefused(_)) && !poll.is_transient(),
            "{bad}: {poll:?}"
        );
        let sample = real.sample(&bad).await.expect_err("refused");
        assert!(
            matches!(sample, SampleError::AddressRefused(_)),
            "{bad}: {sample:?}"
        );
        let shown = format!("{poll} {poll:?} {sample} {sample:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
    assert!(neighbour.heard().is_empty());
}

#[tokio::test]
async fn a_simulator_may_name_other_ports_and_no_other_hosts() {
    let bench = Bench::plain().await;
    for bad in [
        "http://192.168.0.1/x",
        "http://flux.example/x",
        "https://10.0.0.1/",
    ] {
        let error = bench.client.poll(bad).await.expect_err("refused");
        assert!(matches!(error, PollError::AddressRefused(_)), "{bad}: {error:?}");
    }
    assert!(matches!(
        bench.ending(&bench.task("a cat").await).await,
        Status::Ready(_)
    ));
}

#[tokio::test]
async fn the_key_is_shown_to_the_base_and_to_no_other_port() {
    let pending = || answer(200, r#"{"status":"Pending"}"#);
    let (base, other, results) = (
        Raw::saying(pending()).await,
        Raw::saying(pending()).await,
        Raw::saying(answer(200, "picture")).await,
    );
    let client = client(&base.url, SECRET);
    soon(client.poll(&base.at("v1/get_result?id=1")))
        .await
        .expect("a poll");
    soon(client.poll(&other.at("v1/get_result?id=1")))
        .await
        .expect("a poll");
    soon(client.sample(&results.at("x.png?sig=1")))
        .await
        .expect("a result");
    assert!(sees_the_key(&base), "the same origin may see it");
    assert!(!sees_the_key(&other) && other.heard().len() == 1);
    assert!(!sees_the_key(&results) && results.heard().len() == 1);
    // the same port by another name is another origin
    let named = Raw::saying(pending()).await;
    let client = crate::bench::client(&named.url, SECRET);
    let by_name = named.at("x").replace("127.0.0.1", "localhost");
    soon(client.poll(&by_name)).await.expect("a poll");
    assert!(!sees_the_key(&named) && named.heard().len() == 1);
}

#[tokio::test]
async fn results_at_the_base_do_not_see_the_key_either() {
    let base = Raw::saying(answer(200, "picture")).await;
    soon(client(&base.url, SECRET).sample(&base.at("x.png")))
        .await
        .expect("a result");
    assert!(!sees_the_key(&base) && base.heard().len() == 1);
}

#[tokio::test]
async fn an_address_to_ask_at_is_asked_word_for_word() {
    let base = Raw::saying(answer(200, r#"{"status":"Pending"}"#)).await;
    soon(client(&base.url, "k").poll(&base.at("v1/get_result?a=%2F&b=+c")))
        .await
        .expect("a poll");
    let heard = base.heard();
    assert!(
        heard[0].starts_with("GET /v1/get_result?a=%2F&b=+c HTTP/1.1\r\n"),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_service_of_one_cluster_is_asked_where_it_was_submitted_to() {
    let bench = Bench::new(Options {
        poll_at_base: true,
        ..Options::default()
    })
    .await;
    let task = bench.task("a cat").await;
    assert!(task.polling_url.starts_with(bench.double.base().as_str()));
    assert!(matches!(bench.ending(&task).await, Status::Ready(_)));
}

#[tokio::test]
async fn the_double_notices_a_key_where_it_must_not_be() {
    let double = connectors::bfl::double::Double::start(Options::default())
        .await
        .expect("a double");
    let client = client(&double.base(), double.key());
    let task = soon(client.submit(MODEL, &json!({"prompt": "a cat"})))
        .await
        .expect("a task");
    let careless = reqwest::Client::new();
    for header in ["x-key", "authorization"] {
        let request = careless.get(&task.polling_url).header(header, double.key());
        assert!(request.send().await.expect("an answer").status().is_success());
    }
    assert_eq!(
        double.violations(),
        ["the key arrived at a foreign polling host"; 2]
    );
    let Status::Ready(sample) = client.poll(&task.polling_url).await.expect("a poll").status else {
        panic!("not ready")
    };
    let request = careless.get(format!("{}&key={}", sample.url, double.key()));
    request.send().await.expect("an answer");
    assert_eq!(
        double.violations()[2..],
        ["the key arrived at the host of results"]
    );
}
