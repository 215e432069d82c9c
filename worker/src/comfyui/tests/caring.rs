//! Damaged checkpoints, dead threads, recipes.

use connectors::comfyui::double::Corruption;
use futures::{StreamExt as _, future::join};
use proto::{
    failure::FailureCode as Code,
    v1::{Artifact, Upstream},
};
use runtime::settings::Setting as _;
use serde_json::Value;
use uuid::Uuid;

use super::bench::{Attempt, Bench, CHECKPOINT, fails, template};
use crate::comfyui::shelf::{Alternates, Shelf};

const OTHER: &str = "other.safetensors";

impl Bench {
    async fn with_alternate() -> Self {
        let mut bench = Self::new().await;
        bench.double.set_checkpoints(&[CHECKPOINT, OTHER]);
        bench.double.set_corrupt(CHECKPOINT, Corruption::Truncated);
        bench.shelf = Shelf::new(Alternates::parse(OTHER).expect("alternates"), None).into();
        bench
    }

    async fn read(&self, artifact: &Artifact) -> Value {
        let mut stream = self.store.get(&artifact.key, None).await.expect("a file").stream;
        let mut text = Vec::new();
        while let Some(piece) = stream.next().await {
            text.extend_from_slice(&piece.expect("a piece"));
        }
        serde_json::from_slice(&text).expect("JSON")
    }
}

#[tokio::test]
async fn a_damaged_checkpoint_is_out_of_use_and_an_alternate_stands_in_where_that_is_allowed() {
    let bench = Bench::with_alternate().await;
    let mut request = template();
    let failure = fails(bench.once(&request).await, Code::ComfyuiModelCorrupt);
    assert!(
        failure.retryable && failure.message.contains(CHECKPOINT),
        "{}",
        failure.message
    );
    assert!(bench.shelf.problem(CHECKPOINT).is_some());
    fails(bench.once(&request).await, Code::ComfyuiModelCorrupt);
    assert_eq!(bench.posts(), 1, "it is not tried again with the damaged file");

    request.allow_fallback = true;
    let product = bench
        .make(&Attempt::new(2), &request, None)
        .await
        .expect("a picture");
    assert_eq!(product.substitutions[0].used, OTHER);
    let recipe = bench.read(&product.recipe.expect("a recipe")).await;
    assert_eq!(recipe["models"][0]["name"], OTHER);
    assert_eq!(bench.showcase.loaded().as_deref(), Some(OTHER));
}

#[tokio::test]
async fn an_alternate_is_used_at_once_and_can_be_adopted() {
    let bench = Bench::with_alternate().await;
    let mut request = template();
    request.allow_fallback = true;
    bench.double.hold();
    let attempt = Attempt::new(1);
    let script = async {
        let seen = bench.double.until(|seen| {
            seen.running
                .as_ref()
                .is_some_and(|id| *id != attempt.claim.to_string())
        });
        let prompt: Uuid = seen.await.running.expect("a run").parse().expect("an id");
        bench.double.run_freely();
        prompt
    };
    let (product, prompt) = join(bench.make(&attempt, &request, None), script).await;
    let product = product.expect("a picture");
    assert_eq!((product.substitutions.len(), bench.posts()), (1, 2));

    // a worker that has just begun does not know yet that the file is damaged
    let upstream = Upstream {
        substitutions: product.substitutions.clone(),
        ..bench.upstream(prompt)
    };
    bench.shelf.survey().await;
    let adopted = bench
        .make(&Attempt::new(2), &request, Some(&upstream))
        .await
        .expect("the picture");
    assert_eq!(bench.posts(), 2, "nothing ran again");
    assert_eq!(adopted.substitutions, product.substitutions);
    assert_eq!(
        bench.read(&adopted.recipe.expect("a recipe")).await["models"][0]["name"],
        OTHER
    );
}

#[tokio::test]
async fn a_recipe_holds_all_that_made_the_picture() {
    let bench = Bench::new().await;
    let product = bench
        .make(&Attempt::new(1), &template(), None)
        .await
        .expect("a picture");
    let recipe = bench.read(&product.recipe.expect("a recipe")).await;
    assert_eq!(recipe["seed"], 7);
    assert_eq!(recipe["request"]["prompt"], "a lighthouse");
    assert_eq!(recipe["outputs"][0]["sha256"], product.outputs[0].sha256);
    let graph = recipe["graph"].as_object().expect("a graph");
    assert!(graph.values().any(|node| node["class_type"] == "KSampler"));
    assert!(recipe["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0));
}

#[tokio::test]
async fn a_dead_worker_thread_behind_a_live_server_is_recognised() {
    let bench = Bench::new().await;
    bench.double.kill_worker_thread();
    let failure = fails(bench.once(&template()).await, Code::ComfyuiHung);
    assert!(
        failure.retryable && failure.message.contains("worker thread"),
        "{}",
        failure.message
    );
}
