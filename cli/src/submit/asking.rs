//! Before money is spent: what a job would cost, and whether that is meant.

use proto::v1::{Estimate, JobRequest, job_request::Body};

use crate::{client::Client, exit::Exit, output, problem::Problem};

/// What is to be done about the cost of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stance {
    /// It costs nothing, or whoever submits said yes beforehand.
    Submit,
    /// A person has to say yes to this.
    Ask(String),
    /// It is not submitted: why, and what to do about it.
    Refuse(String, String),
}

/// Goes on only where the job costs nothing, or where somebody agrees to what it may cost.
///
/// # Errors
/// That nobody agreed, or could be asked.
pub(super) async fn agree(client: &Client, request: &JobRequest, is_agreed: bool) -> Result<(), Problem> {
    let may_cost = match &request.body {
        Some(Body::Flux(_) | Body::V0(_) | Body::Comfyui(_)) => true,
        Some(Body::Sketch(_)) | None => false,
    };
    if !may_cost || is_agreed {
        return Ok(());
    }
    let estimate = client.validate(request.clone()).await?.estimate;
    let cost = match stance(estimate.as_ref()) {
        Stance::Submit => return Ok(()),
        Stance::Refuse(why, remedy) if remedy.is_empty() => return Err(not_submitted(&why)),
        Stance::Refuse(why, remedy) => return Err(not_submitted(&why).with_remedy(remedy)),
        Stance::Ask(cost) => cost,
    };
    match output::ask(&format!("{cost}; submit?")) {
        Some(true) => Ok(()),
        Some(false) => Err(not_submitted("it was not agreed to")),
        None => Err(not_submitted(&cost)
            .with_remedy("Say --yes where that is meant; --dry-run shows what would be sent.")),
    }
}

fn not_submitted(why: &str) -> Problem {
    Problem::new(
        Exit::Refused,
        format!("nothing was submitted: {}", output::plain(why)),
    )
}

fn stance(estimate: Option<&Estimate>) -> Stance {
    match estimate {
        None => Stance::Submit,
        Some(estimate) if !estimate.refusal.is_empty() => {
            Stance::Refuse(estimate.refusal.clone(), estimate.remedy.clone())
        }
        Some(estimate) if estimate.microdollars == 0 => Stance::Submit,
        Some(estimate) => Stance::Ask(format!(
            "this would cost up to {} ({})",
            output::plain(&estimate.text),
            output::plain(&estimate.basis)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_costs_money_is_asked_about() {
        let estimate = |microdollars, refusal: &str| Estimate {
            microdollars,
            text: "$0.04".into(),
            basis: "4 credits a picture".into(),
            refusal: refusal.into(),
            remedy: "switch it on".into(),
            ..Estimate::default()
        };
        assert_eq!(stance(None), Stance::Submit);
        assert_eq!(stance(Some(&estimate(0, ""))), Stance::Submit);
        assert_eq!(
            stance(Some(&estimate(40_000, ""))),
            Stance::Ask("this would cost up to $0.04 (4 credits a picture)".to_owned())
        );
        assert_eq!(
            stance(Some(&estimate(0, "generation is off"))),
            Stance::Refuse("generation is off".to_owned(), "switch it on".to_owned())
        );
    }
}
