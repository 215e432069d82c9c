//! Uploads, good and broken: what is not whole, too large or not permitted leaves nothing behind.

use e2e::{System, client::sketch, patience::until};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    multipart::{Form, Part},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    input::refused,
    story::{files, list, output, store},
};

const FORM: &str = "multipart/form-data; boundary=edge";

fn post(system: &System) -> RequestBuilder {
    system.client.request(Method::POST, "/api/assets")
}

fn form(filename: &str, content: Vec<u8>) -> Form {
    Form::new().part("file", Part::bytes(content).file_name(filename.to_owned()))
}

/// A sound of so many bytes.
fn sound(size: usize) -> Vec<u8> {
    let mut content = b"ID3".to_vec();
    content.resize(size, 7);
    content
}

/// The body of a form whose only part is cut before its end.
fn cut_form() -> String {
    let head = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n";
    format!("{head}{}", "x".repeat(100_000))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_in_and_comes_out_and_is_used() {
    let system = System::start().await;
    let client = &system.client;
    let id = client.submit_sketch("lava").await;
    let job = client.until_status(&id, "succeeded").await;
    let picture = client.artifact(output(&job)).await;
    let (status, asset) = client
        .send(post(&system).multipart(form("lava.png", picture.to_vec())))
        .await;
    assert_eq!(
        (status, &asset["id"], &asset["media_type"]),
        (
            StatusCode::CREATED,
            &job["outputs"][0]["sha256"],
            &"image/png".into()
        ),
        "{asset}"
    );
    let id = asset["id"].as_str().expect("an id");
    let back = client
        .request(Method::GET, &format!("/api/assets/{id}/content"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(back.bytes().await.expect("content"), picture);
    let (status, again) = client
        .send(post(&system).multipart(form("other.png", picture.to_vec())))
        .await;
    assert_eq!(
        (status, &again),
        (StatusCode::CREATED, &asset),
        "the first name stays"
    );

    let mut request = sketch("a lake");
    request["sketch"]["palette"] = format!("asset:{id}").into();
    let coloured = client.submit(&request).await;
    let coloured = client.until_status(&coloured, "succeeded").await;
    let phases: Vec<&Value> = list(&coloured, "timeline")
        .iter()
        .map(|event| &event["reason"])
        .collect();
    assert!(phases.contains(&&"loading".into()), "{coloured:#}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_that_are_none_or_not_whole() {
    let system = System::without_worker(&[]).await;
    refused(post(&system), 415, "request_media_type").await;
    refused(post(&system).json(&sketch("a")), 415, "request_media_type").await;
    let no_boundary = post(&system).header("content-type", "multipart/form-data");
    refused(no_boundary.body("x"), 415, "request_media_type").await;
    let other = Form::new().text("picture", "x");
    refused(post(&system).multipart(other), 422, "request_invalid").await;
    let nothing = post(&system).multipart(Form::new());
    refused(nothing, 400, "request_malformed").await;
    let empty = post(&system).multipart(form("empty.png", Vec::new()));
    refused(empty, 422, "request_invalid").await;
    let garbage = post(&system).header("content-type", FORM);
    refused(garbage.body("no form at all"), 400, "request_malformed").await;
    let cut = post(&system).header("content-type", FORM);
    // told as one or the other, by when the end of the body is seen
    let (status, problem) = system.client.send(cut.body(cut_form())).await;
    assert!(
        matches!(
            (status.as_u16(), problem["code"].as_str()),
            (400, Some("request_malformed")) | (422, Some("upload_corrupt"))
        ),
        "{status}: {problem}"
    );
    assert_eq!(files(&store(&system)), Vec::<std::path::PathBuf>::new());
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_off_leaves_nothing() {
    let system = System::without_worker(&[]).await;
    let address = system.client.base().trim_start_matches("http://").to_owned();
    for half_closed in [true, false] {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        let head = format!(
            "POST /api/assets HTTP/1.1\r\nhost: x\r\ncontent-type: {FORM}\r\ncontent-length: 10000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(cut_form().as_bytes()).await.expect("sent");
        until("the upload to have begun", || async {
            (!files(&store(&system)).is_empty()).then_some(())
        })
        .await;
        if half_closed {
            stream.shutdown().await.expect("closed");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok();
            assert!(!answer.contains(" 201 "), "{answer}");
        }
        drop(stream);
        until("nothing to be left", || async {
            files(&store(&system)).is_empty().then_some(())
        })
        .await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_above_the_limit() {
    let system = System::without_worker(&[("ORCHESTRATOR_ARTIFACTS_MAX_SIZE", "1MiB")]).await;
    let limit = 1024 * 1024;
    for size in [limit + 1, 8 * limit] {
        let request = post(&system).multipart(form("large.bin", vec![7; size]));
        refused(request, 413, "request_too_large").await;
    }
    assert_eq!(files(&store(&system)), Vec::<std::path::PathBuf>::new());
    let (status, asset) = system
        .client
        .send(post(&system).multipart(form("just.mp3", sound(limit))))
        .await;
    assert_eq!(
        (status, &asset["size_bytes"]),
        (StatusCode::CREATED, &"1048576".into()),
        "{asset}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_input_is_not_kept() {
    let system = System::start().await;
    let id = system.client.submit_sketch("lava").await;
    let job = system.client.until_status(&id, "succeeded").await;
    let picture = system.client.artifact(output(&job)).await.to_vec();
    let before = files(&store(&system));
    let half = picture.get(..picture.len() / 2).expect("a half").to_vec();
    for (name, content) in [
        ("page.png", b"<!DOCTYPE html><script>alert(1)</script>".to_vec()),
        ("notes.txt", b"a text".to_vec()),
        ("tool.exe", b"MZ\x90\0\x03".to_vec()),
        ("half.png", half),
    ] {
        refused(
            post(&system).multipart(form(name, content)),
            422,
            "asset_unusable",
        )
        .await;
    }
    assert_eq!(files(&store(&system)), before, "nothing is kept");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_with_directories_stays_a_name() {
    let system = System::without_worker(&[]).await;
    for name in [
        "../../../../escape.bin",
        "/escape.bin",
        r"..\..\escape.bin",
        "a/../../escape.bin",
    ] {
        let request = post(&system).multipart(form(name, sound(7)));
        let (status, asset) = system.client.send(request).await;
        assert_eq!(
            (status, &asset["filename"]),
            (StatusCode::CREATED, &"escape.bin".into()),
            "{asset}"
        );
        let id = asset["id"].as_str().expect("an id");
        let expected = [format!("assets/{id}"), format!("assets/{id}.json")];
        assert_eq!(
            files(&store(&system)),
            expected.map(std::path::PathBuf::from),
            "{name}"
        );
        let response = system
            .client
            .request(Method::GET, &format!("/api/assets/{id}/content"))
            .send()
            .await
            .expect("an answer");
        let disposition = response.headers()["content-disposition"].to_str().expect("text");
        assert!(disposition.contains("filename=\"escape.bin\""), "{disposition}");
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_taken_from_workers_only() {
    let system = System::start().await;
    let client = &system.client;
    let id = client.submit_sketch("a lake").await;
    let job = client.until_status(&id, "succeeded").await;
    let before = client.artifact(output(&job)).await;
    let artifact = output(&job);
    let put = || {
        client
            .request(Method::PUT, "/internal/artifacts")
            .body("something else")
    };
    refused(put(), 403, "upload_refused").await;
    for token in [
        "x".to_owned(),
        String::new(),
        format!("{artifact}.99999999999999."),
        format!("{artifact}.99999999999999.{}", "A".repeat(43)),
        "..".repeat(10_000),
    ] {
        refused(put().bearer_auth(token), 403, "upload_refused").await;
    }
    let large = client
        .request(Method::PUT, "/internal/artifacts")
        .body(vec![7; 4 * 1024 * 1024]);
    refused(large, 403, "upload_refused").await;
    assert_eq!(client.artifact(artifact).await, before);
    assert_eq!(
        files(&store(&system)),
        [std::path::PathBuf::from(format!("jobs/{id}/1/0"))]
    );
    system.stop().await;
}
