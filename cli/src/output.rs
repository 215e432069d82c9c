//! The only place that prints: results to standard output, everything else to standard error.

use std::io::{IsTerminal as _, Write as _};

use serde::Serialize;

use crate::problem::Problem;

/// Prints a line of a result.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Problem> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", text.as_ref())
        .and_then(|()| out.flush())
        .map_err(|error| Problem::of_output(&error))
}

/// Prints a result as one line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Problem> {
    let text =
        serde_json::to_string(value).map_err(|error| Problem::failed("not to be shown as JSON", &error))?;
    line(text)
}

/// Tells a person something that is no result. Nothing is to be done where nobody can read it.
pub(crate) fn note(text: impl AsRef<str>) {
    writeln!(std::io::stderr().lock(), "{}", text.as_ref()).ok();
}

/// Tells of a problem, in words or as JSON.
pub(crate) fn problem(problem: &Problem, as_json: bool) {
    if problem.detail.is_empty() {
        return;
    }
    match serde_json::to_string(problem) {
        Ok(text) if as_json => note(text),
        _ => note(problem.to_string()),
    }
}

/// Asks a person for a yes or a no; `None` where nobody can be asked.
pub(crate) fn ask(question: &str) -> Option<bool> {
    let mut err = std::io::stderr().lock();
    if !(std::io::stdin().is_terminal() && err.is_terminal()) {
        return None;
    }
    write!(err, "{question} [y/N] ").and_then(|()| err.flush()).ok()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    Some(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

/// Whether a person looks at the results.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Text of others in one line, without what would command a terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(is_yes("y\n") && is_yes(" Yes \n"));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("n\n") && !is_yes("yep\n"));
    }

    #[test]
    fn text_of_others_does_not_command_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{9b}d"), "a [2Jb c d");
    }
}
