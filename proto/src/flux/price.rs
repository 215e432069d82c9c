//! What a request would cost at most, by the price table.

use serde::Deserialize;

use super::table::{Model, TABLE};
use crate::{
    money::{MicroDollars, Price},
    v1::FluxRequest,
};

/// How the price of a model comes about. Amounts are in credits, which are cents.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Tariff {
    /// The same for every picture.
    Picture { credits: f64 },
    /// By the size of what comes out and of what goes in.
    Megapixel {
        first: f64,
        more: f64,
        /// The most megapixels that come out.
        cap: u64,
        input: Input,
    },
}

/// What images cost that go in. How large they are is not known here, so the most is taken.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    /// A megapixel.
    pub(super) credits: f64,
    /// Megapixels that one image counts at most.
    pub(super) each: u64,
    /// Megapixels that all of them count at most.
    #[serde(default)]
    pub(super) all: Option<u64>,
}

/// The most that a request should cost; `None` where the table has no price for the model.
pub(super) fn price(model: &Model, request: &FluxRequest) -> Option<Price> {
    let (parts, words) = match model.price.as_ref()? {
        Tariff::Picture { credits } => (vec![(*credits, 1)], format!("{credits} credits a picture")),
        Tariff::Megapixel {
            first,
            more,
            cap,
            input,
        } => by_size(request, (*first, *more, *cap), input),
    };
    let mut amount = MicroDollars::ZERO;
    for (credits, times) in parts {
        let part = MicroDollars::from_cents(credits)?;
        amount = amount.plus(MicroDollars(part.0.checked_mul(times)?));
    }
    Some(Price {
        amount,
        model: model.name.clone(),
        basis: format!("{words} (price table of {})", TABLE.date),
    })
}

fn by_size(
    request: &FluxRequest,
    (first, more, cap): (f64, f64, u64),
    input: &Input,
) -> (Vec<(f64, u64)>, String) {
    let pixels = request.width.zip(request.height);
    let pixels = pixels.map(|(width, height)| u64::from(width) * u64::from(height));
    let made = pixels.map_or(cap, |pixels| pixels.div_ceil(TABLE.megapixel).clamp(1, cap));
    let mut parts = vec![(first, 1), (more, made - 1)];
    let mut words = vec![format!("{first} credits for the first megapixel")];
    if made > 1 {
        words.push(format!("{more} for each of {} more", made - 1));
    }
    if pixels.is_none() {
        words.push("as no size is given".to_owned());
    }
    let images = request.images.len() as u64;
    if images > 0 {
        let taken = (images * input.each).min(input.all.unwrap_or(u64::MAX));
        parts.push((input.credits, taken));
        words.push(format!(
            "{} for each of at most {taken} that go in",
            input.credits
        ));
    }
    (parts, words.join(", "))
}
