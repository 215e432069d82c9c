//! One line that says how far something is, on a terminal; nothing where nobody looks.

use std::io::{IsTerminal as _, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{output, problem::Problem};

/// Parts of the bar.
const WHOLE: u64 = 1_000;

/// The line.
#[derive(Debug)]
pub(crate) struct Meter {
    bar: Option<ProgressBar>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            bar: stderr().is_terminal().then(|| {
                let bar = ProgressBar::with_draw_target(Some(WHOLE), ProgressDrawTarget::stderr());
                let style = ProgressStyle::with_template("[{bar:32}] {percent:>3}% {elapsed} {wide_msg}");
                bar.set_style(
                    style
                        .unwrap_or_else(|_| ProgressStyle::default_bar())
                        .progress_chars("━╸─"),
                );
                bar
            }),
        }
    }

    pub(crate) const fn silent() -> Self {
        Self { bar: None }
    }

    /// `fraction` is 0 to 1.
    pub(crate) fn show(&self, fraction: f64, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position((fraction.clamp(0.0, 1.0) * WHOLE as f64) as u64);
            bar.set_message(output::plain(text));
        }
    }

    /// Prints a line of a result without tearing the bar.
    pub(crate) fn line(&self, text: &str) -> Result<(), Problem> {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::line(text)),
            None => output::line(text),
        }
    }

    pub(crate) fn close(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
