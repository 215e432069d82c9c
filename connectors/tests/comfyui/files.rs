//! Uploads and downloads.

use std::time::Duration;

use bytes::Bytes;
use connectors::comfyui::double::{DoubleOptions, Fault};
use connectors::comfyui::{Error, FileRef, Folder, Options, Upload};
use serde_json::json;

use crate::bench::{Bench, quick, sampler, succeeded};

#[tokio::test]
async fn downloads_are_limited_and_missing_files_are_told() {
    let limits = Options {
        max_download: 100,
        ..quick(Duration::from_millis(500))
    };
    let bench = Bench::with(DoubleOptions::default(), limits).await;
    let id = bench.post(&sampler(1, 1)).await;
    let file = succeeded(bench.ends(id).await).remove(0).file;
    let error = bench.client.view(&file, None).await.expect_err("too large");
    assert!(matches!(error, Error::TooLarge { limit: 100, .. }), "{error:?}");
    bench.double.fault_next("/view", Fault::Endless);
    let endless = bench
        .client
        .view(&file, None)
        .await
        .expect("a beginning")
        .bytes()
        .await;
    assert!(matches!(endless, Err(Error::TooLarge { .. })), "{endless:?}");
    bench.double.fault_next("/view", Fault::CutAnswer);
    let cut = bench.client.view(&file, None).await;
    let cut = match cut {
        Ok(download) => download.bytes().await.expect_err("cut"),
        Err(error) => error,
    };
    assert!(
        cut.is_transient() || matches!(cut, Error::TooLarge { .. }),
        "{cut:?}"
    );
    bench.double.delete_output(&file.filename);
    let gone = bench.client.view(&file, None).await.expect_err("gone");
    assert!(matches!(gone, Error::Status { status: 404, .. }), "{gone:?}");
    let outside = FileRef {
        filename: "../x".to_owned(),
        ..file
    };
    assert!(matches!(
        bench.client.view(&outside, None).await,
        Err(Error::Status { status: 400, .. })
    ));
}

#[tokio::test]
async fn uploads_come_back_under_the_name_that_the_server_chose() {
    let bench = Bench::new(DoubleOptions::default()).await;
    let upload = async |upload| bench.client.upload_image(upload).await;
    let (one, two) = (
        Bytes::from_static(b"\x89PNG one"),
        Bytes::from_static(b"\x89PNG two"),
    );
    let first = upload(Upload::new("u.png", one.clone())).await.expect("uploaded");
    assert_eq!(first.reference(), "u.png");
    assert_eq!(
        upload(Upload::new("u.png", one.clone())).await.expect("uploaded"),
        first
    );
    let other = upload(Upload::new("u.png", two.clone())).await.expect("uploaded");
    assert_eq!(other.reference(), "u (1).png");
    let replaced = upload(Upload::new("u.png", two.clone()).overwrite())
        .await
        .expect("uploaded");
    assert_eq!(replaced.reference(), "u.png");
    let pieces = futures::stream::iter([Ok(one.slice(..4)), Ok(one.slice(4..))]);
    let streamed = Upload::streamed("käse 1.png", one.len() as u64, pieces)
        .subfolder("sub")
        .folder(Folder::Temp);
    let streamed = upload(streamed).await.expect("uploaded");
    assert_eq!(streamed.reference(), "sub/käse 1.png [temp]");
    let back = bench.client.view(&streamed.file, None).await.expect("a download");
    assert_eq!(back.bytes().await.expect("the content"), one);
    for name in ["", "a/b.png", "..", "a\nb"] {
        let refused = upload(Upload::new(name, two.clone())).await;
        assert!(matches!(refused, Err(Error::FileName { .. })), "{name:?}");
    }
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": streamed.reference()}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    let id = bench.post(&graph).await;
    assert_eq!(succeeded(bench.ends(id).await)[0].file.folder, Folder::Temp);
}
