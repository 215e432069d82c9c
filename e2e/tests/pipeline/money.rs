//! What costs money is closed by default, priced beforehand, and never goes over a budget.

use e2e::{
    Client, System,
    client::sketch,
    patience::until,
    system::{Environment, start_gateway},
    vendor::{accounts, micros, picture},
};
use futures::future::join_all;
use proto::{
    money::{Cost, MicroDollars},
    request,
    v1::JobRequest,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    input::refused,
    standin::{StandIn, serving},
    story::{list, total},
};

/// What a picture costs by the price table.
pub(crate) fn price() -> MicroDollars {
    let request: JobRequest = serde_json::from_value(picture("a price")).expect("a request");
    match request::accept(request, 1, 0).expect("good").cost {
        Cost::Priced(price) => price.amount,
        cost @ (Cost::Free | Cost::Unpriced { .. }) => panic!("{cost:?}"),
    }
}

/// A gateway that takes what costs money, up to so many pictures.
pub(crate) async fn shop(pictures: u64) -> System {
    let budget = MicroDollars(price().0 * pictures).to_string();
    System::without_worker(&[
        ("ORCHESTRATOR_PAID_ALLOW", "true"),
        ("ORCHESTRATOR_PAID_BUDGET_TOTAL", &budget),
    ])
    .await
}

/// The ledger's lines, newest first.
pub(crate) async fn lines(client: &Client) -> Vec<Value> {
    let (status, found) = client.get("/api/spend/ledger?limit=500").await;
    assert_eq!(status, StatusCode::OK, "{found:#}");
    list(&found, "entries").to_vec()
}

/// The figures of the only bounded budget beside that of the day.
pub(crate) async fn budget(client: &Client) -> Value {
    let (status, found) = client.get("/api/spend").await;
    assert_eq!(status, StatusCode::OK, "{found:#}");
    let total = list(&found, "budgets")
        .iter()
        .find(|budget| budget["scope"] == "total");
    total.unwrap_or_else(|| panic!("{found:#}")).clone()
}

pub(crate) async fn with_key(client: &Client, key: &str, body: &Value) -> (StatusCode, Value) {
    let post = client.request(Method::POST, "/api/jobs").json(body);
    client.send(post.header("idempotency-key", key)).await
}

