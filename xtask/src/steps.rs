//! What continuous integration runs, step by step, and how that is reported.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::advisories::{self, Source};
use crate::workspace::Workspace;
use crate::{broker, tools};

/// Tells the tests which nats-server to start.
pub(crate) const TEST_BROKER_VARIABLE: &str = "ORCHESTRATOR_TEST_NATS_SERVER";

/// Tells the tests which built `orchestrator` to start.
pub(crate) const TEST_BINARY_VARIABLE: &str = "ORCHESTRATOR_TEST_BIN";

/// One thing that must hold, in the order of running: what fails soonest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Format,
    Lints,
    Binary,
    Broker,
    Tests,
    Documentation,
    Tools,
    Dependencies,
    Advisories,
    Unused,
}

/// How a step ended that did not fail.
enum Outcome {
    Passed,
    Skipped(&'static str),
}

/// What earlier steps made for later ones.
struct Checks<'a> {
    workspace: &'a Workspace,
    orchestrator: Option<PathBuf>,
    nats_server: Option<PathBuf>,
}

/// Runs the steps until one fails.
pub(crate) fn run(workspace: &Workspace, quick: bool) -> ExitCode {
    let started = Instant::now();
    let mut checks = Checks {
        workspace,
        orchestrator: None,
        nats_server: None,
    };
    let mut report = Vec::new();
    let mut failed = None;
    for step in Step::of_run(quick) {
        println!("\n=== {}", step.title());
        let begun = Instant::now();
        let result = checks.run(step);
        let elapsed = Elapsed(begun.elapsed());
        let line = match &result {
            Ok(Outcome::Passed) => format!("passed   {elapsed:>6}  {}", step.title()),
            Ok(Outcome::Skipped(why)) => format!("skipped  {elapsed:>6}  {}: {why}", step.title()),
            Err(error) => format!("FAILED   {elapsed:>6}  {}: {error:#}", step.title()),
        };
        println!("--- {line}");
        report.push(line);
        if result.is_err() {
            failed = Some(step);
            break;
        }
    }
    println!("\n=== summary\n{}", report.join("\n"));
    let total = Elapsed(started.elapsed());
    match failed {
        None => {
            println!("all checks passed in {total}");
            ExitCode::SUCCESS
        }
        Some(step) => {
            println!(
                "FAILED at \"{}\" after {total}; later steps did not run",
                step.title()
            );
            ExitCode::FAILURE
        }
    }
}

impl Step {
    const ALL: [Self; 10] = [
        Self::Format,
        Self::Lints,
        Self::Binary,
        Self::Broker,
        Self::Tests,
        Self::Documentation,
        Self::Tools,
        Self::Dependencies,
        Self::Advisories,
        Self::Unused,
    ];

    fn of_run(quick: bool) -> impl Iterator<Item = Self> {
        Self::ALL
            .into_iter()
            .filter(move |step| !quick || step.is_quick())
    }

    const fn is_quick(self) -> bool {
        match self {
            Self::Format | Self::Lints | Self::Binary | Self::Broker | Self::Tests => true,
            Self::Documentation | Self::Tools | Self::Dependencies | Self::Advisories | Self::Unused => false,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Lints => "lints",
            Self::Binary => "build of the orchestrator for the tests",
            Self::Broker => "nats-server for the tests",
            Self::Tests => "tests",
            Self::Documentation => "documentation",
            Self::Tools => "tools: cargo-deny, cargo-machete",
            Self::Dependencies => "licences, bans and sources of dependencies",
            Self::Advisories => "security advisories",
            Self::Unused => "unused dependencies",
        }
    }
}

