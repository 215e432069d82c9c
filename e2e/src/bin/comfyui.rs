//! A ComfyUI that makes plain colours instead of pictures, as a process: for demonstrations, and for tests
//! of what starts, watches and restarts one.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its address and its log are what it prints"
)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use connectors::comfyui::double::{Double, DoubleOptions};
use runtime::settings::Setting as _;
use tokio::time::{Instant, interval_at};

/// A double of a ComfyUI server.
#[derive(Debug, Parser)]
#[command(name = "comfyui")]
struct Arguments {
    /// The port on the loopback interface; 0 is any free one, which is then printed.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// How long a sampling step takes.
    #[arg(long, default_value = "0s", value_parser = Duration::parse)]
    step_time: Duration,
    /// How long a checkpoint takes to load that is not loaded.
    #[arg(long, default_value = "0s", value_parser = Duration::parse)]
    load_time: Duration,
    /// How long it takes before it listens.
    #[arg(long, default_value = "0s", value_parser = Duration::parse)]
    start_delay: Duration,
    /// A checkpoint on its disk; may be given several times.
    #[arg(long = "checkpoint", value_name = "NAME")]
    checkpoints: Vec<String>,
    /// Dies with exit code 1 once so many prompts have run, well or not.
    #[arg(long, value_name = "N")]
    exit_after_prompts: Option<u64>,
    /// How long it lives on after the last of them.
    #[arg(long, default_value = "0s", value_parser = Duration::parse)]
    exit_delay: Duration,
    /// A prompt with the text `poison` breaks the device until a restart.
    #[arg(long)]
    poison: bool,
    /// Sends a preview with every step.
    #[arg(long)]
    previews: bool,
    /// Behaves as v0.3.64.
    #[arg(long)]
    old: bool,
}

impl Arguments {
    fn options(&self) -> DoubleOptions {
        let mut options = if self.old {
            DoubleOptions::old()
        } else {
            DoubleOptions::default()
        };
        options.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        options.step_time = self.step_time;
        options.load_time = self.load_time;
        options.poison = self.poison;
        options.previews = self.previews;
        if !self.checkpoints.is_empty() {
            options.checkpoints.clone_from(&self.checkpoints);
        }
        options
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    after(arguments.start_delay).await;
    let double = Double::start(arguments.options())
        .await
        .with_context(|| format!("cannot listen on port {}", arguments.port))?;
    let mut log = double.log();
    println!("listening on http://{}", double.address());
    eprintln!("Starting server\n");
    eprintln!("To see the GUI go to: http://{}", double.address());
    let death = async {
        match arguments.exit_after_prompts {
            None => std::future::pending().await,
            Some(prompts) => {
                double.until(|seen| seen.finished >= prompts).await;
                after(arguments.exit_delay).await;
            }
        }
    };
    tokio::pin!(death);
    loop {
        tokio::select! {
            biased;
            line = log.recv() => match line {
                Some(line) => eprintln!("{line}"),
                None => return Ok(ExitCode::FAILURE),
            },
            () = &mut death => return Ok(ExitCode::FAILURE),
        }
    }
}

/// What is simulated takes time.
async fn after(delay: Duration) {
    interval_at(Instant::now() + delay, Duration::from_secs(1))
        .tick()
        .await;
}
