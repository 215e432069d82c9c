//! What a person (or a script) is told when a command does not succeed.

use std::fmt;

use proto::failure::FailureCode;
use runtime::{settings, telemetry};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// Why a command did not succeed. As JSON it has the form of the gateway's problem documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    #[serde(rename = "exit", serialize_with = "as_number")]
    pub(crate) exit: Exit,
    /// As it came; a newer gateway may send one that is not known here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    pub(crate) detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) faults: Vec<Fault>,
}

/// One part of the request or the settings that is to blame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Where: a JSON pointer, or a settings key.
    pub(crate) pointer: String,
    /// What is wrong there.
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(exit: Exit, detail: impl Into<String>) -> Self {
        Self {
            exit,
            code: None,
            detail: detail.into(),
            remedy: None,
            faults: Vec::new(),
        }
    }

    pub(crate) fn usage(detail: impl Into<String>) -> Self {
        Self::new(Exit::Usage, detail)
    }

    /// An error that is nobody's fault but the machine's, with everything that caused it.
    pub(crate) fn failed(doing: impl fmt::Display, error: &(dyn std::error::Error + 'static)) -> Self {
        Self::new(Exit::Failure, format!("{doing}: {}", telemetry::chain(error)))
    }

    pub(crate) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self {
            remedy: Some(remedy.into()),
            ..self
        }
    }

    /// The settings are faulty; all faults at once.
    pub(crate) fn of_settings(faults: &[settings::Fault]) -> Self {
        let mut told: Vec<Fault> = Vec::new();
        for fault in faults {
            let told_fault = Fault {
                pointer: fault.key.clone(),
                message: format!("{} (from {})", fault.message, fault.origin),
            };
            // a setting that two roles read is faulty twice
            if !told.contains(&told_fault) {
                told.push(told_fault);
            }
        }
        Self {
            faults: told,
            ..Self::new(Exit::Settings, "the settings cannot be used")
        }
        .with_remedy("orchestrator config check shows every setting and where its value comes from")
    }

    /// Standard output was closed by who reads it, such as `head`.
    pub(crate) fn of_output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Self::new(Exit::Success, String::new())
        } else {
            Self::failed("standard output cannot be written", error)
        }
    }

    /// A call that the gateway did not carry out, or that did not come through.
    pub(crate) fn of_status(status: &tonic::Status) -> Self {
        let Some(code) = header(status, "orchestrator-code") else {
            return Self::of_transport(status);
        };
        let remedy = header(status, "orchestrator-remedy");
        let known = FailureCode::parse(&code).map(|code| code.remedy().to_owned());
        Self {
            exit: exit_of(status.code()),
            code: Some(code),
            detail: status.message().to_owned(),
            remedy: remedy.or(known),
            faults: faults(status),
        }
    }

    /// A refusal over HTTP: a problem document, or what else stands there with a status.
    pub(crate) fn of_answer(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Document>(body) {
            Ok(document) if !document.is_empty() => Self::of(document, Some(status)),
            _ => Self::new(
                exit_of_http(status),
                format!("the gateway answered with HTTP status {status}"),
            )
            .with_remedy("Check the address: what answers there may be no gateway of this version."),
        }
    }

    /// A problem document out of an answer or an event: the gateway is there, whoever else is not.
    pub(crate) fn of_document(document: &serde_json::Value) -> Self {
        let document = Document::deserialize(document).unwrap_or_default();
        let problem = Self::of(document, None);
        if problem.is_unreachable() {
            Self {
                exit: Exit::Failure,
                ..problem
            }
        } else {
            problem
        }
    }

    fn of(document: Document, status: Option<u16>) -> Self {
        let known = FailureCode::parse(&document.code);
        let exit = match (known, document.status.or(status)) {
            (Some(code), _) => exit_of(code.grpc()),
            (None, Some(status)) => exit_of_http(status),
            (None, None) => Exit::Failure,
        };
        let told = [document.detail, document.message, document.title]
            .into_iter()
            .find(|text| !text.is_empty());
        Self {
            exit,
            code: Some(document.code).filter(|code| !code.is_empty()),
            detail: told.unwrap_or_else(|| "it did not work, and the gateway did not say why".to_owned()),
            remedy: Some(document.remedy)
                .filter(|remedy| !remedy.is_empty())
                .or_else(|| known.map(|code| code.remedy().to_owned())),
            faults: document.faults,
        }
    }

    /// Whether the call may come through when it is made again.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.exit == Exit::Unreachable
    }

    fn of_transport(status: &tonic::Status) -> Self {
        use tonic::Code;
        let lost = matches!(status.code(), Code::Unknown | Code::Internal | Code::Cancelled);
        let exit = if lost {
            Exit::Unreachable
        } else {
            exit_of(status.code())
        };
        let remedy = if status.code() == Code::Unimplemented {
            "Check the address: what answers there is no gateway of this version."
        } else {
            "Look whether the gateway runs: orchestrator doctor"
        };
        let detail = match std::error::Error::source(status) {
            Some(source) => telemetry::chain(source),
            None => format!("{} ({})", status.message(), status.code().description()),
        };
        Self::new(exit, format!("the call did not come through: {detail}")).with_remedy(remedy)
    }
}

