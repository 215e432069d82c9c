//! Bad input: each gets a problem document that says what is wrong and where, and nothing is stored.

use e2e::{System, client::sketch};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::story::{list, total};

/// Sends what is to be refused; gives the document.
pub(crate) async fn refused(request: RequestBuilder, status: u16, code: &str) -> Value {
    let response = request.send().await.expect("an answer");
    let found = (
        response.status().as_u16(),
        response.headers()["content-type"].clone(),
    );
    let text = response.text().await.expect("a body");
    assert_eq!(
        found,
        (status, "application/problem+json".parse().expect("a value")),
        "{text}"
    );
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        (&document["code"], &document["status"]),
        (&code.into(), &status.into()),
        "{document:#}"
    );
    assert_eq!(document["type"], format!("/docs/codes/{code}"));
    for part in ["title", "detail", "remedy"] {
        assert!(
            document[part].as_str().is_some_and(|text| !text.is_empty()),
            "{document:#}"
        );
    }
    document
}

fn pointers(document: &Value) -> Vec<&str> {
    let faults = list(document, "faults").iter();
    faults.filter_map(|fault| fault["pointer"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_cannot_be_read() {
    let system = System::without_worker(&[]).await;
    let post = |body: &str| {
        let request = system.client.request(Method::POST, "/api/jobs");
        request
            .header("content-type", "application/json")
            .body(body.to_owned())
    };
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("{", &[]),
        ("{\"sketch\": {\"prompt\": \"a\"}} {}", &[]),
        ("[]", &[""]),
        ("null", &[""]),
        (
            r#"{"sketch": {"prompt": "a", "stepz": 3}, "holt": true}"#,
            &["/holt", "/sketch/stepz"],
        ),
        (
            r#"{"sketch": {"prompt": 7, "width": "wide", "steps": -1}}"#,
            &["/sketch/prompt", "/sketch/steps", "/sketch/width"],
        ),
        (r#"{"sketch": {"width": 1e40}}"#, &["/sketch/width"]),
        (r#"{"sketch": []}"#, &["/sketch"]),
        (r#"{"sketch": {}, "comfyui": {}}"#, &["/sketch"]),
        (
            r#"{"sketch": {}, "priority": "asap", "not_before": "soon"}"#,
            &["/not_before", "/priority"],
        ),
        (r#"{"backend": 7}"#, &["/backend"]),
    ];
    for (body, expected) in cases {
        let document = refused(post(body), 400, "request_malformed").await;
        assert_eq!(pointers(&document), *expected, "{body}: {document:#}");
    }
    let document = refused(post(r#"{"sketch": {"stepz": 3}}"#), 400, "request_malformed").await;
    assert!(
        document["detail"]
            .as_str()
            .is_some_and(|text| text.contains("stepz") && text.contains("did you mean `steps`")),
        "{document:#}"
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refused(post(&deep), 400, "request_malformed").await;
    let not_utf8 = system
        .client
        .request(Method::POST, "/api/jobs")
        .header("content-type", "application/json");
    refused(not_utf8.body(vec![0xff, 0xfe]), 400, "request_malformed").await;
    assert_eq!(total(&system.client).await, 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_what_cannot_be() {
    let system = System::without_worker(&[]).await;
    let post = |body: &Value| system.client.request(Method::POST, "/api/jobs").json(body);
    let all_at_once = json!({
        "sketch": {"prompt": "a", "width": 15, "height": 4097, "steps": 1001, "palette": "/etc/passwd"},
        "max_attempts": 11,
        "deadline": "2020-01-01T00:00:00Z",
        "tags": ["fine", ""],
    });
    let cases = [
        (
            all_at_once,
            vec![
                "/max_attempts",
                "/deadline",
                "/tags/1",
                "/sketch/width",
                "/sketch/height",
                "/sketch/steps",
                "/sketch/palette",
            ],
        ),
        (json!({}), vec![""]),
        (json!({"backend": "dalle", "prompt": "a"}), vec!["/backend"]),
        (
            json!({"backend": "sketch", "prompt": "a", "params": {"width": 5000}}),
            vec!["/params/width"],
        ),
        (json!({"sketch": {"prompt": "a\u{0}b"}}), vec!["/sketch/prompt"]),
        (
            json!({"comfyui": {"prompt": "a", "width": 100}}),
            vec!["/comfyui/checkpoint", "/comfyui/width"],
        ),
        (json!({"comfyui": {"graph": {}}}), vec!["/comfyui/graph"]),
        (
            json!({"sketch": {}, "not_before": "2099-01-02T00:00:00Z", "deadline": "2099-01-01T00:00:00Z"}),
            vec!["/deadline"],
        ),
    ];
    for (body, expected) in cases {
        let document = refused(post(&body), 422, "request_invalid").await;
        assert_eq!(pointers(&document), expected, "{body}: {document:#}");
    }
    assert_eq!(total(&system.client).await, 0);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_or_no_json() {
    let system = System::without_worker(&[]).await;
    let post = || system.client.request(Method::POST, "/api/jobs");
    let long = json!({"sketch": {"prompt": "x".repeat(1_000_000)}});
    let document = refused(post().json(&long), 422, "request_invalid").await;
    assert!(pointers(&document).contains(&"/sketch/prompt"), "{document:#}");
    let longer = json!({"sketch": {"prompt": "x".repeat(2_000_000)}});
    refused(post().json(&longer), 413, "request_too_large").await;
    let text = sketch("a").to_string();
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "json"] {
        let request = post().header("content-type", content_type).body(text.clone());
        refused(request, 415, "request_media_type").await;
    }
    refused(post().body(text.clone()), 415, "request_media_type").await;
    assert_eq!(total(&system.client).await, 0);

    // and what is almost like it is fine
    let request = post()
        .header("content-type", "Application/JSON; charset=utf-8")
        .body(text);
    assert_eq!(system.client.send(request).await.0, StatusCode::ACCEPTED);
    let longest = json!({"sketch": {"prompt": "x".repeat(16 * 1024)}});
    system.client.submit(&longest).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_what_is_not_there() {
    let system = System::without_worker(&[]).await;
    let client = &system.client;
    for id in [
        "018f0000-0000-7000-8000-000000000000",
        "nonsense",
        "..%2f..%2fetc%2fpasswd",
        "%ff",
        &"x".repeat(5_000),
    ] {
        for (method, after) in [
            (Method::GET, ""),
            (Method::DELETE, ""),
            (Method::POST, "/cancel"),
            (Method::POST, "/retry"),
            (Method::POST, "/run"),
            (Method::GET, "/events"),
            (Method::GET, "/stream"),
        ] {
            let request = client.request(method, &format!("/api/jobs/{id}{after}"));
            refused(request, 404, "job_unknown").await;
        }
        let request = client.request(Method::GET, &format!("/api/artifacts/{id}/content"));
        refused(request, 404, "artifact_unknown").await;
        let request = client.request(Method::GET, &format!("/api/assets/{id}/content"));
        refused(request, 404, "asset_unknown").await;
    }
    let artifact = "018f0000-0000-7000-8000-000000000000-1-0";
    let request = client.request(Method::GET, &format!("/api/artifacts/{artifact}"));
    refused(request, 404, "artifact_unknown").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_addresses_that_do_not_exist() {
    let system = System::without_worker(&[]).await;
    let client = &system.client;
    for (query, expected) in [
        ("cursor=nonsense", vec!["/cursor"]),
        ("limit=0", vec!["/limit"]),
        ("limit=501", vec!["/limit"]),
        ("limit=many", vec!["/limit"]),
        ("status=done", vec!["/status"]),
        ("backend=dalle", vec!["/backend"]),
        ("stauts=queued&limit=-1", vec!["/stauts", "/limit"]),
    ] {
        let request = client.request(Method::GET, &format!("/api/jobs?{query}"));
        let document = refused(request, 422, "request_invalid").await;
        assert_eq!(pointers(&document), expected, "{query}: {document:#}");
    }
    for path in [
        "/nothing",
        "/api",
        "/api/jobs/",
        "/api/jobs/a/b/c",
        "/docs/codes/odd",
    ] {
        refused(client.request(Method::GET, path), 404, "route_unknown").await;
    }
    for (method, path, allowed) in [
        (Method::PUT, "/api/jobs", "GET,HEAD,POST"),
        (Method::DELETE, "/api/workers", "GET,HEAD"),
        (Method::GET, "/internal/artifacts", "PUT"),
    ] {
        let request = client.request(method.clone(), path);
        let response = request.send().await.expect("an answer");
        let mut names: Vec<&str> = response.headers()["allow"]
            .to_str()
            .expect("text")
            .split(',')
            .map(str::trim)
            .collect();
        names.sort_unstable();
        assert_eq!(names.join(","), allowed, "{path}");
        refused(client.request(method, path), 405, "route_method").await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reasons_that_cannot_be_read() {
    let system = System::without_worker(&[]).await;
    let client = &system.client;
    let id = client.submit_sketch("stays").await;
    let path = format!("/api/jobs/{id}/cancel");
    let post = || client.request(Method::POST, &path);
    refused(post().json(&json!({"why": "x"})), 400, "request_malformed").await;
    refused(post().json(&json!("x")), 400, "request_malformed").await;
    refused(post().body("reason=x"), 415, "request_media_type").await;
    assert_eq!(client.job(&id).await["status"], "queued", "it is as it was");
    system.stop().await;
}
