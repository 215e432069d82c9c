//! Log lines: text in a terminal, JSON otherwise; the level by module.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::settings::Reader;

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// What to log: `info`, or per module `warn,worker=debug`.
    pub filter: String,
    /// `auto`, `text` or `json`.
    pub format: String,
}

impl TelemetrySettings {
    /// Reads the settings of this part.
    pub fn read(reader: &mut Reader) -> Self {
        let settings = Self {
            filter: reader.get(
                "log.filter",
                "info",
                "what is logged: a level, or levels by module such as warn,worker=debug",
            ),
            format: reader.get(
                "log.format",
                "auto",
                "text, json, or auto: text in a terminal and json otherwise",
            ),
        };
        if let Err(error) = EnvFilter::try_new(&settings.filter) {
            reader.fault("log.filter", error.to_string());
        }
        if !["auto", "text", "json"].contains(&settings.format.as_str()) {
            reader.fault("log.format", "must be auto, text or json");
        }
        settings
    }
}

/// Starts logging to standard error. A second call in one process changes nothing.
pub fn start(settings: &TelemetrySettings) {
    let filter = EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let json = match settings.format.as_str() {
        "json" => true,
        "text" => false,
        _ => !stderr().is_terminal(),
    };
    let lines = fmt::layer().with_writer(stderr).with_target(true);
    let layer = if json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed()
    } else {
        lines.with_ansi(stderr().is_terminal()).boxed()
    };
    let started = tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started already");
    }
}

/// An error with everything that caused it, in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let message = inner.to_string();
        if !text.ends_with(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = inner.source();
    }
    text
}