/// A refusal over a budget of three, with its figures.
fn check_refusal(status: StatusCode, answer: &Value, price: u64) {
    assert_eq!(
        (status, &answer["code"], &answer["scope"]),
        (
            StatusCode::PAYMENT_REQUIRED,
            &"budget_exceeded".into(),
            &"total".into()
        ),
        "{answer:#}"
    );
    let figures = ["limit", "used", "wanted"].map(|name| micros(&answer[format!("{name}_microdollars")]));
    assert_eq!(figures, [3 * price, 3 * price, price], "{answer:#}");
    let limit = MicroDollars(3 * price).to_string();
    assert_eq!(answer["limit"], limit.as_str(), "{answer:#}");
    let detail = answer["detail"].as_str().expect("a detail");
    assert!(detail.contains(&limit), "{detail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_at_once_share_a_budget_for_three() {
    let system = shop(3).await;
    let (second, client2) = start_gateway(&system.environment).await;
    let (third, client3) = start_gateway(&system.environment).await;
    let clients = [system.client.clone(), client2, client3];
    let body = picture("a race");
    let calls = (0..100_usize).map(|n| clients[n % 3].post("/api/jobs", &body));
    let answers = join_all(calls).await;
    let price = price().0;
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for (status, answer) in &answers {
        if *status == StatusCode::ACCEPTED {
            assert_eq!(
                micros(&answer["spend"]["reserved_microdollars"]),
                price,
                "{answer:#}"
            );
            accepted.push(answer["id"].clone());
            continue;
        }
        refused += 1;
        check_refusal(*status, answer, price);
    }
    assert_eq!((accepted.len(), refused), (3, 97));
    // the ledger adds up, whichever gateway is asked, and one that reads it from its beginning
    let (fourth, client4) = start_gateway(&system.environment).await;
    for client in clients.iter().chain([&client4]) {
        until("three lines", || async {
            (accounts(client, "open").await.len() == 3).then_some(())
        })
        .await;
        let lines = lines(client).await;
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(
            lines.iter().all(|line| accepted.contains(&line["job"])),
            "{lines:#?}"
        );
        let budget = budget(client).await;
        assert_eq!(
            (
                micros(&budget["used_microdollars"]),
                micros(&budget["left_microdollars"])
            ),
            (3 * price, 0),
            "{budget:#}"
        );
        let (_, found) = client.get("/api/spend").await;
        assert_eq!(micros(&found["reserved_microdollars"]), 3 * price, "{found:#}");
        assert_eq!(found["charged"], "$0.00", "{found:#}");
    }
    assert_eq!(
        total(&system.client).await,
        3,
        "who was refused left nothing behind"
    );
    for gateway in [second, third, fourth] {
        gateway.stop().await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_costs_money_is_refused_while_it_is_switched_off() {
    let system = System::without_worker(&[]).await;
    let client = &system.client;
    for (path, body) in [
        ("/api/jobs", picture("a wish")),
        ("/api/jobs", json!({"backend": "flux", "prompt": "a wish"})),
        ("/api/generate", json!({"backend": "flux", "prompt": "a wish"})),
    ] {
        let post = client.request(Method::POST, path).json(&body);
        let problem = refused(post, 403, "generation_disabled").await;
        let detail = problem["detail"].as_str().expect("a detail");
        for word in ["paid.allow", "ALLOW_GENERATION", "would cost $"] {
            assert!(detail.contains(word), "{detail}");
        }
    }
    let mut dry = picture("a wish");
    dry["dry_run"] = true.into();
    let (status, told) = client.post("/api/jobs", &dry).await;
    assert_eq!(status, StatusCode::OK, "{told:#}");
    assert_eq!(micros(&told["estimate"]["microdollars"]), price().0, "{told:#}");
    let refusal = told["estimate"]["refusal"].as_str().expect("a refusal");
    assert!(refusal.contains("paid.allow"), "{refusal}");
    assert_eq!(
        told["estimate"]["refusal_code"], "generation_disabled",
        "{told:#}"
    );
    let (_, health) = client.get("/api/health").await;
    assert_eq!(health["paid"]["allowed"], false, "{health:#}");
    assert_eq!((total(client).await, lines(client).await.len()), (0, 0));
    client.submit_sketch("what is free is taken").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_is_one_reservation_and_stays_one() {
    let mut system = shop(1).await;
    let body = picture("once");
    let calls = (0..30).map(|_| with_key(&system.client, "once", &body));
    let answers = join_all(calls).await;
    let id = answers[0].1["id"].clone();
    assert!(answers.iter().all(|(_, job)| job["id"] == id), "{answers:#?}");
    let fresh = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::ACCEPTED);
    assert_eq!(fresh.count(), 1);
    assert_eq!(lines(&system.client).await.len(), 1);
    // the budget is used up, and the key still stands for the job
    let (status, job) = with_key(&system.client, "once", &body).await;
    assert_eq!((status, &job["id"]), (StatusCode::OK, &id), "{job:#}");
    let (status, problem) = with_key(&system.client, "another", &body).await;
    assert_eq!(status, StatusCode::PAYMENT_REQUIRED, "{problem:#}");
    let (status, problem) = with_key(&system.client, "once", &picture("something else")).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &"idempotency_key_reused".into())
    );
    // also after everything was switched off
    switch_off(&mut system.environment);
    system.replace_gateway().await;
    let (status, job) = with_key(&system.client, "once", &body).await;
    assert_eq!((status, &job["id"]), (StatusCode::OK, &id), "{job:#}");
    let (status, problem) = with_key(&system.client, "another", &body).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{problem:#}");
    assert_eq!(lines(&system.client).await.len(), 1);
    system.stop().await;
}

fn switch_off(environment: &mut Environment) {
    environment.insert("ORCHESTRATOR_PAID_ALLOW".into(), "false".into());
}

/// A key is used for something free and for something that is not: whichever becomes the job, only that is paid for.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_job_costs_nothing() {
    let system = shop(100).await;
    let client = &system.client;
    let mut paid = 0;
    for round in 0..40 {
        let key = format!("round {round}");
        let (free, not_free) = (sketch("free"), picture("not free"));
        let (one, other) = futures::join!(with_key(client, &key, &free), with_key(client, &key, &not_free));
        let (job, problem) = if one.0 == StatusCode::ACCEPTED {
            (one, other)
        } else {
            (other, one)
        };
        assert_eq!(
            (job.0, problem.0, &problem.1["code"]),
            (
                StatusCode::ACCEPTED,
                StatusCode::UNPROCESSABLE_ENTITY,
                &"idempotency_key_reused".into()
            ),
            "{job:#?} {problem:#?}"
        );
        paid += u64::from(job.1["backend"] == "flux");
        let used = budget(client).await;
        assert_eq!(
            micros(&used["used_microdollars"]),
            paid * price().0,
            "round {round}: {job:#?}"
        );
    }
    let released = accounts(client, "released").await.len();
    assert!(released > 0, "the race was never close: {paid} were paid for");
    system.stop().await;
}

fn paid_graph() -> Value {
    json!({"comfyui": {"graph": {
        "1": {"class_type": "PaidImage", "inputs": {"prompt": "a lake"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_calls_paid_services_costs_money_too() {
    let mut system = System::without_worker(&[("ORCHESTRATOR_PAID_ALLOW", "true")]).await;
    let stand_in = StandIn::start(&system, "gpu1", serving()).await;
    let known = |client: Client| async move {
        until("the catalog to be known", || async {
            let (_, told) = client.post("/api/jobs/validate", &paid_graph()).await;
            told.get("estimate").map(|_| told.clone())
        })
        .await
    };
    let told = known(system.client.clone()).await;
    let basis = told["estimate"]["basis"].as_str().expect("a basis");
    assert!(basis.contains("comfyui:PaidImage"), "{told:#}");
    let post = |client: &Client| client.request(Method::POST, "/api/jobs").json(&paid_graph());
    let problem = refused(post(&system.client), 422, "spend_unpriced").await;
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("PaidImage") && detail.contains("paid.unpriced"),
        "{detail}"
    );

    let set_aside = ("ORCHESTRATOR_PAID_UNPRICED".into(), "0.25".into());
    system.environment.extend([set_aside]);
    system.replace_gateway().await;
    known(system.client.clone()).await;
    let id = system.client.submit(&paid_graph()).await;
    let job = system.client.job(&id).await;
    assert_eq!(micros(&job["spend"]["reserved_microdollars"]), 250_000, "{job:#}");
    let (status, _) = system.client.cancel(&id).await;
    assert_eq!(status, StatusCode::OK);
    // what repeats it costs the same
    let (status, again) = system
        .client
        .post(&format!("/api/jobs/{id}/retry"), &Value::Null)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{again:#}");
    assert_eq!(
        micros(&again["spend"]["reserved_microdollars"]),
        250_000,
        "{again:#}"
    );

    switch_off(&mut system.environment);
    system.replace_gateway().await;
    known(system.client.clone()).await;
    refused(post(&system.client), 403, "generation_disabled").await;
    stand_in.stop().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_broker_nothing_is_set_aside() {
    let mut system = shop(2).await;
    let client = system.client.clone();
    system.broker.kill().await;
    let post = client
        .request(Method::POST, "/api/jobs")
        .json(&picture("meanwhile"));
    refused(post, 503, "broker_unavailable").await;
    system.broker.restart().await;
    let job = until("a job to be accepted", || async {
        let (status, job) = client.post("/api/jobs", &picture("after")).await;
        (status == StatusCode::ACCEPTED).then_some(job)
    })
    .await;
    let lines = lines(&client).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(lines[0]["job"], job["id"]);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_key_is_named() {
    let mut system = shop(2).await;
    system.add_worker("w1", &[]).await;
    let client = &system.client;
    let id = client.submit(&picture("who could")).await;
    let job = client.job(&id).await;
    assert_eq!(job["waiting"]["reason"], "unservable", "{job:#}");
    let message = job["waiting"]["message"].as_str().expect("a message");
    assert!(
        message.contains("w1") && message.contains("BFL_API_KEY"),
        "{message}"
    );
    let (_, health) = client.get("/api/health").await;
    let missing = list(&health, "not_offered")
        .iter()
        .find(|missing| missing["backend"] == "flux");
    let missing = missing.unwrap_or_else(|| panic!("{health:#}"));
    assert_eq!(missing["worker"], "w1", "{health:#}");
    assert!(
        missing["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("BFL_API_KEY"))
    );
    assert_eq!(health["paid"]["allowed"], true, "{health:#}");
    let (_, workers) = client.get("/api/workers").await;
    assert_eq!(
        workers["workers"][0]["not_offered"][0]["backend"], "flux",
        "{workers:#}"
    );
    system.stop().await;
}
