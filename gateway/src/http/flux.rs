//! What can be asked of FLUX: the models with their fields, for whoever makes a form of it.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use proto::{
    flux::{self, Field, Model, Rule},
    v1::FluxRequest,
};
use serde_json::{Value, json};

/// `GET /api/flux/models`
pub(crate) async fn models() -> Response {
    Json(told()).into_response()
}

fn told() -> Value {
    let mut usual = FluxRequest::default();
    flux::fill(&mut usual, 0);
    json!({
        "prices_of": flux::prices_of(),
        "default": usual.model,
        "models": flux::models().iter().map(model).collect::<Vec<_>>(),
    })
}

fn model(model: &Model) -> Value {
    let rules = Field::ALL
        .iter()
        .filter_map(|name| Some(field(*name, model.fields.get(name)?)));
    json!({
        "name": model.name,
        "title": model.title,
        "state": model.state,
        "note": model.note,
        "fields": rules.collect::<Vec<_>>(),
        // what each is for, in their order
        "images": model.images.fields,
        "images_needed": model.images.needed,
        "one_of": model.one_of.iter().map(|field| field.name()).collect::<Vec<_>>(),
        "priced": model.is_priced(),
    })
}

fn field(field: Field, rule: &Rule) -> Value {
    let mut told = json!({
        "name": field.name(),
        "kind": field.kind(),
        "required": rule.required,
    });
    for (name, bound) in [
        ("min", rule.min.map(Value::from)),
        ("max", rule.max.map(Value::from)),
        ("multiple", rule.multiple.map(Value::from)),
        ("default", rule.default.clone()),
    ] {
        if let Some(bound) = bound {
            told[name] = bound;
        }
    }
    if !rule.options.is_empty() {
        told["options"] = json!(rule.options);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever makes a form of it needs to know what to ask for, in which order, and what may be left out.
    #[test]
    fn a_form_can_be_made_of_it() {
        let told = told();
        assert_eq!(told["default"], "flux-2-pro");
        let models = told["models"].as_array().expect("a list");
        let named = |name: &str| models.iter().find(|model| model["name"] == name).expect("known");
        let ultra = named("flux-pro-1.1-ultra");
        let names: Vec<_> = ultra["fields"].as_array().expect("a list").iter().collect();
        assert_eq!(
            names[0],
            &json!({"name": "prompt", "kind": "text", "required": "without_image"})
        );
        let tolerance = names.iter().find(|field| field["name"] == "safety_tolerance");
        assert_eq!(
            tolerance,
            Some(&&json!({
                "name": "safety_tolerance", "kind": "integer", "required": "never",
                "min": 0.0, "max": 6.0, "default": 2,
            }))
        );
        assert_eq!(ultra["images"], json!(["image_prompt"]));
        assert_eq!(named("flux-vto-v1")["images_needed"], 2);
        assert_eq!(
            (&ultra["priced"], &named("flux-vto-v1")["priced"]),
            (&json!(true), &json!(false))
        );
    }
}
