//! The models of FLUX with their fields and prices: `proto/data/flux.json`, compiled in.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{field::Field, price::Tariff};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(rename = "about")]
    _about: String,
    /// Of the fields and the prices.
    pub(super) date: String,
    #[serde(rename = "source")]
    _source: String,
    /// What a request without a model means.
    pub(super) default: String,
    /// Pixels of one, for prices.
    pub(super) megapixel: u64,
    /// How many tasks of a group may be unfinished at once.
    pub(super) groups: BTreeMap<String, usize>,
    pub(super) models: Vec<Model>,
}

/// One model.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// As a request names it.
    pub name: String,
    #[serde(default)]
    path: Option<String>,
    /// For people.
    pub title: String,
    /// Whether the vendor still has it.
    pub state: State,
    /// What one should know beforehand; may be empty.
    #[serde(default)]
    pub note: String,
    /// What it takes, beside images.
    pub fields: BTreeMap<Field, Rule>,
    /// Which images it takes.
    #[serde(default)]
    pub images: Images,
    /// The most that width times height may be.
    #[serde(default)]
    pub max_pixels: Option<u64>,
    /// At least one of these has to be given.
    #[serde(default)]
    pub one_of: Vec<Field>,
    /// What is sent whatever the request says.
    #[serde(default)]
    pub(super) fixed: Map<String, Value>,
    #[serde(default)]
    pub(super) group: Option<String>,
    /// `None` where the price is not known.
    pub(super) price: Option<Tariff>,
}

/// Whether the vendor still has a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It does.
    Current,
    /// It does, but advises others.
    Legacy,
    /// It no longer tells of it.
    Withdrawn,
}

/// What a field of one model may be.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The vendor's name for it, where that is another than ours.
    #[serde(default)]
    pub vendor: Option<String>,
    /// Whether it has to be given.
    #[serde(default)]
    pub required: Required,
    /// The least.
    #[serde(default)]
    pub min: Option<f64>,
    /// The most.
    #[serde(default)]
    pub max: Option<f64>,
    /// What it must be a multiple of.
    #[serde(default)]
    pub multiple: Option<u64>,
    /// The words that it may be.
    #[serde(default)]
    pub options: Vec<String>,
    /// What the vendor takes where nothing is sent.
    #[serde(default)]
    pub default: Option<Value>,
}

/// Whether a field has to be given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Required {
    /// Not at all.
    #[default]
    Never,
    /// Where there is no image.
    WithoutImage,
    /// Always.
    Always,
}

/// Which images a model takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// The vendor's names for them, in the order of the request.
    pub fields: Vec<String>,
    /// How many it needs.
    #[serde(default)]
    pub needed: usize,
    /// The name of the first where it is an edge or depth picture already.
    #[serde(default)]
    pub preprocessed: Option<String>,
}

impl Model {
    /// The endpoint below `/v1/`.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.name)
    }

    /// Whether the table says what it costs.
    pub const fn is_priced(&self) -> bool {
        self.price.is_some()
    }

    /// The text that the vendor takes for a field where nothing is sent; empty where there is none.
    pub(super) fn text_by_default(&self, field: Field) -> &str {
        let rule = self.fields.get(&field);
        rule.and_then(|rule| rule.default.as_ref()?.as_str())
            .unwrap_or_default()
    }
}

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/flux.json")).expect("a table that was compiled in")
});

/// The model of a name; an endpoint is understood as well.
pub(super) fn find(name: &str) -> Option<&'static Model> {
    let models = TABLE.models.iter();
    models
        .clone()
        .find(|model| model.name == name)
        .or_else(|| models.clone().find(|model| model.path() == name))
}
