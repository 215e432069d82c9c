//! What the double checks before it takes a task, in the words of the framework that the service is built on.
//! Stricter than the service in one thing: a field that a model does not have is a fault. Pure.

use serde_json::{Map, Value, json};
use url::Url;

use super::models::{Field, Kind, Model, Price};
use super::picture::{self, Size};

/// Pixels in a megapixel, as the service counts.
const MEGAPIXEL: f64 = 1024.0 * 1024.0;
/// The most megapixels of a FLUX.2 picture.
const LARGEST: f64 = 4.0;

/// A request that may become a task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) path: &'static str,
    pub(super) prompt: String,
    pub(super) seed: Option<u64>,
    /// Of what comes out, in pixels.
    pub(super) size: Size,
    /// `jpeg`, `png`, `webp` or `mp4`.
    pub(super) format: String,
    pub(super) webhook: Option<String>,
    /// In thousands of micro-dollars.
    pub(super) cost: u64,
    pub(super) input_megapixels: f64,
}

/// What is wrong with a request, and where.
struct Faults {
    list: Vec<Value>,
    /// The pictures of the fields that hold some; those behind an address count as a megapixel.
    pictures: Vec<(&'static str, Size)>,
}

/// Checks a request; the error is the body of the 422 answer.
pub(super) fn check(model: &Model, body: &Value) -> Result<Order, Value> {
    let mut faults = Faults {
        list: Vec::new(),
        pictures: Vec::new(),
    };
    let Some(object) = body.as_object() else {
        faults.add("model_attributes_type", &[], "Input should be a valid dictionary");
        return Err(faults.body());
    };
    for field in model.fields() {
        match object.get(field.name) {
            None if field.required => faults.add("missing", &[field.name], "Field required"),
            None => {}
            Some(Value::Null) if field.nullable => {}
            Some(value) => faults.look_at(field, value),
        }
    }
    for name in object.keys() {
        if !model.fields().any(|field| field.name == name) {
            faults.add("extra_forbidden", &[name], "Extra inputs are not permitted");
        }
    }
    faults.look_at_whole(model, object);
    if !faults.list.is_empty() {
        return Err(faults.body());
    }
    Ok(order(model, object, &faults.pictures))
}

impl Faults {
    fn add(&mut self, kind: &str, place: &[&str], message: &str) {
        let loc: Vec<&str> = std::iter::once("body").chain(place.iter().copied()).collect();
        self.list.push(json!({"type": kind, "loc": loc, "msg": message}));
    }

    fn body(self) -> Value {
        json!({"detail": self.list})
    }

    fn look_at(&mut self, field: &'static Field, value: &Value) {
        let name = field.name;
        let fault = match &field.kind {
            Kind::Text => {
                (!value.is_string()).then(|| fault("string_type", "Input should be a valid string"))
            }
            Kind::Flag => {
                (!value.is_boolean()).then(|| fault("bool_type", "Input should be a valid boolean"))
            }
            Kind::Whole => (!is_whole(value)).then(not_whole),
            Kind::Integer(least, most, step) => integer_fault(value, *least, *most, *step),
            Kind::Number(least, most) => number_fault(value, *least, *most),
            Kind::Choice(choices) => {
                let known = value.as_str().is_some_and(|value| choices.contains(&value));
                let message = format!("Input should be one of {}", choices.join(", "));
                (!known).then_some(("literal_error", message))
            }
            Kind::Ratio => {
                let known = value.as_str().and_then(ratio).is_some();
                (!known).then(|| fault("value_error", "aspect_ratio must be W:H between 21:9 and 9:21"))
            }
            Kind::Side => match value.as_i64() {
                Some(0) => None,
                _ => integer_fault(value, 64, 65_536, 16),
            },
            Kind::Address => {
                let address = value.as_str().filter(|text| (1..=2083).contains(&text.len()));
                let known = address.is_some_and(|text| Url::parse(text).is_ok_and(|url| url.has_host()));
                (!known).then(|| fault("url_parsing", "Input should be a valid URL"))
            }
            Kind::Picture => {
                self.picture(name, &[name], value);
                None
            }
            Kind::Seconds => match value.as_str() {
                Some("auto") => None,
                _ => integer_fault(value, 5, 20, 1),
            },
            Kind::Keyframes => {
                self.keyframes(name, value);
                None
            }
            Kind::Clip => {
                let text = value.as_str().unwrap_or_default();
                let known = text.starts_with("https://") || picture::decoded(text).is_some();
                (!known).then(|| fault("value_error", "Input should be base64 or an https URL"))
            }
        };
        if let Some((kind, message)) = fault {
            self.add(kind, &[name], &message);
        }
    }

