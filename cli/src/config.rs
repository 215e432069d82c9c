//! `orchestrator config check`: every setting with its value, its origin and its default, and every fault.

use std::path::Path;

use clap::{Args, Subcommand};
use runtime::settings::{Declared, Reader, environment_name};
use serde_json::json;

use crate::{exit::Exit, output, problem::Problem, settings::Settings, table};

/// What `config` takes.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every setting, where its value comes from, and every fault at once
    Check(CheckArguments),
}

/// What `config check` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct CheckArguments {
    /// Print the table of all settings as it stands in docs/settings.md
    #[arg(long, conflicts_with = "json")]
    pub(crate) markdown: bool,
    /// Print JSON, one setting a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows the settings.
pub(crate) fn run(command: &ConfigCommand, config: Option<&Path>) -> Result<Exit, Problem> {
    let ConfigCommand::Check(arguments) = command;
    if arguments.markdown {
        // the document shows what can be set, not what is set here
        let (settings, _) = Settings::read(Reader::new(Path::new("no-such-directory"), None, []));
        output::line(document(&settings.declared))?;
        return Ok(Exit::Success);
    }
    let (settings, faults) = Settings::read(Reader::of_process(config));
    if arguments.json {
        for declared in &settings.declared {
            output::json(&json!({
                "key": declared.key,
                "value": declared.value,
                "origin": declared.origin,
                "default": declared.default,
                "meaning": declared.meaning,
                "environment": environment_name(declared.key),
            }))?;
        }
    } else {
        output::line(listing(&settings.declared))?;
    }
    if faults.is_empty() {
        Ok(Exit::Success)
    } else {
        let problem = Problem::of_settings(&faults);
        Err(Problem {
            remedy: None,
            ..problem
        })
    }
}

fn listing(declared: &[Declared]) -> String {
    let rows = declared.iter().map(|declared| {
        let default = if declared.origin == "default" {
            String::new()
        } else {
            declared.default.to_owned()
        };
        vec![
            declared.key.to_owned(),
            declared.value.clone(),
            declared.origin.clone(),
            default,
        ]
    });
    table::table(&["SETTING", "VALUE", "FROM", "DEFAULT"], rows)
}

/// The whole of docs/settings.md.
fn document(declared: &[Declared]) -> String {
    format!(
        "# Settings\n\nRead from `orchestrator.toml` in the current directory (or `--config <file>`), `.env`, `.env.local` and \
         the environment; later ones override earlier ones. In the file, `gateway.listen` is the key `listen` of the \
         table `[gateway]`. Beside the names below, `NATS_URL` sets `nats.url` and `RUST_LOG` sets `log.filter`. \
         `orchestrator config check` shows what is in force and where it came from.\n\n\
         This page is written by `orchestrator config check --markdown`.\n\n{}",
        markdown(declared)
    )
}

fn markdown(declared: &[Declared]) -> String {
    let mut lines = vec![
        "| Setting | Default | Environment variable | Meaning |".to_owned(),
        "|---|---|---|---|".to_owned(),
    ];
    lines.extend(declared.iter().map(|declared| {
        let default = if declared.default.is_empty() {
            "–".to_owned()
        } else {
            format!("`{}`", declared.default)
        };
        format!(
            "| `{}` | {default} | `{}` | {} |",
            declared.key,
            environment_name(declared.key),
            declared.meaning.replace('|', "\\|")
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_about_settings_is_up_to_date() {
        let (settings, _) = Settings::read(Reader::new(Path::new("no-such-directory"), None, []));
        let page = include_str!("../../docs/settings.md");
        let wanted = document(&settings.declared);
        assert!(
            page.trim() == wanted.trim(),
            "write docs/settings.md again with `orchestrator config check --markdown`"
        );
    }

    fn declared(origin: &str) -> Declared {
        Declared {
            key: "nats.url",
            value: "nats://a:1".into(),
            default: "nats://127.0.0.1:4222",
            origin: origin.into(),
            meaning: "where NATS is",
        }
    }

    #[test]
    fn a_value_shows_where_it_comes_from() {
        let text = listing(&[declared("orchestrator.toml")]);
        let words: Vec<&str> = text.lines().nth(1).expect("a line").split_whitespace().collect();
        assert_eq!(
            words,
            [
                "nats.url",
                "nats://a:1",
                "orchestrator.toml",
                "nats://127.0.0.1:4222"
            ]
        );
    }

    #[test]
    fn the_document_shows_defaults_and_variables() {
        let text = markdown(&[declared("default")]);
        assert!(
            text.ends_with(
                "| `nats.url` | `nats://127.0.0.1:4222` | `ORCHESTRATOR_NATS_URL` | where NATS is |"
            )
        );
    }
}
