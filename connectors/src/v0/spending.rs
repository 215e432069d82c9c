//! What messages cost, by v0's own books.

use serde_json::Value;

use super::client::Client;
use super::error::Error;
use super::version::Version;

impl Client {
    /// What v0 charged for a message, in its credits, which it counts in US dollars; `None` where its books do
    /// not tell of it, which they may do later.
    pub async fn charged(&self, chat: &str, message: &str) -> Result<Option<f64>, Error> {
        let path: &[&str] = match self.version() {
            Version::V1 => &["reports", "usage"],
            Version::V2 => &["usage", "events"],
        };
        let call = self
            .get(path)
            .query("chatId", chat)
            .query("messageId", message)
            .query("limit", "100");
        let (told, answer) = call.json().await?;
        let events = told.get("data").and_then(Value::as_array);
        let events = events.ok_or_else(|| answer.garbled("there is no list of events in it"))?;
        // a server that does not know the filter would tell of all
        let of_it = events.iter().filter(|event| {
            let is = |name: &str, id: &str| event.get(name).and_then(Value::as_str) == Some(id);
            is("messageId", message) && is("chatId", chat)
        });
        let amounts: Vec<f64> = of_it.filter_map(|event| amount(self.version(), event)).collect();
        Ok((!amounts.is_empty()).then(|| amounts.iter().sum()))
    }
}

fn amount(version: Version, event: &Value) -> Option<f64> {
    let amount = match version {
        Version::V1 => event
            .get("totalCost")?
            .as_str()?
            .trim()
            .trim_start_matches('$')
            .parse()
            .ok()?,
        Version::V2 => event.pointer("/creditsCost/charged")?.as_f64()?,
    };
    (0.0..=1e6).contains(&amount).then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_of_both_books_are_read() {
        assert_eq!(amount(Version::V1, &json!({"totalCost": "0.125"})), Some(0.125));
        let event = json!({"creditsCost": {"total": 0.5, "charged": 0.25}});
        assert_eq!(amount(Version::V2, &event), Some(0.25));
        for odd in [
            json!({}),
            json!({"totalCost": "free"}),
            json!({"totalCost": "-1"}),
            json!({"totalCost": "NaN"}),
        ] {
            assert_eq!(amount(Version::V1, &odd), None, "{odd}");
        }
    }
}
