//! What is wrong with a request, and what is sent for one with which nothing is.

use serde_json::{Map, Value, json};

use super::{
    Input,
    field::{Field, Given, Kind},
    table::{Model, Required, Rule, TABLE},
};
use crate::{
    ids::InputId,
    request::{Fault, MAX_PROMPT_BYTES},
    v1::FluxRequest,
};

const MAX_ID_BYTES: usize = 512;
/// Widest and, upside down, tallest.
const MAX_RATIO: (u64, u64) = (21, 9);
const MAX_RATIO_PART: u64 = 100_000;

/// All faults, in the order of the fields.
pub(super) fn check(model: &Model, request: &FluxRequest) -> Vec<Fault> {
    let mut checker = Checker {
        model,
        request,
        faults: Vec::new(),
    };
    for field in Field::ALL {
        match (model.fields.get(field), field.of(request)) {
            (Some(rule), Some(given)) => checker.value(*field, rule, given),
            (Some(rule), None) => checker.absence(*field, rule),
            (None, Some(_)) => checker.add(field.name(), superfluous(model, *field)),
            (None, None) => {}
        }
    }
    checker.size();
    checker.images();
    checker.choice_of_fields();
    checker.faults
}

/// What is sent for a request without a fault, and which of it are files.
pub(super) fn payload(model: &Model, request: &FluxRequest) -> (Value, Vec<Input>) {
    let mut payload = Map::new();
    let mut inputs = Vec::new();
    let mut file = |payload: &mut Map<String, Value>, field: &str, reference: &str| {
        payload.insert(field.to_owned(), reference.into());
        inputs.push(Input {
            field: field.to_owned(),
            reference: reference.to_owned(),
        });
    };
    for (field, rule) in &model.fields {
        // it decides what the image is called
        let is_sent = *field != Field::Preprocessed;
        let Some(given) = field.of(request).filter(|_| is_sent) else {
            continue;
        };
        let name = rule.vendor.as_deref().unwrap_or(field.name());
        let value = match given {
            Given::Text(reference) if field.kind() == Kind::File => {
                file(&mut payload, name, reference);
                continue;
            }
            Given::Text(text) => json!(text),
            Given::Integer(number) => json!(number),
            Given::Number(number) => json!(number),
            Given::Flag(flag) => json!(flag),
        };
        payload.insert(name.to_owned(), value);
    }
    for (place, reference) in request.images.iter().enumerate() {
        let preprocessed = model.images.preprocessed.as_ref();
        let preprocessed = preprocessed.filter(|_| place == 0 && request.preprocessed == Some(true));
        if let Some(name) = preprocessed.or_else(|| model.images.fields.get(place)) {
            file(&mut payload, name, reference);
        }
    }
    payload.extend(model.fixed.clone());
    (payload.into(), inputs)
}

