//! Whether there is a database of security advisories to check against: reachable, stored, or none.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The database that cargo-deny uses.
const REPOSITORY: &str = "https://github.com/RustSec/advisory-db";

/// How long a host that does not answer may hold up the checks.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where advisories come from on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The repository answers, so cargo-deny can fetch it.
    Current,
    /// It does not, and an earlier copy is there.
    Stored,
    /// Neither.
    None,
}

/// Looks for the database.
pub(crate) fn source() -> Source {
    if answers(REPOSITORY, PATIENCE) {
        Source::Current
    } else if is_stored() {
        Source::Stored
    } else {
        Source::None
    }
}

/// Whether git can list a repository within `patience`.
fn answers(repository: &str, patience: Duration) -> bool {
    let mut git = Command::new("git");
    git.args(["ls-remote", repository, "HEAD"])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(mut child) = git.spawn() else { return false };
    let Some(mut listing) = child.stdout.take() else {
        return false;
    };
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = listing.read_to_string(&mut text);
        // nobody listens any more when patience ran out
        send.send(read.is_ok() && text.contains("HEAD")).ok();
    });
    let listed = receive.recv_timeout(patience).unwrap_or(false);
    if !listed {
        // it may have ended by itself
        child.kill().ok();
    }
    child.wait().is_ok() && listed
}

fn is_stored() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let Some(home) = home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))) else {
        return false;
    };
    let Ok(databases) = home.join("advisory-dbs").read_dir() else {
        return false;
    };
    databases.flatten().any(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("advisory-db-") && entry.path().join("crates").is_dir()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_that_is_not_there_does_not_answer() {
        let nowhere = tempfile::tempdir().expect("a directory");
        let address = nowhere.path().join("none.git");
        assert!(!answers(&address.to_string_lossy(), PATIENCE));
    }

    #[test]
    fn a_host_that_never_answers_is_given_up() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/none.git", silent.local_addr().expect("its address"));
        assert!(!answers(&address, Duration::from_millis(300)));
    }
}
