//! From the command line to a request of the contract. Pure: files and uploads are given.

use std::collections::HashMap;

use proto::{
    ids::{ArtifactId, AssetId},
    moment::Millis,
    v1::{JobRequest, Workflow},
};
use serde_json::{Map, Value};

use super::{
    FrameOptions, SubmitArguments,
    filling::Filling,
    graph::{self, Graph},
    models::Lora,
    options::{ComfyuiOptions, Setting},
};
use crate::{
    contract::{self, unknown},
    problem::{Fault, Problem},
};

const REQUEST: &str = ".orchestrator.v1.JobRequest";

/// What was read from files before.
#[derive(Debug, Clone, Default)]
pub(super) struct Material {
    /// The prompt, from the command line or standard input.
    pub(super) prompt: Option<String>,
    /// The graph of `--graph`.
    pub(super) graph: Option<Graph>,
    /// The workflow of `--workflow`, as the gateway has it.
    pub(super) workflow: Option<Workflow>,
    /// The ids of the uploaded files, by their paths.
    pub(super) assets: HashMap<String, String>,
    /// The changes to files of a chat, with their contents.
    pub(super) changes: Vec<Value>,
}

/// A request, and the files that it refers to.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) request: JobRequest,
    pub(super) files: Vec<NamedFile>,
}

/// A file that an option names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedFile {
    pub(super) option: String,
    pub(super) path: String,
}

/// What stands for a file that is not uploaded yet.
const NOT_YET: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The backend's field in the request, which is also its name.
pub(super) fn backend(arguments: &SubmitArguments) -> &str {
    match &arguments.backend {
        Some(backend) => backend,
        None if arguments.comfyui.is_asked_for() => "comfyui",
        None => arguments.paid.backend().unwrap_or({
            let has_picture = !arguments.image.is_empty() || arguments.mask.is_some();
            if has_picture { "comfyui" } else { "sketch" }
        }),
    }
}

/// The request that a command line stands for.
///
/// # Errors
/// Every fault at once, each with the option that is to blame.
pub(super) fn build(arguments: &SubmitArguments, material: Material, now: Millis) -> Result<Built, Problem> {
    let backend = backend(arguments);
    let message = contract::fields(REQUEST)
        .iter()
        .find(|field| field.name == backend);
    let Some(contract::Kind::Message(message)) = message.map(|field| &field.kind) else {
        return Err(Problem::usage(format!("there is no backend {backend:?}")));
    };
    let mut draft = Draft {
        backend,
        message,
        body: Map::new(),
        frame: Map::new(),
        graph: material.graph,
        workflow: material.workflow.map(Filling::of),
        assets: material.assets,
        files: Vec::new(),
        faults: Vec::new(),
        now,
    };
    draft.take_options(arguments, material.prompt);
    draft.take_pictures(arguments);
    draft.take_comfyui(&arguments.comfyui);
    draft.settings(arguments.paid.settings());
    draft.list("--change", "changes", material.changes);
    draft.take_frame(&arguments.frame);
    for (key, text) in &arguments.param {
        draft.take_param(key, text);
    }
    for (key, path) in &arguments.input {
        draft.take_input(key, path);
    }
    draft.finish()
}

struct Draft<'a> {
    backend: &'a str,
    /// Full name of the backend's message.
    message: &'static str,
    body: Map<String, Value>,
    frame: Map<String, Value>,
    graph: Option<Graph>,
    workflow: Option<Filling>,
    assets: HashMap<String, String>,
    files: Vec<NamedFile>,
    faults: Vec<Fault>,
    now: Millis,
}

