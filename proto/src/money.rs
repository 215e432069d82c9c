//! Amounts of money, in whole millionths of a US dollar, so that sums are exact.

use std::{fmt, str::FromStr};

/// An amount, in millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MicroDollars(pub u64);

/// A text that is no amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no amount; write dollars such as 12.50, with at most six decimals")]
pub struct InvalidAmount(String);

/// What a job would cost, by the price table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The most that it should come to.
    pub amount: MicroDollars,
    /// The vendor's name for what is paid for, e.g. `flux-2-pro`.
    pub model: String,
    /// How the amount comes about, with the date of the price table, for a person.
    pub basis: String,
}

/// Whether a job costs money.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cost {
    /// It does not.
    #[default]
    Free,
    /// It does, and the price table says how much.
    Priced(Price),
    /// It does, and the price table does not say how much.
    Unpriced {
        /// The vendor's name for what is paid for.
        model: String,
    },
}

const DOLLAR: u64 = 1_000_000;
const DECIMALS: usize = 6;

impl MicroDollars {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// What is left when `other` is taken away; nothing where that is more.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum; the largest amount where it would be larger.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// An amount given in cents, such as the credits of Black Forest Labs (1 credit is $0.01), rounded to the
    /// nearest millionth. `None` for what is no amount.
    pub fn from_cents(cents: f64) -> Option<Self> {
        let micros = (cents * 10_000.0).round();
        (0.0..=9e15).contains(&micros).then_some(Self(micros as u64))
    }
}

/// `$0.04`, `$12.50`, `$0.000125`: at least two decimals, and as many as it takes.
impl fmt::Display for MicroDollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = format!("{:06}", self.0 % DOLLAR);
        let kept = decimals.trim_end_matches('0').len().max(2);
        write!(f, "${}.{}", self.0 / DOLLAR, &decimals[..kept])
    }
}

impl FromStr for MicroDollars {
    type Err = InvalidAmount;

    /// Reads dollars: `12`, `12.5`, `$12.50`, `12.50 USD`.
    fn from_str(text: &str) -> Result<Self, InvalidAmount> {
        let invalid = || InvalidAmount(text.chars().take(40).collect());
        let bare = text.trim();
        let bare = bare.strip_prefix('$').unwrap_or(bare);
        let bare = bare.strip_suffix("USD").unwrap_or(bare).trim();
        let (whole, decimals) = bare.split_once('.').unwrap_or((bare, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(decimals) || decimals.len() > DECIMALS {
            return Err(invalid());
        }
        let dollars: u64 = whole.parse().map_err(|_| invalid())?;
        let micros: u64 = format!("{decimals:0<6}").parse().map_err(|_| invalid())?;
        dollars
            .checked_mul(DOLLAR)
            .and_then(|amount| amount.checked_add(micros))
            .map(Self)
            .ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_read_and_written_as_people_do() {
        for (text, micros, shown) in [
            ("12", 12_000_000, "$12.00"),
            ("$0.045", 45_000, "$0.045"),
            ("0.5 USD", 500_000, "$0.50"),
            (" 3.000001 ", 3_000_001, "$3.000001"),
        ] {
            let amount: MicroDollars = text.parse().unwrap();
            assert_eq!(
                (amount, amount.to_string().as_str()),
                (MicroDollars(micros), shown)
            );
        }
        for text in [
            "",
            "$",
            "1.",
            ".5",
            "-1",
            "1e3",
            "1.0000001",
            "99999999999999999999",
            "1,5",
        ] {
            assert!(text.parse::<MicroDollars>().is_err(), "{text}");
        }
    }

    #[test]
    fn credits_become_exact_amounts() {
        assert_eq!(MicroDollars::from_cents(4.5), Some(MicroDollars(45_000)));
        assert_eq!(MicroDollars::from_cents(0.1 + 0.2), Some(MicroDollars(3_000)));
        for cents in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(MicroDollars::from_cents(cents), None);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(micros: u64) {
            let amount = MicroDollars(micros);
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }
    }
}
