//! What the server can do: node classes with their inputs, and the model files it sees.

use std::collections::BTreeMap;

use serde_json::Value;

use super::client::Client;
use super::error::Error;
use super::node_input::{NodeInput, Presence};

/// Node classes by name, as `/object_info` describes them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObjectInfo {
    classes: BTreeMap<String, NodeClass>,
}

/// One node class.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeClass {
    /// Whether it is an output node, of which a graph needs at least one.
    pub output_node: bool,
    /// The name that people see.
    pub display_name: Option<String>,
    /// Its place in the menu, such as `model/loaders`.
    pub category: Option<String>,
    /// The Python module that it comes from: `nodes`, `comfy_extras.…` or `custom_nodes.…`.
    pub python_module: Option<String>,
    /// Whether running it calls a paid service elsewhere.
    pub api_node: bool,
    /// Its inputs: the required, then the optional, then the hidden ones.
    pub inputs: Vec<NodeInput>,
    /// The types of its outputs, in slot order.
    pub outputs: Vec<String>,
    /// The whole description as the server sent it.
    pub raw: Value,
}

impl Client {
    /// All node classes. Takes half a second and most of a megabyte on a plain server: cache it.
    pub async fn object_info(&self) -> Result<ObjectInfo, Error> {
        let answer = self.get(&["object_info"]).answer().await?.success()?;
        ObjectInfo::parse(&answer.json()?).ok_or_else(|| answer.unparseable("not a JSON object".to_owned()))
    }

    /// One node class, or `None` if the server does not have it.
    pub async fn node_class(&self, class: &str) -> Result<Option<NodeClass>, Error> {
        let answer = self.get(&["object_info", class]).answer().await?.success()?;
        let info = ObjectInfo::parse(&answer.json()?)
            .ok_or_else(|| answer.unparseable("not a JSON object".to_owned()))?;
        Ok(info.class(class).cloned())
    }

    /// The kinds of models that have a folder: `checkpoints`, `loras`, `vae`, …
    pub async fn model_folders(&self) -> Result<Vec<String>, Error> {
        self.names(&["models"]).await.map(Option::unwrap_or_default)
    }

    /// The model files of a folder, with sub-folders in their names; `None` if there is no such folder. New
    /// files are seen without any refresh.
    pub async fn models(&self, folder: &str) -> Result<Option<Vec<String>>, Error> {
        self.names(&["models", folder]).await
    }

    /// The textual inversion embeddings, without their extension.
    pub async fn embeddings(&self) -> Result<Vec<String>, Error> {
        self.names(&["embeddings"]).await.map(Option::unwrap_or_default)
    }

    async fn names(&self, segments: &[&str]) -> Result<Option<Vec<String>>, Error> {
        let answer = self.get(segments).answer().await?;
        if answer.status == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = answer.success()?;
        serde_json::from_slice(&answer.body)
            .map(Some)
            .map_err(|error| answer.unparseable(error.to_string()))
    }
}

impl ObjectInfo {
    /// Reads the answer of `/object_info`; `None` if it is not a JSON object.
    pub fn parse(value: &Value) -> Option<Self> {
        let classes = value.as_object()?.iter();
        Some(Self {
            classes: classes
                .map(|(name, raw)| (name.clone(), NodeClass::parse(raw)))
                .collect(),
        })
    }

    /// The class of this name.
    pub fn class(&self, name: &str) -> Option<&NodeClass> {
        self.classes.get(name)
    }

    /// All classes with their names, in alphabetical order.
    pub fn classes(&self) -> impl Iterator<Item = (&str, &NodeClass)> {
        self.classes.iter().map(|(name, class)| (name.as_str(), class))
    }

    /// The options of a class's input: shorthand for [`NodeClass::options`].
    pub fn options(&self, class: &str, input: &str) -> Option<Vec<String>> {
        self.class(class)?.options(input)
    }

    /// How many classes there are.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }
}

impl NodeClass {
    fn parse(raw: &Value) -> Self {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
        let outputs = raw.get("output").and_then(Value::as_array).map(|types| {
            // an output that is itself a list of options is a combo
            types
                .iter()
                .map(|kind| kind.as_str().unwrap_or("COMBO").to_owned())
                .collect()
        });
        let inputs = Presence::ALL.into_iter().flat_map(|presence| {
            let group = raw.get("input").and_then(|input| input.get(presence.as_str()));
            let group = group.and_then(Value::as_object).into_iter().flatten();
            group.map(move |(name, declared)| NodeInput::parse(name, presence, declared))
        });
        Self {
            api_node: raw.get("api_node").and_then(Value::as_bool).unwrap_or(false),
            inputs: inputs.collect(),
            output_node: raw.get("output_node").and_then(Value::as_bool).unwrap_or(false),
            display_name: text("display_name"),
            category: text("category"),
            python_module: text("python_module"),
            outputs: outputs.unwrap_or_default(),
            raw: raw.clone(),
        }
    }

    /// An input that a graph can give, required or optional.
    pub fn input(&self, name: &str) -> Option<&NodeInput> {
        let mut inputs = self.inputs.iter();
        inputs.find(|input| input.name == name && input.presence != Presence::Hidden)
    }

    /// The names of the required inputs.
    pub fn required_inputs(&self) -> Vec<&str> {
        let required = self
            .inputs
            .iter()
            .filter(|input| input.presence == Presence::Required);
        required.map(|input| input.name.as_str()).collect()
    }

    /// What may be chosen for an input, or `None` if it is no choice.
    pub fn options(&self, input: &str) -> Option<Vec<String>> {
        self.input(input)?.options.clone()
    }
}
