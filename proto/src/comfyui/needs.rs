//! What a ComfyUI must have for a graph: the files that its loaders name, and the classes of its nodes.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::structure::{inputs, link};
use crate::v1::Model;

/// Most bytes of names that are kept, since they lie in the job's record.
const MAX_BYTES: usize = 12 * 1024;
/// The loaders of ComfyUI itself: class, input, kind of the file. Those of others may look elsewhere.
const LOADERS: &[(&str, &str, &str)] = &[
    ("CheckpointLoaderSimple", "ckpt_name", "checkpoint"),
    ("CheckpointLoader", "ckpt_name", "checkpoint"),
    ("ImageOnlyCheckpointLoader", "ckpt_name", "checkpoint"),
    ("unCLIPCheckpointLoader", "ckpt_name", "checkpoint"),
    ("LoraLoader", "lora_name", "lora"),
    ("LoraLoaderModelOnly", "lora_name", "lora"),
    ("VAELoader", "vae_name", "vae"),
    ("ControlNetLoader", "control_net_name", "controlnet"),
    ("DiffControlNetLoader", "control_net_name", "controlnet"),
    ("UpscaleModelLoader", "model_name", "upscaler"),
    ("CLIPVisionLoader", "clip_name", "clip_vision"),
    ("CLIPLoader", "clip_name", "text_encoder"),
    ("DualCLIPLoader", "clip_name1", "text_encoder"),
    ("DualCLIPLoader", "clip_name2", "text_encoder"),
    ("TripleCLIPLoader", "clip_name1", "text_encoder"),
    ("TripleCLIPLoader", "clip_name2", "text_encoder"),
    ("TripleCLIPLoader", "clip_name3", "text_encoder"),
    ("QuadrupleCLIPLoader", "clip_name1", "text_encoder"),
    ("QuadrupleCLIPLoader", "clip_name2", "text_encoder"),
    ("QuadrupleCLIPLoader", "clip_name3", "text_encoder"),
    ("QuadrupleCLIPLoader", "clip_name4", "text_encoder"),
    ("UNETLoader", "unet_name", "diffusion_model"),
];
/// What `VAELoader` offers beside the files of its folder.
const BUILT_IN_VAES: &[&str] = &["pixel_space", "taesd", "taesdxl", "taesd3", "taef1"];

/// Files first, then classes, each once and in order; cut where that becomes too long for a record.
pub(super) fn of_graph(graph: &Value) -> Vec<Model> {
    let Some(nodes) = graph.as_object() else {
        return Vec::new();
    };
    let unused = unused_loaders(graph);
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut known = BTreeSet::new();
    for (_, node) in nodes.iter().filter(|(id, _)| !unused.contains(id.as_str())) {
        for (class, input, kind) in LOADERS {
            let file = node.get("inputs").and_then(|inputs| inputs.get(*input)?.as_str());
            if class_of(node) == *class
                && let Some(file) = file
                && !(*kind == "vae" && BUILT_IN_VAES.contains(&file))
                && known.insert((*kind, file))
            {
                found.push((kind, file));
            }
        }
    }
    let classes: BTreeSet<&str> = nodes.values().map(class_of).collect();
    found.extend(classes.into_iter().map(|class| ("node", class)));
    let mut bytes = 0;
    found
        .into_iter()
        .take_while(|(kind, name)| {
            bytes += kind.len() + name.len();
            bytes <= MAX_BYTES
        })
        .map(|(kind, name)| Model {
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..Model::default()
        })
        .collect()
}

fn class_of(node: &Value) -> &str {
    node.get("class_type").and_then(Value::as_str).unwrap_or_default()
}

/// Loaders whose outputs nobody takes, directly or through further such loaders: ComfyUI does not look at
/// what they name.
fn unused_loaders(graph: &Value) -> BTreeSet<&str> {
    let nodes = || graph.as_object().into_iter().flatten();
    let mut takers: HashMap<&str, usize> = HashMap::new();
    for (from, _) in nodes()
        .flat_map(|(_, node)| inputs(node))
        .filter_map(|(_, value)| link(value))
    {
        *takers.entry(from).or_default() += 1;
    }
    let loads = |node: &Value| LOADERS.iter().any(|(class, _, _)| *class == class_of(node));
    let mut open: Vec<(&str, &Value)> = nodes()
        .filter(|(id, node)| loads(node) && !takers.contains_key(id.as_str()))
        .map(|(id, node)| (id.as_str(), node))
        .collect();
    let mut unused = BTreeSet::new();
    while let Some((id, node)) = open.pop() {
        unused.insert(id);
        for (from, _) in inputs(node).filter_map(|(_, value)| link(value)) {
            let Some(count) = takers.get_mut(from) else {
                continue;
            };
            *count -= 1;
            if let Some(loader) = graph.get(from).filter(|node| *count == 0 && loads(node)) {
                open.push((from, loader));
            }
        }
    }
    unused
}
