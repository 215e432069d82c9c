//! What is to be run for a request: one graph, whatever it is made from, and what it needs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{check, compose, escaped, fill, needs, structure};
use crate::{
    Task,
    ids::InputId,
    request::Fault,
    v1::{ComfyUiRequest, Model, Workflow},
};

/// What to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// In ComfyUI's API format. Files are still `asset:<id>` and `artifact:<id>` in it.
    pub graph: Value,
    /// Where it came from.
    pub source: Source,
    /// What it makes.
    pub task: Task,
    /// The files that it uses, uploads and results of earlier jobs, each once.
    pub inputs: Vec<InputId>,
    /// What a ComfyUI must have for it: files by kind and name, and every class of node (kind `node`).
    pub needs: Vec<Model>,
    /// The first checkpoint that it loads.
    pub checkpoint: Option<String>,
    origins: Origins,
}

/// Where a graph came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// One of our templates.
    Template,
    /// The caller's own graph, or a stored workflow.
    Caller,
}

/// Which field of the request a part of the graph was made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Origins {
    nodes: BTreeMap<String, String>,
    inputs: BTreeMap<(String, String), String>,
}

impl Origins {
    pub(super) fn of_node(&mut self, node: &str, pointer: impl Into<String>) {
        self.nodes.insert(node.to_owned(), pointer.into());
    }

    pub(super) fn of_input(&mut self, node: &str, input: &str, pointer: impl Into<String>) {
        self.inputs
            .insert((node.to_owned(), input.to_owned()), pointer.into());
    }
}

impl Plan {
    /// The field of the request that a node, or one input of it, was made of, as a JSON pointer. `None`
    /// where no single field is to blame.
    pub fn origin(&self, node: &str, input: Option<&str>) -> Option<String> {
        let by_input = input.and_then(|input| self.origins.inputs.get(&(node.to_owned(), input.to_owned())));
        if let Some(pointer) = by_input.or_else(|| self.origins.nodes.get(node)) {
            return Some(pointer.clone());
        }
        match self.source {
            Source::Template => None,
            Source::Caller => {
                self.graph.get(node)?;
                let node = escaped(node);
                Some(match input {
                    Some(input) => format!("/comfyui/graph/{node}/inputs/{}", escaped(input)),
                    None => format!("/comfyui/graph/{node}"),
                })
            }
        }
    }

    /// As [`Plan::origin`]; the whole request where no single field is to blame.
    pub fn pointer(&self, node: &str, input: Option<&str>) -> String {
        let whole = match self.source {
            Source::Template => "/comfyui",
            Source::Caller => "/comfyui/graph",
        };
        self.origin(node, input).unwrap_or_else(|| whole.to_owned())
    }

    /// The graph was made from this workflow: what its parameters set is then theirs.
    #[must_use]
    pub fn of_workflow(mut self, workflow: &Workflow) -> Self {
        for parameter in &workflow.parameters {
            let pointer = format!("/comfyui/parameters/{}", escaped(&parameter.name));
            self.origins.of_input(&parameter.node, &parameter.input, pointer);
        }
        self
    }
}

/// The plan for a request; its defaults may have been filled in already. The same request always gives the
/// same graph.
///
/// # Errors
/// All that is wrong with the request's `comfyui`, each with a pointer.
pub fn plan(request: &ComfyUiRequest) -> Result<Plan, Vec<Fault>> {
    let mut request = request.clone();
    fill(&mut request, 0);
    let faults = check::check(&request);
    if !faults.is_empty() {
        return Err(faults);
    }
    let (graph, source, origins) = if request.graph.is_empty() {
        let (graph, origins) = compose::compose(&request)?;
        (graph, Source::Template, origins)
    } else {
        let graph = callers(&request)?;
        (graph, Source::Caller, Origins::default())
    };
    let needs = needs::of_graph(&graph);
    let checkpoint = needs.iter().find(|need| need.kind == "checkpoint");
    Ok(Plan {
        checkpoint: checkpoint.map(|need| need.name.clone()),
        inputs: inputs(&graph),
        task: request.task(),
        needs,
        graph,
        source,
        origins,
    })
}

/// What a request is about, for lists; not yet cut.
pub fn summary(request: &ComfyUiRequest, plan: &Plan) -> String {
    if !request.workflow.is_empty() {
        return request.workflow.clone();
    }
    match plan.source {
        Source::Template if request.prompt.trim().is_empty() => match plan.task {
            Task::ImageToVideo => "image to video".to_owned(),
            Task::Upscale => "upscale".to_owned(),
            Task::Unspecified | Task::TextToImage | Task::ImageToImage | Task::Inpaint | Task::Graph => {
                String::new()
            }
        },
        Source::Template => request.prompt.clone(),
        Source::Caller => first_text(&plan.graph).unwrap_or("graph").to_owned(),
    }
}

fn first_text(graph: &Value) -> Option<&str> {
    let nodes = graph.as_object()?.values();
    nodes
        .filter(|node| node.get("class_type").and_then(Value::as_str) == Some("CLIPTextEncode"))
        .filter_map(|node| node.pointer("/inputs/text")?.as_str())
        .find(|text| !text.trim().is_empty())
}

fn callers(request: &ComfyUiRequest) -> Result<Value, Vec<Fault>> {
    let mut graph = structure::parse(&request.graph, "/comfyui/graph")?;
    // what a workflow does with a seed was done when its parameters were filled in
    if let Some(seed) = request.seed.filter(|_| request.workflow.is_empty()) {
        reseed(&mut graph, seed);
    }
    Ok(graph)
}

/// Puts one seed into every place of a graph that holds one.
pub(super) fn reseed(graph: &mut Value, seed: u64) {
    for node in graph.as_object_mut().into_iter().flatten().map(|(_, node)| node) {
        let Some(inputs) = node.get_mut("inputs").and_then(Value::as_object_mut) else {
            continue;
        };
        for name in ["seed", "noise_seed"] {
            if let Some(value @ Value::Number(_)) = inputs.get_mut(name) {
                *value = json!(seed);
            }
        }
    }
}

fn inputs(graph: &Value) -> Vec<InputId> {
    let mut found = BTreeSet::new();
    let nodes = graph.as_object().into_iter().flatten();
    let mut open: Vec<&Value> = nodes
        .flat_map(|(_, node)| structure::inputs(node))
        .map(|(_, value)| value)
        .collect();
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => {
                if let Some(Ok(input)) = InputId::from_reference(text) {
                    found.insert(input.to_string());
                }
            }
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    found.iter().filter_map(|id| id.parse().ok()).collect()
}
