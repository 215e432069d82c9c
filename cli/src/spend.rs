//! `orchestrator spend`: what was spent and what is left, the ledger, and what a person found out.

mod lists;

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use jiff::tz::TimeZone;
use proto::{
    SpendState,
    ids::JobId,
    money::MicroDollars,
    v1::{GetSpendResponse, Job, ListLedgerResponse, SpendAccount},
};
use runtime::clock;
use serde_json::{Value, json};
use url::Url;

use crate::{
    client::{Client, ClientArguments},
    exit::Exit,
    http::{self, Http, Route},
    output,
    problem::Problem,
};

/// What a call of a list gives at most.
const PAGE: usize = 500;

/// What `spend` takes.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
    orchestrator spend
    orchestrator spend --state unknown
    orchestrator spend ledger --job 0192f3c4
    orchestrator spend resolve 0192f3c4 --charged 0.04 --note \"invoice of May, line 12\"
    orchestrator spend resolve 0192f3c4 --not-charged --note \"not in the usage list\""
)]
pub(crate) struct SpendArguments {
    #[command(subcommand)]
    pub(crate) command: Option<SpendCommand>,
    /// Only jobs whose account stands like this; may be repeated
    #[arg(long, short, value_parser = states())]
    pub(crate) state: Vec<String>,
    /// How many jobs at most: those of which nobody knows first, then the newest
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 20)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What can be asked about money.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum SpendCommand {
    /// Show the ledger, newest first: each amount that was set aside, charged or given back
    Ledger(LedgerArguments),
    /// Show what a job cost, and how that came about
    Show(ShowArguments),
    /// Say what became of a paid call of which nobody knows whether it went through
    Resolve(ResolveArguments),
}

