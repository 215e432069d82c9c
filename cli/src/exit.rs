//! How a command ends, for scripts.

use std::process::ExitCode;

/// The exit codes. Their numbers never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It worked.
    Success,
    /// The job failed, or something is wrong.
    Failure,
    /// The command line, or the request that it makes, cannot be.
    Usage,
    /// The job was cancelled.
    Cancelled,
    /// There is no such job, artifact or code.
    Unknown,
    /// The gateway or the broker does not answer.
    Unreachable,
    /// The gateway understood and refused.
    Refused,
    /// The settings cannot be used.
    Settings,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

impl Exit {
    #[cfg(test)]
    const ALL: [Self; 9] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::Cancelled,
        Self::Unknown,
        Self::Unreachable,
        Self::Refused,
        Self::Settings,
        Self::Interrupted,
    ];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Cancelled => 3,
            Self::Unknown => 4,
            Self::Unreachable => 5,
            Self::Refused => 6,
            Self::Settings => 64,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table in `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
    0  it worked; where a job was waited for, it succeeded
    1  the job failed, or something is wrong
    2  the command line, or the request that it makes, cannot be
    3  the job was cancelled
    4  there is no such job, artifact or failure code
    5  the gateway or the broker does not answer
    6  the gateway refused: the job's state or the permissions do not allow it
   64  the settings cannot be used
  130  interrupted by Ctrl-C";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_exit_has_its_own_code_and_a_line_in_the_help() {
        let codes: HashSet<u8> = Exit::ALL.into_iter().map(Exit::code).collect();
        assert_eq!(codes.len(), Exit::ALL.len());
        for code in codes {
            let line = format!("{code:>5}  ");
            assert!(HELP.lines().any(|shown| shown.starts_with(&line)), "{code}");
        }
    }
}
