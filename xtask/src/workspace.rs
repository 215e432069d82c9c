//! The repository: where its root is, where its tools are kept, how cargo is called in it.

use std::ffi::OsStr;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use cargo_metadata::Message;

/// The root of the repository.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Cargo tells a running program where its package is; the place at build time is for a program
    /// that is run without cargo.
    pub(crate) fn locate() -> Self {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package
            .parent()
            .map_or_else(|| package.clone(), Path::to_path_buf);
        Self { root }
    }

    /// Where fetched and built tools are kept; never committed.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join(".tools")
    }

    /// A program that runs at the root of the repository. What cargo told *us* about our own package
    /// is taken away, or build scripts would be run again for every change between `cargo xtask` and
    /// plain `cargo`.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                command.env_remove(&name);
            }
        }
        command
    }

    /// The same cargo that runs us.
    pub(crate) fn cargo(&self) -> Command {
        self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// Builds one program and returns where cargo put it, whatever target directory is configured.
    pub(crate) fn build(&self, selection: &[&str]) -> Result<PathBuf> {
        let mut cargo = self.cargo();
        cargo
            .arg("build")
            .args(selection)
            .arg("--message-format=json-render-diagnostics");
        let mut child = cargo
            .stdout(Stdio::piped())
            .spawn()
            .context("start cargo build")?;
        let messages = child.stdout.take().context("read the messages of cargo build")?;
        let mut executable = None;
        for message in Message::parse_stream(BufReader::new(messages)) {
            // only one kind of message says where a program is; cargo may add kinds at any time
            if let Message::CompilerArtifact(artifact) =
                message.context("read the messages of cargo build")?
            {
                executable = artifact.executable.or(executable);
            }
        }
        let status = child.wait().context("wait for cargo build")?;
        ensure!(status.success(), "cargo build {} failed", selection.join(" "));
        let executable =
            executable.with_context(|| format!("cargo build {} made no program", selection.join(" ")))?;
        Ok(executable.into_std_path_buf())
    }
}

/// Finds a program on the search path of this process.
pub(crate) fn find_on_path(program: &str) -> Option<PathBuf> {
    let file_name = format!("{program}{}", std::env::consts::EXE_SUFFIX);
    let directories = std::env::var_os("PATH")?;
    std::env::split_paths(&directories)
        .map(|directory| directory.join(&file_name))
        .find(|path| path.is_file())
}
