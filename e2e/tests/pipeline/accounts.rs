//! What was set aside is given back, charged or cleared up by a person, and never forgotten.

use std::time::Duration;

use e2e::{
    Client, System,
    patience::{let_pass, until},
    system::bus_of,
    vendor::{account, accounts, micros, picture, until_state},
};
use proto::{
    Backend, EntryKind,
    ids::JobId,
    ledger::Act,
    moment::{Millis, timestamp},
    subjects,
    v1::{
        GetSpendRequest, LedgerEntry, ListLedgerRequest, ResolveSpendRequest,
        orchestrator_client::OrchestratorClient,
    },
};
use reqwest::{Method, StatusCode};
use runtime::{
    clock,
    ledger::Ledger,
    tasks::{Stop, Tasks},
};
use serde_json::{Value, json};
use tonic::Code;

use crate::{
    input::refused,
    money::{budget, lines, price, shop, with_key},
    story::list,
};

const MINUTE: Millis = 60_000;

/// Writes into the ledger as a worker does.
async fn act(system: &System, act: Act) {
    let ledger = Ledger::new(bus_of(&system.broker, "test").await);
    let stop = Stop::new();
    let mut tasks = Tasks::new(stop.clone());
    tasks.start("ledger", ledger.clone().keep(stop.clone()));
    ledger.act(&act).await.expect("written");
    stop.cancel();
    tasks.run(Duration::from_secs(5)).await.expect("it ends");
}

/// A cancelled job of whose paid call nobody knows whether it went through.
async fn doubtful(system: &System) -> String {
    let id = system.client.submit(&picture("a doubt")).await;
    let doubt = Act::Doubt {
        job: id.parse().expect("an id"),
        reason: "the worker died in the call".into(),
    };
    act(system, doubt).await;
    until_state(&system.client, &id, "unknown").await;
    let (status, job) = system.client.cancel(&id).await;
    assert_eq!((status, &job["status"]), (StatusCode::OK, &"cancelled".into()));
    id
}

async fn retry(client: &Client, id: &str) -> (StatusCode, Value) {
    client.post(&format!("/api/jobs/{id}/retry"), &Value::Null).await
}

