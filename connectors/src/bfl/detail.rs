//! Why the service refused something, in its own words. Pure.

use std::fmt;

use serde_json::Value;

use super::wording::{plain, shown};
use crate::key::Key;

/// What the service said about a refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Detail {
    /// In words; empty where it said nothing.
    pub text: String,
    /// The fields that it found fault with, in its order.
    pub fields: Vec<FieldFault>,
}

/// What is wrong with a field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldFault {
    /// Where it is, from the outside in: `body`, `width`.
    pub loc: Vec<String>,
    /// What is wrong.
    pub msg: String,
}

impl Detail {
    /// Reads the body of a refusal.
    pub(super) fn read(body: &str, key: &Key) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(body.trim_start_matches('\u{feff}')) else {
            return Self::of(plain(body, key));
        };
        match value.get("detail") {
            Some(Value::String(text)) if !text.trim().is_empty() => Self::of(plain(text, key)),
            Some(Value::Array(list)) if !list.is_empty() => Self::of_list(list, key),
            Some(Value::Object(object)) if !object.is_empty() => {
                let said = ["message", "msg", "error"]
                    .iter()
                    .find_map(|name| object.get(*name)?.as_str());
                let whole = || Value::Object(object.clone()).to_string();
                Self::of(said.map_or_else(|| shown(&whole(), key), |said| plain(said, key)))
            }
            _ => match value.get("message").and_then(Value::as_str) {
                Some(message) if !message.trim().is_empty() => Self::of(plain(message, key)),
                _ => Self::of(shown(body, key)),
            },
        }
    }

    fn of(text: String) -> Self {
        Self {
            text,
            fields: Vec::new(),
        }
    }

    fn of_list(list: &[Value], key: &Key) -> Self {
        let fields: Vec<FieldFault> = list
            .iter()
            .filter_map(|item| FieldFault::read(item, key))
            .collect();
        let strings = list.iter().filter_map(|item| Some(plain(item.as_str()?, key)));
        let words: Vec<String> = fields.iter().map(FieldFault::to_string).chain(strings).collect();
        let text = if words.is_empty() {
            Value::Array(list.to_vec()).to_string()
        } else {
            words.join("; ")
        };
        Self {
            text: shown(&text, key),
            fields,
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.text.is_empty() {
            "no explanation"
        } else {
            &self.text
        })
    }
}

impl FieldFault {
    fn read(item: &Value, key: &Key) -> Option<Self> {
        let msg = item.get("msg")?.as_str()?;
        let part = |part: &Value| {
            part.as_str()
                .map_or_else(|| shown(&part.to_string(), key), |name| shown(name, key))
        };
        let loc = match item.get("loc") {
            Some(Value::Array(parts)) => parts.iter().map(part).collect(),
            Some(Value::Null) | None => Vec::new(),
            Some(single) => vec![part(single)],
        };
        Some(Self {
            loc,
            msg: plain(msg, key),
        })
    }

    /// The field as the request names it: `width`, `images.0`; empty where the whole request is meant.
    pub fn field(&self) -> String {
        let inside = match self.loc.first().map(String::as_str) {
            Some("body" | "query" | "path" | "header") => &self.loc[1..],
            _ => &self.loc[..],
        };
        inside.join(".")
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field().as_str() {
            "" => f.write_str(&self.msg),
            field => write!(f, "{field}: {}", self.msg),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Detail {
        Detail::read(body, &Key::new("bfl_secret"))
    }

    #[test]
    fn the_words_are_found_wherever_they_are() {
        for (body, text) in [
            (r#"{"detail":"Not authenticated"}"#, "Not authenticated"),
            (r#"{"detail":{"message":"no credits"}}"#, "no credits"),
            (r#"{"detail":{"code":7}}"#, r#"{"code":7}"#),
            (r#"{"detail":null,"message":"no"}"#, "no"),
            (r#"{"detail":"","message":"no"}"#, "no"),
            (r#"{"error":"x"}"#, r#"{"error":"x"}"#),
            (r#""just so""#, r#""just so""#),
            ("\u{feff}{\"detail\":\"with a mark\"}", "with a mark"),
            ("plain words", "plain words"),
            ("<html><title>503</title><body>down</body></html>", "503 down"),
            ("", ""),
        ] {
            assert_eq!(read(body).text, text, "{body}");
        }
        assert_eq!(read("").to_string(), "no explanation");
    }

    #[test]
    fn a_list_names_fields_with_strings_and_numbers_on_the_way() {
        let detail = read(
            r#"{"detail":[{"loc":["body","width"],"msg":"too large","type":"x"},
                {"loc":["body","images",0],"msg":"no picture"},{"msg":"and more"},{"loc":"body","msg":"all"}]}"#,
        );
        assert_eq!(
            detail.text,
            "width: too large; images.0: no picture; and more; all"
        );
        assert_eq!(detail.fields[1].loc, ["body", "images", "0"]);
        assert_eq!(detail.fields[1].field(), "images.0");
        assert_eq!(read(r#"{"detail":["one","two"]}"#).text, "one; two");
        assert_eq!(read(r#"{"detail":[{"x":1}]}"#).text, r#"[{"x":1}]"#);
    }

    #[test]
    fn nothing_secret_comes_through() {
        let detail = read(r#"{"detail":[{"loc":["bfl_secret"],"msg":"https://x/y?sig=1 bfl_secret"}]}"#);
        assert_eq!(detail.text, "***: https://x/y?… ***");
    }
}
