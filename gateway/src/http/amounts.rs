//! How amounts of money look in JSON. Pure.
//!
//! A message of the contract shows them in millionths of a dollar, as text like every whole number of 64 bits. Beside
//! each stands what a person reads: `"left_microdollars": "1250000"`, `"left": "$1.25"`.

use proto::money::MicroDollars;
use serde::Serialize;
use serde_json::{Value, json};

const ENDING: &str = "_microdollars";

/// A message as JSON, with a text for people beside each amount.
pub(super) fn told(message: &impl Serialize) -> Value {
    let mut value = json!(message);
    tell(&mut value);
    value
}

/// Puts an amount into a JSON object.
pub(super) fn put(object: &mut Value, name: &str, amount: MicroDollars) {
    object[format!("{name}{ENDING}")] = amount.0.to_string().into();
    object[name] = amount.to_string().into();
}

fn tell(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let amounts: Vec<(String, MicroDollars)> = fields
                .iter()
                .filter_map(|(name, value)| {
                    let name = name.strip_suffix(ENDING)?;
                    Some((name.to_owned(), MicroDollars(value.as_str()?.parse().ok()?)))
                })
                .collect();
            fields.values_mut().for_each(tell);
            for (name, amount) in amounts {
                fields.insert(name, amount.to_string().into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(tell),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::{Budget, GetSpendResponse, SpendAccount};

    #[test]
    fn each_amount_has_its_text_beside_it() {
        let message = GetSpendResponse {
            budgets: vec![Budget {
                scope: "day".into(),
                limit_microdollars: 10_000_000,
                left_microdollars: 1_250_000,
                ..Budget::default()
            }],
            accounts: vec![SpendAccount {
                charged_microdollars: 45_000,
                ..SpendAccount::default()
            }],
            ..GetSpendResponse::default()
        };
        let expected = json!({
            "budgets": [{
                "scope": "day",
                "limit_microdollars": "10000000", "limit": "$10.00",
                "left_microdollars": "1250000", "left": "$1.25",
            }],
            "accounts": [{"charged_microdollars": "45000", "charged": "$0.045"}],
        });
        assert_eq!(told(&message), expected);
    }
}
