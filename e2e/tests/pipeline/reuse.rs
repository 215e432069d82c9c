//! Results of jobs as inputs of others, and what a request for FLUX is told that cannot be.

use std::{fs, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use connectors::bfl::double::{Double as Bfl, Options};
use e2e::{
    Client, System,
    client::{sketch, slow},
    patience::LONG,
    vendor::{borrowed, flux},
};
use reqwest::{
    Method,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

use crate::{
    input::refused,
    story::{list, output, total},
    studio::{SD15, Studio, double, picture},
};

/// What a request calls the result of a job.
fn reference(job: &Value) -> String {
    format!("artifact:{}", output(job))
}

fn coloured_by(palette: &str) -> Value {
    let mut request = sketch("a lake");
    request["sketch"]["seed"] = 7.into();
    request["sketch"]["palette"] = palette.into();
    request
}

/// The only fault of a refused job.
async fn fault(client: &Client, request: &Value) -> (String, String) {
    let post = client.request(Method::POST, "/api/jobs").json(request);
    let document = refused(post, 422, "request_invalid").await;
    let faults = list(&document, "faults");
    assert_eq!(faults.len(), 1, "{document:#}");
    let text = |name: &str| faults[0][name].as_str().expect("text").to_owned();
    (text("pointer"), text("message"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawing_takes_its_colours_from_another() {
    let system = System::start().await;
    let client = &system.client;
    let lava = client.submit_sketch("lava").await;
    let lava = client.until_status(&lava, "succeeded").await;
    let by_result = client.submit(&coloured_by(&reference(&lava))).await;
    let by_result = client.until_status(&by_result, "succeeded").await;

    let part = Part::bytes(client.artifact(output(&lava)).await.to_vec()).file_name("lava.png");
    let post = client
        .request(Method::POST, "/api/assets")
        .multipart(Form::new().part("file", part));
    let (_, asset) = client.send(post).await;
    let uploaded = format!("asset:{}", asset["id"].as_str().expect("an id"));
    let by_upload = client.submit(&coloured_by(&uploaded)).await;
    let by_upload = client.until_status(&by_upload, "succeeded").await;
    let colours = |job: &Value| job["outputs"][0]["sha256"].clone();
    assert_eq!(
        client.artifact(output(&by_result)).await,
        client.artifact(output(&by_upload)).await,
        "the same colours"
    );
    let plain = client.submit(&coloured_by("")).await;
    let plain = client.until_status(&plain, "succeeded").await;
    assert_ne!(colours(&by_result), colours(&plain), "they are used");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_results_that_are_there_are_taken() {
    let system = System::start().await;
    let client = &system.client;
    let running = client.submit(&slow(LONG)).await;
    client.until_status(&running, "running").await;
    let made = client.submit_sketch("lava").await;
    let made = client.until_status(&made, "succeeded").await;
    let count = total(client).await;
    let nowhere = "artifact:018f0000-0000-7000-8000-000000000000-1-0";
    let other = reference(&made).replace("-1-0", "-1-5");
    for (palette, told) in [
        (nowhere, "there is no job 018f0000-0000-7000-8000-000000000000"),
        (&format!("artifact:{running}-1-0"), "is running; only results"),
        (&other, &format!("but {}", reference(&made))),
        ("artifact:../../etc/passwd", "is not an artifact id"),
        ("lava.png", "`artifact:<id>` of a result"),
    ] {
        let (pointer, message) = fault(client, &coloured_by(palette)).await;
        assert_eq!(pointer, "/sketch/palette");
        assert!(message.contains(told), "{message}");
    }
    let short = json!({"backend": "sketch", "prompt": "a", "params": {"palette": nowhere}});
    assert_eq!(fault(client, &short).await.0, "/params/palette");
    assert_eq!(total(client).await, count, "nothing was stored");

    // a file that is gone when the job starts
    let mut held = coloured_by(&reference(&made));
    held["hold"] = true.into();
    let held = client.submit(&held).await;
    let key = made["outputs"][0]["key"].as_str().expect("a key");
    let store = Path::new(&system.environment["ORCHESTRATOR_ARTIFACTS_URL"]);
    fs::remove_file(store.join(key)).expect("removed");
    client.post(&format!("/api/jobs/{held}/run"), &json!({})).await;
    let failed = client.until_status(&held, "failed").await;
    assert_eq!(failed["failure"]["code"], "input_missing", "{failed:#}");
    let message = failed["failure"]["message"].as_str().expect("a message");
    assert!(message.contains(&reference(&made)), "{message}");
    client.cancel(&running).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comfyui_goes_on_from_a_result() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let first = studio.made(&picture(SD15, json!({}))).await;
    let again = picture(SD15, json!({"image": reference(&first), "denoise": 0.4}));
    studio.made(&again).await;
    let graph = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": reference(&first)}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
    });
    studio.made(&json!({"comfyui": {"graph": graph}})).await;
    let name = format!(
        "{}.png",
        first["outputs"][0]["sha256"].as_str().expect("a digest")
    );
    let received = double.received();
    for posted in &received[1..] {
        let nodes = posted.graph.as_object().expect("nodes").values();
        let loads: Vec<&Value> = nodes
            .filter(|node| node["class_type"] == "LoadImage")
            .map(|node| &node["inputs"]["image"])
            .collect();
        assert_eq!(loads, [&Value::from(name.as_str())], "{:#}", posted.graph);
    }
    assert_eq!(received.len(), 3);

    let nowhere = "artifact:018f0000-0000-7000-8000-000000000000-1-0";
    let missing = picture(SD15, json!({"image": nowhere}));
    assert_eq!(fault(studio.client(), &missing).await.0, "/comfyui/image");
    let missing = json!({"comfyui": {"graph": graph.to_string().replace(output(&first), &nowhere[9..])}});
    assert_eq!(
        fault(studio.client(), &missing).await.0,
        "/comfyui/graph/1/inputs/image"
    );
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_edits_a_result() {
    connectors::install_tls();
    let double = Bfl::start(Options::default()).await.expect("a double");
    let system = System::start_with(&borrowed(&flux(&double))).await;
    let client = &system.client;
    let lava = client.submit_sketch("lava").await;
    let lava = client.until_status(&lava, "succeeded").await;
    let request = json!({
        "model": "flux-2-klein-4b", "prompt": "as ice", "width": 64, "height": 64, "images": [reference(&lava)],
    });
    let (_, checked) = client.post("/api/jobs/validate", &json!({"flux": request})).await;
    assert_eq!(checked["payload"]["input_image"], reference(&lava), "{checked:#}");
    assert_eq!(checked["payload"]["output_format"], "jpeg");
    assert_eq!(checked["workers"], json!(["w1"]));
    let basis = checked["estimate"]["basis"].as_str().expect("a basis");
    assert!(
        basis.contains("1.4 credits") && basis.contains("that go in"),
        "{basis}"
    );

    let id = client.submit(&json!({"flux": request})).await;
    client.until_status(&id, "succeeded").await;
    let sent = &double.submits()[0].body;
    let image = BASE64_STANDARD
        .decode(sent["input_image"].as_str().expect("text"))
        .expect("bare base64");
    assert_eq!(client.artifact(output(&lava)).await, image);

    let (_, models) = client.get("/api/models").await;
    let of_flux: Vec<&Value> = list(&models, "models")
        .iter()
        .filter(|model| model["kind"] == "flux")
        .collect();
    assert_eq!(of_flux.len(), proto::flux::models().len());
    assert_eq!(
        (&of_flux[0]["backend"], &of_flux[0]["workers"]),
        (&"flux".into(), &json!(["w1"]))
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_wrong_with_a_request_for_flux_is_told() {
    let system = System::without_worker(&[]).await;
    let client = &system.client;
    let wrong = json!({
        "model": "flux-pro-1.1", "width": 1000, "height": 1472, "safety_tolerance": 7, "steps": 20,
        "output_format": "gif", "images": ["photo.png", "artifact:x"],
    });
    let pointers = |document: &Value| -> Vec<String> {
        let faults = list(document, "faults").iter();
        faults
            .map(|fault| fault["pointer"].as_str().expect("a pointer").to_owned())
            .collect()
    };
    let post = |body: Value| client.request(Method::POST, "/api/jobs").json(&body);
    let document = refused(post(json!({"flux": wrong})), 422, "request_invalid").await;
    let expected = [
        "/flux/width",
        "/flux/height",
        "/flux/output_format",
        "/flux/safety_tolerance",
        "/flux/steps",
        "/flux/images",
        "/flux/images/0",
    ];
    assert_eq!(pointers(&document), expected, "{document:#}");
    let short = json!({"backend": "flux", "prompt": "", "params": {"model": "flux-2-prp"}});
    let document = refused(post(short), 422, "request_invalid").await;
    assert_eq!(pointers(&document), ["/params/model"], "{document:#}");
    let told = document["faults"][0]["message"].as_str().expect("a message");
    assert!(told.contains("the nearest is flux-2-pro"), "{told}");
    let short = json!({"backend": "flux", "prompt": ""});
    let document = refused(post(short), 422, "request_invalid").await;
    assert_eq!(pointers(&document), ["/prompt"], "{document:#}");
    assert_eq!(total(client).await, 0);
    system.stop().await;
}
