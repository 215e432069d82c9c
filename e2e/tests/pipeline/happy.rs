//! A job that goes well, as a user of HTTP sees it.

use std::{io::Cursor, time::Duration};

use e2e::{
    System,
    client::{sketch, slow},
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::story::{list, output, seconds, turns};

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
    assert_eq!(turns(&job), ["submitted", "started", "succeeded"]);
    let picture = system.client.artifact(output(&job)).await;
    assert!(picture.starts_with(b"\x89PNG"));
    assert_eq!(artifact["size_bytes"], picture.len().to_string());
    let digest = hex::encode(Sha256::digest(&picture));
    assert_eq!(artifact["sha256"], digest);

    let (status, page) = system
        .client
        .get("/api/jobs?status=succeeded&backend=sketch")
        .await;
    assert_eq!(
        (status, &page["jobs"][0]["id"]),
        (StatusCode::OK, &id.into()),
        "{page:#}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_recipe_gives_the_same_bytes() {
    let system = System::start().await;
    let digest = async |request: Value| {
        let id = system.client.submit(&request).await;
        let job = system.client.until_status(&id, "succeeded").await;
        job["outputs"][0]["sha256"].clone()
    };
    let first = digest(sketch("a lake")).await;
    assert_eq!(first, digest(sketch("a lake")).await);
    let mut other = sketch("a lake");
    other["sketch"]["seed"] = json!("8");
    assert_ne!(first, digest(other).await);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_carries_its_recipe() {
    let system = System::start().await;
    let request = json!({"sketch": {"prompt": "züge im schnee", "width": 48, "height": 32, "steps": 3, "seed": "18446744073709551615"}});
    let id = system.client.submit(&request).await;
    let job = system.client.until_status(&id, "succeeded").await;
    let picture = system.client.artifact(output(&job)).await;
    let reader = png::Decoder::new(Cursor::new(picture))
        .read_info()
        .expect("a PNG");
    let recipe = reader
        .info()
        .utf8_text
        .iter()
        .find(|text| text.keyword == "orchestrator:recipe");
    let recipe = recipe.expect("a recipe").get_text().expect("text");
    let recipe: Value = serde_json::from_str(&recipe).expect("JSON");
    let told = ["prompt", "seed", "width", "height", "steps"].map(|name| &recipe[name]);
    assert_eq!(
        json!(told),
        json!(["züge im schnee", u64::MAX.to_string(), 48, 32, 3]),
        "{recipe:#}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phases_add_up_to_the_attempt() {
    let system = System::start().await;
    let id = system.client.submit(&slow(Duration::from_secs(1))).await;
    let job = system.client.until_status(&id, "succeeded").await;
    let attempt = &job["attempts"][0];
    let wall = seconds(&attempt["started_at"], &attempt["ended_at"]);
    let phases = list(&job, "timeline")
        .iter()
        .filter(|event| event["kind"] == "phase");
    let sum: f64 = phases.filter_map(|event| event["seconds"].as_f64()).sum();
    assert!(
        wall >= 1.0 && (wall - sum).abs() <= (0.2 * wall).max(0.1),
        "{sum} s of phases in {wall} s: {job:#}"
    );
    let names: Vec<&Value> = list(&job, "timeline")
        .iter()
        .filter(|event| event["kind"] == "phase")
        .map(|event| &event["reason"])
        .collect();
    assert_eq!(names, ["starting", "drawing", "saving", "uploading"], "{job:#}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_short_forms_do_the_same() {
    let system = System::start().await;
    let short = json!({"backend": "sketch", "prompt": "a lake", "params": {"width": 64, "height": 64, "steps": 4, "seed": "7"}});
    let (status, answer) = system.client.post("/api/generate", &short).await;
    assert_eq!(
        (status, &answer["success"]),
        (StatusCode::ACCEPTED, &true.into()),
        "{answer}"
    );
    let oldest = answer["jobId"].as_str().expect("an id").to_owned();
    let ids = [
        oldest,
        system.client.submit(&short).await,
        system.client.submit(&sketch("a lake")).await,
    ];
    let mut digests = Vec::new();
    for id in &ids {
        let job = system.client.until_status(id, "succeeded").await;
        digests.push(job["outputs"][0]["sha256"].clone());
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
    system.stop().await;
}