impl Draft<'_> {
    fn take_options(&mut self, arguments: &SubmitArguments, prompt: Option<String>) {
        if let Some(prompt) = prompt {
            if self.graph.is_some() {
                let message = "a graph brings its own prompt; set it with --param <node>.text=…";
                self.fault("PROMPT", message.to_owned());
            } else if self.workflow.is_some() {
                self.take_parameter("PROMPT", "prompt", &prompt);
            } else {
                self.option("PROMPT", "prompt", &prompt);
            }
        }
        if let Some(size) = arguments.size {
            self.option("--size", "width", &size.width.to_string());
            self.option("--size", "height", &size.height.to_string());
        }
        let number = |number: Option<u32>| number.map(|number| number.to_string());
        self.settings(vec![
            ("--width", "width", number(arguments.width)),
            ("--height", "height", number(arguments.height)),
            ("--steps", "steps", number(arguments.steps)),
            ("--seed", "seed", arguments.seed.map(|seed| seed.to_string())),
        ]);
        if self.graph.is_some() && !self.has_field("graph") {
            self.fault("--graph", format!("backend {} takes no graph", self.backend));
        }
    }

    /// One picture or several, as the backend has it.
    fn take_pictures(&mut self, arguments: &SubmitArguments) {
        let images: Vec<String> = arguments
            .image
            .iter()
            .map(|image| self.reference("--image", image))
            .collect();
        if self.has_field("images") {
            self.list("--image", "images", images.into_iter().map(Value::from).collect());
        } else if images.len() > 1 && self.has_field("image") {
            self.fault("--image", format!("backend {} takes one image", self.backend));
        } else if let Some(image) = images.first() {
            self.option("--image", "image", image);
        }
        if let Some(mask) = &arguments.mask {
            let reference = self.reference("--mask", mask);
            self.option("--mask", "mask", &reference);
        }
    }

    fn take_comfyui(&mut self, options: &ComfyuiOptions) {
        self.settings(options.settings());
        let loras = options.lora.iter().map(Lora::json).collect();
        self.list("--lora", "loras", loras);
        let mut controls = Vec::new();
        for control in &options.controlnet {
            let reference = self.reference("--controlnet", &control.image);
            controls.push(control.json(&reference));
        }
        self.list("--controlnet", "controls", controls);
        let encoders = options.text_encoder.iter().cloned().map(Value::from).collect();
        self.list("--text-encoder", "text_encoders", encoders);
    }

    fn take_frame(&mut self, arguments: &FrameOptions) {
        let options = [
            ("--priority", "priority", arguments.priority.clone()),
            (
                "--max-attempts",
                "max_attempts",
                arguments.max_attempts.map(|number| number.to_string()),
            ),
            ("--not-before", "not_before", arguments.not_before.clone()),
            ("--deadline", "deadline", arguments.deadline.clone()),
        ];
        for (option, field, text) in options {
            if let Some(text) = text
                && let Err(message) = contract::set(&mut self.frame, REQUEST, field, &text, self.now)
            {
                self.fault(option, message);
            }
        }
        if arguments.hold {
            self.frame.insert("hold".to_owned(), Value::Bool(true));
        }
        if !arguments.tag.is_empty() {
            self.frame
                .insert("tags".to_owned(), Value::from(arguments.tag.clone()));
        }
    }

    fn take_param(&mut self, key: &str, text: &str) {
        let option = format!("--param {key}");
        if self.workflow.as_ref().is_some_and(|filling| !filling.leaves(key)) {
            return self.take_parameter(&option, key, text);
        }
        let place = self.graph.as_ref().and_then(|graph| graph.place(key));
        let outcome = match (place, &mut self.graph) {
            (Some((node, input)), Some(graph)) => graph.set(node, input, graph::value(text)),
            _ => self.set_field(key, text),
        };
        if let Err(message) = outcome {
            self.fault(&option, message);
        }
    }

    /// Sets a parameter of the workflow; one that takes a file is given it.
    fn take_parameter(&mut self, option: &str, name: &str, text: &str) {
        let takes_file = self
            .workflow
            .as_ref()
            .is_some_and(|filling| filling.takes_file(name));
        let text = if takes_file {
            self.reference(option, text)
        } else {
            text.to_owned()
        };
        if let Some(filling) = &mut self.workflow
            && let Err(message) = filling.set(name, &text)
        {
            self.fault(option, message);
        }
    }

    fn take_input(&mut self, key: &str, path: &str) {
        let option = format!("--input {key}");
        let reference = self.reference(&option, path);
        if self.workflow.is_some() {
            return self.take_parameter(&option, key, &reference);
        }
        let place = self.graph.as_ref().and_then(|graph| graph.place(key));
        let outcome = match (place, &mut self.graph) {
            (Some((node, input)), Some(graph)) => graph.set(node, input, Value::from(reference)),
            (None, Some(graph)) if !self.body.contains_key(key) => Err(format!(
                "name an input of the graph as <node>.<input>; its nodes are {}",
                graph.nodes()
            )),
            _ => self.set_field(key, &reference),
        };
        if let Err(message) = outcome {
            self.fault(&option, message);
        }
    }

    /// What stands in the request for a file; an upload or a result that is there already stands for itself.
    fn reference(&mut self, option: &str, text: &str) -> String {
        if text.starts_with(AssetId::SCHEME) || text.starts_with(ArtifactId::SCHEME) {
            return text.to_owned();
        }
        self.files.push(NamedFile {
            option: option.to_owned(),
            path: text.to_owned(),
        });
        let id = self.assets.get(text).map_or(NOT_YET, String::as_str);
        format!("asset:{id}")
    }

    /// Sets a field of the backend's message, or of the request around it.
    fn set_field(&mut self, path: &str, text: &str) -> Result<(), String> {
        let name = path.split('.').next().unwrap_or(path);
        if self.has_field(name) {
            return contract::set(&mut self.body, self.message, path, text, self.now);
        }
        if frame_fields().any(|field| field == name) {
            return contract::set(&mut self.frame, REQUEST, path, text, self.now);
        }
        let own = contract::fields(self.message)
            .iter()
            .map(|field| field.name.as_str());
        Err(unknown(name, own.chain(frame_fields())))
    }

    fn option(&mut self, option: &str, field: &str, text: &str) {
        if !self.has_field(field.split('.').next().unwrap_or(field)) {
            return self.fault(option, format!("backend {} has no {field}", self.backend));
        }
        if let Err(message) = contract::set(&mut self.body, self.message, field, text, self.now) {
            self.fault(option, message);
        }
    }

    fn settings(&mut self, settings: Vec<Setting>) {
        for (option, field, text) in settings {
            if let Some(text) = text {
                self.option(option, field, &text);
            }
        }
    }

    fn list(&mut self, option: &str, field: &str, items: Vec<Value>) {
        if items.is_empty() {
            return;
        }
        if self.has_field(field) {
            self.body.insert(field.to_owned(), Value::Array(items));
        } else {
            self.fault(option, format!("backend {} has no {field}", self.backend));
        }
    }

    fn has_field(&self, name: &str) -> bool {
        contract::fields(self.message)
            .iter()
            .any(|field| field.name == name)
    }

    fn fault(&mut self, option: &str, message: String) {
        self.faults.push(Fault {
            pointer: option.to_owned(),
            message,
        });
    }

    fn finish(mut self) -> Result<Built, Problem> {
        if let Some(graph) = self.graph.take() {
            self.body
                .insert("graph".to_owned(), Value::from(graph.into_text()));
        }
        if let Some(parameters) = self.workflow.take().and_then(Filling::into_text) {
            self.body.insert("parameters".to_owned(), Value::from(parameters));
        }
        if !self.faults.is_empty() {
            return Err(Problem {
                faults: self.faults,
                ..Problem::usage("the options do not make a request")
            });
        }
        self.frame
            .insert(self.backend.to_owned(), Value::Object(self.body));
        let request = serde_json::from_value(Value::Object(self.frame))
            .map_err(|error| Problem::usage(format!("the options do not make a request: {error}")))?;
        Ok(Built {
            request,
            files: self.files,
        })
    }
}

/// The fields around the backend's message.
pub(super) fn frame_fields() -> impl Iterator<Item = &'static str> {
    let own = contract::fields(REQUEST).iter();
    own.filter(|field| !matches!(field.kind, contract::Kind::Message(_)))
        .map(|field| field.name.as_str())
}

#[cfg(test)]
mod tests;
