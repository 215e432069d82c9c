//! What is posted: the graph of a request, from its template or as it came. Pure.

use std::collections::{BTreeSet, HashMap};

use proto::{
    failure::FailureCode,
    ids::AssetId,
    v1::{ComfyUiRequest, Failure},
};
use serde_json::{Value, json};

use super::faults::escaped;

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    /// In ComfyUI's API format. Uploaded files are still `asset:<id>` in it.
    pub(super) graph: Value,
    /// Where it came from.
    pub(super) source: Source,
    /// The uploaded files that it uses, each once.
    pub(super) assets: Vec<AssetId>,
}

/// Where a graph came from; decides what of the request is to blame for a fault in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Our text-to-image template.
    Template,
    /// The caller's own graph.
    Caller,
}

/// The plan for a request. `tag` goes into the names of the files that ComfyUI writes, so that a run whose
/// results are all cached cannot point at the file of an earlier run, which may be gone.
pub(super) fn plan(request: &ComfyUiRequest, tag: &str) -> Result<Plan, Failure> {
    let (mut graph, source) = if request.graph.is_empty() {
        (text_to_image(request), Source::Template)
    } else {
        (callers(request)?, Source::Caller)
    };
    tag_files(&mut graph, tag);
    let assets = assets(&mut graph)?;
    Ok(Plan {
        graph,
        source,
        assets,
    })
}

/// Text to image with one checkpoint that has its text encoder and VAE in it: SD 1.5 and its like.
fn text_to_image(request: &ComfyUiRequest) -> Value {
    json!({
        "3": {"class_type": "KSampler", "inputs": {
            "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
            "seed": request.seed.unwrap_or_default(), "steps": request.steps, "cfg": request.cfg.unwrap_or(7.0),
            "sampler_name": request.sampler, "scheduler": request.scheduler, "denoise": 1.0,
        }},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": request.checkpoint}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {
            "width": request.width, "height": request.height, "batch_size": request.batch_size,
        }},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": request.prompt, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": request.negative_prompt, "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "orchestrator"}},
    })
}

/// The field of a template request that an input of the template is made of.
pub(super) fn template_field(node: &str, input: &str) -> Option<&'static str> {
    Some(match (node, input) {
        ("4", "ckpt_name") => "checkpoint",
        ("3", "sampler_name") => "sampler",
        ("3", "scheduler") => "scheduler",
        ("3", "steps") => "steps",
        ("3", "cfg") => "cfg",
        ("3", "seed") => "seed",
        ("5", "width") => "width",
        ("5", "height") => "height",
        ("5", "batch_size") => "batch_size",
        ("6", "text") => "prompt",
        ("7", "text") => "negative_prompt",
        _ => return None,
    })
}

fn callers(request: &ComfyUiRequest) -> Result<Value, Failure> {
    let unusable = |message: String| Failure {
        pointer: "/comfyui/graph".to_owned(),
        ..FailureCode::ComfyuiRejected.failure(message)
    };
    let mut graph: Value = serde_json::from_str(&request.graph)
        .map_err(|error| unusable(format!("the graph is not valid JSON: {error}")))?;
    if !graph.is_object() {
        return Err(unusable("the graph is not a JSON object of nodes".to_owned()));
    }
    if let Some(seed) = request.seed {
        for inputs in inputs(&mut graph) {
            for name in ["seed", "noise_seed"] {
                if let Some(value @ Value::Number(_)) = inputs.get_mut(name) {
                    *value = json!(seed);
                }
            }
        }
    }
    Ok(graph)
}

fn tag_files(graph: &mut Value, tag: &str) {
    for inputs in inputs(graph) {
        if let Some(Value::String(prefix)) = inputs.get_mut("filename_prefix") {
            prefix.push('-');
            prefix.push_str(tag);
        }
    }
}

fn assets(graph: &mut Value) -> Result<Vec<AssetId>, Failure> {
    let mut found = BTreeSet::new();
    for (node, class) in graph.as_object_mut().into_iter().flatten() {
        for (input, value) in class
            .get_mut("inputs")
            .and_then(Value::as_object_mut)
            .into_iter()
            .flatten()
        {
            let mut broken = None;
            each_text(value, &mut |text| match AssetId::from_reference(text) {
                None => {}
                Some(Ok(asset)) => drop(found.insert(asset.to_string())),
                Some(Err(error)) => broken = Some(error),
            });
            if let Some(error) = broken {
                let message = format!("node {node}, input {input}: {error}");
                return Err(Failure {
                    pointer: format!("/comfyui/graph/{}/inputs/{}", escaped(node), escaped(input)),
                    ..FailureCode::InputMissing.failure(message)
                });
            }
        }
    }
    Ok(found.iter().filter_map(|id| id.parse().ok()).collect())
}

/// Puts the names that ComfyUI gave the uploaded files in place of `asset:<id>`.
pub(super) fn put_files(graph: &mut Value, names: &HashMap<AssetId, String>) {
    for inputs in inputs(graph) {
        for value in inputs.values_mut() {
            each_text(value, &mut |text| {
                if let Some(Ok(asset)) = AssetId::from_reference(text)
                    && let Some(name) = names.get(&asset)
                {
                    text.clone_from(name);
                }
            });
        }
    }
}