    fn picture(&mut self, name: &'static str, place: &[&str], value: &Value) {
        match value.as_str().map(picture::read) {
            Some(Ok(size)) => self.pictures.push((name, size)),
            Some(Err(message)) => self.add("value_error", place, message),
            None => self.add("string_type", place, "Input should be a valid string"),
        }
    }

    fn keyframes(&mut self, name: &'static str, value: &Value) {
        let Some(frames) = value.as_array() else {
            return self.picture(name, &[name], value);
        };
        if frames.is_empty() || frames.len() > 10 {
            self.add("value_error", &[name], "there should be 1 to 10 keyframes");
        }
        for (index, frame) in frames.iter().enumerate() {
            let index = index.to_string();
            let place = [name, index.as_str()];
            match frame.as_array().map(Vec::as_slice) {
                None => self.picture(name, &place, frame),
                Some([second, frame])
                    if second
                        .as_f64()
                        .is_some_and(|second| (0.0..=20.0).contains(&second)) =>
                {
                    self.picture(name, &place, frame);
                }
                Some(_) => self.add(
                    "value_error",
                    &place,
                    "Input should be a pair of second and image",
                ),
            }
        }
    }

    /// What shows only in several fields together.
    fn look_at_whole(&mut self, model: &Model, object: &Map<String, Value>) {
        let there = |name: &str| object.get(name).is_some_and(|value| !value.is_null());
        let size = |name: &str| {
            self.pictures
                .iter()
                .find(|(of, _)| *of == name)
                .map(|(_, size)| *size)
        };
        if let (Some(image), Some(mask)) = (size("image"), size("mask"))
            && image != mask
        {
            self.add(
                "value_error",
                &["mask"],
                "the mask must have the size of the image",
            );
        }
        let takes = |name: &str| model.fields().any(|field| field.name == name);
        if takes("control_image") && !there("control_image") && !there("preprocessed_image") {
            self.add("missing", &["control_image"], "Field required");
        }
        if matches!(model.price, Price::Megapixels(..)) {
            let side = |name: &str| object.get(name).and_then(Value::as_f64).unwrap_or_default();
            if side("width") * side("height") > LARGEST * MEGAPIXEL {
                self.add(
                    "value_error",
                    &["width"],
                    "the picture must not exceed 4 megapixels",
                );
            }
        }
        let wanted = match object.get("mode").and_then(Value::as_str) {
            Some("i2v") => Some("keyframes"),
            Some("v2v") => Some("start_video"),
            _ => None,
        };
        for name in ["keyframes", "start_video"]
            .into_iter()
            .filter(|name| takes(name))
        {
            if there(name) && wanted != Some(name) {
                self.add("extra_forbidden", &[name], "Extra inputs are not permitted");
            } else if !there(name) && wanted == Some(name) {
                self.add("missing", &[name], "Field required");
            }
        }
    }
}

fn fault(kind: &'static str, message: &str) -> (&'static str, String) {
    (kind, message.to_owned())
}

fn not_whole() -> (&'static str, String) {
    fault("int_type", "Input should be a valid integer")
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64()
}

fn integer_fault(value: &Value, least: i64, most: i64, step: i64) -> Option<(&'static str, String)> {
    let Some(number) = value.as_i64() else {
        return Some(not_whole());
    };
    if number < least {
        let message = format!("Input should be greater than or equal to {least}");
        Some(("greater_than_equal", message))
    } else if number > most {
        let message = format!("Input should be less than or equal to {most}");
        Some(("less_than_equal", message))
    } else if number % step != 0 {
        Some(("multiple_of", format!("Input should be a multiple of {step}")))
    } else {
        None
    }
}

fn number_fault(value: &Value, least: f64, most: f64) -> Option<(&'static str, String)> {
    match value.as_f64() {
        None => Some(fault("float_type", "Input should be a valid number")),
        Some(number) if !(least..=most).contains(&number) => {
            let message = format!("Input should be between {least} and {most}");
            Some(("value_error", message))
        }
        Some(_) => None,
    }
}

/// Width by height of `W:H`, if it lies between 21:9 and 9:21.
fn ratio(text: &str) -> Option<f64> {
    let (width, height) = text.split_once(':')?;
    let side = |text: &str| -> Option<f64> {
        let digits = !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|side| digits && *side > 0.0)
    };
    let ratio = side(width)? / side(height)?;
    // a little room for what halves and thirds lose
    (9.0 / 21.0 - 1e-9..=21.0 / 9.0 + 1e-9)
        .contains(&ratio)
        .then_some(ratio)
}