struct Checker<'a> {
    model: &'a Model,
    request: &'a FluxRequest,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            pointer: format!("/flux/{field}"),
            message: message.into(),
        });
    }

    fn absence(&mut self, field: Field, rule: &Rule) {
        let is_missing = match rule.required {
            Required::Never => false,
            Required::WithoutImage => self.request.images.is_empty(),
            Required::Always => true,
        };
        if is_missing {
            let model = &self.model.name;
            let or_image = match rule.required {
                Required::Never | Required::Always => "",
                Required::WithoutImage => ", or an image",
            };
            self.add(
                field.name(),
                format!("{model} needs `{}`{or_image}", field.name()),
            );
        }
    }

    fn value(&mut self, field: Field, rule: &Rule, given: Given<'_>) {
        match given {
            Given::Text(text) => match field.kind() {
                Kind::File => self.reference(field.name(), text),
                Kind::Ratio if rule.options.is_empty() => self.ratio(field, text),
                Kind::Choice | Kind::Ratio => self.choice(field, rule, text),
                Kind::Text | Kind::Integer | Kind::Number | Kind::Flag => self.text(field, rule, text),
            },
            Given::Integer(number) => {
                let is_within = self.range(field, rule, number as f64, &number.to_string());
                let multiple = rule.multiple.filter(|multiple| number % multiple != 0);
                if let Some(multiple) = multiple.filter(|_| is_within) {
                    let below = number - number % multiple;
                    let above = below.saturating_add(multiple);
                    let message = format!("{number} is no multiple of {multiple}; {below} and {above} are");
                    self.add(field.name(), message);
                }
            }
            Given::Number(number) => {
                self.range(field, rule, number, &number.to_string());
            }
            Given::Flag(_) => {}
        }
    }

    /// Whether it is within; a fault otherwise.
    fn range(&mut self, field: Field, rule: &Rule, number: f64, shown: &str) -> bool {
        let (min, max) = (rule.min.unwrap_or(f64::MIN), rule.max.unwrap_or(f64::MAX));
        let is_within = (min..=max).contains(&number);
        if !is_within {
            let bounds = match (rule.min, rule.max) {
                (Some(min), Some(max)) => format!("not within {min} to {max}, the range"),
                (Some(min), None) => format!("not at least {min}, the least"),
                (None, _) => format!("not at most {max}, the most"),
            };
            let message = format!("{shown} is {bounds} of {}", self.model.name);
            self.add(field.name(), message);
        }
        is_within
    }

    fn text(&mut self, field: Field, rule: &Rule, text: &str) {
        let max = if field == Field::Prompt {
            MAX_PROMPT_BYTES
        } else {
            MAX_ID_BYTES
        };
        if text.len() > max {
            let message = format!("has {} bytes, at most {max} are possible", text.len());
            self.add(field.name(), message);
        }
        if text.contains('\0') {
            self.add(field.name(), "must not contain the character U+0000");
        }
        if text.trim().is_empty() {
            self.absence(field, rule);
        }
    }

    fn choice(&mut self, field: Field, rule: &Rule, text: &str) {
        if !rule.options.iter().any(|option| option == text) {
            let message = format!(
                "{:?} is none of what {} takes: {}",
                shortened(text),
                self.model.name,
                listed(rule.options.iter())
            );
            self.add(field.name(), message);
        }
    }

    fn ratio(&mut self, field: Field, text: &str) {
        let part = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits);
            number.filter(|number| (1..=MAX_RATIO_PART).contains(number))
        };
        let parts = text.split_once(':');
        let Some((width, height)) = parts.and_then(|(width, height)| part(width).zip(part(height))) else {
            let message = format!("{:?} is not of the form `16:9`", shortened(text));
            return self.add(field.name(), message);
        };
        let (long, short) = MAX_RATIO;
        if width * short > long * height || height * short > long * width {
            let message = format!("{text} is not between {long}:{short} and {short}:{long}");
            self.add(field.name(), message);
        }
    }

    fn reference(&mut self, field: &str, reference: &str) {
        if let Err(error) = reference.parse::<InputId>() {
            self.add(field, error.to_string());
        }
    }

    fn size(&mut self) {
        let size = self.request.width.zip(self.request.height);
        let (Some((width, height)), Some(most)) = (size, self.model.max_pixels) else {
            return;
        };
        let pixels = u64::from(width) * u64::from(height);
        if pixels > most {
            let message = format!(
                "{width} × {height} are {pixels} pixels, {} makes at most {most}, such as 2048 × 2048",
                self.model.name
            );
            self.add("width", message);
        }
    }

    fn images(&mut self) {
        let (model, request) = (self.model, self.request);
        let (taken, count) = (model.images.fields.len(), request.images.len());
        if count > taken {
            let message = match taken {
                0 => format!("{} takes no images", model.name),
                _ => format!("{count} images are given, {} takes at most {taken}", model.name),
            };
            self.add("images", message);
        } else if count < model.images.needed {
            let names = listed(model.images.fields.iter().take(model.images.needed));
            let message = format!(
                "{} needs {} ({names}): `asset:<id>` of an uploaded file or `artifact:<id>` of a result",
                model.name,
                match model.images.needed {
                    1 => "an image".to_owned(),
                    needed => format!("{needed} images in this order"),
                }
            );
            self.add("images", message);
        }
        for (place, image) in request.images.iter().take(taken).enumerate() {
            self.reference(&format!("images/{place}"), image);
        }
    }

    fn choice_of_fields(&mut self) {
        let any = &self.model.one_of;
        if let Some(first) = any.first()
            && any.iter().all(|field| field.of(self.request).is_none())
        {
            let names = listed(any.iter().map(|field| field.name()));
            self.add(
                first.name(),
                format!("{} needs at least one of {names}", self.model.name),
            );
        }
    }
}

/// Why a field cannot be given: what the model takes instead, and who would take it.
fn superfluous(model: &Model, field: Field) -> String {
    let images = (!model.images.fields.is_empty()).then_some("images");
    let taken = model.fields.keys().map(|field| field.name()).chain(images);
    let others = TABLE
        .models
        .iter()
        .filter(|other| other.fields.contains_key(&field));
    format!(
        "{} takes no `{}`, but {}; models that do: {}",
        model.name,
        field.name(),
        listed(taken),
        listed(others.map(|other| &other.name))
    )
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

/// As a sentence lists them.
pub(super) fn listed<T: AsRef<str>>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.as_ref().to_owned()).collect();
    names.join(", ")
}
