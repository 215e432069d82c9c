//! The recipe of a result: all that made it, as a file beside it.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use proto::{
    ids::JobId,
    moment::timestamp,
    v1::{Artifact, ComfyUiRequest, Device, Failure, Substitution},
};
use runtime::clock;
use serde_json::{Value, json};

use super::{course::Course, shelf::Shelf};
use crate::{spool::Spool, uploads::Uploads};

const FILENAME: &str = "recipe.json";

/// Who ran it.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    pub(super) job: Option<JobId>,
    pub(super) attempt: u32,
    pub(super) prompt: String,
    /// Versions of what is installed: `comfyui`, `python`, `pytorch`, …
    pub(super) software: BTreeMap<String, String>,
    pub(super) devices: Vec<Device>,
}

/// What was made, and how.
#[derive(Debug)]
pub(super) struct Cooked<'a> {
    pub(super) origin: &'a Origin,
    pub(super) request: &'a ComfyUiRequest,
    pub(super) course: &'a Course,
    /// How long it ran, where that is known.
    pub(super) took: Option<Duration>,
    pub(super) outputs: &'a [Artifact],
}

/// Stores the recipe after the results.
///
/// # Errors
/// As [`Uploads::store`].
pub(super) async fn store(
    cooked: &Cooked<'_>,
    shelf: &Shelf,
    uploads: &Uploads,
) -> Result<Artifact, Failure> {
    let text = format!("{:#}", write(cooked, shelf));
    let spool = Spool::of_bytes(Bytes::from(text), u64::MAX).await?;
    uploads
        .store(cooked.outputs.len() as u32, FILENAME, "application/json", &spool)
        .await
}

fn write(cooked: &Cooked<'_>, shelf: &Shelf) -> Value {
    let Cooked {
        origin,
        request,
        course,
        took,
        outputs,
    } = cooked;
    json!({
        "job": origin.job.map(|job| job.to_string()),
        "attempt": origin.attempt,
        "backend": "comfyui",
        "prompt_id": origin.prompt,
        "made_at": timestamp(clock::now()),
        "seconds": took.map(|took| took.as_secs_f64()),
        "orchestrator": env!("CARGO_PKG_VERSION"),
        "software": origin.software,
        "devices": origin.devices.iter().map(|device| &device.name).collect::<Vec<_>>(),
        "request": abridged(request),
        "seed": request.seed,
        "graph": course.plan.graph,
        "models": models(course, shelf),
        "substitutions": course.substitutions.iter().map(substitution).collect::<Vec<_>>(),
        "outputs": outputs,
    })
}

/// The request without its graph, which stands beside it.
fn abridged(request: &ComfyUiRequest) -> ComfyUiRequest {
    ComfyUiRequest {
        graph: String::new(),
        ..request.clone()
    }
}

fn models(course: &Course, shelf: &Shelf) -> Vec<Value> {
    let used = |name: &str| {
        let substitution = course
            .substitutions
            .iter()
            .find(|substitution| substitution.given == name);
        substitution.map_or_else(|| name.to_owned(), |substitution| substitution.used.clone())
    };
    let models = course.plan.needs.iter().filter(|need| need.kind != "node");
    models
        .map(|need| {
            let name = used(&need.name);
            let identity = shelf.identity(&need.kind, &name);
            json!({
                "kind": need.kind,
                "name": name,
                "size_bytes": identity.size_bytes,
                "sha256": identity.sha256,
            })
        })
        .collect()
}

fn substitution(substitution: &Substitution) -> Value {
    json!({
        "pointer": substitution.pointer,
        "given": substitution.given,
        "used": substitution.used,
        "reason": substitution.reason,
    })
}

#[cfg(test)]
mod tests {
    use proto::v1::ComfyUiRequest;

    use super::*;
    use crate::comfyui::shelf::Alternates;

    #[test]
    fn the_recipe_names_what_was_really_used() {
        let request = ComfyUiRequest {
            checkpoint: "a.safetensors".to_owned(),
            prompt: "a lake".to_owned(),
            seed: Some(u64::MAX),
            ..ComfyUiRequest::default()
        };
        let substitution = Substitution {
            pointer: "/comfyui/checkpoint".to_owned(),
            given: "a.safetensors".to_owned(),
            used: "b.safetensors".to_owned(),
            reason: "damaged".to_owned(),
        };
        let course = Course::resume(&request, "t", &[substitution]).expect("a course");
        let shelf = Shelf::new(Alternates::default(), None);
        let cooked = Cooked {
            origin: &Origin::default(),
            request: &request,
            course: &course,
            took: None,
            outputs: &[Artifact::default()],
        };
        let recipe = write(&cooked, &shelf);
        assert_eq!(recipe["seed"], u64::MAX);
        assert_eq!(recipe["models"][0]["name"], "b.safetensors");
        assert_eq!(recipe["substitutions"][0]["given"], "a.safetensors");
        assert!(recipe["graph"].to_string().contains("b.safetensors"));
        assert_eq!(recipe["request"]["prompt"], "a lake");
        assert_eq!(recipe["outputs"].as_array().map(Vec::len), Some(1));
    }
}
