//! `cargo xtask`: sets up, starts, tests and measures the project with nothing but cargo.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool: its output is its result, on standard output; notes go to standard error"
)]

mod advisories;
mod broker;
mod handover;
mod steps;
mod tools;
mod version;
mod wheel;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Develop and try the orchestrator.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Prepare what is missing, build, and run the whole system (at the root of the repository)
    Up {
        /// Passed to `orchestrator up` as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run every check that the continuous integration runs, in the same order
    Test {
        /// Only format, lints, build and tests
        #[arg(long)]
        quick: bool,
    },
    /// Find nats-server, or fetch the pinned one, and print its path
    Broker,
    /// Build the benchmark optimised and run it
    Bench {
        /// Passed to the benchmark as they are
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let workspace = Workspace::locate();
    match &arguments.task {
        Task::Up { arguments } => {
            let broker = if broker::runs_elsewhere() {
                None
            } else {
                Some(broker::find_or_fetch(&workspace)?)
            };
            let orchestrator =
                workspace.build(&["--package", "cli", "--bin", "orchestrator", "--release"])?;
            let mut command = workspace.command(&orchestrator);
            command.arg("up").args(arguments);
            if let Some(broker) = broker {
                // found by its name, so that a path in the settings still comes first
                command.env("PATH", broker::path_with(&broker)?);
            }
            handover::run(command)
        }
        Task::Test { quick } => Ok(steps::run(&workspace, *quick)),
        Task::Broker => {
            println!("{}", broker::find_or_fetch(&workspace)?.display());
            Ok(ExitCode::SUCCESS)
        }
        Task::Bench { arguments } => {
            let broker = broker::find_or_fetch(&workspace)?;
            let bench = workspace.build(&["--package", "e2e", "--bin", "bench", "--release"])?;
            let mut command = workspace.command(&bench);
            command
                .args(arguments)
                .env(broker::COMMAND_VARIABLE, &broker)
                .env(steps::TEST_BROKER_VARIABLE, &broker);
            handover::run(command)
        }
    }
}
