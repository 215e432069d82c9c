//! Kinds of values. A duration or a size carries its unit in the value.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use url::Url;

/// A kind of value that can be read from text.
pub trait Setting: Sized {
    /// What is expected, for messages: "a duration such as 30s".
    const FORM: &'static str;
    /// Whether the text must never be shown.
    const IS_SECRET: bool = false;

    /// Reads the value.
    ///
    /// # Errors
    /// What is wrong with the text.
    fn parse(text: &str) -> Result<Self, String>;
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1 << 30 => write!(f, "{:.1} GiB", n as f64 / f64::from(1 << 30)),
            n if n >= 1 << 20 => write!(f, "{:.1} MiB", n as f64 / f64::from(1 << 20)),
            n if n >= 1 << 10 => write!(f, "{:.1} KiB", n as f64 / f64::from(1 << 10)),
            n => write!(f, "{n} B"),
        }
    }
}

/// Text that shows as `***` wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself; for the one place that uses it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Setting for Secret {
    const FORM: &'static str = "text";
    const IS_SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

impl Setting for String {
    const FORM: &'static str = "text";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Setting for Vec<String> {
    const FORM: &'static str = "a list";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect())
    }
}

impl Setting for PathBuf {
    const FORM: &'static str = "a path";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::from(text))
    }
}

macro_rules! from_str_setting {
    ($($kind:ty, $form:literal;)*) => {
        $(impl Setting for $kind {
            const FORM: &'static str = $form;

            fn parse(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|error| format!("{error}"))
            }
        })*
    };
}

from_str_setting! {
    bool, "true or false";
    u16, "a whole number";
    u32, "a whole number";
    u64, "a whole number";
    usize, "a whole number";
    f64, "a number";
    SocketAddr, "an address such as 127.0.0.1:8080";
    Url, "an address such as http://127.0.0.1:8188";
    proto::ids::WorkerId, "a worker's name";
    proto::money::MicroDollars, "an amount of dollars such as 12.50";
}

impl Setting for Duration {
    const FORM: &'static str = "a duration such as 500ms, 30s, 5m, 12h or 30d";

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let factor = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "" => return Err("the unit is missing".to_owned()),
            other => return Err(format!("there is no unit {other:?}")),
        };
        let number: f64 = number.parse().map_err(|_| format!("{number:?} is no number"))?;
        Self::try_from_secs_f64(number * factor).map_err(|error| error.to_string())
    }
}

impl Setting for ByteSize {
    const FORM: &'static str = "a size such as 512KiB, 64MiB or 2GiB";

    fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let factor: u64 = match unit {
            "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            "" => return Err("the unit is missing".to_owned()),
            other => return Err(format!("there is no unit {other:?}")),
        };
        let number: u64 = number
            .parse()
            .map_err(|_| format!("{number:?} is no whole number"))?;
        number
            .checked_mul(factor)
            .map(Self)
            .ok_or_else(|| "is too large".to_owned())
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_their_unit() {
        assert_eq!(Duration::parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(Duration::parse("2 m"), Ok(Duration::from_mins(2)));
        assert_eq!(ByteSize::parse("64MiB"), Ok(ByteSize(64 << 20)));
        for wrong in ["30", "", "s", "-1s", "1.2.3s", "3 parsecs"] {
            assert!(Duration::parse(wrong).is_err(), "{wrong}");
        }
        assert!(ByteSize::parse("1.5GiB").is_err() && ByteSize::parse("99999999999TiB").is_err());
        assert_eq!(ByteSize(3 << 20).to_string(), "3.0 MiB");
    }
}
