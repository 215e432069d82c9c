//! `orchestrator`: one binary, a subcommand for each role and for each thing that people want to know.

mod arguments;
mod client;
mod comfyui;
mod command;
mod config;
mod contract;
mod doctor;
mod download;
mod exit;
mod explain;
mod fleet;
mod http;
mod ignite;
mod jobs;
mod meter;
mod models;
mod moment;
mod output;
mod problem;
mod roles;
mod settings;
mod signals;
mod spend;
mod submit;
mod table;
mod timeline;
mod up;
mod watch;
mod workflows;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use tokio::runtime::Builder;

use crate::{arguments::Arguments, problem::Problem};

/// The system's allocator has one lock for many threads; every request and every message allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What still runs when a command has ended, such as a read from a terminal, is waited for no longer.
const LEFTOVERS: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let as_json = arguments.command.is_json();
    runtime::tls::install();
    let outcome = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let outcome = runtime.block_on(command::run(arguments));
            runtime.shutdown_timeout(LEFTOVERS);
            outcome
        }
        Err(error) => Err(Problem::failed(
            "the asynchronous runtime cannot be started",
            &error,
        )),
    };
    outcome
        .unwrap_or_else(|problem| {
            output::problem(&problem, as_json);
            problem.exit
        })
        .into()
}
