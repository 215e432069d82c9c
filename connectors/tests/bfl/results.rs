//! Results are fetched, and cannot be fetched.

use std::time::Duration;

use connectors::bfl::double::{AnswerFault, Options};
use connectors::bfl::{Sample, SampleError, Status};
use serde_json::json;

use crate::bench::{Bench, client, patient, picture, soon};
use crate::raw::{Act, Raw, answer, with_headers};

async fn sample(bench: &Bench, path: &str, body: &serde_json::Value) -> Sample {
    let task = soon(bench.client.submit(path, body)).await.expect("a task");
    let ending = bench.ending(&task).await;
    let Status::Ready(sample) = ending else {
        panic!("{ending:?} is no result")
    };
    sample
}

async fn fetched(said: Vec<u8>) -> Result<bytes::Bytes, SampleError> {
    let raw = Raw::saying(said).await;
    let fetching = async {
        client(&raw.url, "k")
            .sample(&raw.at("x.png?sig=1"))
            .await?
            .bytes()
            .await
    };
    soon(fetching).await
}

#[tokio::test]
async fn results_are_real_files_of_the_wanted_kind() {
    let bench = Bench::plain().await;
    for (path, body, media_type, format, size) in [
        (
            "flux-2-pro",
            json!({"prompt": "a", "width": 2048, "height": 1024}),
            "image/jpeg",
            image::ImageFormat::Jpeg,
            (128, 64),
        ),
        (
            "flux-2-pro",
            json!({"prompt": "a", "output_format": "webp"}),
            "image/webp",
            image::ImageFormat::WebP,
            (128, 128),
        ),
        (
            "flux-kontext-pro",
            json!({"prompt": "a", "aspect_ratio": "1:2"}),
            "image/png",
            image::ImageFormat::Png,
            (64, 128),
        ),
        (
            "flux-pro-1.0-expand",
            json!({"image": picture(64, 64), "left": 64}),
            "image/jpeg",
            image::ImageFormat::Jpeg,
            (128, 64),
        ),
    ] {
        let sample = sample(&bench, path, &body).await;
        let download = bench.client.sample(&sample.url).await.expect("a result");
        assert_eq!(download.content_type.as_deref(), Some(media_type));
        let size_told = download.size.expect("a size");
        let content = download.bytes().await.expect("its content");
        assert_eq!(content.len() as u64, size_told);
        let decoded = image::load_from_memory_with_format(&content, format).expect("a picture");
        assert_eq!((decoded.width(), decoded.height()), size, "{path}");
    }
    let film = sample(&bench, "flux-3-video", &json!({"mode": "t2v", "prompt": "a"})).await;
    let download = bench.client.sample(&film.url).await.expect("a film");
    assert_eq!(download.content_type.as_deref(), Some("video/mp4"));
    assert_eq!(bench.double.bill().entries[4].fetches, 1);
}

#[tokio::test]
async fn the_same_seed_is_told_and_makes_the_same() {
    let bench = Bench::plain().await;
    let mut made = Vec::new();
    for seed in [7, 7, 8] {
        let sample = sample(&bench, "flux-2-pro", &json!({"prompt": "a", "seed": seed})).await;
        assert_eq!(sample.seed, Some(seed));
        let download = bench.client.sample(&sample.url).await.expect("a result");
        made.push(download.bytes().await.expect("its content"));
    }
    assert!(made[0] == made[1] && made[1] != made[2]);
}

#[tokio::test]
async fn a_result_expires_and_a_signature_is_needed() {
    let bench = Bench::new(Options {
        sample_ttl: Duration::ZERO,
        ..Options::default()
    })
    .await;
    let late = sample(&bench, "flux-2-pro", &json!({"prompt": "a"})).await;
    let error = bench.client.sample(&late.url).await.expect_err("too late");
    assert!(
        matches!(error, SampleError::Expired { status: 403 }) && !error.is_transient(),
        "{error:?}"
    );
    let bench = Bench::plain().await;
    let good = sample(&bench, "flux-2-pro", &json!({"prompt": "a"})).await;
    let forged = good.url.replace("sig=", "sig=0");
    let error = bench.client.sample(&forged).await.expect_err("forged");
    assert!(matches!(error, SampleError::Expired { status: 403 }), "{error:?}");
    for status in [404, 410] {
        let error = fetched(answer(status, "")).await.expect_err("gone");
        assert!(
            matches!(error, SampleError::Expired { status: said } if said == status),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn trouble_with_a_result_is_told_by_kind() {
    for (status, transient) in [
        (400, false),
        (302, false),
        (204, false),
        (429, true),
        (500, true),
        (503, true),
    ] {
        let error = fetched(with_headers(status, "location: http://127.0.0.1:9/\r\n", "")).await;
        let error = error.expect_err("trouble");
        assert!(
            matches!(error, SampleError::Refused { status: said } if said == status),
            "{error:?}"
        );
        assert_eq!(error.is_transient(), transient, "{status}");
    }
    let cut = fetched(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec()).await;
    let cut = cut.expect_err("cut");
    assert!(
        matches!(cut, SampleError::Broken { .. }) && cut.is_transient(),
        "{cut:?}"
    );
    let huge = fetched(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 5_u64 << 30).into()).await;
    assert!(matches!(huge, Err(SampleError::TooLarge { .. })), "{huge:?}");
    let raw = Raw::start(vec![
        Act::Stay(Vec::new()),
        Act::Stay(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc".to_vec()),
    ])
    .await;
    let impatient = patient(&raw.url, "k", Duration::from_millis(300));
    let silent = soon(impatient.sample(&raw.at("x"))).await.expect_err("no head");
    assert!(matches!(silent, SampleError::Timeout { .. }), "{silent:?}");
    let stuck = soon(impatient.sample(&raw.at("x"))).await.expect("a head");
    let stuck = soon(stuck.bytes()).await.expect_err("no end");
    assert!(
        matches!(stuck, SampleError::Timeout { .. }) && stuck.is_transient(),
        "{stuck:?}"
    );
}

#[tokio::test]
async fn a_result_can_be_fetched_again_after_a_fault() {
    let bench = Bench::plain().await;
    let sample = sample(&bench, "flux-2-pro", &json!({"prompt": "a"})).await;
    bench.double.fault_next_sample(AnswerFault::Status(503));
    let busy = bench.client.sample(&sample.url).await.expect_err("busy");
    assert!(busy.is_transient());
    bench.double.fault_next_sample(AnswerFault::Cut);
    let cut = bench
        .client
        .sample(&sample.url)
        .await
        .expect("a head")
        .bytes()
        .await;
    assert!(matches!(cut, Err(SampleError::Broken { .. })), "{cut:?}");
    let whole = bench
        .client
        .sample(&sample.url)
        .await
        .expect("a head")
        .bytes()
        .await;
    assert!(image::load_from_memory(&whole.expect("a result")).is_ok());
}
