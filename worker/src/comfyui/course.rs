//! Which graph is run for a request on this worker now: the one that was asked for, or one with an alternate
//! in place of a damaged checkpoint.

use proto::{
    comfyui::Plan,
    failure::FailureCode,
    v1::{ComfyUiRequest, Failure, Substitution},
};
use serde_json::Value;

use super::{graph, shelf::Shelf};

const CHECKPOINT_INPUT: &str = "ckpt_name";

/// What is run.
#[derive(Debug, Clone)]
pub(super) struct Course {
    pub(super) plan: Plan,
    /// In what it differs from the request.
    pub(super) substitutions: Vec<Substitution>,
}

impl Course {
    /// What can be run of a request with the files that are sound.
    ///
    /// # Errors
    /// `comfyui_model_corrupt` where a checkpoint is damaged and nothing may stand in for it.
    pub(super) fn choose(request: &ComfyUiRequest, tag: &str, shelf: &Shelf) -> Result<Self, Failure> {
        let plan = graph::plan(request, tag)?;
        let checkpoints = plan.needs.iter().filter(|need| need.kind == "checkpoint");
        let mut substitutions = Vec::new();
        for need in checkpoints {
            let Some(problem) = shelf.problem(&need.name) else {
                continue;
            };
            let alternate = shelf.alternate(&need.name).filter(|_| request.allow_fallback);
            let Some(alternate) = alternate else {
                return Err(Failure {
                    pointer: place(&plan, &need.name),
                    ..FailureCode::ComfyuiModelCorrupt.failure(format!(
                        "the checkpoint {} is damaged on this worker: {problem}",
                        need.name
                    ))
                });
            };
            substitutions.push(Substitution {
                pointer: place(&plan, &need.name),
                given: need.name.clone(),
                used: alternate.to_owned(),
                reason: format!("the checkpoint is damaged: {problem}"),
            });
        }
        Ok(Self::with(plan, substitutions))
    }

    /// What an earlier attempt has asked for.
    ///
    /// # Errors
    /// If the request cannot be planned.
    pub(super) fn resume(
        request: &ComfyUiRequest,
        tag: &str,
        substitutions: &[Substitution],
    ) -> Result<Self, Failure> {
        Ok(Self::with(graph::plan(request, tag)?, substitutions.to_vec()))
    }

    /// The checkpoint that is loaded first.
    pub(super) fn checkpoint(&self) -> Option<&str> {
        let asked = self.plan.checkpoint.as_deref()?;
        let substitution = self
            .substitutions
            .iter()
            .find(|substitution| substitution.given == asked);
        Some(substitution.map_or(asked, |substitution| substitution.used.as_str()))
    }

    fn with(mut plan: Plan, substitutions: Vec<Substitution>) -> Self {
        let nodes = plan
            .graph
            .as_object_mut()
            .into_iter()
            .flat_map(|nodes| nodes.values_mut());
        for node in nodes {
            let Some(Value::String(name)) = node.pointer_mut("/inputs/ckpt_name") else {
                continue;
            };
            if let Some(substitution) = substitutions
                .iter()
                .find(|substitution| substitution.given == *name)
            {
                name.clone_from(&substitution.used);
            }
        }
        Self { plan, substitutions }
    }
}

/// The field of the request that names a checkpoint.
fn place(plan: &Plan, checkpoint: &str) -> String {
    let mut nodes = plan.graph.as_object().into_iter().flatten();
    let node = nodes.find(|(_, node)| {
        let name = node.get("inputs").and_then(|inputs| inputs.get(CHECKPOINT_INPUT));
        name.and_then(Value::as_str) == Some(checkpoint)
    });
    node.map(|(id, _)| plan.pointer(id, Some(CHECKPOINT_INPUT)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use runtime::settings::Setting as _;

    use super::*;
    use crate::comfyui::shelf::Alternates;

    fn request(allow_fallback: bool) -> ComfyUiRequest {
        ComfyUiRequest {
            checkpoint: "bad.safetensors".to_owned(),
            prompt: "a lake".to_owned(),
            seed: Some(1),
            allow_fallback,
            ..ComfyUiRequest::default()
        }
    }

    fn loaded(course: &Course) -> String {
        let mut nodes = course.plan.graph.as_object().expect("a graph").values();
        let name = nodes.find_map(|node| node.pointer("/inputs/ckpt_name")?.as_str());
        name.expect("a checkpoint").to_owned()
    }

    #[test]
    fn a_damaged_checkpoint_is_replaced_only_where_that_is_allowed() {
        let alternates = Alternates::parse("good.safetensors").expect("alternates");
        let shelf = Shelf::new(alternates, None);
        let course = Course::choose(&request(true), "t", &shelf).expect("a course");
        assert_eq!(
            (loaded(&course).as_str(), course.substitutions.len()),
            ("bad.safetensors", 0)
        );

        shelf.condemn("checkpoint", "bad.safetensors", "it is cut".to_owned());
        let course = Course::choose(&request(true), "t", &shelf).expect("a course");
        assert_eq!(loaded(&course), "good.safetensors");
        let [substitution] = course.substitutions.as_slice() else {
            panic!("{:?}", course.substitutions)
        };
        assert_eq!(substitution.pointer, "/comfyui/checkpoint");
        assert!(substitution.reason.contains("it is cut"));
        let resumed = Course::resume(&request(true), "t", &course.substitutions).expect("a course");
        assert_eq!(loaded(&resumed), "good.safetensors");

        let failure = Course::choose(&request(false), "t", &shelf).expect_err("not allowed");
        assert_eq!(
            (failure.code.as_str(), failure.pointer.as_str()),
            ("comfyui_model_corrupt", "/comfyui/checkpoint")
        );

        shelf.condemn("checkpoint", "good.safetensors", "cut too".to_owned());
        let failure = Course::choose(&request(true), "t", &shelf).expect_err("nothing is left");
        assert!(failure.message.contains("bad.safetensors"), "{}", failure.message);
    }
}
