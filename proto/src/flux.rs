//! What can be asked of FLUX: models with their fields, ranges and prices, from one table. Pure.

mod check;
mod field;
mod price;
mod table;

use serde_json::Value;

pub use field::{Field, Kind};
pub use table::{Images, Model, Required, Rule, State};

use crate::{money::Price, request::Fault, v1::FluxRequest};
use table::TABLE;

/// The largest seed that every model takes.
pub const MAX_SEED: u64 = u32::MAX as u64;

/// What a request comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The endpoint below `/v1/`, e.g. `flux-2-pro`.
    pub path: String,
    /// What is sent, with `asset:<id>` and `artifact:<id>` where the files belong as base64.
    pub payload: Value,
    /// The files in it.
    pub inputs: Vec<Input>,
    /// How many such tasks may be unfinished at once, where that is fewer than of other models.
    pub limit: Option<Limit>,
    /// What it would cost at most; `None` where the price table has no price for the model.
    pub price: Option<Price>,
}

/// A file that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Where it stands in the payload.
    pub field: String,
    /// `asset:<id>` or `artifact:<id>`.
    pub reference: String,
}

/// A limit that some models share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Their names, as in prices.
    pub models: Vec<String>,
    /// Unfinished tasks of all of them.
    pub at_once: usize,
}

/// Every model that the table knows, the best choices first.
pub fn models() -> &'static [Model] {
    &TABLE.models
}

/// The date of the fields and prices, e.g. `2026-08-22`.
pub fn prices_of() -> &'static str {
    &TABLE.date
}

/// Fills in the defaults: the model, the format of the result, and a seed where the model takes one and none
/// is given.
pub fn fill(request: &mut FluxRequest, seed: u64) {
    fill_names(request);
    let takes_seed = |model: &Model| model.fields.contains_key(&Field::Seed);
    if table::find(&request.model).is_some_and(takes_seed) {
        request.seed.get_or_insert(seed & MAX_SEED);
    }
}

/// Checks a request against its model. The same request always gives the same plan.
///
/// # Errors
/// All faults at once, each with a pointer.
pub fn plan(request: &FluxRequest) -> Result<Plan, Vec<Fault>> {
    let mut request = request.clone();
    fill_names(&mut request);
    let Some(model) = table::find(&request.model) else {
        return Err(vec![unknown(&request.model)]);
    };
    let faults = check::check(model, &request);
    if !faults.is_empty() {
        return Err(faults);
    }
    let (payload, inputs) = check::payload(model, &request);
    Ok(Plan {
        path: model.path().to_owned(),
        payload,
        inputs,
        limit: limit(model),
        price: price::price(model, &request),
    })
}

/// What a request is about, for lists; not yet cut.
pub fn summary(request: &FluxRequest) -> String {
    if request.prompt.trim().is_empty() {
        return request.model.clone();
    }
    request.prompt.clone()
}

fn fill_names(request: &mut FluxRequest) {
    if request.model.is_empty() {
        request.model.clone_from(&TABLE.default);
    }
    let Some(model) = table::find(&request.model) else {
        return;
    };
    request.model.clone_from(&model.name);
    if request.output_format.is_empty() {
        request.output_format = model.text_by_default(Field::OutputFormat).to_owned();
    }
}

fn limit(model: &Model) -> Option<Limit> {
    let group = model.group.as_ref()?;
    let members = models()
        .iter()
        .filter(|member| member.group.as_ref() == Some(group));
    Some(Limit {
        models: members.map(|member| member.name.clone()).collect(),
        at_once: *TABLE.groups.get(group)?,
    })
}

fn unknown(name: &str) -> Fault {
    let name: String = name.chars().take(80).collect();
    let nearest = models()
        .iter()
        .map(|model| (strsim::jaro_winkler(&model.name, &name), &model.name))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    let nearest = nearest.map_or("", |(_, nearest)| nearest);
    let all = check::listed(models().iter().map(|model| &model.name));
    Fault {
        pointer: "/flux/model".to_owned(),
        message: format!("{name:?} is no model of FLUX; the nearest is {nearest}. There are: {all}"),
    }
}

#[cfg(test)]
mod tests;
