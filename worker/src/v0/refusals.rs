//! What v0's answers mean for a job.

use connectors::v0::{Ended, Error, Finish, Refusal};
use proto::{failure::FailureCode, v1::Failure};
use runtime::telemetry::chain;

/// What a failed call means.
pub(super) fn of(error: &Error) -> Failure {
    let code = match error {
        Error::Refused(refusal) => return of_refusal(refusal),
        Error::Unreachable { .. } | Error::Timeout { .. } | Error::Broken { .. } => {
            FailureCode::V0Unreachable
        }
        Error::Status { .. } => FailureCode::V0Unavailable,
        Error::Key => FailureCode::V0KeyRefused,
        Error::Address { .. } | Error::Setup(_) | Error::TooLarge { .. } | Error::Unparseable { .. } => {
            FailureCode::V0Garbled
        }
    };
    code.failure(chain(error))
}

/// What a failed call means that was to make a chat: there is no chat that could be unknown.
pub(super) fn of_creation(error: &Error) -> Failure {
    match error.refusal() {
        Some(refusal) if refusal.status == 404 => FailureCode::V0RequestRefused.failure(format!(
            "v0 does not know what was asked for; check v0.url and v0.version: {}",
            refusal.words
        )),
        Some(_) | None => of(error),
    }
}

fn of_refusal(refusal: &Refusal) -> Failure {
    let code = match refusal.status {
        401 => FailureCode::V0KeyRefused,
        402 => FailureCode::V0CreditsExhausted,
        403 => FailureCode::V0Forbidden,
        404 => FailureCode::V0ChatUnknown,
        409 | 429 => FailureCode::V0Busy,
        413 => FailureCode::V0TooLarge,
        500..=599 => FailureCode::V0Unavailable,
        300..=399 => FailureCode::V0Garbled,
        _ => FailureCode::V0RequestRefused,
    };
    let words: String = refusal.words.chars().take(300).collect();
    Failure {
        detail: refusal.words.chars().take(2_000).collect(),
        ..code.failure(format!("v0 answered {}: {words}", refusal.status))
    }
}

/// Whether v0 refused for good, so that nothing will be owed.
pub(super) fn is_final(failure: &Failure) -> bool {
    let codes = [
        FailureCode::V0KeyRefused,
        FailureCode::V0CreditsExhausted,
        FailureCode::V0Forbidden,
        FailureCode::V0ChatUnknown,
        FailureCode::V0RequestRefused,
        FailureCode::V0TooLarge,
    ];
    codes.iter().any(|code| code.as_str() == failure.code)
}

/// What a message means that is over and is no site.
pub(super) fn of_ending(chat: &str, ended: &Ended) -> Failure {
    let said = |otherwise: &str| {
        let words = ended.words.trim();
        if words.is_empty() {
            otherwise.to_owned()
        } else {
            words.chars().take(500).collect()
        }
    };
    let (code, message) = match ended.finish {
        Finish::ToolCalls => (
            FailureCode::V0NeedsAnswer,
            format!(
                "v0 wants to know in chat {chat}: {}",
                said("it does not say what")
            ),
        ),
        Finish::Length => (
            FailureCode::V0GenerationFailed,
            format!("v0's answer in chat {chat} became too long and was cut off"),
        ),
        Finish::ContentFilter => (
            FailureCode::V0GenerationFailed,
            format!("v0 held its answer in chat {chat} back"),
        ),
        Finish::Error | Finish::Other | Finish::Stop => (
            FailureCode::V0GenerationFailed,
            format!(
                "v0 did not finish in chat {chat}: {}",
                said("it does not say why")
            ),
        ),
    };
    Failure {
        detail: format!("finish reason {}", ended.finish.as_str()),
        ..code.failure(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Error {
        Error::Refused(Box::new(Refusal {
            operation: "POST /chats".to_owned(),
            status,
            kind: None,
            words: "words".to_owned(),
            retry_after: None,
        }))
    }

    #[test]
    fn every_status_has_its_code() {
        for (status, code, is_for_good) in [
            (400, FailureCode::V0RequestRefused, true),
            (401, FailureCode::V0KeyRefused, true),
            (402, FailureCode::V0CreditsExhausted, true),
            (403, FailureCode::V0Forbidden, true),
            (404, FailureCode::V0ChatUnknown, true),
            (409, FailureCode::V0Busy, false),
            (413, FailureCode::V0TooLarge, true),
            (422, FailureCode::V0RequestRefused, true),
            (429, FailureCode::V0Busy, false),
            (500, FailureCode::V0Unavailable, false),
            (503, FailureCode::V0Unavailable, false),
            (308, FailureCode::V0Garbled, false),
        ] {
            let failure = of(&refused(status));
            assert_eq!(failure.code, code.as_str(), "{status}");
            assert_eq!(is_final(&failure), is_for_good, "{status}");
            assert_eq!(failure.retryable, !is_for_good, "{status}");
            assert!(failure.message.contains("words"), "{}", failure.message);
        }
        let lost = of_creation(&refused(404));
        assert_eq!(lost.code, FailureCode::V0RequestRefused.as_str());
        assert!(lost.message.contains("v0.version"), "{}", lost.message);
    }

    #[test]
    fn a_question_is_told_and_so_is_where_to_answer_it() {
        let ended = |finish, words: &str| Ended {
            message: "m".to_owned(),
            finish,
            words: words.to_owned(),
            usage: None,
        };
        let asks = of_ending("c1", &ended(Finish::ToolCalls, "Which colour?"));
        assert_eq!(asks.code, FailureCode::V0NeedsAnswer.as_str());
        assert_eq!(asks.message, "v0 wants to know in chat c1: Which colour?");
        for finish in [
            Finish::Error,
            Finish::Length,
            Finish::ContentFilter,
            Finish::Other,
        ] {
            let failure = of_ending("c1", &ended(finish, ""));
            assert_eq!(failure.code, FailureCode::V0GenerationFailed.as_str());
            assert!(failure.message.contains("chat c1"), "{}", failure.message);
        }
    }
}
