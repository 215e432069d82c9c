//! The built-in templates: graphs as data, with a header that names their values and the places where nodes
//! are put in.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Family, Task, v1::Parameter};

/// A link of a graph: node id and output slot.
pub(super) type Link = (String, u64);

/// One of the files in `proto/workflows`.
#[derive(Debug, Deserialize)]
pub(super) struct Template {
    #[serde(skip)]
    pub(super) name: &'static str,
    pub(super) title: String,
    pub(super) description: String,
    task: String,
    family: String,
    pub(super) parameters: Vec<Entry>,
    pub(super) roles: Roles,
    pub(super) graph: Map<String, Value>,
}

/// A value that has a name.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) name: String,
    title: String,
    r#type: String,
    pub(super) node: String,
    pub(super) input: String,
    pub(super) default: Option<Value>,
    min: Option<f64>,
    max: Option<f64>,
    #[serde(default)]
    options: Vec<String>,
}

/// Who plays which part. Splicing a node in means that it takes over a role.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Roles {
    pub(super) sampler: Option<String>,
    pub(super) model: Option<Link>,
    pub(super) clip: Option<Link>,
    pub(super) vae: Option<Link>,
    pub(super) positive: Option<Link>,
    pub(super) negative: Option<Link>,
    pub(super) latent: Option<Link>,
    /// The picture that is made.
    pub(super) image: Option<Link>,
    /// The node that writes it down.
    pub(super) save: String,
}

impl Template {
    fn read(name: &'static str, text: &str) -> Self {
        let mut template: Self = serde_json::from_str(text).expect("a template that was compiled in");
        template.name = name;
        template
    }

    /// What it makes.
    pub(super) fn task(&self) -> Task {
        Task::from_str_name(&self.task).unwrap_or_default()
    }

    /// For which checkpoints.
    pub(super) fn family(&self) -> Family {
        Family::from_str_name(&self.family).unwrap_or_default()
    }

    /// The value that the header gives a parameter.
    pub(super) fn default_of(&self, name: &str) -> Option<&Value> {
        self.parameters
            .iter()
            .find(|entry| entry.name == name)?
            .default
            .as_ref()
    }

    /// A whole number of the header; 0 where it gives none.
    pub(super) fn count(&self, name: &str) -> u32 {
        let number = self.default_of(name).and_then(Value::as_u64);
        number.and_then(|n| u32::try_from(n).ok()).unwrap_or_default()
    }

    /// A number of the header; 0 where it gives none.
    pub(super) fn number(&self, name: &str) -> f64 {
        self.default_of(name).and_then(Value::as_f64).unwrap_or_default()
    }

    /// A text of the header; empty where it gives none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.default_of(name).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Entry {
    /// As the parameter of a workflow.
    pub(super) fn parameter(&self) -> Parameter {
        Parameter {
            name: self.name.clone(),
            title: self.title.clone(),
            r#type: self.r#type.clone(),
            node: self.node.clone(),
            input: self.input.clone(),
            default: self.default.as_ref().map(Value::to_string).unwrap_or_default(),
            min: self.min,
            max: self.max,
            options: self.options.clone(),
        }
    }
}

/// All of them.
pub(super) static TEMPLATES: LazyLock<[Template; 5]> = LazyLock::new(|| {
    [
        Template::read("sd15", include_str!("../../workflows/sd15.json")),
        Template::read("sdxl", include_str!("../../workflows/sdxl.json")),
        Template::read("sd35", include_str!("../../workflows/sd35.json")),
        Template::read("svd", include_str!("../../workflows/svd.json")),
        Template::read("upscale", include_str!("../../workflows/upscale.json")),
    ]
});

/// The template of a task for checkpoints of a family; `None` where they do not go together.
pub(super) fn template_of(task: Task, family: Family) -> Option<&'static Template> {
    let (task, family) = match task {
        Task::Unspecified | Task::Graph => return None,
        // the splices make the other tasks of text to image
        Task::TextToImage | Task::ImageToImage | Task::Inpaint => (Task::TextToImage, family),
        Task::ImageToVideo => (task, family),
        Task::Upscale => (task, Family::Unspecified),
    };
    TEMPLATES
        .iter()
        .find(|template| template.task() == task && template.family() == family)
}
