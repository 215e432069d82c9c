//! Money over HTTP: what was spent and what is left, the ledger, and what a person found out.

use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use proto::{
    SpendState,
    ids::JobId,
    money::MicroDollars,
    request::Fault,
    v1::{GetSpendRequest, ListLedgerRequest, ResolveSpendRequest},
};
use serde_json::{Map, Value, json};

use super::{
    amounts, body,
    extract::{JsonBytes, Named},
    fields, listing,
    query::Query,
};
use crate::{
    front::{ANYBODY, Front},
    problem::Problem,
    spending::Resolution,
};

const RESOLUTION: &str = "orchestrator.v1.ResolveSpendRequest";
const STATES: &[&str] = &["open", "started", "settled", "released", "unknown"];
const MAX_PAGE: u32 = 500;

/// `GET /api/spend`
pub(crate) async fn overview(
    State(front): State<Front>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut query = Query::read(query.as_deref(), &["state", "limit", "cursor"])?;
    let found = front.jobs.spending.overview(&GetSpendRequest {
        state: states(query.text("state").unwrap_or_default().as_str())?,
        limit: query.number("limit", 1, MAX_PAGE)?.unwrap_or_default(),
        cursor: query.text("cursor").unwrap_or_default(),
    })?;
    // every field written out, so that nothing spent is said as well
    let mut told = json!({
        "allowed": found.allowed,
        "budgets": amounts::told(&found.budgets),
        "unknown_jobs": found.unknown_jobs.to_string(),
        "accounts": amounts::told(&found.accounts),
        "next_cursor": found.next_cursor,
        "prices_of": found.prices_of,
    });
    for (name, amount) in [
        ("charged", found.charged_microdollars),
        ("charged_today", found.charged_today_microdollars),
        ("reserved", found.reserved_microdollars),
        ("unknown", found.unknown_microdollars),
    ] {
        amounts::put(&mut told, name, MicroDollars(amount));
    }
    Ok(Json(told).into_response())
}

/// `GET /api/spend/ledger`
pub(crate) async fn ledger(
    State(front): State<Front>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let mut query = Query::read(query.as_deref(), &["job", "limit", "before"])?;
    let before = query.text("before").unwrap_or_default();
    let request = ListLedgerRequest {
        job: query.text("job").unwrap_or_default(),
        limit: query.number("limit", 1, MAX_PAGE)?.unwrap_or_default(),
        before: match before.as_str() {
            "" => 0,
            text => text
                .parse()
                .map_err(|_| refused("/before", "must be the number of a line".to_owned()))?,
        },
    };
    let lines = front.jobs.spending.lines(&request).await?;
    Ok(Json(json!({"entries": amounts::told(&lines)})).into_response())
}

/// `GET /api/spend/{job}`
pub(crate) async fn account(
    State(front): State<Front>,
    Named(job): Named<JobId>,
) -> Result<Response, Problem> {
    let (account, lines) = front.jobs.spending.account(job).await?;
    let told = json!({"account": amounts::told(&account), "entries": amounts::told(&lines)});
    Ok(Json(told).into_response())
}

/// `POST /api/spend/{job}/resolve`
pub(crate) async fn resolve(
    State(front): State<Front>,
    Named(job): Named<JobId>,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    let resolution = read(&bytes)?;
    let account = front.jobs.spending.resolve(job, resolution, ANYBODY).await?;
    Ok(Json(amounts::told(&account)).into_response())
}

/// Reads `{"charged": true, "amount": "0.04", "note": …}`; `microdollars` may stand in the place of `amount`.
fn read(bytes: &Bytes) -> Result<Resolution, Problem> {
    let mut object = body::object(bytes)?;
    let mut faults = Vec::new();
    if object.remove("job").is_some() {
        faults.push(fault("/job", "stands in the address".to_owned()));
    }
    // absent must not stand for `false`: somebody may only have forgotten it
    if !object.contains_key("charged") {
        faults.push(fault(
            "/charged",
            "must say whether the vendor took money".to_owned(),
        ));
    }
    faults.extend(take_amount(&mut object));
    let value = Value::Object(object);
    faults.extend(fields::check(RESOLUTION, &value));
    if !faults.is_empty() {
        return Err(body::unfit(faults));
    }
    let request: ResolveSpendRequest =
        serde_json::from_value(value).map_err(|error| body::unfit(vec![fault("", error.to_string())]))?;
    Resolution::read(&request)
}

