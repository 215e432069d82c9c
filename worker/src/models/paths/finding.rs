//! One fault of the file, with its line.

use std::fmt;

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// ComfyUI does not start with this, or finds nothing there.
    Error,
    /// It works, and perhaps not as meant.
    Warning,
}

/// Something wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Where, from 1, if it is in one place.
    pub line: Option<usize>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Finding {
    pub(super) const fn error(line: Option<usize>, message: String) -> Self {
        Self {
            severity: Severity::Error,
            line,
            message,
        }
    }

    pub(super) const fn warning(line: Option<usize>, message: String) -> Self {
        Self {
            severity: Severity::Warning,
            line,
            message,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {}", self.message)
    }
}
