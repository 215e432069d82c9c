//! What the service's answers mean for a job.

use connectors::bfl::{Detail, PollError, SampleError, SubmitError};
use proto::{
    failure::FailureCode,
    request::Fault,
    v1::{Failure, Upstream},
};
use runtime::telemetry::chain;
use url::Url;

use super::recorded;
use crate::paid::Answer;

/// What a submission that did not go well means. A task of which only the name is known is taken: it can be asked
/// about at `base`.
pub(super) fn of_submission(error: &SubmitError, base: &Url) -> Answer {
    match error {
        SubmitError::Unreachable { .. } => Answer::Refused {
            failure: FailureCode::FluxUnreachable.failure(chain(error)),
            after: None,
        },
        SubmitError::Refused {
            status,
            detail,
            retry_after,
        } => Answer::Refused {
            failure: of_status(*status, detail),
            after: *retry_after,
        },
        SubmitError::Unclear { id: Some(id), .. } => {
            let mut address = base.clone();
            address.set_path("/v1/get_result");
            address.query_pairs_mut().append_pair("id", id);
            Answer::Taken(recorded(id, address.as_str(), None, base.as_str()))
        }
        SubmitError::Unclear { id: None, .. } => Answer::Unclear(chain(error)),
    }
}

fn of_status(status: u16, detail: &Detail) -> Failure {
    let code = match status {
        401 | 403 => FailureCode::FluxKeyRefused,
        402 => FailureCode::FluxCreditsExhausted,
        404 => FailureCode::FluxModelUnknown,
        429 => FailureCode::FluxBusy,
        500..=599 => FailureCode::FluxUnavailable,
        _ => FailureCode::FluxRequestRefused,
    };
    let words = detail.to_string();
    let field = detail.fields.first().and_then(|fault| fault.loc.last());
    Failure {
        detail: words.chars().take(2_000).collect(),
        pointer: field.map(|field| format!("/flux/{field}")).unwrap_or_default(),
        ..code.failure(format!(
            "the FLUX service answered {status}: {}",
            first_line(&words)
        ))
    }
}

/// Whether the service refused a submission for good, so that nothing will be owed.
pub(super) fn is_final(failure: &Failure) -> bool {
    let codes = [
        FailureCode::FluxKeyRefused,
        FailureCode::FluxCreditsExhausted,
        FailureCode::FluxModelUnknown,
        FailureCode::FluxRequestRefused,
    ];
    codes.iter().any(|code| code.as_str() == failure.code)
}

fn first_line(words: &str) -> String {
    words
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(300)
        .collect()
}

/// The request was accepted, but this version cannot make a payload of it.
pub(super) fn of_faults(faults: &[Fault]) -> Failure {
    let told: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.pointer, fault.message))
        .collect();
    let pointer = faults.first().map(|fault| fault.pointer.clone());
    Failure {
        pointer: pointer.unwrap_or_default(),
        ..FailureCode::RequestInvalid.failure(told.join("; "))
    }
}

/// What an answer about a task means.
pub(super) fn of_poll(error: &PollError) -> Failure {
    let code = match error {
        PollError::Unreachable { .. } | PollError::Timeout { .. } | PollError::Broken { .. } => {
            FailureCode::FluxUnreachable
        }
        PollError::AddressRefused(_) => FailureCode::FluxAddressRefused,
        PollError::Unavailable { .. } | PollError::Refused { .. } => FailureCode::FluxUnavailable,
        PollError::Garbled { .. } => FailureCode::FluxGarbled,
    };
    code.failure(chain(error))
}

/// What a result that could not be fetched means.
pub(super) fn of_sample(error: &SampleError) -> Failure {
    let code = match error {
        SampleError::Expired { .. } => FailureCode::FluxSampleExpired,
        SampleError::AddressRefused(_) => FailureCode::FluxAddressRefused,
        SampleError::Unreachable { .. } | SampleError::Timeout { .. } | SampleError::Broken { .. } => {
            FailureCode::FluxUnreachable
        }
        SampleError::Refused { .. } => FailureCode::FluxUnavailable,
        SampleError::TooLarge { .. } => FailureCode::ArtifactTooLarge,
    };
    code.failure(chain(error))
}

/// The service refused the input or withheld the output.
pub(super) fn moderated(code: FailureCode, what: &str, reasons: &[String]) -> Failure {
    let why = if reasons.is_empty() {
        "no reason was given".to_owned()
    } else {
        reasons.join(", ")
    };
    code.failure(format!("the FLUX service moderated {what}: {why}"))
}

/// The service did not manage to make it.
pub(super) fn task_failed(words: &str) -> Failure {
    Failure {
        detail: words.chars().take(2_000).collect(),
        ..FailureCode::FluxTaskFailed.failure("the FLUX service failed to make it")
    }
}

/// The service does not know the task.
pub(super) fn lost(upstream: &Upstream) -> Failure {
    FailureCode::FluxTaskLost.failure(format!(
        "the FLUX service does not know task {} any more",
        upstream.task_id
    ))
}

/// The result is there no more.
pub(super) fn expired(upstream: &Upstream) -> Failure {
    FailureCode::FluxSampleExpired.failure(format!(
        "the result of task {} could not be fetched in time",
        upstream.task_id
    ))
}

/// Something else than a picture or a film came where the result should be.
pub(super) fn no_result() -> Failure {
    FailureCode::FluxGarbled.failure("what the FLUX service delivered is no picture and no film")
}
