//! A checkpoint that is damaged on one worker, and all that can come of it: another worker, an alternate, or a
//! job that waits until the file is mended.

use connectors::comfyui::double::{Corruption, Double};
use e2e::patience::{let_pass, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

use crate::{
    input::refused,
    story::list,
    studio::{SD15, Studio, double, picture},
};

const ALTERNATE: &str = "alternate.safetensors";
/// Where an offer and a job say that a file is damaged.
const SAID: &str = "incomplete metadata";

fn problem_of<'a>(offer: &'a Value, checkpoint: &str) -> Option<&'a str> {
    let mut models = list(offer, "models").iter();
    let model = models.find(|model| model["name"] == checkpoint)?;
    model["problem"].as_str().filter(|problem| !problem.is_empty())
}

/// The job's recipe.
async fn recipe(studio: &Studio, job: &Value) -> Value {
    let id = job["recipe"]["id"].as_str().unwrap_or_else(|| panic!("{job:#}"));
    serde_json::from_slice(&studio.client().artifact(id).await).expect("JSON")
}

/// The checkpoints that prompts which ran loaded, in order.
fn loaded(double: &Double) -> Vec<String> {
    let name = |graph: &Value| {
        let mut nodes = graph.as_object()?.values();
        nodes.find_map(|node| Some(node.pointer("/inputs/ckpt_name")?.as_str()?.to_owned()))
    };
    let received = double.received();
    received.iter().filter_map(|posted| name(&posted.graph)).collect()
}

/// Lets a job find out that the only worker's checkpoint is damaged; gives the job, which then waits.
async fn found_out(studio: &Studio, allow_fallback: bool) -> String {
    let request = picture(SD15, json!({"allow_fallback": allow_fallback}));
    let id = studio.client().submit(&request).await;
    let job = until("the job to say that the file is damaged", || async {
        let job = studio.client().job(&id).await;
        assert_ne!(job["status"], "succeeded", "{job:#}");
        let message = job["waiting"]["message"].as_str()?.to_owned();
        (job["waiting"]["reason"] == "unservable" && message.contains(SAID)).then_some(job)
    })
    .await;
    assert_eq!(job["status"], "queued", "{job:#}");
    let first = &job["attempts"][0]["failure"];
    assert_eq!(first["code"], "comfyui_model_corrupt", "{job:#}");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_has_it_whole() {
    let (bad, good) = (double(&[SD15]).await, double(&[SD15]).await);
    bad.set_corrupt(SD15, Corruption::Truncated);
    let mut studio = Studio::empty().await;
    studio.add("bad", &bad, &[]).await;
    let id = studio.client().submit(&picture(SD15, json!({}))).await;
    until("it to fail there", || async {
        let job = studio.client().job(&id).await;
        (job["attempts"][0]["failure"]["code"] == "comfyui_model_corrupt").then_some(())
    })
    .await;
    studio.add("good", &good, &[]).await;
    let job = studio.client().until_status(&id, "succeeded").await;
    let workers: Vec<&Value> = list(&job, "attempts").iter().map(|a| &a["worker"]).collect();
    assert_eq!(workers, ["bad", "good"], "{job:#}");
    assert!(list(&job, "substitutions").is_empty(), "{job:#}");
    assert_eq!((bad.executed().len(), good.executed().len()), (1, 1));
    // the next ones go there at once
    for seed in 1..4 {
        let job = studio
            .made(&picture(SD15, json!({"seed": seed.to_string()})))
            .await;
        assert_eq!(
            (&job["attempt"], &job["attempts"][0]["worker"]),
            (&1.into(), &"good".into()),
            "{job:#}"
        );
    }
    assert_eq!(bad.executed().len(), 1);
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alternate_stands_in_where_that_is_allowed() {
    let double = double(&[SD15, ALTERNATE]).await;
    double.set_corrupt(SD15, Corruption::Truncated);
    let mut studio = Studio::empty().await;
    let settings = [("ORCHESTRATOR_COMFYUI_FALLBACK", ALTERNATE)];
    studio.add("gpu1", &double, &settings).await;
    let request = |seed: u32| picture(SD15, json!({"allow_fallback": true, "seed": seed.to_string()}));
    // the first finds it out, and the second knows it
    for (seed, expected) in [(1, vec![SD15, ALTERNATE]), (2, vec![ALTERNATE])] {
        let before = loaded(&double).len();
        let job = studio.made(&request(seed)).await;
        assert_eq!(job["attempt"], 1, "{job:#}");
        assert_eq!(loaded(&double).split_off(before), expected);
        let told = list(&job, "substitutions");
        assert_eq!(told.len(), 1, "{job:#}");
        assert_eq!(
            (&told[0]["pointer"], &told[0]["given"], &told[0]["used"]),
            (&"/comfyui/checkpoint".into(), &SD15.into(), &ALTERNATE.into())
        );
        let reason = told[0]["reason"].as_str().expect("a reason");
        assert!(reason.contains("damaged") && reason.contains(SAID), "{reason}");
        let recipe = recipe(&studio, &job).await;
        assert_eq!(recipe["substitutions"][0]["used"], ALTERNATE, "{recipe:#}");
        let models = recipe["models"].to_string();
        assert!(
            models.contains(ALTERNATE) && !models.contains(SD15),
            "what was used: {recipe:#}"
        );
    }
    let offer = studio
        .offer("gpu1", |offer| problem_of(offer, SD15).is_some())
        .await;
    let model = list(&offer, "models").iter().find(|model| model["name"] == SD15);
    assert_eq!(model.expect("it is listed")["fallback"], ALTERNATE, "{offer:#}");
    // whoever does not allow it is told so before the queue
    let post = studio.client().request(Method::POST, "/api/jobs");
    let problem = refused(post.json(&picture(SD15, json!({}))), 422, "request_invalid").await;
    let message = problem["faults"][0]["message"].as_str().expect("a message");
    assert!(
        message.contains("damaged") && message.contains("allow_fallback") && message.contains(ALTERNATE),
        "{message}"
    );
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_until_the_file_is_mended() {
    let double = double(&[SD15]).await;
    double.set_corrupt(SD15, Corruption::Truncated);
    let studio = Studio::on(&double).await;
    let id = found_out(&studio, false).await;
    let runs = double.executed().len();
    let_pass(Duration::from_secs(2)).await;
    assert_eq!(double.executed().len(), runs, "it is not tried in vain");

    double.set_corrupt(SD15, None);
    let (status, told) = studio.client().post("/api/models/rescan", &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(told["workers"][0]["worker"], "gpu1", "{told:#}");
    assert_eq!(problem_of(&told["workers"][0]["offer"], SD15), None, "{told:#}");
    let job = studio.client().until_status(&id, "succeeded").await;
    assert!(list(&job, "substitutions").is_empty(), "{job:#}");
    studio.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_alternate_the_permission_does_not_help() {
    let double = double(&[SD15, ALTERNATE]).await;
    double.set_corrupt(SD15, Corruption::Truncated);
    let studio = Studio::on(&double).await;
    let id = found_out(&studio, true).await;
    assert!(loaded(&double).iter().all(|name| name == SD15));
    let (status, job) = studio.client().cancel(&id).await;
    assert_eq!(status, StatusCode::OK, "{job}");
    studio.stop().await;
}