fn resolve(client: &Client, id: &str, body: &Value) -> reqwest::RequestBuilder {
    let path = format!("/api/spend/{id}/resolve");
    client.request(Method::POST, &path).json(body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_gives_back_what_it_did_not_need() {
    let system = shop(1).await;
    let client = &system.client;
    for how in [json!({}), json!({"hold": true})] {
        let mut body = picture("a change of mind");
        body.as_object_mut()
            .expect("an object")
            .extend(how.as_object().cloned().expect("an object"));
        let id = client.submit(&body).await;
        let (status, problem) = client.post("/api/jobs", &picture("too much")).await;
        assert_eq!(status, StatusCode::PAYMENT_REQUIRED, "{problem:#}");
        client.cancel(&id).await;
        let account = until_state(client, &id, "released").await;
        assert_eq!(
            micros(&account["reserved_microdollars"]),
            price().0,
            "{account:#}"
        );
        assert_eq!(micros(&budget(client).await["used_microdollars"]), 0);
        let job = client.job(&id).await;
        assert_eq!(job["spend"]["charged_microdollars"], "0", "{job:#}");
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_paid_for_again() {
    let system = shop(2).await;
    let client = &system.client;
    let id = client.submit(&picture("once more")).await;
    client.cancel(&id).await;
    until_state(client, &id, "released").await;
    let (status, job) = retry(client, &id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job:#}");
    assert_eq!(
        micros(&job["spend"]["reserved_microdollars"]),
        price().0,
        "{job:#}"
    );
    let second = job["id"].as_str().expect("an id");
    assert_eq!(account(client, second).await["state"], "open");
    let (status, job) = retry(client, &id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job:#}");
    let (status, problem) = retry(client, &id).await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::PAYMENT_REQUIRED, &"budget_exceeded".into()),
        "{problem:#}"
    );
    assert_eq!(accounts(client, "open").await.len(), 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_waits_for_a_person() {
    let system = shop(9).await;
    let client = &system.client;
    let id = doubtful(&system).await;
    let (_, found) = client.get("/api/spend").await;
    assert_eq!(found["unknown_jobs"], "1", "{found:#}");
    assert_eq!(micros(&found["unknown_microdollars"]), price().0, "{found:#}");
    let post = client.request(Method::POST, &format!("/api/jobs/{id}/retry"));
    let problem = refused(post, 409, "outcome_unknown").await;
    assert_eq!(problem["job"]["id"], id.as_str(), "{problem:#}");
    let told = format!("orchestrator spend resolve {id}");
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains(&told)),
        "{problem:#}"
    );

    let faulty = json!({"charged": true, "amount": "much"});
    refused(resolve(client, &id, &faulty), 400, "request_malformed").await;
    let silent = json!({"charged": true, "note": " "});
    let problem = refused(resolve(client, &id, &silent), 422, "request_invalid").await;
    assert_eq!(problem["faults"][0]["pointer"], "/note", "{problem:#}");

    let bill = json!({"charged": true, "amount": "0.01", "note": "on the bill of Friday"});
    let (status, settled) = client.send(resolve(client, &id, &bill)).await;
    assert_eq!(
        (status, &settled["state"]),
        (StatusCode::OK, &"settled".into()),
        "{settled:#}"
    );
    assert_eq!(
        (&settled["charged_microdollars"], &settled["charged"]),
        (&"10000".into(), &"$0.01".into())
    );
    let problem = refused(resolve(client, &id, &bill), 409, "spend_resolved").await;
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("settled")),
        "{problem:#}"
    );
    let strange = JobId::generate().to_string();
    refused(resolve(client, &strange, &bill), 404, "spend_unknown").await;
    let get = client.request(Method::GET, &format!("/api/spend/{strange}"));
    refused(get, 404, "spend_unknown").await;

    let (_, found) = client.get(&format!("/api/spend/{id}")).await;
    let newest = &found["entries"][0];
    assert_eq!(
        (&newest["kind"], &newest["reason"], &newest["by"]),
        (
            &"settlement".into(),
            &"on the bill of Friday".into(),
            &"local".into()
        ),
        "{found:#}"
    );
    let job = client.job(&id).await;
    assert_eq!(job["spend"]["charged_microdollars"], "10000", "{job:#}");
    let (_, page) = client.get("/api/jobs").await;
    assert_eq!(page["jobs"][0]["spend"], job["spend"], "{page:#}");
    let (status, again) = retry(client, &id).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{again:#}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_is_there_over_grpc() {
    let system = shop(9).await;
    let client = &system.client;
    let mut grpc = OrchestratorClient::connect(client.base().to_owned())
        .await
        .expect("a connection");
    let (kept, free) = (doubtful(&system).await, doubtful(&system).await);
    let resolution = |job: &str, charged, note: &str| ResolveSpendRequest {
        job: job.into(),
        charged,
        note: note.into(),
        ..ResolveSpendRequest::default()
    };
    let refused = grpc
        .resolve_spend(resolution(&kept, true, ""))
        .await
        .expect_err("no note");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let settled = grpc.resolve_spend(resolution(&kept, true, "asked them")).await;
    let settled = settled.expect("resolved").into_inner();
    assert_eq!(
        (settled.charged_microdollars, settled.estimated),
        (price().0, true)
    );
    let released = grpc.resolve_spend(resolution(&free, false, "asked them")).await;
    assert_eq!(released.expect("resolved").into_inner().charged_microdollars, 0);
    let refused = grpc
        .resolve_spend(resolution(&free, false, "again"))
        .await
        .expect_err("resolved");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    let code = refused.metadata().get("orchestrator-code").expect("a code");
    assert_eq!(code, "spend_resolved");

    let spend = grpc
        .get_spend(GetSpendRequest::default())
        .await
        .expect("told")
        .into_inner();
    assert_eq!(
        (
            spend.charged_microdollars,
            spend.reserved_microdollars,
            spend.unknown_microdollars
        ),
        (price().0, 0, 0)
    );
    assert!(
        spend.allowed && spend.charged_today_microdollars == price().0,
        "{spend:?}"
    );
    let lines = grpc
        .list_ledger(ListLedgerRequest::default())
        .await
        .expect("told")
        .into_inner()
        .entries;
    assert_eq!(lines.len(), 6, "{lines:#?}");
    let before = ListLedgerRequest {
        job: kept.clone(),
        before: lines[2].number,
        ..ListLedgerRequest::default()
    };
    let older = grpc.list_ledger(before).await.expect("told").into_inner().entries;
    assert!(
        older
            .iter()
            .all(|line| line.job == kept && line.number < lines[2].number),
        "{older:#?}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_are_paged_and_filtered() {
    let system = shop(9).await;
    let client = &system.client;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(client.submit(&picture("one of five")).await);
    }
    client.cancel(&made[1]).await;
    until_state(client, &made[1], "released").await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/spend?limit=2&state=open,unknown&cursor={cursor}");
        let (status, page) = client.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page:#}");
        let jobs = list(&page, "accounts")
            .iter()
            .map(|account| account["job"].clone());
        seen.extend(jobs);
        page["next_cursor"]
            .as_str()
            .expect("a cursor")
            .clone_into(&mut cursor);
        if cursor.is_empty() {
            break;
        }
    }
    let expected = [4, 3, 2, 0].map(|n: usize| Value::from(made[n].as_str()));
    assert_eq!(seen, expected, "newest first");
    let (_, part) = client.get(&format!("/api/spend/ledger?job={}", made[1])).await;
    let kinds: Vec<&str> = list(&part, "entries")
        .iter()
        .filter_map(|line| line["kind"].as_str())
        .collect();
    assert_eq!(kinds, ["release", "reservation"], "{part:#}");
    for path in [
        "/api/spend?state=opne",
        "/api/spend?limit=501",
        "/api/spend?cursor=x",
        "/api/spend/ledger?job=x",
        "/api/spend/ledger?before=x",
    ] {
        refused(client.request(Method::GET, path), 422, "request_invalid").await;
    }
    system.stop().await;
}

/// Puts lines into the ledger that were written so long ago, as a gateway leaves them that was killed since.
async fn left_behind(system: &System, job: JobId, kinds: &[EntryKind], age: Millis) -> String {
    let client = async_nats::connect(system.broker.url())
        .await
        .expect("a connection");
    let context = async_nats::jetstream::new(client);
    for kind in kinds {
        let line = LedgerEntry {
            job: job.to_string(),
            kind: (*kind).into(),
            at: Some(timestamp(clock::now() - age)),
            amount_microdollars: price().0,
            backend: Backend::Flux.into(),
            model: "flux-2-klein-4b".into(),
            ..LedgerEntry::default()
        };
        let payload = prost::Message::encode_to_vec(&line);
        let subject = subjects::ledger(&job.to_string());
        let sent = context.publish(subject, payload.into()).await.expect("sent");
        sent.await.expect("stored");
    }
    job.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_gateway_set_aside_is_given_back_in_time() {
    let system = shop(9).await;
    let client = &system.client;
    let reserved = [EntryKind::Reservation];
    let begun = [EntryKind::Reservation, EntryKind::Call];
    let fresh = left_behind(&system, JobId::generate(), &reserved, 9 * MINUTE).await;
    let old = left_behind(&system, JobId::generate(), &reserved, 11 * MINUTE).await;
    let called = left_behind(&system, JobId::generate(), &begun, 11 * MINUTE).await;
    until_state(client, &old, "released").await;
    let account_of_call = until_state(client, &called, "unknown").await;
    assert!(
        account_of_call["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty())
    );
    // two more looks of the keeper
    let_pass(Duration::from_millis(1_200)).await;
    assert_eq!(
        account(client, &fresh).await["state"],
        "open",
        "its record may still come"
    );
    assert_eq!(lines(client).await.len(), 6);
    let used = budget(client).await;
    assert_eq!(micros(&used["used_microdollars"]), 2 * price().0, "{used:#}");
    let metrics = client
        .request(Method::GET, "/metrics")
        .send()
        .await
        .expect("an answer");
    let metrics = metrics.text().await.expect("text");
    for kind in ["release", "doubt"] {
        let line = format!("orchestrator_gateway_reconciliations_total{{kind=\"{kind}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
    system.stop().await;
}

/// The gateway died with the money set aside; the caller got no answer, and asks again.
#[tokio::test(flavor = "multi_thread")]
async fn who_repeats_after_a_gateway_died_pays_once() {
    let system = shop(1).await;
    let client = &system.client;
    let body = picture("again");
    for (key, age) in [("soon", 0), ("much later", 11 * MINUTE)] {
        let job = JobId::from_idempotency_key("local", key);
        let id = left_behind(&system, job, &[EntryKind::Reservation], age).await;
        if age > 0 {
            until_state(client, &id, "released").await;
        } else {
            until_state(client, &id, "open").await;
            // another request cannot have what was set aside for this one
            let mut other = body.clone();
            other["flux"]["width"] = 2_048.into();
            other["flux"]["height"] = 2_048.into();
            let (status, problem) = with_key(client, key, &other).await;
            assert_eq!(
                (status, &problem["code"]),
                (StatusCode::CONFLICT, &"job_contended".into()),
                "{problem:#}"
            );
        }
        let (status, job) = with_key(client, key, &body).await;
        assert_eq!(
            (status, &job["id"]),
            (StatusCode::ACCEPTED, &id.as_str().into()),
            "{job:#}"
        );
        let used = budget(client).await;
        assert_eq!(micros(&used["used_microdollars"]), price().0, "{used:#}");
        client.cancel(&id).await;
        until_state(client, &id, "released").await;
    }
    system.stop().await;
}

/// A job that waits for longer than any record could take to come keeps what is set aside for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_keeps_its_money() {
    let system = shop(9).await;
    let client = &system.client;
    let id = client.submit(&picture("patience")).await;
    // as if the last that was written about it had been written long ago
    let withdrawn = LedgerEntry {
        job: id.clone(),
        kind: EntryKind::Withdrawal.into(),
        at: Some(timestamp(clock::now() - 60 * MINUTE)),
        ..LedgerEntry::default()
    };
    let context = async_nats::jetstream::new(
        async_nats::connect(system.broker.url())
            .await
            .expect("a connection"),
    );
    let payload = prost::Message::encode_to_vec(&withdrawn);
    let sent = context
        .publish(subjects::ledger(&id), payload.into())
        .await
        .expect("sent");
    sent.await.expect("stored");
    until("the line to be read", || async {
        (lines(client).await.len() == 2).then_some(())
    })
    .await;
    let_pass(Duration::from_millis(1_200)).await;
    assert_eq!(account(client, &id).await["state"], "open");
    system.stop().await;
}