/// What `spend ledger` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct LedgerArguments {
    /// Only lines about this job: its id, or the beginning of it
    #[arg(long, value_name = "ID")]
    pub(crate) job: Option<String>,
    /// How many lines at most
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50)]
    pub(crate) limit: u32,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What `spend show` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct ShowArguments {
    /// The job's id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) job: String,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What `spend resolve` takes.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("outcome").required(true).args(["charged", "not_charged"]))]
pub(crate) struct ResolveArguments {
    /// The job's id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) job: String,
    /// The vendor took this many US dollars, such as 0.04; what was set aside, if no amount is given
    #[arg(long, value_name = "AMOUNT", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "absent, without an amount, with one")]
    pub(crate) charged: Option<Option<MicroDollars>>,
    /// The vendor took nothing
    #[arg(long)]
    pub(crate) not_charged: bool,
    /// How it was found out; stays in the ledger
    #[arg(long, value_name = "TEXT")]
    pub(crate) note: String,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

impl SpendArguments {
    pub(crate) const fn client(&self) -> &ClientArguments {
        match &self.command {
            None => &self.client,
            Some(SpendCommand::Ledger(asked)) => &asked.client,
            Some(SpendCommand::Show(asked)) => &asked.client,
            Some(SpendCommand::Resolve(asked)) => &asked.client,
        }
    }
}

fn states() -> PossibleValuesParser {
    let known = [
        SpendState::Open,
        SpendState::Started,
        SpendState::Settled,
        SpendState::Released,
        SpendState::Unknown,
    ];
    PossibleValuesParser::new(known.map(|state| state.as_str_name()))
}

/// Does it.
pub(crate) async fn run(asked: &SpendArguments, gateway: &Url) -> Result<Exit, Problem> {
    match &asked.command {
        None => overview(asked, gateway).await,
        Some(SpendCommand::Ledger(asked)) => ledger(asked, gateway).await,
        Some(SpendCommand::Show(asked)) => show(asked, gateway).await,
        Some(SpendCommand::Resolve(asked)) => resolve(asked, gateway).await,
    }
}

/// What a job cost, as far as that is known; empty where it costs nothing.
pub(crate) fn cost(job: &Job) -> String {
    let Some(spend) = &job.spend else {
        return String::new();
    };
    match spend.charged_microdollars {
        Some(charged) if spend.estimated => format!("{} (estimated)", MicroDollars(charged)),
        Some(charged) => MicroDollars(charged).to_string(),
        None => format!("{} set aside", MicroDollars(spend.reserved_microdollars)),
    }
}

async fn overview(asked: &SpendArguments, gateway: &Url) -> Result<Exit, Problem> {
    let http = Http::new(gateway)?;
    let limit = asked.limit as usize;
    let wanted = asked.state.join(",");
    let mut whole = page(&http, &wanted, limit.min(PAGE), "").await?;
    let mut accounts = Vec::new();
    if asked.state.is_empty() {
        // who has to do something sees it first
        let unknown = SpendState::Unknown.as_str_name();
        accounts = collect(&http, unknown, limit, None).await?;
    }
    let first = (accounts_of(&mut whole), next_of(&whole));
    let others = collect(&http, &wanted, limit, Some(first)).await?;
    let is_new = |account: &Value| !accounts.iter().any(|known| known["job"] == account["job"]);
    let others: Vec<Value> = others.into_iter().filter(is_new).collect();
    accounts.extend(others);
    accounts.truncate(limit);
    whole["accounts"] = accounts.into();
    if let Some(fields) = whole.as_object_mut() {
        fields.remove("next_cursor");
    }
    if asked.client.json {
        output::json(&whole)?;
        return Ok(Exit::Success);
    }
    let found: GetSpendResponse = http::message(whole)?;
    output::line(lists::sums(&found))?;
    if found.accounts.is_empty() {
        output::note("no jobs");
    } else {
        output::line("")?;
        output::line(lists::accounts(&found.accounts, clock::now()))?;
    }
    Ok(Exit::Success)
}

async fn page(http: &Http, state: &str, limit: usize, cursor: &str) -> Result<Value, Problem> {
    let limit = limit.max(1).to_string();
    let query = [("state", state), ("limit", &limit), ("cursor", cursor)];
    http.get_json(Route {
        path: &["spend"],
        query: &query,
    })
    .await
}

/// Accounts up to a number, on as many pages as it takes. `begun` is the first page with its cursor.
async fn collect(
    http: &Http,
    state: &str,
    limit: usize,
    begun: Option<(Vec<Value>, String)>,
) -> Result<Vec<Value>, Problem> {
    let (mut found, mut cursor) = if let Some(begun) = begun {
        begun
    } else {
        let mut first = page(http, state, limit.min(PAGE), "").await?;
        (accounts_of(&mut first), next_of(&first))
    };
    while found.len() < limit && !cursor.is_empty() {
        let mut next = page(http, state, (limit - found.len()).min(PAGE), &cursor).await?;
        found.extend(accounts_of(&mut next));
        cursor = next_of(&next);
    }
    Ok(found)
}

fn accounts_of(page: &mut Value) -> Vec<Value> {
    match page["accounts"].take() {
        Value::Array(accounts) => accounts,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Vec::new(),
    }
}

fn next_of(page: &Value) -> String {
    page["next_cursor"].as_str().unwrap_or_default().to_owned()
}

async fn ledger(asked: &LedgerArguments, gateway: &Url) -> Result<Exit, Problem> {
    let http = Http::new(gateway)?;
    let job = match &asked.job {
        Some(text) => find(text, gateway).await?.to_string(),
        None => String::new(),
    };
    let (mut left, mut before, mut entries) = (asked.limit as usize, String::new(), Vec::new());
    while left > 0 {
        let limit = left.min(PAGE).to_string();
        let query = [("job", job.as_str()), ("limit", &limit), ("before", &before)];
        let told: ListLedgerResponse = http
            .get(Route {
                path: &["spend", "ledger"],
                query: &query,
            })
            .await?;
        let Some(last) = told.entries.last() else { break };
        before = last.number.to_string();
        left = left.saturating_sub(told.entries.len());
        entries.extend(told.entries);
    }
    if asked.client.json {
        entries.iter().try_for_each(output::json)?;
    } else if entries.is_empty() {
        output::note("the ledger has no such lines");
    } else {
        output::line(lists::lines(&entries, &TimeZone::system()))?;
    }
    Ok(Exit::Success)
}

async fn show(asked: &ShowArguments, gateway: &Url) -> Result<Exit, Problem> {
    let job = find(&asked.job, gateway).await?.to_string();
    let mut told = Http::new(gateway)?.get_json(Route::of(&["spend", &job])).await?;
    if asked.client.json {
        output::json(&told)?;
        return Ok(Exit::Success);
    }
    let account: SpendAccount = http::message(told["account"].take())?;
    let lines: ListLedgerResponse = http::message(json!({"entries": told["entries"].take()}))?;
    let zone = TimeZone::system();
    output::line(lists::account(&account, &zone))?;
    output::line("")?;
    output::line(lists::lines(&lines.entries, &zone))?;
    Ok(Exit::Success)
}

async fn resolve(asked: &ResolveArguments, gateway: &Url) -> Result<Exit, Problem> {
    let job = find(&asked.job, gateway).await?.to_string();
    let mut body = json!({"charged": asked.charged.is_some(), "note": asked.note});
    if let Some(Some(amount)) = asked.charged {
        body["microdollars"] = amount.0.to_string().into();
    }
    let told = Http::new(gateway)?
        .post_for_json(Route::of(&["spend", &job, "resolve"]), &body)
        .await?;
    if asked.client.json {
        output::json(&told)?;
        return Ok(Exit::Success);
    }
    let account: SpendAccount = http::message(told)?;
    let charged = MicroDollars(account.charged_microdollars);
    output::line(match account.state() {
        SpendState::Settled => format!("{job} is settled: {charged} charged"),
        SpendState::Released
        | SpendState::Open
        | SpendState::Started
        | SpendState::Unknown
        | SpendState::Unspecified => format!("{job} is {}", account.state().as_str_name()),
    })?;
    Ok(Exit::Success)
}

/// A whole id is taken as it is: the ledger knows jobs that the gateway has forgotten.
async fn find(text: &str, gateway: &Url) -> Result<JobId, Problem> {
    match text.trim().parse() {
        Ok(id) => Ok(id),
        Err(_) => Client::connect(gateway).await?.find(text).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::Spend;

    #[test]
    fn what_a_job_cost_is_told_as_far_as_it_is_known() {
        let told = |charged, estimated| {
            cost(&Job {
                spend: Some(Spend {
                    reserved_microdollars: 45_000,
                    charged_microdollars: charged,
                    estimated,
                    ..Spend::default()
                }),
                ..Job::default()
            })
        };
        assert_eq!(cost(&Job::default()), "");
        assert_eq!(told(None, false), "$0.045 set aside");
        assert_eq!(told(Some(30_000), false), "$0.03");
        assert_eq!(told(Some(45_000), true), "$0.045 (estimated)");
    }
}
