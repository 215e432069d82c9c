//! One `up` a directory: a lock that the operating system lets go when the process ends, however it ends.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::Path,
};

use crate::{exit::Exit, problem::Problem};

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a directory, and makes the directory where it is not there.
    pub(super) fn take(dir: &Path) -> Result<Self, Problem> {
        let path = dir.join("up.lock");
        let unusable = |error: std::io::Error| {
            Problem::failed(format_args!("{} cannot be used", path.display()), &error)
                .with_remedy("Set broker.dir to a directory that can be written.")
        };
        fs::create_dir_all(dir).map_err(unusable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken(&mut file, dir)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(unusable)?;
        Ok(Self { _file: file })
    }
}

fn taken(file: &mut File, dir: &Path) -> Problem {
    let mut holder = String::new();
    // who holds it is a courtesy: some systems do not let a locked file be read
    let who = match file.read_to_string(&mut holder) {
        Ok(1..) => format!(" (process {})", holder.trim()),
        Ok(0) | Err(_) => String::new(),
    };
    let detail = format!("another `orchestrator up`{who} runs on {}", dir.display());
    Problem::new(Exit::Failure, detail).with_remedy(
        "Use that one, or stop it first; for a second system set broker.dir, broker.listen, gateway.listen \
         and monitor.listen to values of its own.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().join("data");
        let first = Lock::take(&dir).expect("free");
        let problem = Lock::take(&dir).expect_err("taken");
        assert!(problem.detail.contains("another `orchestrator up`"), "{problem}");
        drop(first);
        Lock::take(&dir).expect("free again");
    }
}
