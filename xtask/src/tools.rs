//! The cargo tools that check what cargo itself does not: found on PATH, or built once into the
//! repository's own tool directory at a pinned version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::version::Version;
use crate::workspace::{self, Workspace};

/// A tool that is built from crates.io.
pub(crate) struct Tool {
    name: &'static str,
    pinned: Version,
}

/// Licences, bans, sources and advisories of the dependencies.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    pinned: Version::release(0, 20, 2),
};

/// Dependencies that are declared and not used.
pub(crate) const MACHETE: Tool = Tool {
    name: "cargo-machete",
    pinned: Version::release(0, 9, 2),
};

impl Tool {
    /// Whether `locate` would build nothing.
    fn find(&self, workspace: &Workspace) -> Option<PathBuf> {
        if let Some(installed) = workspace::find_on_path(self.name) {
            return Some(installed);
        }
        let built = self.built_path(workspace);
        (version_of(&built) == Some(self.pinned)).then_some(built)
    }

    /// The path of the tool; builds it if there is none. Without optimisation that takes one minute
    /// and not four, and the tools are fast enough.
    pub(crate) fn find_or_build(&self, workspace: &Workspace) -> Result<PathBuf> {
        if let Some(found) = self.find(workspace) {
            return Ok(found);
        }
        let (name, pinned) = (self.name, self.pinned);
        println!("building {name} {pinned}; this happens once");
        let mut cargo = workspace.cargo();
        cargo
            .args(["install", "--quiet", "--locked", "--debug", "--force", "--root"])
            .arg(workspace.tools());
        cargo
            .arg(format!("{name}@{pinned}"))
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        let status = cargo.status().context("start cargo install")?;
        ensure!(
            status.success(),
            "cargo install {name}@{pinned} failed; install {name} yourself so that it is on PATH, or try again"
        );
        self.find(workspace)
            .with_context(|| format!("cargo install did not make a {name} {pinned} that runs"))
    }

    fn built_path(&self, workspace: &Workspace) -> PathBuf {
        workspace
            .tools()
            .join("bin")
            .join(format!("{}{}", self.name, std::env::consts::EXE_SUFFIX))
    }
}

fn version_of(program: &Path) -> Option<Version> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    Version::find(&String::from_utf8_lossy(&output.stdout))
}
