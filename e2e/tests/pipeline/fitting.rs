//! What the ComfyUI of the fleet could not run is refused before the queue, and what one of them could goes there.

use connectors::comfyui::double::{Double, ModelKind};
use e2e::patience::until;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    input::refused,
    story::{list, total},
    studio::{SD15, Studio, colour, double, picture},
};

/// How many messages wait in all streams of the queue.
async fn tokens(studio: &Studio) -> usize {
    let bus = e2e::system::bus_of(&studio.system.broker, "test").await;
    let queue = runtime::queue::Queue::new(bus, proto::topology::Lane::default());
    queue.list().await.expect("the queue").len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_refused_with_what_was_meant() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let with = |further: Value| picture(SD15, further);
    let cases = [
        (
            picture("v1-5-pruned-emaonly.safetensor", json!({})),
            "/comfyui/checkpoint",
            SD15,
        ),
        (
            with(json!({"loras": [{"name": "tiny.safetensors"}, {"name": "tinny.safetensors"}]})),
            "/comfyui/loras/1/name",
            "tiny.safetensors",
        ),
        (with(json!({"sampler": "eulre"})), "/comfyui/sampler", "euler"),
        (
            with(json!({"scheduler": "karas"})),
            "/comfyui/scheduler",
            "karras",
        ),
        (
            with(json!({"vae": "random_sd15_vea.safetensors"})),
            "/comfyui/vae",
            "random_sd15_vae.safetensors",
        ),
        (
            with(json!({"upscaler": "RealESRGAN_x4plus.pth"})),
            "/comfyui/upscaler",
            "RealESRGAN_x4plus.safetensors",
        ),
        (colour("EmptyImagee", 64.into()), "/comfyui/graph/1", "EmptyImage"),
        (
            colour("EmptyImage", 0.into()),
            "/comfyui/graph/1/inputs/width",
            "1",
        ),
        (
            colour("EmptyImage", 100_000.into()),
            "/comfyui/graph/1/inputs/width",
            "16384",
        ),
        (
            colour("EmptyImage", json!("wide")),
            "/comfyui/graph/1/inputs/width",
            "wide",
        ),
    ];
    for (request, pointer, named) in cases {
        let post = studio.client().request(Method::POST, "/api/jobs").json(&request);
        let problem = refused(post, 422, "request_invalid").await;
        let faults = list(&problem, "faults");
        assert_eq!(faults.len(), 1, "{request}: {problem:#}");
        assert_eq!(faults[0]["pointer"], pointer, "{request}: {problem:#}");
        let message = faults[0]["message"].as_str().expect("a message");
        assert!(message.contains(named), "{request}: {message}");
        assert!(message.contains("gpu1"), "{request}: {message}");
    }
    assert_eq!(total(studio.client()).await, 0);
    assert_eq!(tokens(&studio).await, 0);
    assert!(double.received().is_empty(), "ComfyUI was not asked");
    // and what is right but for that is taken
    studio.made(&with(json!({}))).await;
    studio.made(&colour("EmptyImage", 64.into())).await;
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nobody_there_it_waits_and_starts_by_itself() {
    let mut studio = Studio::empty().await;
    let request = picture("nowhere.safetensors", json!({}));
    let id = studio.client().submit(&request).await;
    let job = studio.client().job(&id).await;
    assert_eq!(
        (&job["status"], &job["waiting"]["reason"]),
        (&"queued".into(), &"unservable".into()),
        "{job:#}"
    );
    let double = double(&[SD15]).await;
    studio.add("gpu1", &double, &[]).await;
    let job = until("what the worker lacks", || async {
        let job = studio.client().job(&id).await;
        let message = job["waiting"]["message"].as_str()?.to_owned();
        message.contains("gpu1").then_some(job)
    })
    .await;
    let message = job["waiting"]["message"].as_str().expect("a message");
    assert!(
        message.contains("lacks the checkpoint nowhere.safetensors"),
        "{message}"
    );
    assert_eq!(job["waiting"]["reason"], "unservable");
    // the file is put there
    double.set_checkpoints(&[SD15, "nowhere.safetensors"]);
    let job = studio.client().until_status(&id, "succeeded").await;
    assert_eq!(job["attempt"], 1, "{job:#}");
    studio.stop().await;
}

/// Each job ended well at the first attempt on this worker, and its double was asked for nothing else.
async fn check_place(studio: &Studio, ids: &[String], worker: &str, double: &Double) {
    for id in ids {
        let job = studio.client().until_status(id, "succeeded").await;
        assert_eq!(job["attempt"], 1, "{job:#}");
        assert_eq!(job["attempts"][0]["worker"], worker, "{job:#}");
    }
    let posted: Vec<bool> = double.received().iter().map(|posted| posted.accepted).collect();
    assert_eq!(posted, vec![true; ids.len()], "{worker} was asked for its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_to_the_worker_that_has_its_models() {
    let (first, second) = (double(&["a.safetensors"]).await, double(&["b.safetensors"]).await);
    second.set_models(ModelKind::Loras, &["tiny.safetensors", "ink.safetensors"]);
    let mut studio = Studio::empty().await;
    studio.add("gpu1", &first, &[]).await;
    studio.add("gpu2", &second, &[]).await;
    // a LoRA alone decides, where both have the checkpoint
    first.set_checkpoints(&["a.safetensors", "both.safetensors"]);
    second.set_checkpoints(&["b.safetensors", "both.safetensors"]);
    for worker in ["gpu1", "gpu2"] {
        let both = |offer: &Value| {
            list(offer, "models")
                .iter()
                .any(|model| model["name"] == "both.safetensors")
        };
        studio.offer(worker, both).await;
    }
    let ink = json!({"loras": [{"name": "ink.safetensors"}]});
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    for round in 0..4 {
        let seed = |mut request: Value| {
            request["comfyui"]["seed"] = round.to_string().into();
            request
        };
        let of = |name: &str, further: &Value| seed(picture(name, further.clone()));
        of_first.push(studio.client().submit(&of("a.safetensors", &json!({}))).await);
        of_second.push(studio.client().submit(&of("b.safetensors", &json!({}))).await);
        of_second.push(studio.client().submit(&of("both.safetensors", &ink)).await);
    }
    check_place(&studio, &of_first, "gpu1", &first).await;
    check_place(&studio, &of_second, "gpu2", &second).await;
    // one of them has the checkpoint, the other the LoRA
    let post = studio
        .client()
        .request(Method::POST, "/api/jobs")
        .json(&picture("a.safetensors", ink));
    refused(post, 422, "request_invalid").await;
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_other_programs_are_understood_and_told() {
    let double = double(&[SD15]).await;
    let studio = Studio::on(&double).await;
    let job = studio
        .made(&picture(SD15, json!({"sampler": "DPM++ 2M Karras"})))
        .await;
    let told = list(&job, "substitutions");
    let one = |pointer: &str| {
        let found = told.iter().find(|one| one["pointer"] == pointer);
        found.unwrap_or_else(|| panic!("{pointer}: {job:#}"))
    };
    let sampler = one("/comfyui/sampler");
    assert_eq!(
        (&sampler["given"], &sampler["used"]),
        (&"DPM++ 2M Karras".into(), &"dpmpp_2m".into())
    );
    assert_eq!(one("/comfyui/scheduler")["used"], "karras");
    let graph = &double.received()[0].graph;
    let mut nodes = graph.as_object().expect("nodes").values();
    let sampling = nodes
        .find(|node| node["class_type"] == "KSampler")
        .expect("a sampler");
    assert_eq!(
        (
            &sampling["inputs"]["sampler_name"],
            &sampling["inputs"]["scheduler"]
        ),
        (&"dpmpp_2m".into(), &"karras".into())
    );
    let (status, found) = studio
        .client()
        .post(
            "/api/jobs/validate",
            &picture(SD15, json!({"sampler": "Euler a"})),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{found}");
    assert_eq!(found["substitutions"][0]["used"], "euler_ancestral", "{found:#}");
    studio.stop().await;
}
