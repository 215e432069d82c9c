//! Chats at v0 over HTTP: what is asked of v0 through a worker, and what becomes a job.

use connectors::v0::double::Fault;
use e2e::{System, patience::soon, vendor::site};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::v0::{double, results, system};

async fn made(system: &System, prompt: &str) -> Value {
    let (status, job) = system
        .client
        .post("/api/v0/chats", &json!({"prompt": prompt, "model": "v0-mini"}))
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job:#}");
    let id = job["id"].as_str().expect("an id");
    system.client.until_status(id, "succeeded").await
}

fn chat(job: &Value) -> String {
    job["site"]["chat"].as_str().expect("a chat").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_are_made_continued_changed_and_taken_over_by_address() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    let first = made(&system, "a shop").await;
    let chat = chat(&first);
    for (action, body, bill) in [
        ("messages", json!({"prompt": "in red", "tags": ["t"]}), 2),
        (
            "apply",
            json!({"changes": [{"path": "app/page.tsx", "content": "by hand"}]}),
            2,
        ),
        ("import", json!({}), 2),
    ] {
        let path = format!("/api/v0/chats/{chat}/{action}");
        let (status, job) = client.post(&path, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{action}: {job:#}");
        let job = client
            .until_status(job["id"].as_str().expect("an id"), "succeeded")
            .await;
        assert_eq!(job["site"]["chat"], chat.as_str(), "{action}");
        assert_eq!(double.bill().len(), bill, "{action}");
    }
    let bodiless = client.request(Method::POST, &format!("/api/v0/chats/{chat}/import"));
    let (status, job) = client.send(bodiless).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{job:#}");
    let newest = client
        .until_status(job["id"].as_str().expect("an id"), "succeeded")
        .await;
    let (status, artifact) = client.get(&format!("/api/v0/chats/{chat}/artifact")).await;
    assert_eq!(status, StatusCode::OK, "{artifact:#}");
    assert_eq!(artifact["job"], newest["id"]);
    assert_eq!(artifact["outputs"], newest["outputs"]);
    assert_eq!(results(client, &artifact).await["app/page.tsx"], b"by hand");
    let (status, none) = client.get("/api/v0/chats/another/artifact").await;
    assert_eq!(
        (status, &none["code"]),
        (StatusCode::NOT_FOUND, &json!("artifact_unknown"))
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_are_listed_page_by_page() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    let mut made_chats = Vec::new();
    for prompt in ["one", "two", "three"] {
        let job = made(&system, prompt).await;
        made_chats.push((chat(&job), job["id"].clone()));
    }
    let (status, page) = client.get("/api/v0/chats?limit=2").await;
    assert_eq!(status, StatusCode::OK, "{page:#}");
    let titles: Vec<&Value> = page["chats"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|chat| &chat["title"])
        .collect();
    assert_eq!(titles, ["three", "two"]);
    let cursor = page["cursor"].as_str().expect("a cursor");
    let (_, rest) = client
        .get(&format!("/api/v0/chats?limit=2&cursor={cursor}"))
        .await;
    assert_eq!(rest["chats"][0]["job"], made_chats[0].1, "a chat names its job");
    assert_eq!(rest["cursor"], "");

    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_looked_at_and_removed() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    let chat = &chat(&made(&system, "one").await);
    let (_, one) = client.get(&format!("/api/v0/chats/{chat}")).await;
    assert_eq!(
        (&one["id"], &one["privacy"], &one["web_url"]),
        (
            &json!(chat),
            &json!("private"),
            &json!(format!("https://v0.app/chat/{chat}"))
        )
    );
    let (_, said) = client.get(&format!("/api/v0/chats/{chat}/messages")).await;
    let said = said["messages"].as_array().expect("a list");
    assert_eq!(
        (&said[0]["role"], &said[0]["cost_microdollars"]),
        (&json!("assistant"), &json!(250_000))
    );
    assert_eq!(
        (&said[1]["role"], &said[1]["content"]),
        (&json!("user"), &json!("one"))
    );
    let (_, files) = client.get(&format!("/api/v0/chats/{chat}/files")).await;
    let encodings: Vec<(&Value, &Value)> = files["files"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|file| (&file["path"], &file["encoding"]))
        .collect();
    assert_eq!(encodings[1], (&json!("app/page.tsx"), &json!("utf8")));
    assert_eq!(encodings[2], (&json!("public/logo.png"), &json!("base64")));
    let (_, preview) = client.get(&format!("/api/v0/chats/{chat}/preview")).await;
    assert!(
        preview["url"]
            .as_str()
            .is_some_and(|url| url.starts_with("https://")),
        "{preview:#}"
    );

    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_chat_is_gone() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    let chat = chat(&made(&system, "one").await);
    let path = format!("/api/v0/chats/{chat}");
    let (status, gone) = client.send(client.request(Method::DELETE, &path)).await;
    assert_eq!(
        (status, &gone["deleted"]),
        (StatusCode::OK, &json!(true)),
        "{gone:#}"
    );
    let (status, none) = client.get(&path).await;
    assert_eq!(
        (status, &none["code"]),
        (StatusCode::NOT_FOUND, &json!("v0_chat_unknown")),
        "{none:#}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_with_its_place() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    let (status, problem) = client
        .post(
            "/api/v0/chats",
            &json!({"prompt": " ", "model": "v0-por", "promt": 1}),
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem:#}");
    assert_eq!(problem["faults"][0]["pointer"], "/promt", "{problem:#}");
    let (status, problem) = client
        .post("/api/v0/chats", &json!({"prompt": " ", "model": "v0-por"}))
        .await;
    let places: Vec<&Value> = problem["faults"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|fault| &fault["pointer"])
        .collect();
    assert_eq!(
        (status, places.as_slice()),
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            [&json!("/prompt"), &json!("/model")].as_slice()
        )
    );
    let (status, problem) = client.get("/api/v0/chats/a%20b").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::NOT_FOUND, &json!("v0_chat_unknown"))
    );
    let (status, problem) = client.get("/api/v0/chats?limit=61").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("request_invalid")),
        "{problem:#}"
    );
    assert!(double.received().is_empty(), "v0 was not asked");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_v0_says_is_passed_on_as_a_problem() {
    let double = double().await;
    let system = system(&double).await;
    let client = &system.client;
    for (fault, status, code) in [
        (Fault::Busy(Some(9)), StatusCode::TOO_MANY_REQUESTS, "v0_busy"),
        (
            Fault::Refusal(401, "no".to_owned()),
            StatusCode::UNAUTHORIZED,
            "v0_key_refused",
        ),
        (
            Fault::Refusal(500, "no".to_owned()),
            StatusCode::BAD_GATEWAY,
            "v0_unavailable",
        ),
        (Fault::Page, StatusCode::BAD_GATEWAY, "v0_garbled"),
    ] {
        double.fault_next("GET", fault);
        let (found, problem) = client.get("/api/v0/chats").await;
        assert_eq!((found, &problem["code"]), (status, &json!(code)), "{problem:#}");
    }
    double.hold();
    client.submit(&site("x")).await;
    let bill = soon("a run", double.until_billed(1)).await;
    let (found, problem) = client.get(&format!("/api/v0/chats/{}/files", bill[0].chat)).await;
    assert_eq!(
        (found, &problem["code"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("v0_busy")),
        "{problem:#}"
    );
    double.release();
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_worker_with_a_key_nobody_can_be_asked() {
    let system = System::start().await;
    let (status, problem) = system.client.get("/api/v0/chats").await;
    assert_eq!(
        (status, &problem["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("v0_unoffered")),
        "{problem:#}"
    );
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("V0_API_KEY is not set"), "{detail}");
    system.stop().await;
}
