//! From a request to a graph: the template with the request's values in it, and nodes put in by role.

use serde_json::{Map, Value, json};

use super::{
    fault,
    plan::Origins,
    splice,
    template::{Link, Roles, Template, template_of},
};
use crate::{
    request::Fault,
    v1::{ComfyUiRequest, Video},
};

/// A graph in the making.
pub(super) struct Draft<'a> {
    pub(super) request: &'a ComfyUiRequest,
    pub(super) graph: Map<String, Value>,
    pub(super) roles: Roles,
    pub(super) origins: Origins,
}

/// The graph of a request that has been filled in and has no faults.
pub(super) fn compose(request: &ComfyUiRequest) -> Result<(Value, Origins), Vec<Fault>> {
    let template = template_of(request.task(), request.family())
        .ok_or_else(|| vec![fault("/comfyui/family", "does not go with the task")])?;
    let mut draft = Draft {
        request,
        graph: template.graph.clone(),
        roles: template.roles.clone(),
        origins: Origins::default(),
    };
    draft.set_values(template);
    splice::all(&mut draft);
    Ok((Value::Object(draft.graph), draft.origins))
}

impl Draft<'_> {
    fn set_values(&mut self, template: &Template) {
        for entry in &template.parameters {
            let Some((value, pointer)) = value_of(self.request, &entry.name) else {
                continue;
            };
            self.set(&entry.node, &entry.input, value);
            self.origins.of_input(&entry.node, &entry.input, &pointer);
            // such a node does nothing else
            if matches!(entry.name.as_str(), "checkpoint" | "image" | "upscaler") {
                self.origins.of_node(&entry.node, pointer);
            }
        }
    }

    /// Gives one input a value.
    pub(super) fn set(&mut self, node: &str, input: &str, value: Value) {
        let inputs = self.graph.get_mut(node).and_then(|node| node.get_mut("inputs"));
        if let Some(inputs) = inputs.and_then(Value::as_object_mut) {
            inputs.insert(input.to_owned(), value);
        }
    }

    /// Puts a node in, made of the field at `pointer`.
    pub(super) fn add(&mut self, id: &str, class: &str, inputs: &Value, pointer: &str) {
        let before = self
            .graph
            .insert(id.to_owned(), json!({"class_type": class, "inputs": inputs}));
        debug_assert_eq!(before, None, "no two nodes are called {id}");
        self.origins.of_node(id, pointer);
    }

    /// All who took `from` take `to` now, except the nodes that `to` is made by.
    pub(super) fn rewire(&mut self, from: &Link, to: &Link, except: &[&str]) {
        let (from, to) = (json!(from), json!(to));
        for (id, node) in &mut self.graph {
            if except.contains(&id.as_str()) {
                continue;
            }
            let inputs = node.get_mut("inputs").and_then(Value::as_object_mut);
            for (_, value) in inputs.into_iter().flatten() {
                if *value == from {
                    value.clone_from(&to);
                }
            }
        }
    }

    /// The sampler's input comes from `to`.
    pub(super) fn feed_sampler(&mut self, input: &str, to: &Link) {
        if let Some(sampler) = self.roles.sampler.clone() {
            self.set(&sampler, input, json!(to));
        }
    }
}

/// What the request says for a parameter of a template, and where it says so. `None` where the template's
/// own value stays.
fn value_of(request: &ComfyUiRequest, name: &str) -> Option<(Value, String)> {
    let video = || request.video.clone().unwrap_or_default();
    let of_video = |value: fn(Video) -> Value| Some(value(video()));
    let value = match name {
        "prompt" => json!(request.prompt),
        "negative_prompt" => json!(request.negative_prompt),
        "checkpoint" => json!(request.checkpoint),
        "seed" => json!(request.seed.unwrap_or_default()),
        "width" | "height" => {
            let side = if name == "width" {
                request.width
            } else {
                request.height
            };
            json!(Some(side).filter(|side| *side > 0)?)
        }
        "steps" => json!(request.steps),
        "cfg" => json!(request.cfg?),
        "sampler" => json!(request.sampler),
        "scheduler" => json!(request.scheduler),
        "batch_size" => json!(request.batch_size),
        "image" => json!(request.image),
        "upscaler" => json!(request.upscaler),
        "frames" => of_video(|video| json!(video.frames))?,
        "fps" => of_video(|video| json!(video.fps))?,
        "playback_fps" => of_video(|video| json!(f64::from(video.fps)))?,
        "motion_bucket_id" => of_video(|video| json!(video.motion_bucket_id))?,
        "augmentation" => of_video(|video| json!(video.augmentation))?,
        _ => return None,
    };
    let field = match name {
        "frames" | "fps" | "motion_bucket_id" | "augmentation" => format!("video/{name}"),
        "playback_fps" => "video/fps".to_owned(),
        _ => name.to_owned(),
    };
    Some((value, format!("/comfyui/{field}")))
}