fn take_amount(object: &mut Map<String, Value>) -> Option<Fault> {
    let amount = object.remove("amount").filter(|amount| !amount.is_null())?;
    let read = match amount.as_str() {
        Some(text) => text.parse::<MicroDollars>().map_err(|error| error.to_string()),
        None => Err(format!(
            "must be an amount in dollars as text, such as \"0.04\", not {}",
            fields::kind(&amount)
        )),
    };
    match read {
        Ok(MicroDollars(micros)) => {
            let twice = object.insert("microdollars".to_owned(), micros.into());
            twice.map(|_| {
                fault(
                    "/amount",
                    "cannot be given together with `microdollars`".to_owned(),
                )
            })
        }
        Err(message) => Some(fault("/amount", message)),
    }
}

fn states(text: &str) -> Result<Vec<i32>, Problem> {
    let words = listing::words(text, STATES).map_err(|message| refused("/state", message))?;
    let known = words.into_iter().filter_map(SpendState::from_str_name);
    Ok(known.map(i32::from).collect())
}

fn refused(pointer: &str, message: String) -> Problem {
    Problem::invalid(vec![fault(pointer, message)])
}

fn fault(pointer: &str, message: String) -> Fault {
    Fault {
        pointer: pointer.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(body: &str) -> Vec<String> {
        let problem = read(&Bytes::copy_from_slice(body.as_bytes())).expect_err("faulty");
        problem.faults.into_iter().map(|fault| fault.pointer).collect()
    }

    #[test]
    fn both_ways_to_name_an_amount_are_read() {
        let read = |body: &str| read(&Bytes::copy_from_slice(body.as_bytes())).expect("readable");
        let dollars = read(r#"{"charged":true,"amount":"$0.04","note":"the bill"}"#);
        for micros in ["40000", "\"40000\""] {
            let body = format!(r#"{{"charged":true,"microdollars":{micros},"note":"the bill"}}"#);
            assert_eq!(read(&body), dollars);
        }
        assert_ne!(
            read(r#"{"charged":true,"amount":null,"note":"the bill"}"#),
            dollars
        );
    }

    #[test]
    fn what_cannot_be_is_told_with_its_place() {
        assert_eq!(pointers(r#"{"note":"x"}"#), ["/charged"]);
        assert_eq!(
            pointers(r#"{"charged":true,"amount":0.04,"note":"x"}"#),
            ["/amount"]
        );
        assert_eq!(
            pointers(r#"{"charged":true,"amount":"4 cents","note":"x"}"#),
            ["/amount"]
        );
        assert_eq!(
            pointers(r#"{"charged":true,"amount":"1","microdollars":1,"note":"x"}"#),
            ["/amount"]
        );
        assert_eq!(
            pointers(r#"{"charged":true,"ammount":"1","note":"x"}"#),
            ["/ammount"]
        );
        assert_eq!(
            pointers(r#"{"charged":"yes","note":"x","job":"y"}"#),
            ["/job", "/charged"]
        );
        assert_eq!(pointers(r#"{"charged":false}"#), ["/note"]);
    }

    #[test]
    fn the_states_are_those_of_the_contract() {
        assert!(
            STATES
                .iter()
                .all(|name| SpendState::from_str_name(name).is_some())
        );
        assert_eq!(
            states("unknown, open").expect("known"),
            [i32::from(SpendState::Unknown), i32::from(SpendState::Open)]
        );
        assert!(
            states("unknwon")
                .expect_err("misspelt")
                .detail
                .contains("did you mean `unknown`?")
        );
    }
}
