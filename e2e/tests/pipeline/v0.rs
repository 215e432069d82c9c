//! v0: small sites for money, against a strict double that keeps a bill.

use std::{collections::BTreeMap, io::Read as _, time::Duration};

use connectors::v0::{
    Finish,
    double::{Double, DoubleOptions, Fault},
};
use e2e::{
    Client, System,
    patience::{soon, until},
    sse::Listener,
    vendor::{self, borrowed, micros, site, until_state},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// What a run of the double costs.
const PRICE: u64 = 250_000;

pub(crate) async fn double() -> Double {
    double_with(DoubleOptions::default()).await
}

async fn double_with(options: DoubleOptions) -> Double {
    connectors::install_tls();
    Double::start(options).await.expect("a double")
}

pub(crate) async fn system(double: &Double) -> System {
    system_with(double, &[]).await
}

async fn system_with(double: &Double, more: &[(&str, &str)]) -> System {
    let settings = vendor::v0(double);
    let mut settings = borrowed(&settings);
    settings.extend_from_slice(more);
    System::start_with(&settings).await
}

fn code(job: &Value) -> &str {
    job["failure"]["code"].as_str().unwrap_or_default()
}

/// The results of a job by name.
pub(crate) async fn results(client: &Client, job: &Value) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for output in job["outputs"].as_array().expect("results") {
        let name = output["filename"].as_str().expect("a name").to_owned();
        let content = client.artifact(output["id"].as_str().expect("an id")).await;
        found.insert(name, content.to_vec());
    }
    found
}

