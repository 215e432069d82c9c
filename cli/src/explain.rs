//! `orchestrator explain`: what a failure code means and what to do about it.

use clap::Args;
use proto::failure::FailureCode;

use crate::{exit::Exit, output, problem::Problem, table};

/// How like two codes must be for one to be offered in place of the other; 1 is the same.
const LIKENESS: f64 = 0.8;

/// What `explain` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainArguments {
    /// A failure code such as `comfyui_unreachable`; all codes are listed if absent
    pub(crate) code: Option<String>,
}

/// Prints the page of a code, or the list of all.
pub(crate) fn run(arguments: &ExplainArguments) -> Result<Exit, Problem> {
    let text = if let Some(code) = &arguments.code {
        page(code)?.trim_end().to_owned()
    } else {
        let rows = FailureCode::ALL.iter();
        table::table(
            &["CODE", "MEANS"],
            rows.map(|code| vec![code.to_string(), code.title().to_owned()]),
        )
    };
    output::line(text)?;
    Ok(Exit::Success)
}

fn page(text: &str) -> Result<&'static str, Problem> {
    let code = text.trim().to_ascii_lowercase().replace('-', "_");
    if let Some(code) = FailureCode::parse(&code) {
        return Ok(code.page());
    }
    let near = FailureCode::ALL
        .iter()
        .map(|other| (strsim::jaro_winkler(&code, other.as_str()), other))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let problem = Problem::new(Exit::Unknown, format!("there is no failure code {code:?}"));
    Err(match near {
        Some((_, near)) => problem.with_remedy(format!("Did you mean {near}?")),
        None => problem.with_remedy("orchestrator explain lists all codes"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_a_near_miss_is_told() {
        for code in FailureCode::ALL {
            assert!(page(code.as_str()).is_ok_and(|page| page.contains(code.as_str())));
        }
        assert!(page("Job-Unknown").is_ok());
        let problem = page("job_unknwn").expect_err("no such code");
        assert_eq!(problem.remedy.as_deref(), Some("Did you mean job_unknown?"));
        assert_eq!(problem.exit, Exit::Unknown);
        assert!(
            page("zzz")
                .expect_err("no such code")
                .remedy
                .is_some_and(|remedy| remedy.contains("lists"))
        );
    }
}