/// A problem document (RFC 9457) as gateways write it, or a failure of the contract.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    status: Option<u16>,
    title: String,
    detail: String,
    message: String,
    code: String,
    remedy: String,
    faults: Vec<Fault>,
}

impl Document {
    const fn is_empty(&self) -> bool {
        self.code.is_empty() && self.detail.is_empty() && self.title.is_empty()
    }
}

fn header(status: &tonic::Status, name: &str) -> Option<String> {
    status.metadata().get(name)?.to_str().ok().map(str::to_owned)
}

/// The parts of the request that are to blame, out of the problem document beside the status.
fn faults(status: &tonic::Status) -> Vec<Fault> {
    let document = status
        .metadata()
        .get_bin("orchestrator-problem-bin")
        .and_then(|value| value.to_bytes().ok());
    document
        .and_then(|bytes| serde_json::from_slice::<Document>(&bytes).ok())
        .unwrap_or_default()
        .faults
}

/// The exit that a gRPC status stands for.
const fn exit_of(code: tonic::Code) -> Exit {
    use tonic::Code;
    match code {
        Code::Ok => Exit::Success,
        Code::InvalidArgument | Code::OutOfRange | Code::Unimplemented => Exit::Usage,
        Code::NotFound => Exit::Unknown,
        Code::Unavailable | Code::DeadlineExceeded => Exit::Unreachable,
        Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unauthenticated => Exit::Refused,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => Exit::Failure,
    }
}