fn unpacked(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).expect("an archive");
    let mut found = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("its content");
        found.insert(entry.name().expect("a name").into_owned(), content);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_is_made_once_and_comes_as_files_and_as_an_archive() {
    for version in ["v2", "v1"] {
        let double = double().await;
        let system = system_with(&double, &[("ORCHESTRATOR_V0_VERSION", version)]).await;
        let client = &system.client;
        let id = client.submit(&site("a shop — größer 🎨")).await;
        let job = client.until_status(&id, "succeeded").await;

        let bill = double.bill();
        assert_eq!(bill.len(), 1, "{version}");
        assert_eq!(bill[0].model, "v0-mini");
        let chat = &bill[0].chat;
        assert_eq!(
            micros(&job["spend"]["charged_microdollars"]),
            PRICE,
            "{version}: {job:#}"
        );
        assert!(job["spend"]["estimated"].is_null(), "v0 told what it cost");
        let account = until_state(client, &id, "settled").await;
        assert_eq!(account["reference"], format!("{chat}/{}", bill[0].message));

        let mut files = results(client, &job).await;
        let archive = files.remove(&format!("v0-{chat}.zip")).expect("an archive");
        assert_eq!(job["outputs"][0]["media_type"], "application/zip");
        assert_eq!(unpacked(&archive), files, "{version}");
        let page = String::from_utf8(files["app/page.tsx"].clone()).expect("text");
        assert!(page.contains("a shop — größer 🎨"), "{page}");
        assert_eq!(
            files.len(),
            if version == "v2" { 3 } else { 2 },
            "v1 has no pictures"
        );

        let told = &job["site"];
        assert_eq!(
            (&told["chat"], &told["title"]),
            (&json!(chat), &json!("a shop — größer 🎨"))
        );
        assert_eq!(told["web_url"], format!("https://v0.app/chat/{chat}"));
        let demo = told["demo_url"].as_str().expect("a demo");
        assert!(demo.contains("vusercontent.net"), "{demo}");
        if version == "v2" {
            assert_eq!(told["version"], bill[0].message);
        }
        let recipe = client
            .artifact(job["recipe"]["id"].as_str().expect("a recipe"))
            .await;
        let recipe: Value = serde_json::from_slice(&recipe).expect("json");
        assert_eq!(recipe["payload"]["message"], "a shop — größer 🎨");
        assert_eq!(recipe["charged_microdollars"], PRICE);
        system.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_sent_is_told_beforehand_and_is_what_is_sent() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    let mut request = json!({"v0": {
        "model": "v0-max", "prompt": "a shop", "system": "be terse", "privacy": "team",
    }});
    request["dry_run"] = true.into();
    let (status, told) = client.post("/api/jobs", &request).await;
    assert_eq!(status, StatusCode::OK, "{told:#}");
    assert_eq!(told["estimate"]["text"], "$3.00");
    assert!(
        told["estimate"]["basis"]
            .as_str()
            .is_some_and(|basis| basis.contains("estimate"))
    );
    assert!(double.received().is_empty(), "nobody was asked");
    request["dry_run"] = false.into();
    let id = client.submit(&request).await;
    client.until_status(&id, "succeeded").await;
    let mut sent = double.received()[0].body.clone();
    let named = sent.as_object_mut().and_then(|sent| sent.remove("metadata"));
    assert_eq!(named, Some(json!({"orchestrator-job": id})));
    assert_eq!(told["payload"], sent, "{told:#}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_sent_along() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    let sketch = client.submit_sketch("lava").await;
    let sketch = client.until_status(&sketch, "succeeded").await;
    let picture = sketch["outputs"][0]["id"].as_str().expect("an id");
    let mut request = site("as in the picture");
    request["v0"]["images"] = json!([format!("artifact:{picture}")]);
    let id = client.submit(&request).await;
    client.until_status(&id, "succeeded").await;
    let sent = double.received()[0].body["attachments"][0]["url"].clone();
    assert!(
        sent.as_str()
            .is_some_and(|url| url.starts_with("data:image/png;base64,iVBOR")),
        "{sent:.80}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_site_comes_as_an_archive_alone() {
    let double = double_with(DoubleOptions {
        files: 60,
        ..DoubleOptions::default()
    })
    .await;
    let system = system(&double).await;
    let id = system.client.submit(&site("a catalog")).await;
    let job = system.client.until_status(&id, "succeeded").await;
    let files = results(&system.client, &job).await;
    assert_eq!(files.len(), 1);
    let archive = files.into_values().next().expect("an archive");
    assert_eq!(unpacked(&archive).len(), 63);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_goes_on_and_its_files_are_changed_and_taken_over() {
    for version in ["v2", "v1"] {
        let double = double().await;
        let system = system_with(&double, &[("ORCHESTRATOR_V0_VERSION", version)]).await;
        let client = &system.client;
        let first = client.submit(&site("a shop")).await;
        let first = client.until_status(&first, "succeeded").await;
        let chat = first["site"]["chat"].as_str().expect("a chat");

        let second = client
            .submit(&json!({"v0": {"chat": chat, "prompt": "in red"}}))
            .await;
        let second = client.until_status(&second, "succeeded").await;
        assert_eq!(
            (double.bill().len(), &second["site"]["chat"]),
            (2, &first["site"]["chat"])
        );
        let files = results(client, &second).await;
        assert!(
            files.contains_key("lib/round-2.ts"),
            "{version}: {:?}",
            files.keys()
        );

        let changes = json!([
            {"path": "app/page.tsx", "content": "by hand"},
            {"path": "lib/round-2.ts"},
        ]);
        let third = client
            .submit(&json!({"v0": {"chat": chat, "changes": changes}}))
            .await;
        let third = client.until_status(&third, "succeeded").await;
        let files = results(client, &third).await;
        assert_eq!(files["app/page.tsx"], b"by hand", "{version}");
        assert!(!files.contains_key("lib/round-2.ts"), "{version}");
        assert!(third["spend"].is_null(), "no model ran: {third:#}");
        let writes = || {
            let received = double.received().into_iter();
            received
                .filter(|received| received.line.starts_with("PATCH"))
                .count()
        };
        assert_eq!(writes(), 1);

        // what is there already is not written again
        let (_, again) = client
            .post(
                &format!("/api/jobs/{}/retry", third["id"].as_str().expect("an id")),
                &json!({}),
            )
            .await;
        client
            .until_status(again["id"].as_str().expect("an id"), "succeeded")
            .await;
        assert_eq!(writes(), 1, "{version}");

        let fourth = client.submit(&json!({"v0": {"chat": chat}})).await;
        let fourth = client.until_status(&fourth, "succeeded").await;
        assert_eq!(
            results(client, &fourth).await["app/page.tsx"],
            b"by hand",
            "{version}"
        );
        assert_eq!(double.bill().len(), 2, "{version}");
        system.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_v0_refuses_is_told_and_costs_nothing() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    let words = |status| Fault::Refusal(status, "words of v0".to_owned());
    for (fault, expected) in [
        (words(401), "v0_key_refused"),
        (words(402), "v0_credits_exhausted"),
        (words(403), "v0_forbidden"),
        (words(404), "v0_request_refused"),
        (words(413), "v0_too_large"),
        (words(422), "v0_request_refused"),
    ] {
        double.fault_next("POST", fault);
        let id = client.submit(&site("x")).await;
        let job = client.until_status(&id, "failed").await;
        assert_eq!(
            (code(&job), job["attempt"].as_u64()),
            (expected, Some(1)),
            "{job:#}"
        );
        let message = job["failure"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("words of v0"), "{message}");
        until_state(client, &id, "released").await;
    }
    let unknown = client
        .submit(&json!({"v0": {"chat": "nochat", "prompt": "more"}}))
        .await;
    let job = client.until_status(&unknown, "failed").await;
    assert_eq!(code(&job), "v0_chat_unknown");
    assert!(double.bill().is_empty());
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_out_within_one_attempt() {
    let double = double().await;
    let system = system(&double).await;
    let words = || "words".to_owned();
    for fault in [
        Fault::Busy(Some(1)),
        Fault::Refusal(500, words()),
        Fault::Refusal(503, words()),
    ] {
        double.fault_next("POST", fault);
        let id = system.client.submit(&site("x")).await;
        let job = system.client.until_status(&id, "succeeded").await;
        assert_eq!(job["attempt"], 1, "{job:#}");
    }
    assert_eq!(double.bill().len(), 3);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_after_the_message_was_sent_changes_nothing() {
    let double = double().await;
    let system = system(&double).await;
    for fault in [
        Fault::Page,
        Fault::BadGateway,
        Fault::CutAfter,
        Fault::Busy(None),
        Fault::Refusal(500, "no".to_owned()),
    ] {
        for part in ["GET /v2/chats/", "GET /v2/chats/", "GET /v2/chats/"] {
            double.fault_next(part, fault.clone());
        }
        let id = system.client.submit(&site("x")).await;
        let job = system.client.until_status(&id, "succeeded").await;
        assert_eq!(job["attempt"], 1, "{fault:?}: {job:#}");
    }
    assert_eq!(double.bill().len(), 5);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_whose_making_nobody_heard_of_is_found_by_its_job() {
    let double = double().await;
    let system = system_with(&double, &[("ORCHESTRATOR_V0_SUBMIT_TIMEOUT", "1s")]).await;
    let client = &system.client;
    for fault in [
        Fault::CutAfter,
        Fault::CutAnswer,
        Fault::GatewayTimeout,
        Fault::Unanswered,
    ] {
        double.fault_next("POST", fault.clone());
        let id = client.submit(&site("x")).await;
        let job = client.until_status(&id, "succeeded").await;
        assert_eq!(job["attempt"], 1, "{fault:?}");
        let account = until_state(client, &id, "settled").await;
        assert_eq!(micros(&account["charged_microdollars"]), PRICE, "{fault:?}");
    }
    let bill = double.bill();
    assert_eq!(bill.len(), 4);
    assert!(bill.iter().all(|charge| !charge.answered), "{bill:?}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_found_is_not_asked_for_again() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    double.fault_next("POST", Fault::CutBefore);
    let unmade = client.submit(&site("x")).await;
    let job = client.until_status(&unmade, "failed").await;
    assert_eq!(
        (code(&job), job["attempt"].as_u64()),
        ("outcome_unknown", Some(1)),
        "{job:#}"
    );
    until_state(client, &unmade, "unknown").await;
    assert!(double.bill().is_empty());

    let first = client.submit(&site("a shop")).await;
    let first = client.until_status(&first, "succeeded").await;
    // a message has no name by which it could be found
    double.fault_next("POST", Fault::CutAfter);
    let said = json!({"v0": {"chat": first["site"]["chat"], "prompt": "in red"}});
    let said = client.submit(&said).await;
    let job = client.until_status(&said, "failed").await;
    assert_eq!(code(&job), "outcome_unknown", "{job:#}");
    until_state(client, &said, "unknown").await;
    assert_eq!(double.bill().len(), 2, "sent once");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_to_no_site_is_paid_for_and_told() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    for (finish, expected) in [
        (Finish::Error, "v0_generation_failed"),
        (Finish::Length, "v0_generation_failed"),
        (Finish::ContentFilter, "v0_generation_failed"),
        (Finish::ToolCalls, "v0_needs_answer"),
    ] {
        double.finish_next(finish);
        let id = client.submit(&site("x")).await;
        let job = client.until_status(&id, "failed").await;
        assert_eq!(
            (code(&job), job["attempt"].as_u64()),
            (expected, Some(1)),
            "{job:#}"
        );
        if finish == Finish::ToolCalls {
            let message = job["failure"]["message"].as_str().unwrap_or_default();
            assert!(message.contains("Which colour shall it have?"), "{message}");
            assert!(message.contains(&double.chats()[3]), "{message}");
        }
        let account = until_state(client, &id, "settled").await;
        assert_eq!(micros(&account["charged_microdollars"]), PRICE / 2);
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_message_is_stopped_at_v0_and_paid_as_far_as_it_came() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    double.hold();
    let id = client.submit(&site("x")).await;
    until("v0 to be at it", || async {
        let job = client.job(&id).await;
        let asked = double.received();
        let polls = asked
            .iter()
            .filter(|received| received.line.contains("/messages/msg"));
        (job["status"] == "running" && polls.count() > 1).then_some(())
    })
    .await;
    client.cancel(&id).await;
    client.until_status(&id, "cancelled").await;
    soon(
        "v0 to be told",
        double.until_received("POST /v2/chats/chat00001/messages/msg00003/stop"),
    )
    .await;
    let account = until_state(client, &id, "settled").await;
    assert_eq!(micros(&account["charged_microdollars"]), PRICE / 2);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_worker_leaves_the_message_to_the_next() {
    let double = double().await;
    let mut system = system(&double).await;
    double.hold();
    let id = system.client.submit(&site("x")).await;
    soon("a run", double.until_billed(1)).await;
    until("the task to be written down", || async {
        let job = system.client.job(&id).await;
        let task = job["upstream"]["task_id"].as_str().unwrap_or_default().to_owned();
        task.contains('/').then_some(())
    })
    .await;
    system.workers.remove(0).stop().await;
    let lines = double.received();
    assert!(
        !lines.iter().any(|received| received.line.ends_with("/stop")),
        "it goes on at v0"
    );
    double.release();
    system.add_worker("w2", &[]).await;
    let job = system.client.until_status(&id, "succeeded").await;
    assert_eq!((double.bill().len(), job["attempt"].as_u64()), (1, Some(2)));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_removed_meanwhile_is_paid_for_and_told() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    double.hold();
    let id = client.submit(&site("x")).await;
    let bill = soon("a run", double.until_billed(1)).await;
    double.remove_chat(&bill[0].chat);
    let job = client.until_status(&id, "failed").await;
    assert_eq!(code(&job), "v0_chat_unknown", "{job:#}");
    until_state(client, &id, "unknown").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_a_job_waits_and_says_why() {
    let double = double().await;
    let settings = vendor::v0(&double);
    let settings: Vec<(&str, &str)> = borrowed(&settings)
        .into_iter()
        .filter(|(name, _)| *name != "V0_API_KEY")
        .collect();
    let mut system = System::start_with(&settings).await;
    let id = system.client.submit(&site("x")).await;
    let reason = "V0_API_KEY is not set; get one at https://v0.app/chat/settings/keys";
    until("the reason to be told", || async {
        let job = system.client.job(&id).await;
        let waiting = &job["waiting"];
        let told = waiting["message"].as_str().unwrap_or_default().to_owned();
        (waiting["reason"] == "unservable" && told.contains(reason)).then_some(())
    })
    .await;
    let key = double.key();
    system.add_worker("w2", &[("V0_API_KEY", &key)]).await;
    system.client.until_status(&id, "succeeded").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_see_has_no_secrets_in_it() {
    let key = "v0-canary-key";
    let double = double_with(DoubleOptions {
        key: key.to_owned(),
        ..DoubleOptions::default()
    })
    .await;
    let system = system(&double).await;
    let client = &system.client;
    double.fault_next("GET /v2/chats/", Fault::Refusal(401, format!("bad key {key}")));
    let id = client.submit(&site("x")).await;
    let job = client.until_status(&id, "succeeded").await;
    let recipe = client
        .artifact(job["recipe"]["id"].as_str().expect("a recipe"))
        .await;
    let chat = job["site"]["chat"].as_str().expect("a chat");
    double.fault_next("POST", Fault::Refusal(401, format!("bad key {key}")));
    let refused = client.submit(&site("x")).await;
    let refused = client.until_status(&refused, "failed").await;
    assert_eq!(refused["failure"]["message"], "v0 answered 401: bad key ***");
    let recipe = String::from_utf8_lossy(&recipe).into_owned();
    let mut seen = vec![job.to_string(), refused.to_string(), recipe];
    for path in [
        "/api/workers",
        "/api/v0/chats",
        &format!("/api/v0/chats/{chat}/preview"),
        &format!("/api/jobs/{id}/events"),
    ] {
        seen.push(client.get(path).await.1.to_string());
    }
    for text in seen {
        assert!(
            !text.contains("canary") && !text.contains("preview-secret"),
            "{text}"
        );
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_in_words() {
    let double = double_with(DoubleOptions {
        pending: 40,
        ..DoubleOptions::default()
    })
    .await;
    let system = system(&double).await;
    let client = &system.client;
    let id = client.submit(&site("x")).await;
    let stream = Listener::open(client, &format!("/api/jobs/{id}/stream"), None).await;
    let mut stream = stream.expect("an answer").expect("a stream");
    let told = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let event = stream.next().await.expect("an event");
            if event.data.contains("writing app/page.tsx; 2 files so far") {
                return event;
            }
        }
    });
    told.await.expect("v0's doings are told");
    client.until_status(&id, "succeeded").await;
    system.stop().await;
}
