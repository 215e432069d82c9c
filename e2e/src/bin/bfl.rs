//! A FLUX service that charges nobody and makes plain colours instead of pictures, as a process: for
//! demonstrations, and for tests of what becomes of the money when processes are killed.

#![expect(clippy::print_stdout, reason = "its addresses are what it prints")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use connectors::bfl::double::{Double, Faults, Options};
use runtime::settings::Setting as _;

/// A double of Black Forest Labs' FLUX service. `GET /bill` at the second address that it prints shows what it
/// would charge.
#[derive(Debug, Parser)]
#[command(name = "bfl")]
struct Arguments {
    /// The port on the loopback interface; 0 is any free one, which is then printed.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The port for the bill; 0 is any free one, which is then printed.
    #[arg(long, default_value_t = 0)]
    admin_port: u16,
    /// The key that it accepts.
    #[arg(long, default_value = "bfl_double_key")]
    key: String,
    /// How long a task takes.
    #[arg(long, default_value = "2s", value_parser = Duration::parse)]
    task_time: Duration,
    /// How long a result can be fetched.
    #[arg(long, default_value = "10m", value_parser = Duration::parse)]
    sample_ttl: Duration,
    /// What the account has, in credits of one cent.
    #[arg(long, default_value_t = 100_000.0)]
    credits: f64,
    /// How many tasks may be active.
    #[arg(long, default_value_t = 24)]
    max_active: usize,
    /// Tells running tasks as `Reasoning`, which is not documented.
    #[arg(long)]
    reasoning: bool,
    /// Answers the first poll of each task with 404.
    #[arg(long)]
    late: bool,
    #[command(flatten)]
    faults: Chances,
}

/// How often things go wrong, each between 0 and 1.
#[derive(Debug, Parser)]
struct Chances {
    /// 429, not taken.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    busy: f64,
    /// 500, not taken.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    error_500: f64,
    /// 503, not taken.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    unavailable_503: f64,
    /// 502; half of the tasks are taken.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    bad_gateway_502: f64,
    /// The connection is cut, and nothing is taken.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    cut_before: f64,
    /// The task is taken, and the answer is cut.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    cut_after: f64,
    /// The task is taken, and the answer comes late.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    slow: f64,
    /// How late a slow answer is.
    #[arg(long, default_value = "2s", value_parser = Duration::parse)]
    delay: Duration,
    /// 200 with a page of HTML; half of the tasks are taken.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    html: f64,
    /// The task is taken twice, and one of the two is answered.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    duplicate: f64,
    /// The task is taken, and the answer names no address to ask at.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    no_polling_url: f64,
    /// The task is taken, and fails.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    task_fails: f64,
    /// Polls that are answered with 503.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    poll_503: f64,
    /// Polls whose answer is cut.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    poll_cut: f64,
    /// Results that are answered with 503.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    sample_503: f64,
    /// Results that are cut.
    #[arg(long, value_name = "CHANCE", default_value_t = 0.0, value_parser = chance)]
    sample_cut: f64,
    /// Makes a run repeatable.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Arguments {
    fn options(&self) -> Options {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            admin: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, self.admin_port))),
            key: self.key.clone(),
            task_time: self.task_time,
            sample_ttl: self.sample_ttl,
            credits: self.credits,
            max_active: self.max_active,
            reasoning: self.reasoning,
            late: self.late,
            faults: self.faults.faults(),
            ..Options::default()
        }
    }
}

impl Chances {
    fn faults(&self) -> Faults {
        Faults {
            busy: self.busy,
            error_500: self.error_500,
            unavailable_503: self.unavailable_503,
            bad_gateway_502: self.bad_gateway_502,
            cut_before: self.cut_before,
            cut_after: self.cut_after,
            slow: self.slow,
            delay: self.delay,
            html: self.html,
            duplicate: self.duplicate,
            no_polling_url: self.no_polling_url,
            task_fails: self.task_fails,
            poll_503: self.poll_503,
            poll_cut: self.poll_cut,
            sample_503: self.sample_503,
            sample_cut: self.sample_cut,
            seed: self.seed,
        }
    }
}

fn chance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(chance) if (0.0..=1.0).contains(&chance) => Ok(chance),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let double = Double::start(arguments.options())
        .await
        .with_context(|| format!("cannot listen on port {}", arguments.port))?;
    println!("listening on {}", double.base().as_str().trim_end_matches('/'));
    if let Some(admin) = double.admin() {
        println!("bill at {admin}bill");
    }
    std::future::pending().await
}
