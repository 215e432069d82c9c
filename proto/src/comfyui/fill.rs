//! The defaults of a request: task and family by what is given, numbers and names by the template.

use serde_json::Value;

use super::{
    escaped, names,
    template::{Template, template_of},
};
use crate::{
    Family, Task,
    v1::{ComfyUiRequest, Substitution},
};

/// Most names that are replaced in one graph.
const MAX_SUBSTITUTIONS: usize = 20;
/// How much of the image is painted anew where the request does not say.
const IMAGE_TO_IMAGE_DENOISE: f64 = 0.75;
/// Core nodes whose choices are known to be those of a sampler.
const SAMPLING: &[&str] = &["KSampler", "KSamplerAdvanced", "KSamplerSelect", "BasicScheduler"];

/// Fills in what is absent and puts the names of ComfyUI in place of those of other programs.
///
/// `seed` is used where the request chooses none and something is sampled. Filling in twice changes nothing
/// more. Faulty fields are left as they are.
pub fn fill(request: &mut ComfyUiRequest, seed: u64) -> Vec<Substitution> {
    if !request.graph.is_empty() {
        if request.task == 0 {
            request.set_task(Task::Graph);
        }
        return rename_in_graph(request);
    }
    if !request.workflow.is_empty() {
        return Vec::new();
    }
    if request.task == 0 {
        let task = task_of(request);
        request.set_task(task);
    }
    let Ok(task) = Task::try_from(request.task) else {
        return Vec::new();
    };
    let family = match Family::try_from(request.family) {
        Ok(Family::Unspecified) => family_of(task, &request.checkpoint),
        Ok(family) => family,
        Err(_) => return Vec::new(),
    };
    let Some(template) = template_of(task, family) else {
        return Vec::new();
    };
    if task == Task::Upscale {
        return Vec::new();
    }
    request.set_family(family);
    request.seed.get_or_insert(seed);
    let substitutions = fill_sampling(request, template);
    match task {
        Task::ImageToVideo => fill_video(request, template),
        Task::TextToImage | Task::ImageToImage | Task::Inpaint => fill_picture(request, template, task),
        Task::Unspecified | Task::Upscale | Task::Graph => {}
    }
    substitutions
}

fn task_of(request: &ComfyUiRequest) -> Task {
    if request.video.is_some() {
        Task::ImageToVideo
    } else if !request.mask.is_empty() {
        Task::Inpaint
    } else if !request.image.is_empty() && !request.upscaler.is_empty() && request.checkpoint.is_empty() {
        Task::Upscale
    } else if !request.image.is_empty() {
        Task::ImageToImage
    } else {
        Task::TextToImage
    }
}

/// The family that a checkpoint's name tells.
fn family_of(task: Task, checkpoint: &str) -> Family {
    let name = checkpoint.to_lowercase();
    let has = |marks: &[&str]| marks.iter().any(|mark| name.contains(mark));
    if task == Task::ImageToVideo || has(&["svd", "stable-video", "stable_video"]) {
        Family::Svd
    } else if has(&["sd3", "stable-diffusion-3", "stable_diffusion_3"]) {
        Family::Sd35
    } else if has(&["xl", "pony", "illustrious"]) {
        Family::Sdxl
    } else {
        Family::Sd15
    }
}

fn fill_sampling(request: &mut ComfyUiRequest, template: &Template) -> Vec<Substitution> {
    let known = names::normalise(&request.sampler, &request.scheduler);
    let substitutions = known.substitutions("/comfyui/sampler", "/comfyui/scheduler");
    request.sampler = or_default(known.sampler, template.text("sampler"));
    request.scheduler = or_default(known.scheduler, template.text("scheduler"));
    if request.steps == 0 {
        request.steps = template.count("steps");
    }
    request.cfg.get_or_insert(template.number("cfg"));
    substitutions
}

fn or_default(name: String, default: &str) -> String {
    if name.is_empty() { default.to_owned() } else { name }
}

fn fill_picture(request: &mut ComfyUiRequest, template: &Template, task: Task) {
    match task {
        Task::ImageToImage => drop(request.denoise.get_or_insert(IMAGE_TO_IMAGE_DENOISE)),
        Task::Inpaint => drop(request.denoise.get_or_insert(1.0)),
        Task::Unspecified | Task::TextToImage | Task::ImageToVideo | Task::Upscale | Task::Graph => {
            fill_size(request, template);
        }
    }
    request.batch_size = request.batch_size.max(1);
    request.clip_skip = request.clip_skip.max(1);
    for lora in &mut request.loras {
        let weight = *lora.weight.get_or_insert(1.0);
        lora.clip_weight.get_or_insert(weight);
    }
    for control in &mut request.controls {
        control.strength.get_or_insert(1.0);
        control.start.get_or_insert(0.0);
        control.end.get_or_insert(1.0);
    }
}

fn fill_video(request: &mut ComfyUiRequest, template: &Template) {
    fill_size(request, template);
    let video = request.video.get_or_insert_default();
    for (value, name) in [
        (&mut video.frames, "frames"),
        (&mut video.fps, "fps"),
        (&mut video.motion_bucket_id, "motion_bucket_id"),
    ] {
        if *value == 0 {
            *value = template.count(name);
        }
    }
    if video.format.is_empty() {
        "webp".clone_into(&mut video.format);
    }
}

fn fill_size(request: &mut ComfyUiRequest, template: &Template) {
    for (side, name) in [(&mut request.width, "width"), (&mut request.height, "height")] {
        if *side == 0 {
            *side = template.count(name);
        }
    }
}

/// In a graph only what ComfyUI's own nodes call a sampler is renamed: those of others may have such names.
fn rename_in_graph(request: &mut ComfyUiRequest) -> Vec<Substitution> {
    let mut substitutions = Vec::new();
    let Ok(Value::Object(mut graph)) = serde_json::from_str(&request.graph) else {
        return substitutions;
    };
    for (id, node) in &mut graph {
        let class = node.get("class_type").and_then(Value::as_str).unwrap_or_default();
        if !SAMPLING.contains(&class) {
            continue;
        }
        let Some(inputs) = node.get_mut("inputs").and_then(Value::as_object_mut) else {
            continue;
        };
        let text = |name: &str| inputs.get(name).and_then(Value::as_str).unwrap_or_default();
        let known = names::normalise(text("sampler_name"), text("scheduler"));
        let at = format!("/comfyui/graph/{}/inputs", escaped(id));
        let replaced = known.substitutions(&format!("{at}/sampler_name"), &format!("{at}/scheduler"));
        for (name, value) in [("sampler_name", known.sampler), ("scheduler", known.scheduler)] {
            if let Some(Value::String(text)) = inputs.get_mut(name) {
                *text = value;
            }
        }
        let present = |name: &str| inputs.get(name).is_some_and(Value::is_string);
        let (sampler, scheduler) = (present("sampler_name"), present("scheduler"));
        substitutions.extend(replaced.into_iter().filter(|one| {
            if one.pointer.ends_with("/scheduler") {
                scheduler
            } else {
                sampler
            }
        }));
    }
    if !substitutions.is_empty() {
        request.graph = Value::Object(graph).to_string();
    }
    substitutions.truncate(MAX_SUBSTITUTIONS);
    substitutions
}
