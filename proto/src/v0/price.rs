//! The models of v0 and their prices: `proto/data/v0.json`, compiled in.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::{money::Price, v1::V0Request};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(rename = "about")]
    _about: String,
    /// Of the prices.
    date: String,
    #[serde(rename = "source")]
    _source: String,
    /// What v0 takes where no model is chosen.
    default: String,
    models: Vec<Model>,
}

/// One model.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// As a request names it.
    pub name: String,
    /// For people.
    pub title: String,
    /// What one message is taken to cost at most.
    dollars: String,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../data/v0.json")).expect("a table that was compiled in")
});

/// Every model that the table knows.
pub fn models() -> &'static [Model] {
    &TABLE.models
}

/// The date of the prices, e.g. `2026-11-21`.
pub fn prices_of() -> &'static str {
    &TABLE.date
}

/// The most that a message should cost.
pub(super) fn price(request: &V0Request) -> Option<Price> {
    let name = if request.model.is_empty() {
        &TABLE.default
    } else {
        &request.model
    };
    let model = models().iter().find(|model| model.name == *name)?;
    Some(Price {
        amount: model.dollars.parse().ok()?,
        model: model.name.clone(),
        basis: format!(
            "a cautious estimate of one message: v0 charges by tokens and publishes no price (table of {})",
            TABLE.date
        ),
    })
}