fn inputs(graph: &mut Value) -> impl Iterator<Item = &mut serde_json::Map<String, Value>> {
    let nodes = graph.as_object_mut().into_iter().flatten();
    nodes.filter_map(|(_, node)| node.get_mut("inputs")?.as_object_mut())
}

fn each_text(value: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter_mut().for_each(|item| each_text(item, visit)),
        Value::Object(fields) => fields.values_mut().for_each(|field| each_text(field, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_graph(graph: &Value, seed: Option<u64>) -> Result<Plan, Failure> {
        let request = ComfyUiRequest {
            graph: graph.to_string(),
            seed,
            ..ComfyUiRequest::default()
        };
        plan(&request, "t1")
    }

    #[test]
    fn the_template_holds_what_was_asked_for() {
        let request = ComfyUiRequest {
            prompt: "a \"cat\"".to_owned(),
            negative_prompt: "dogs".to_owned(),
            checkpoint: "sd/x.safetensors".to_owned(),
            seed: Some(u64::MAX),
            width: 640,
            height: 384,
            steps: 12,
            cfg: Some(6.5),
            sampler: "dpmpp_2m".to_owned(),
            scheduler: "karras".to_owned(),
            batch_size: 3,
            ..ComfyUiRequest::default()
        };
        let plan = plan(&request, "job-1").expect("a plan");
        assert_eq!((plan.source, plan.assets.len()), (Source::Template, 0));
        let input = |node: &str, name: &str| plan.graph[node]["inputs"][name].clone();
        assert_eq!(input("4", "ckpt_name"), "sd/x.safetensors");
        assert_eq!(input("6", "text"), "a \"cat\"");
        assert_eq!(input("7", "text"), "dogs");
        assert_eq!(input("3", "seed"), u64::MAX);
        assert_eq!((input("3", "steps"), input("3", "cfg")), (json!(12), json!(6.5)));
        assert_eq!(
            (input("3", "sampler_name"), input("3", "scheduler")),
            (json!("dpmpp_2m"), json!("karras"))
        );
        assert_eq!(
            (input("5", "width"), input("5", "height")),
            (json!(640), json!(384))
        );
        assert_eq!(input("5", "batch_size"), 3);
        assert_eq!(input("9", "filename_prefix"), "orchestrator-job-1");
        for (node, name) in [("4", "ckpt_name"), ("3", "cfg"), ("7", "text")] {
            assert!(template_field(node, name).is_some() && !input(node, name).is_null());
        }
    }

    #[test]
    fn a_seed_replaces_numbers_only() {
        let graph = json!({
            "1": {"class_type": "A", "inputs": {"seed": 1, "noise_seed": 2.5, "steps": 3}},
            "2": {"class_type": "B", "inputs": {"seed": ["1", 0], "noise_seed": "x"}},
        });
        let reseeded = of_graph(&graph, Some(9)).expect("a plan").graph;
        assert_eq!(
            reseeded["1"]["inputs"],
            json!({"seed": 9, "noise_seed": 9, "steps": 3})
        );
        assert_eq!(reseeded["2"], graph["2"]);
        assert_eq!(of_graph(&graph, None).expect("a plan").graph, graph);
    }

    #[test]
    fn files_are_tagged_and_assets_replaced_wherever_they_are() {
        let asset = AssetId::from_sha256(&[7; 32]);
        let reference = format!("asset:{asset}");
        let graph = json!({
            "1": {"class_type": "LoadImage", "inputs": {"image": reference}},
            "2": {"class_type": "Many", "inputs": {"list": [{"file": reference}], "text": "asset"}},
            "3": {"class_type": "SaveVideo", "inputs": {"filename_prefix": "video/%date%"}},
            "4": {"class_type": "SaveImage", "inputs": {"filename_prefix": ["2", 0]}},
        });
        let mut plan = of_graph(&graph, None).expect("a plan");
        assert_eq!(plan.assets, std::slice::from_ref(&asset));
        assert_eq!(plan.graph["3"]["inputs"]["filename_prefix"], "video/%date%-t1");
        assert_eq!(plan.graph["4"], graph["4"]);
        put_files(&mut plan.graph, &HashMap::from([(asset, "a (1).png".to_owned())]));
        assert_eq!(plan.graph["1"]["inputs"]["image"], "a (1).png");
        assert_eq!(plan.graph["2"]["inputs"]["list"][0]["file"], "a (1).png");
        assert_eq!(plan.graph["2"]["inputs"]["text"], "asset");
    }

    #[test]
    fn what_is_no_graph_is_refused_with_its_place() {
        let request = |graph: &str| ComfyUiRequest {
            graph: graph.to_owned(),
            ..ComfyUiRequest::default()
        };
        for graph in ["[]", "{", "3"] {
            let failure = plan(&request(graph), "t").expect_err("refused");
            assert_eq!(
                (failure.code.as_str(), failure.pointer.as_str()),
                ("comfyui_rejected", "/comfyui/graph")
            );
        }
        let graph = json!({"a/b": {"class_type": "A", "inputs": {"x": "asset:nonsense"}}});
        let failure = of_graph(&graph, None).expect_err("refused");
        assert_eq!(failure.code, "input_missing");
        assert_eq!(failure.pointer, "/comfyui/graph/a~1b/inputs/x");
    }
}
