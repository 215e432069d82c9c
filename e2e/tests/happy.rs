//! A job that goes well, as a user of HTTP sees it.

use e2e::{System, client::sketch};
use reqwest::StatusCode;

#[tokio::test(flavor = "multi_thread")]
async fn a_sketch_is_made_and_can_be_fetched() {
    let system = System::start().await;
    let id = system.client.submit(&sketch("mountains at sunset")).await;
    let job = system.client.until_status(&id, "succeeded").await;
    let artifact = &job["outputs"][0];
    assert_eq!(
        (&artifact["media_type"], &artifact["width"]),
        (&"image/png".into(), &64.into()),
        "{job:#}"
    );
    let picture = system
        .client
        .artifact(artifact["id"].as_str().expect("an id"))
        .await;
    assert!(picture.starts_with(b"\x89PNG"));
    assert_eq!(
        picture.len().to_string(),
        artifact["size_bytes"].as_str().expect("a size")
    );

    let (status, list) = system
        .client
        .get("/api/jobs?status=succeeded&backend=sketch")
        .await;
    assert_eq!(
        (status, &list["jobs"][0]["id"]),
        (StatusCode::OK, &id.into()),
        "{list:#}"
    );
    system.stop().await;
}
