//! From the command line to a request of the contract. Pure: files and uploads are given.

use proto::{moment::Millis, v1::JobRequest};
use serde_json::{Map, Value};

use super::{
    SubmitArguments,
    contract::{self, unknown},
    graph::{self, Graph},
};
use crate::problem::{Fault, Problem};

const REQUEST: &str = ".orchestrator.v1.JobRequest";

/// What was read from files before.
#[derive(Debug, Clone, Default)]
pub(super) struct Material {
    /// The prompt, from the command line or standard input.
    pub(super) prompt: Option<String>,
    /// The graph of `--graph`.
    pub(super) graph: Option<Graph>,
    /// The ids of the uploaded files, in the order of `--input`.
    pub(super) assets: Vec<String>,
}

/// The backend's field in the request, which is also its name.
pub(super) fn backend(arguments: &SubmitArguments) -> &str {
    match &arguments.backend {
        Some(backend) => backend,
        None if arguments.graph.is_some() || arguments.checkpoint.is_some() => "comfyui",
        None => "sketch",
    }
}

/// The request that a command line stands for.
///
/// # Errors
/// Every fault at once, each with the option that is to blame.
pub(super) fn build(
    arguments: &SubmitArguments,
    material: Material,
    now: Millis,
) -> Result<JobRequest, Problem> {
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
        faults: Vec::new(),
        now,
    };
    draft.take_options(arguments, material.prompt);
    draft.take_frame(arguments);
    for (key, text) in &arguments.param {
        draft.take_param(key, text);
    }
    for ((key, _), asset) in arguments.input.iter().zip(&material.assets) {
        draft.take_input(key, &format!("asset:{asset}"));
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
    faults: Vec<Fault>,
    now: Millis,
}

