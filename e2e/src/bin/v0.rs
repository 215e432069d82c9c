//! A v0 that writes the same three files for every prompt and charges nobody, as a process: for demonstrations and
//! drills. `GET /bill` shows every run of its model.

#![expect(clippy::print_stdout, reason = "its address is what it prints")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use clap::Parser;
use connectors::v0::double::{Chaos, Double, DoubleOptions};
use runtime::settings::Setting as _;

/// A double of Vercel's v0.
#[derive(Debug, Parser)]
#[command(name = "v0")]
struct Arguments {
    /// The port on the loopback interface; 0 is any free one, which is then printed.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// The API key that it accepts.
    #[arg(long, default_value = "v0-test-key")]
    key: String,
    /// How often it says of a run that it goes on.
    #[arg(long, default_value_t = 2)]
    pending: u32,
    /// How long a run takes at least.
    #[arg(long, default_value = "0s", value_parser = Duration::parse)]
    run_time: Duration,
    /// How often it says of a preview that there is none yet.
    #[arg(long, default_value_t = 1)]
    preview_pending: u32,
    /// What a run costs, in credits, which are US dollars.
    #[arg(long, default_value_t = 0.25)]
    price: f64,
    /// What may be spent; further runs are refused.
    #[arg(long)]
    credits: Option<f64>,
    /// Files of a site beside the first three.
    #[arg(long, default_value_t = 0)]
    files: usize,
    /// Which part of the requests goes wrong, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    fault_rate: f64,
    /// Where the sequence of faults begins; the same seed gives the same ones.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        (0.0..=1.0).contains(&arguments.fault_rate),
        "--fault-rate must be 0 to 1"
    );
    let options = DoubleOptions {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port)),
        key: arguments.key,
        pending: arguments.pending,
        run_time: arguments.run_time,
        preview_pending: arguments.preview_pending,
        price: arguments.price,
        files: arguments.files,
        chaos: (arguments.fault_rate > 0.0).then_some(Chaos {
            seed: arguments.seed,
            rate: arguments.fault_rate,
        }),
        ..DoubleOptions::default()
    };
    let double = Double::start(options)
        .await
        .with_context(|| format!("cannot listen on port {}", arguments.port))?;
    if let Some(credits) = arguments.credits {
        double.set_credits(credits);
    }
    println!("listening on http://{}", double.address());
    std::future::pending().await
}
