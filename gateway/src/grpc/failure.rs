//! How a failure looks over gRPC: a status, and in its metadata what a problem document says.

use bytes::Bytes;
use tonic::{
    Status,
    metadata::{AsciiMetadataValue, MetadataMap, MetadataValue},
};

use crate::{http::problem::document, problem::Problem};

/// Clients refuse headers that are much larger.
const MAX_DETAIL_CHARS: usize = 1_000;
const MAX_FAULTS: usize = 20;
const MAX_DOCUMENT_BYTES: usize = 6 * 1024;

/// The status that tells of a problem.
pub(super) fn status(problem: Problem) -> Status {
    let detail: String = problem.detail.chars().take(MAX_DETAIL_CHARS).collect();
    let mut metadata = MetadataMap::new();
    for (key, text) in [
        ("orchestrator-code", problem.code.as_str()),
        ("orchestrator-remedy", problem.code.remedy()),
    ] {
        if let Ok(value) = AsciiMetadataValue::try_from(text) {
            metadata.insert(key, value);
        }
    }
    let short = Problem {
        detail: detail.clone(),
        faults: problem.faults.iter().take(MAX_FAULTS).cloned().collect(),
        job: None,
        ..problem
    };
    let document = document(&short).to_string();
    if document.len() <= MAX_DOCUMENT_BYTES {
        metadata.insert_bin(
            "orchestrator-problem-bin",
            MetadataValue::from_bytes(document.as_bytes()),
        );
    }
    Status::with_details_and_metadata(problem.code.grpc(), detail, Bytes::new(), metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{failure::FailureCode, request::Fault};

    #[test]
    fn a_status_says_what_the_document_says() {
        let fault = Fault {
            pointer: "/sketch/width".into(),
            message: "5000 is not within 16 to 4096".into(),
        };
        let status = status(Problem::invalid(vec![fault]));
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        let metadata = status.metadata();
        assert_eq!(
            metadata.get("orchestrator-code").expect("a code"),
            "request_invalid"
        );
        let document = metadata.get_bin("orchestrator-problem-bin").expect("a document");
        let bytes = document.to_bytes().expect("bytes");
        let document: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        assert_eq!(document["faults"][0]["pointer"], "/sketch/width");
    }

    #[test]
    fn every_remedy_can_be_sent() {
        for code in FailureCode::ALL {
            assert!(AsciiMetadataValue::try_from(code.remedy()).is_ok(), "{code}");
        }
    }

    #[test]
    fn a_long_story_is_cut() {
        let fault = |i| Fault {
            pointer: format!("/{i}"),
            message: "x".repeat(1_000),
        };
        let status = status(Problem {
            faults: (0..100).map(fault).collect(),
            ..Problem::new(FailureCode::RequestInvalid, "y".repeat(100_000))
        });
        assert!(status.message().len() <= MAX_DETAIL_CHARS);
        assert!(status.metadata().get_bin("orchestrator-problem-bin").is_none());
    }
}
