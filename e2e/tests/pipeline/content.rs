//! The content of a picture: whole, in part, not again, and with headers that keep a browser calm.

use bytes::Bytes;
use e2e::System;
use reqwest::{Method, Response, StatusCode, header};
use serde_json::Value;

use crate::{input::refused, story::output};

fn text<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().expect("text"))
}

/// A system with one picture: its record, where its content is, and the content.
async fn one_picture() -> (System, Value, String, Bytes) {
    let system = System::start().await;
    let id = system.client.submit_sketch("a lake").await;
    let job = system.client.until_status(&id, "succeeded").await;
    let path = format!("/api/artifacts/{}/content", output(&job));
    let content = system.client.artifact(output(&job)).await;
    (system, job, path, content)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_given_where_one_is_asked_for() {
    let (system, _, path, whole) = one_picture().await;
    let size = whole.len();
    let get = || system.client.request(Method::GET, &path);
    for (range, part) in [
        ("bytes=0-9", 0..10),
        ("bytes=10-", 10..size),
        ("bytes=-7", size - 7..size),
        ("bytes=5-99999999", 5..size),
    ] {
        let response = get()
            .header(header::RANGE, range)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT, "{range}");
        let expected = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        assert_eq!(text(&response, "content-range"), expected, "{range}");
        assert_eq!(text(&response, "content-length"), part.len().to_string());
        assert_eq!(response.bytes().await.expect("content"), whole[part], "{range}");
    }
    for range in [format!("bytes={size}-"), "bytes=-0".to_owned()] {
        let response = get()
            .header(header::RANGE, &range)
            .send()
            .await
            .expect("an answer");
        assert_eq!(text(&response, "content-range"), format!("bytes */{size}"));
        refused(get().header(header::RANGE, range), 416, "range_unsatisfiable").await;
    }
    for odd in ["bytes=0-1,3-4", "lines=1-2", "bytes=9-1"] {
        let response = get().header(header::RANGE, odd).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{odd}");
        assert_eq!(response.bytes().await.expect("content"), whole, "{odd}");
    }
    let stale = get()
        .header(header::RANGE, "bytes=0-9")
        .header(header::IF_RANGE, "\"other\"");
    assert_eq!(
        stale.send().await.expect("an answer").status(),
        StatusCode::OK,
        "of another content there is no part"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_already_is_not_sent_again() {
    let (system, job, path, whole) = one_picture().await;
    let client = &system.client;
    let get = || client.request(Method::GET, &path);
    let response = get().send().await.expect("an answer");
    let tag = text(&response, "etag").to_owned();
    assert_eq!(
        tag,
        format!("\"{}\"", job["outputs"][0]["sha256"].as_str().expect("a digest"))
    );
    assert_eq!(text(&response, "content-type"), "image/png");
    assert_eq!(text(&response, "x-content-type-options"), "nosniff");
    assert!(text(&response, "content-security-policy").contains("sandbox"));
    assert!(text(&response, "cache-control").contains("immutable"));
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let response = get()
            .header(header::IF_NONE_MATCH, known)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(text(&response, "etag"), tag);
        assert_eq!(response.bytes().await.expect("content").len(), 0);
    }
    let changed = get().header(header::IF_NONE_MATCH, "\"other\"");
    assert_eq!(changed.send().await.expect("an answer").status(), StatusCode::OK);
    let head = client
        .request(Method::HEAD, &path)
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (head.status(), text(&head, "content-length"), text(&head, "etag")),
        (StatusCode::OK, whole.len().to_string().as_str(), tag.as_str())
    );
    system.stop().await;
}
