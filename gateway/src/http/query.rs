//! Reads the query of an address: known names only, each with its kind.

use std::collections::BTreeMap;

use proto::request::Fault;
use url::form_urlencoded;

use super::fields::nearest;
use crate::problem::Problem;

/// The values of a query by name; of several of one name the last.
#[derive(Debug)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a query in which only these names may stand.
    ///
    /// # Errors
    /// Every name that is unknown.
    pub(super) fn read(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut values = BTreeMap::new();
        let mut faults = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if known.contains(&name.as_ref()) {
                values.insert(name.into_owned(), value.into_owned());
                continue;
            }
            let meant = nearest(&name, known.iter().copied())
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let name: String = name.chars().take(80).collect();
            faults.push(fault(&name, format!("is an unknown parameter{meant}")));
        }
        if faults.is_empty() {
            Ok(Self(values))
        } else {
            Err(Problem::invalid(faults))
        }
    }

    /// A text, if it is given and not empty.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|text| !text.is_empty())
    }

    /// A whole number within bounds.
    ///
    /// # Errors
    /// Where it is none.
    pub(super) fn number(&mut self, name: &str, min: u32, max: u32) -> Result<Option<u32>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(Problem::invalid(vec![fault(
                name,
                format!("must be a whole number from {min} to {max}"),
            )])),
        }
    }

    /// A flag: `true` or `1`, `false` or `0`; a name without a value counts as `true`.
    ///
    /// # Errors
    /// Where it is another word.
    pub(super) fn flag(&mut self, name: &str) -> Result<bool, Problem> {
        match self.0.remove(name).as_deref() {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(_) => Err(Problem::invalid(vec![fault(
                name,
                "must be true or false".to_owned(),
            )])),
        }
    }
}

fn fault(name: &str, message: String) -> Fault {
    Fault {
        pointer: format!("/{name}"),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_of_their_kind() {
        let known = ["lines", "sha256", "worker"];
        let mut query = Query::read(Some("lines=20&sha256&worker=w%201"), &known).expect("readable");
        assert_eq!(query.number("lines", 1, 2_000), Ok(Some(20)));
        assert_eq!(query.flag("sha256"), Ok(true));
        assert_eq!(query.text("worker").as_deref(), Some("w 1"));
        let mut query = Query::read(Some("lines=0&sha256=maybe"), &known).expect("readable");
        let problem = query.number("lines", 1, 2_000).expect_err("too few");
        assert_eq!(problem.faults[0].pointer, "/lines");
        assert!(query.flag("sha256").is_err());
        let problem = Query::read(Some("wroker=x"), &known).expect_err("misspelt");
        assert!(
            problem.faults[0].message.ends_with("did you mean `worker`?"),
            "{problem}"
        );
    }
}