impl Draft<'_> {
    fn take_options(&mut self, arguments: &SubmitArguments, prompt: Option<String>) {
        if self.graph.is_some() && prompt.is_some() {
            let message = "a graph brings its own prompt; set it with --param <node>.text=…";
            self.fault("PROMPT", message.to_owned());
        } else if let Some(prompt) = prompt {
            self.option("PROMPT", "prompt", &prompt);
        }
        if let Some(size) = arguments.size {
            self.option("--size", "width", &size.width.to_string());
            self.option("--size", "height", &size.height.to_string());
        }
        let options = [
            ("--steps", "steps", arguments.steps.map(|steps| steps.to_string())),
            ("--seed", "seed", arguments.seed.map(|seed| seed.to_string())),
            ("--negative", "negative_prompt", arguments.negative.clone()),
            ("--checkpoint", "checkpoint", arguments.checkpoint.clone()),
        ];
        for (option, field, text) in options {
            if let Some(text) = text {
                self.option(option, field, &text);
            }
        }
        if self.graph.is_some() && !self.has_field("graph") {
            self.fault("--graph", format!("backend {} takes no graph", self.backend));
        }
    }

    fn take_frame(&mut self, arguments: &SubmitArguments) {
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
        let place = self.graph.as_ref().and_then(|graph| graph.place(key));
        let outcome = match (place, &mut self.graph) {
            (Some((node, input)), Some(graph)) => graph.set(node, input, graph::value(text)),
            _ => self.set_field(key, text),
        };
        if let Err(message) = outcome {
            self.fault(&format!("--param {key}"), message);
        }
    }

    fn take_input(&mut self, key: &str, reference: &str) {
        let place = self.graph.as_ref().and_then(|graph| graph.place(key));
        let outcome = match (place, &mut self.graph) {
            (Some((node, input)), Some(graph)) => graph.set(node, input, Value::from(reference)),
            (None, Some(graph)) if !self.body.contains_key(key) => Err(format!(
                "name an input of the graph as <node>.<input>; its nodes are {}",
                graph.nodes()
            )),
            _ => self.set_field(key, reference),
        };
        if let Err(message) = outcome {
            self.fault(&format!("--input {key}"), message);
        }
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
        if !self.has_field(field) {
            return self.fault(option, format!("backend {} has no {field}", self.backend));
        }
        if let Err(message) = contract::set(&mut self.body, self.message, field, text, self.now) {
            self.fault(option, message);
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

    fn finish(mut self) -> Result<JobRequest, Problem> {
        if let Some(graph) = self.graph.take() {
            self.body
                .insert("graph".to_owned(), Value::from(graph.into_text()));
        }
        if !self.faults.is_empty() {
            return Err(Problem {
                faults: self.faults,
                ..Problem::usage("the options do not make a request")
            });
        }
        self.frame
            .insert(self.backend.to_owned(), Value::Object(self.body));
        serde_json::from_value(Value::Object(self.frame))
            .map_err(|error| Problem::usage(format!("the options do not make a request: {error}")))
    }
}

/// The fields around the backend's message.
fn frame_fields() -> impl Iterator<Item = &'static str> {
    let own = contract::fields(REQUEST).iter();
    own.filter(|field| !matches!(field.kind, contract::Kind::Message(_)))
        .map(|field| field.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use proto::{
        Priority,
        v1::{ComfyUiRequest, SketchRequest, job_request::Body},
    };

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        submit: SubmitArguments,
    }

    fn request(line: &[&str], graph: Option<&str>, assets: &[&str]) -> Result<JobRequest, Problem> {
        let arguments = Line::try_parse_from([&["submit"], line].concat())
            .expect("a command line")
            .submit;
        let material = Material {
            prompt: arguments.prompt.clone(),
            graph: graph.map(|text| Graph::parse(text, "g.json").expect("a graph")),
            assets: assets.iter().map(ToString::to_string).collect(),
        };
        build(&arguments, material, 1_000)
    }

    fn sketch(line: &[&str]) -> SketchRequest {
        match request(line, None, &[]).expect("a request").body {
            Some(Body::Sketch(sketch)) => sketch,
            other => panic!("no sketch: {other:?}"),
        }
    }

    fn comfyui(request: Result<JobRequest, Problem>) -> ComfyUiRequest {
        match request.expect("a request").body {
            Some(Body::Comfyui(comfyui)) => comfyui,
            other => panic!("no graph: {other:?}"),
        }
    }

    fn faults(request: Result<JobRequest, Problem>) -> Vec<String> {
        let problem = request.expect_err("faulty");
        problem
            .faults
            .iter()
            .map(|fault| format!("{}: {}", fault.pointer, fault.message))
            .collect()
    }

    #[test]
    fn options_and_parameters_fill_the_same_request() {
        let sketch = sketch(&[
            "a lake",
            "--size",
            "640x480",
            "--seed",
            "7",
            "--param",
            "steps=3",
            "--param",
            "rehearsal.act=slow",
        ]);
        assert_eq!(
            (sketch.prompt.as_str(), sketch.width, sketch.height),
            ("a lake", 640, 480)
        );
        assert_eq!((sketch.seed, sketch.steps), (Some(7), 3));
        assert_eq!(
            sketch.rehearsal.map(|rehearsal| rehearsal.act()),
            Some(proto::Act::Slow)
        );
    }

    #[test]
    fn the_frame_is_filled_by_options_and_by_parameters() {
        let line = [
            "x",
            "--priority",
            "high",
            "--deadline",
            "+9s",
            "--tag",
            "a,b",
            "--tag",
            "c",
            "--hold",
            "--param",
            "max_attempts=5",
        ];
        let request = request(&line, None, &[]).expect("a request");
        assert_eq!(
            (request.priority(), request.max_attempts, request.hold),
            (Priority::High, 5, true)
        );
        assert_eq!(request.tags, ["a,b", "c"]);
        assert_eq!(request.deadline.map(|at| at.seconds), Some(10));
    }

    #[test]
    fn a_checkpoint_or_a_graph_means_comfyui() {
        let with_checkpoint = comfyui(request(
            &["x", "--checkpoint", "sd.safetensors", "--negative", "blur"],
            None,
            &[],
        ));
        assert_eq!(
            (
                with_checkpoint.checkpoint.as_str(),
                with_checkpoint.negative_prompt.as_str()
            ),
            ("sd.safetensors", "blur")
        );
        let graph = r#"{"3":{"class_type":"LoadImage","inputs":{"image":"old"}}}"#;
        let line = [
            "--graph",
            "g.json",
            "--input",
            "3.image=cat.png",
            "--param",
            "3.upload=true",
        ];
        let with_graph = comfyui(request(&line, Some(graph), &["00ff"]));
        assert_eq!(
            with_graph.graph,
            r#"{"3":{"class_type":"LoadImage","inputs":{"image":"asset:00ff","upload":true}}}"#
        );
    }

    #[test]
    fn an_input_becomes_a_reference_to_the_upload() {
        let request = request(&["x", "--input", "palette=cat.png"], None, &["00ff"]).expect("a request");
        assert!(matches!(request.body, Some(Body::Sketch(sketch)) if sketch.palette == "asset:00ff"));
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let line = [
            "x",
            "--checkpoint",
            "m",
            "--backend",
            "sketch",
            "--deadline",
            "soon",
            "--param",
            "widht=3",
            "--param",
            "tag=a",
        ];
        let told = faults(request(&line, None, &[]));
        assert_eq!(told.len(), 4, "{told:#?}");
        assert_eq!(told[0], "--checkpoint: backend sketch has no checkpoint");
        assert!(
            told[1].starts_with("--deadline: deadline: \"soon\" is neither"),
            "{told:#?}"
        );
        assert!(told[2].contains("did you mean width"), "{told:#?}");
        assert!(told[3].contains("did you mean tags"), "{told:#?}");
        let graph = r#"{"3":{"class_type":"LoadImage","inputs":{}}}"#;
        let told = faults(request(
            &["x", "--graph", "g", "--input", "image=a.png"],
            Some(graph),
            &["00"],
        ));
        assert!(
            told[0].starts_with("PROMPT: a graph brings") && told[1].contains("3 (LoadImage)"),
            "{told:#?}"
        );
    }
}
