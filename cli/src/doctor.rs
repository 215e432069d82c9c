//! `orchestrator doctor`: looks at everything that is needed, and says what to do about what is not there.

mod checks;
mod hosts;
mod paid;

use std::path::Path;

use clap::Args;
use runtime::settings::Reader;
use serde::Serialize;
use worker::models::ModelSettings;

use crate::{client::ClientArguments, exit::Exit, output, problem::Problem, settings::Settings};

/// What `doctor` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What came of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    ok: bool,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Finding {
    fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            ok: true,
            message: message.into(),
            remedy: None,
        }
    }

    fn bad(check: &'static str, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            check,
            ok: false,
            message: message.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn line(&self) -> String {
        let sign = if self.ok { '✓' } else { '✗' };
        let mut line = format!("{sign} {}: {}", self.check, output::plain(&self.message));
        if let Some(remedy) = &self.remedy {
            line.push_str("\n  → ");
            line.push_str(remedy);
        }
        line
    }
}

/// Runs all checks; each is told as soon as it is known.
pub(crate) async fn run(arguments: &DoctorArguments, config: Option<&Path>) -> Result<Exit, Problem> {
    let as_json = arguments.client.json;
    let mut all_good = true;
    let mut tell = |findings: Vec<Finding>| -> Result<(), Problem> {
        for finding in findings {
            all_good &= finding.ok;
            if as_json {
                output::json(&finding)?;
            } else {
                output::line(finding.line())?;
            }
        }
        Ok(())
    };
    let (settings, faults) = Settings::read(Reader::of_process(config));
    let gateway = arguments
        .client
        .gateway
        .clone()
        .unwrap_or_else(|| settings.client.clone());
    tell(checks::settings(&faults))?;
    tell(checks::disk(&settings))?;
    tell(vec![checks::store(&settings.store).await])?;
    tell(checks::broker(&settings).await)?;
    tell(checks::gateway(&gateway).await)?;
    tell(paid::keys(&settings).await)?;
    tell(paid::ledger(&gateway, &settings).await)?;
    if let Some(url) = settings.worker.comfyui_url() {
        tell(hosts::comfyui(url).await)?;
    }
    // what is wrong with other settings was told before
    if let Some(models) = ModelSettings::read(&mut Reader::of_process(config)) {
        tell(vec![hosts::models(&models)])?;
    }
    Ok(if all_good { Exit::Success } else { Exit::Failure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_with_a_remedy() {
        assert_eq!(
            Finding::good("store", "can be written").line(),
            "✓ store: can be written"
        );
        let bad = Finding::bad("disk", "1.0 MiB free", "Free some.");
        assert_eq!(bad.line(), "✗ disk: 1.0 MiB free\n  → Free some.");
    }
}
