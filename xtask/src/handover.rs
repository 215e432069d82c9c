//! Gives the terminal over to a long-running program, and returns its exit code as ours.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Becomes `command`: the same process, so that every signal reaches the program itself and nothing
/// stands between it and whoever waits for it. Returns only if the program could not be started.
#[cfg(unix)]
pub(crate) fn run(mut command: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(error).with_context(|| format!("start {}", command.get_program().display()))
}

/// Runs `command` to its end. Ctrl-C goes to every process of the console, so the program gets it too
/// and drains; this process ignores it and waits for that.
#[cfg(not(unix))]
pub(crate) fn run(mut command: Command) -> Result<ExitCode> {
    ctrlc::set_handler(|| {}).context("ignore Ctrl-C while the program drains")?;
    let status = command
        .status()
        .with_context(|| format!("start {}", command.get_program().display()))?;
    // Windows exit codes have 32 bits, ExitCode has 8: the rest must still be a failure
    let code = status.code().map_or(1, |code| u8::try_from(code).unwrap_or(1));
    Ok(ExitCode::from(code))
}