/// The exit that an HTTP status stands for, where the code is not known.
const fn exit_of_http(status: u16) -> Exit {
    match status {
        400 | 405 | 406 | 413 | 415 | 422 => Exit::Usage,
        404 | 410 => Exit::Unknown,
        401 | 403 | 409 | 412 | 429 => Exit::Refused,
        502..=504 => Exit::Unreachable,
        _ => Exit::Failure,
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's serialize_with hands out references"
)]
fn as_number<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(exit.code())
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.detail)?;
        if let Some(code) = &self.code {
            write!(f, " [{code}]")?;
        }
        for fault in &self.faults {
            let place = if fault.pointer.is_empty() {
                "the request"
            } else {
                &fault.pointer
            };
            write!(f, "\n  {place}: {}", fault.message)?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  → {remedy}")?;
        }
        if let Some(code) = self
            .code
            .as_deref()
            .filter(|code| FailureCode::parse(code).is_some())
        {
            write!(f, "\n  → more: orchestrator explain {code}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_blame_and_what_to_do_is_shown() {
        let problem = Problem {
            code: Some("request_invalid".to_owned()),
            faults: vec![Fault {
                pointer: "/sketch/width".to_owned(),
                message: "5000 is not within 16 to 4096".to_owned(),
            }],
            ..Problem::usage("the request cannot be").with_remedy("Correct it.")
        };
        assert_eq!(
            problem.to_string(),
            "error: the request cannot be [request_invalid]\n  \
             /sketch/width: 5000 is not within 16 to 4096\n  \
             → Correct it.\n  → more: orchestrator explain request_invalid"
        );
        let json = serde_json::to_value(&problem).expect("JSON");
        assert_eq!(
            (json["exit"].as_u64(), json["faults"][0]["pointer"].as_str()),
            (Some(2), Some("/sketch/width"))
        );
    }

    #[test]
    fn every_failure_code_leads_to_an_exit_for_scripts() {
        let exit = |code: FailureCode| exit_of(code.grpc());
        assert_eq!(exit(FailureCode::JobUnknown), Exit::Unknown);
        assert_eq!(exit(FailureCode::JobFinished), Exit::Refused);
        assert_eq!(exit(FailureCode::IdempotencyKeyReused), Exit::Refused);
        assert_eq!(exit(FailureCode::BrokerUnavailable), Exit::Unreachable);
        assert_eq!(exit(FailureCode::RequestInvalid), Exit::Usage);
        assert!(FailureCode::ALL.iter().all(|code| exit(*code) != Exit::Success));
    }

    #[test]
    fn a_refusal_is_told_with_what_stands_beside_the_status() {
        let mut status = tonic::Status::invalid_argument("2 parts of the request cannot be");
        let metadata = status.metadata_mut();
        metadata.insert("orchestrator-code", "request_invalid".parse().expect("ASCII"));
        let document = br#"{"faults":[{"pointer":"/sketch/steps","message":"too many"}],"more":1}"#;
        metadata.insert_bin(
            "orchestrator-problem-bin",
            tonic::metadata::MetadataValue::from_bytes(document),
        );
        let problem = Problem::of_status(&status);
        assert_eq!(
            (problem.exit, problem.faults[0].pointer.as_str()),
            (Exit::Usage, "/sketch/steps")
        );
        assert_eq!(
            problem.remedy.as_deref(),
            Some(FailureCode::RequestInvalid.remedy())
        );
    }

    #[test]
    fn a_refusal_over_http_is_told_like_one_over_grpc() {
        let document =
            br#"{"type":"/docs/codes/job_unknown","status":404,"detail":"no such job","code":"job_unknown",
            "remedy":"Look.","faults":[{"pointer":"/a","message":"b"}]}"#;
        let problem = Problem::of_answer(404, document);
        assert_eq!(
            (problem.exit, problem.code.as_deref(), problem.remedy.as_deref()),
            (Exit::Unknown, Some("job_unknown"), Some("Look."))
        );
        assert_eq!(
            (problem.detail.as_str(), problem.faults.len()),
            ("no such job", 1)
        );
        let newer = Problem::of_answer(409, br#"{"detail":"newer","code":"host_newer"}"#);
        assert_eq!(
            (newer.exit, newer.code.as_deref()),
            (Exit::Refused, Some("host_newer"))
        );
        let foreign = Problem::of_answer(404, b"<html>");
        assert!(foreign.detail.contains("404") && foreign.code.is_none());
        let failure = serde_json::json!({"code": "worker_lost", "message": "gone"});
        assert_eq!(Problem::of_document(&failure).detail, "gone");
    }

    #[test]
    fn a_call_that_did_not_come_through_may_be_made_again() {
        assert!(Problem::of_status(&tonic::Status::unknown("h2 protocol error")).is_unreachable());
        assert!(Problem::of_status(&tonic::Status::unavailable("refused")).is_unreachable());
        assert!(!Problem::of_status(&tonic::Status::unimplemented("a web page")).is_unreachable());
    }

    #[test]
    fn a_fault_is_listed_once_even_if_two_roles_read_the_setting() {
        let fault = settings::Fault {
            key: "artifacts.max_size".into(),
            origin: "default".into(),
            message: "is not a size".into(),
        };
        assert_eq!(Problem::of_settings(&[fault.clone(), fault]).faults.len(), 1);
    }
}
