//! `--dry-run`: what a request would become, without submitting it.

use proto::v1::{JobRequest, ValidateResponse};
use serde_json::Value;
use url::Url;

use crate::{
    exit::Exit,
    http::{Http, Route},
    output,
    problem::Problem,
    table, watch,
};

/// Lets the gateway work out what would run, and shows that.
pub(super) async fn run(request: &JobRequest, gateway: &Url, as_json: bool) -> Result<Exit, Problem> {
    let http = Http::new(gateway)?;
    let answer: ValidateResponse = http.post_json(Route::of(&["jobs", "validate"]), request).await?;
    tell(&answer, as_json)
}

/// Shows what would run.
pub(super) fn tell(answer: &ValidateResponse, as_json: bool) -> Result<Exit, Problem> {
    if as_json {
        output::json(answer)?;
    } else {
        output::line(shown(answer))?;
    }
    Ok(Exit::Success)
}

/// What would run, for people.
pub(crate) fn shown(answer: &ValidateResponse) -> String {
    let workers = if answer.workers.is_empty() {
        "none that is here could serve it; it would wait".to_owned()
    } else {
        answer.workers.join(", ")
    };
    let mut lines = vec![("workers", workers)];
    let needs = answer.needs.iter();
    lines.extend(needs.map(|need| ("needs", format!("{} {}", need.kind, need.name))));
    let substitutions = answer.substitutions.iter();
    lines.extend(substitutions.map(|one| ("replaced", watch::replaced(one))));
    if let Some(estimate) = &answer.estimate {
        let (text, basis) = (output::plain(&estimate.text), output::plain(&estimate.basis));
        lines.push(("cost", format!("up to {text}: {basis}")));
        if !estimate.refusal.is_empty() {
            lines.push(("refused", output::plain(&estimate.refusal)));
        }
    }
    let mut text = table::details(&lines);
    for (title, json) in [("graph", &answer.graph), ("payload", &answer.payload)] {
        if !json.is_empty() {
            text.extend(["\n", title, "\n", &pretty(json)]);
        }
    }
    text
}

fn pretty(graph: &str) -> String {
    let read: Option<Value> = serde_json::from_str(graph).ok();
    read.and_then(|graph| serde_json::to_string_pretty(&graph).ok())
        .unwrap_or_else(|| output::plain(graph))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::{Estimate, Model, Substitution};

    #[test]
    fn it_shows_what_would_be_sent_and_what_that_would_cost() {
        let answer = ValidateResponse {
            workers: vec!["w1".into()],
            payload: r#"{"prompt":"a lake","seed":7}"#.into(),
            estimate: Some(Estimate {
                microdollars: 40_000,
                text: "$0.04".into(),
                basis: "4 credits a picture (price table of 2026-08-22)".into(),
                refusal: "the budget of the day is used up".into(),
                ..Estimate::default()
            }),
            ..ValidateResponse::default()
        };
        let expected = "workers  w1\n\
            cost     up to $0.04: 4 credits a picture (price table of 2026-08-22)\n\
            refused  the budget of the day is used up\n\
            payload\n{\n  \"prompt\": \"a lake\",\n  \"seed\": 7\n}";
        assert_eq!(shown(&answer), expected);
    }

    #[test]
    fn it_shows_who_could_what_is_needed_and_what_was_replaced() {
        let answer = ValidateResponse {
            graph: r#"{"3":{"class_type":"KSampler"}}"#.into(),
            substitutions: vec![Substitution {
                pointer: "/comfyui/sampler".into(),
                given: "Euler a".into(),
                used: "euler_ancestral".into(),
                reason: String::new(),
            }],
            needs: vec![Model {
                kind: "checkpoint".into(),
                name: "sd15".into(),
                ..Model::default()
            }],
            ..ValidateResponse::default()
        };
        let text = shown(&answer);
        assert!(
            text.starts_with(
                "workers   none that is here could serve it; it would wait\n\
                 needs     checkpoint sd15\n\
                 replaced  sampler: Euler a → euler_ancestral\ngraph\n{\n  \"3\""
            ),
            "{text}"
        );
    }
}