fn order(model: &Model, object: &Map<String, Value>, pictures: &[(&'static str, Size)]) -> Order {
    let text = |name: &str| object.get(name).and_then(Value::as_str);
    let size = output_size(model, object, pictures.first().map(|(_, size)| *size));
    let input = pictures
        .iter()
        .map(|(_, size)| megapixels(*size))
        .fold(0.0, |sum, one| sum + one);
    let cost = match model.price {
        Price::Flat(cost) => cost,
        Price::Megapixels(first, further) => {
            let whole = |size: Size| (megapixels(size).ceil() as u64).max(1);
            let inputs: u64 = pictures.iter().map(|(_, size)| whole(*size)).sum();
            first + (whole(size) - 1 + inputs) * further
        }
        Price::Seconds(second) => {
            let seconds = object.get("duration").and_then(Value::as_u64).unwrap_or(5);
            second * seconds * if text("resolution") == Some("fhd") { 2 } else { 1 }
        }
    };
    Order {
        path: model.path,
        prompt: text("prompt").unwrap_or_default().to_owned(),
        seed: object.get("seed").and_then(Value::as_u64),
        size,
        format: text("output_format").unwrap_or(model.format).to_owned(),
        webhook: text("webhook_url").map(str::to_owned),
        cost,
        input_megapixels: input,
    }
}

/// How large the result is: as wanted, or in the wanted form, or as the input, or as is usual.
fn output_size(model: &Model, object: &Map<String, Value>, input: Option<Size>) -> Size {
    let number = |name: &str| object.get(name).and_then(Value::as_u64).unwrap_or_default() as u32;
    let asked = Size::new(number("width"), number("height"));
    let usual = if model.path == "flux-pro-1.1" {
        Size::new(1024, 768)
    } else {
        Size::new(1024, 1024)
    };
    let wide = object.get("aspect_ratio").and_then(Value::as_str).and_then(ratio);
    let ultra = model.path.starts_with("flux-pro-1.1-ultra");
    match (wide.or(ultra.then_some(16.0 / 9.0)), input) {
        (Some(wide), _) => {
            let pixels = if ultra { LARGEST * MEGAPIXEL } else { MEGAPIXEL };
            let width = (pixels * wide).sqrt();
            Size::new(width as u32, (width / wide) as u32)
        }
        (None, _) if asked.width > 0 && asked.height > 0 => asked,
        (None, Some(input)) => Size::new(
            input.width + number("left") + number("right"),
            input.height + number("top") + number("bottom"),
        ),
        (None, None) => Size::new(
            if asked.width > 0 { asked.width } else { usual.width },
            if asked.height > 0 {
                asked.height
            } else {
                usual.height
            },
        ),
    }
}

/// With two decimals, as the service tells it.
pub(super) fn megapixels(size: Size) -> f64 {
    (f64::from(size.width) * f64::from(size.height) / MEGAPIXEL * 100.0).round() / 100.0
}