impl Checks<'_> {
    fn run(&mut self, step: Step) -> Result<Outcome> {
        match step {
            Step::Format => self.cargo(&["fmt", "--all", "--check"])?,
            Step::Lints => {
                self.cargo(&[
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--",
                    "--deny",
                    "warnings",
                ])?;
            }
            Step::Binary => {
                // with all packages selected the features are those of the test build, so that
                // dependencies are not compiled once more for it
                let built = self.workspace.build(&["--workspace", "--bin", "orchestrator"])?;
                self.orchestrator = Some(built);
            }
            Step::Broker => {
                let found = broker::find_or_fetch(self.workspace)?;
                println!("{}", found.display());
                self.nats_server = Some(found);
            }
            Step::Tests => self.tests()?,
            Step::Documentation => {
                let mut cargo = self.workspace.cargo();
                cargo
                    .args(["doc", "--workspace", "--no-deps"])
                    .env("RUSTDOCFLAGS", "--deny warnings");
                succeed(&mut cargo)?;
            }
            Step::Tools => {
                for tool in [tools::DENY, tools::MACHETE] {
                    println!("{}", tool.find_or_build(self.workspace)?.display());
                }
            }
            Step::Dependencies => {
                let mut deny = self.deny()?;
                succeed(deny.args([
                    "--locked",
                    "check",
                    "--hide-inclusion-graph",
                    "licenses",
                    "bans",
                    "sources",
                ]))?;
            }
            Step::Advisories => return self.advisories(),
            Step::Unused => {
                let machete = tools::MACHETE.find_or_build(self.workspace)?;
                succeed(self.workspace.command(machete).arg("--skip-target-dir"))?;
            }
        }
        Ok(Outcome::Passed)
    }

    fn cargo(&self, arguments: &[&str]) -> Result<()> {
        succeed(self.workspace.cargo().args(arguments))
    }

    fn deny(&self) -> Result<Command> {
        Ok(self.workspace.command(tools::DENY.find_or_build(self.workspace)?))
    }

    fn tests(&self) -> Result<()> {
        let orchestrator = self
            .orchestrator
            .as_ref()
            .context("the orchestrator was not built")?;
        let nats_server = self.nats_server.as_ref().context("no nats-server was found")?;
        let mut cargo = self.workspace.cargo();
        cargo
            .args(["test", "--workspace", "--no-fail-fast"])
            .env(TEST_BINARY_VARIABLE, orchestrator)
            .env(TEST_BROKER_VARIABLE, nats_server)
            // a broker that the developer configured is for their own system, not for the tests
            .env_remove(broker::COMMAND_VARIABLE);
        succeed(&mut cargo)
    }

    fn advisories(&self) -> Result<Outcome> {
        let mut deny = self.deny()?;
        match advisories::source() {
            Source::Current => {}
            Source::Stored => {
                println!("the advisory database cannot be reached; using the copy of this machine");
                deny.arg("--offline");
            }
            Source::None => {
                return Ok(Outcome::Skipped(
                    "the advisory database cannot be reached, and there is no copy of it",
                ));
            }
        }
        succeed(deny.args(["--locked", "check", "advisories"]))?;
        Ok(Outcome::Passed)
    }
}

fn succeed(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("start {shown}"))?;
    ensure!(status.success(), "{shown} ended with {status}");
    Ok(())
}

/// The command as a person would type it.
fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let program = program
        .file_stem()
        .unwrap_or(command.get_program())
        .to_string_lossy();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy());
    std::iter::once(program)
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Minutes and seconds.
struct Elapsed(Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        formatter.pad(&format!("{}m{:02}s", seconds / 60, seconds % 60))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn quick_is_a_prefix_of_the_whole() {
        let quick: Vec<Step> = Step::of_run(true).collect();
        let whole: Vec<Step> = Step::of_run(false).collect();
        assert_eq!(whole, Step::ALL);
        assert_eq!(quick, whole[..quick.len()]);
        assert_eq!(quick.last(), Some(&Step::Tests));
    }

    #[test]
    fn shows_commands_and_times_for_people() {
        let mut command = Command::new("tools/bin/cargo-deny");
        command.args(["check", "bans"]);
        assert_eq!(shown(&command), "cargo-deny check bans");
        assert_eq!(Elapsed(Duration::from_millis(61_900)).to_string(), "1m01s");
        assert_eq!(Elapsed(Duration::from_hours(1)).to_string(), "60m00s");
    }

    #[test]
    fn a_command_that_fails_or_is_missing_is_an_error_that_names_it() {
        let mut cargo = Command::new(env!("CARGO"));
        let error = succeed(cargo.arg("no-such-command").stderr(Stdio::null()))
            .expect_err("cargo knows no such command");
        assert!(
            error.to_string().contains("cargo no-such-command ended with"),
            "{error}"
        );
        let error = succeed(&mut Command::new("no-such-program-anywhere")).expect_err("no such program");
        assert!(
            error.to_string().contains("start no-such-program-anywhere"),
            "{error}"
        );
    }
}
