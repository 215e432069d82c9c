//! The log of a ComfyUI that the worker started.
//!
//! The process writes into the file itself, so that it goes on writing when the worker is gone. Therefore a
//! log that is too large is copied and emptied instead of renamed; what is written in the instant between is
//! lost.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// The most lines that are told at once.
pub(super) const MAX_LINES: usize = 10_000;
/// How much of a file is read first when its last lines are wanted.
const FIRST_BITE: u64 = 64 << 10;
/// The most that is read of one file for that.
const LARGEST_BITE: u64 = 16 << 20;
/// A line that is longer than this is taken in pieces.
const LONGEST_LINE: usize = 64 << 10;

/// A log and its rotated predecessors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    path: PathBuf,
    max_bytes: u64,
    keep: usize,
}

/// How far a log was read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    offset: u64,
    partial: Vec<u8>,
}

impl Log {
    pub(super) const fn new(path: PathBuf, max_bytes: u64, keep: usize) -> Self {
        Self {
            path,
            max_bytes,
            keep,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file beside the log.
    pub(super) fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(".");
        name.push(ending);
        PathBuf::from(name)
    }

    /// The file for a process to write to.
    pub(super) fn open(&self) -> io::Result<File> {
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        OpenOptions::new().create(true).append(true).open(&self.path)
    }

    /// A reading that begins with what is written from now on.
    pub(super) fn reading(&self) -> Reading {
        Reading {
            offset: fs::metadata(&self.path).map_or(0, |file| file.len()),
            partial: Vec::new(),
        }
    }

    /// The lines that came since, and a rotation if it is due.
    pub(super) fn tend(&self, reading: &mut Reading) -> io::Result<Vec<String>> {
        let bytes = match fs::metadata(&self.path) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if bytes < reading.offset {
            // somebody else emptied it
            *reading = Reading::default();
        }
        let mut lines = reading.take(&self.path)?;
        if bytes > self.max_bytes {
            let copy = self.rotate()?;
            lines.extend(reading.take(&copy)?);
            reading.offset = 0;
            if self.keep == 0 {
                fs::remove_file(copy)?;
            }
        }
        Ok(lines)
    }

    /// The last lines, also of the rotated logs.
    pub(super) fn last(&self, count: usize) -> io::Result<Vec<String>> {
        let count = count.min(MAX_LINES);
        let mut text = tail(&self.path, count)?;
        for nth in 1..=self.keep {
            if count_lines(&text) > count {
                break;
            }
            // a line may lie on both sides of the cut
            let mut older = tail(&self.rotated(nth), count)?;
            older.append(&mut text);
            text = older;
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<String> = text.lines().map(visible).collect();
        Ok(lines[lines.len().saturating_sub(count)..].to_vec())
    }

    fn rotated(&self, nth: usize) -> PathBuf {
        self.beside(&nth.to_string())
    }

    /// Moves the content into the first of the rotated logs, whose path is told.
    fn rotate(&self) -> io::Result<PathBuf> {
        for nth in (1..self.keep.max(1)).rev() {
            match fs::rename(self.rotated(nth), self.rotated(nth + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let to = self.rotated(1);
        let mut copy = File::create(&to)?;
        let mut log = OpenOptions::new().read(true).write(true).open(&self.path)?;
        io::copy(&mut log, &mut copy)?;
        log.set_len(0)?;
        Ok(to)
    }
}

impl Reading {
    fn take(&mut self, path: &Path) -> io::Result<Vec<String>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut lines = Vec::new();
        let mut piece = vec![0; LONGEST_LINE];
        loop {
            let read = file.read(&mut piece)?;
            if read == 0 {
                return Ok(lines);
            }
            self.offset += read as u64;
            for byte in &piece[..read] {
                if matches!(byte, b'\n' | b'\r') || self.partial.len() >= LONGEST_LINE {
                    lines.push(String::from_utf8_lossy(&self.partial).into_owned());
                    self.partial.clear();
                }
                if !matches!(byte, b'\n' | b'\r') {
                    self.partial.push(*byte);
                }
            }
        }
    }
}

/// The end of a file, with at least so many lines if it has them; nothing where there is no file.
fn tail(path: &Path, count: usize) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let bytes = file.metadata()?.len();
    let mut bite = FIRST_BITE;
    loop {
        file.seek(SeekFrom::Start(bytes.saturating_sub(bite)))?;
        let mut text = Vec::new();
        (&mut file).take(bite).read_to_end(&mut text)?;
        // the first of them may be half a line
        if bite >= bytes.min(LARGEST_BITE) || count_lines(&text) > count {
            return Ok(text);
        }
        bite *= 4;
    }
}

fn count_lines(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n').count() - 1
}

/// A line as a terminal would show it: a progress bar writes over itself.
fn visible(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    line.rsplit('\r').next().unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn log(max_bytes: u64, keep: usize) -> (tempfile::TempDir, Log) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deep/comfyui.log");
        (dir, Log::new(path, max_bytes, keep))
    }

    #[test]
    fn rotation_keeps_every_line_and_the_last_are_found_across_it() {
        let (_dir, log) = log(1_000, 5);
        let mut file = log.open().expect("a log");
        let mut reading = log.reading();
        let mut seen = Vec::new();
        for nth in 0..300 {
            // cut in the middle of a line, as a rotation may
            write!(file, "line ").expect("written");
            if nth % 7 == 0 {
                seen.extend(log.tend(&mut reading).expect("tended"));
            }
            writeln!(file, "{nth}").expect("written");
        }
        seen.extend(log.tend(&mut reading).expect("tended"));
        let all: Vec<String> = (0..300).map(|nth| format!("line {nth}")).collect();
        assert_eq!(seen, all);
        assert!(log.rotated(1).exists() && log.rotated(2).exists());
        assert_eq!(log.last(250).expect("lines"), all[50..]);
        assert_eq!(log.last(1_000).expect("lines"), all);
        assert_eq!(log.last(0).expect("lines"), Vec::<String>::new());
    }

    #[test]
    fn only_so_many_rotated_logs_are_kept() {
        for keep in [0, 1, 2] {
            let (dir, log) = log(100, keep);
            let mut file = log.open().expect("a log");
            let mut reading = log.reading();
            for nth in 0..100 {
                writeln!(file, "this is line {nth}").expect("written");
                log.tend(&mut reading).expect("tended");
            }
            let files = fs::read_dir(dir.path().join("deep"))
                .expect("a directory")
                .count();
            assert_eq!(files, keep + 1);
        }
    }

    #[test]
    fn long_logs_long_lines_and_overwritten_ones() {
        let (_dir, log) = log(u64::MAX, 1);
        let mut file = log.open().expect("a log");
        let mut reading = log.reading();
        for nth in 0..20_000 {
            writeln!(file, "line {nth}").expect("written");
        }
        write!(file, "{}\n  5%\r 50%\r100%\r\nunfinished", "x".repeat(100_000)).expect("written");
        let lines = log.last(4).expect("lines");
        assert_eq!(lines[0], "line 19999");
        assert_eq!(
            (lines[1].len(), lines[2].as_str(), lines[3].as_str()),
            (100_000, "100%", "unfinished")
        );
        let taken = log.tend(&mut reading).expect("tended");
        assert_eq!(taken[19_999], "line 19999");
        assert!(taken.iter().all(|line| line.len() <= LONGEST_LINE) && taken.contains(&" 50%".to_owned()));
    }

    #[test]
    fn a_log_that_is_not_there_is_empty() {
        let (_dir, log) = log(1_000, 5);
        assert!(log.last(10).expect("no lines").is_empty());
        assert!(log.tend(&mut log.reading()).expect("no lines").is_empty());
    }
}
