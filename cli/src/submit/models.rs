//! The short forms in which options name a LoRA or a ControlNet with its numbers.

use std::str::FromStr;

use serde_json::{Value, json};

/// `NAME[:WEIGHT[:CLIP]]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lora {
    name: String,
    weight: Option<f64>,
    clip_weight: Option<f64>,
}

/// `NAME=IMAGE[:STRENGTH[:START[:END]]]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Control {
    name: String,
    /// A file, `asset:<id>` or `artifact:<id>`.
    pub(super) image: String,
    numbers: Vec<f64>,
}

impl FromStr for Lora {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default().trim();
        let numbers: Vec<f64> = parts.map(number).collect::<Result<_, _>>()?;
        if name.is_empty() || numbers.len() > 2 {
            return Err("it is written as NAME, NAME:WEIGHT or NAME:WEIGHT:CLIP".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            weight: numbers.first().copied(),
            clip_weight: numbers.get(1).copied(),
        })
    }
}

impl Lora {
    /// As the contract has it.
    pub(super) fn json(&self) -> Value {
        with_numbers(
            json!({"name": self.name}),
            &[("weight", self.weight), ("clip_weight", self.clip_weight)],
        )
    }
}

impl FromStr for Control {
    type Err = String;

    /// An image's name may hold colons (`asset:…`, `C:\…`): numbers are taken from the end as long as there
    /// are some.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "it is written as NAME=IMAGE, and then :STRENGTH, :START and :END";
        let (name, rest) = text.split_once('=').ok_or(form)?;
        let mut image = rest;
        let mut numbers = Vec::new();
        while let Some((before, last)) = image.rsplit_once(':')
            && !["asset", "artifact"].contains(&before)
            && numbers.len() < 3
            && let Ok(number) = number(last)
        {
            numbers.insert(0, number);
            image = before;
        }
        if name.trim().is_empty() || image.trim().is_empty() {
            return Err(form.to_owned());
        }
        Ok(Self {
            name: name.trim().to_owned(),
            image: image.to_owned(),
            numbers,
        })
    }
}

impl Control {
    /// As the contract has it, with the reference to the uploaded picture.
    pub(super) fn json(&self, image: &str) -> Value {
        let number = |at: usize| self.numbers.get(at).copied();
        with_numbers(
            json!({"name": self.name, "image": image}),
            &[("strength", number(0)), ("start", number(1)), ("end", number(2))],
        )
    }
}

fn number(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("{text:?} is not a number")),
    }
}

fn with_numbers(mut object: Value, numbers: &[(&str, Option<f64>)]) -> Value {
    for (name, number) in numbers {
        if let Some(number) = number {
            object[*name] = Value::from(*number);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lora_may_have_weights() {
        let json = |text: &str| text.parse::<Lora>().map(|lora| lora.json());
        assert_eq!(
            json("a.safetensors"),
            Ok(serde_json::json!({"name": "a.safetensors"}))
        );
        assert_eq!(
            json("style/a:0.5:-1"),
            Ok(serde_json::json!({"name": "style/a", "weight": 0.5, "clip_weight": -1.0}))
        );
        for wrong in ["", ":1", "a:", "a:b", "a:1:2:3", "a:NaN"] {
            assert!(json(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_control_picture_may_hold_colons() {
        let read = |text: &str| {
            let control = text.parse::<Control>().expect("a control");
            (control.name, control.image, control.numbers)
        };
        let wanted = |image: &str, numbers: &[f64]| ("canny".to_owned(), image.to_owned(), numbers.to_vec());
        assert_eq!(read("canny=a.png"), wanted("a.png", &[]));
        assert_eq!(read("canny=a.png:0.8:0:0.5"), wanted("a.png", &[0.8, 0.0, 0.5]));
        assert_eq!(read("canny=C:\\a.png:1"), wanted("C:\\a.png", &[1.0]));
        assert_eq!(read("canny=asset:12:0.7"), wanted("asset:12", &[0.7]));
        assert_eq!(read("canny=asset:12"), wanted("asset:12", &[]));
        assert_eq!(read("canny=artifact:12:0.7"), wanted("artifact:12", &[0.7]));
        for wrong in ["canny", "=a.png", "canny=", "canny=:1"] {
            assert!(wrong.parse::<Control>().is_err(), "{wrong}");
        }
        let control: Control = "canny=a.png:0.8".parse().expect("a control");
        assert_eq!(
            control.json("asset:00"),
            serde_json::json!({"name": "canny", "image": "asset:00", "strength": 0.8})
        );
    }
}
