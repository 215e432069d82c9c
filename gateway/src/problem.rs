//! Why a call was not carried out, before HTTP and gRPC put it into their words.

use std::time::Duration;

use proto::{Status, failure::FailureCode, lifecycle::Refusal, money::MicroDollars, request::Fault, v1::Job};
use runtime::{
    bus::BusError, ledger::LedgerError, records::ChangeError, store::StoreError, telemetry::chain,
};

/// What a caller waits before it tries again while the broker is away.
const BROKER_RETRY: Duration = Duration::from_secs(2);

/// Why a call was not carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// What kind of failure.
    pub code: FailureCode,
    /// The particulars, for a person.
    pub detail: String,
    /// Which parts of the request are to blame.
    pub faults: Vec<Fault>,
    /// The job as it is, where that explains the refusal.
    pub job: Option<Box<Job>>,
    /// The budget that does not allow it.
    pub overrun: Option<Overrun>,
    /// When to try again.
    pub retry_after: Option<Duration>,
}

/// What would go over a budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrun {
    /// `total`, `day` or `key`.
    pub scope: &'static str,
    /// What may be spent.
    pub limit: MicroDollars,
    /// What is charged, set aside or unknown.
    pub used: MicroDollars,
    /// What was to be set aside.
    pub wanted: MicroDollars,
}

impl Problem {
    /// A problem without further particulars.
    pub fn new(code: FailureCode, detail: impl Into<String>) -> Self {
        let retry_after = (code == FailureCode::BrokerUnavailable).then_some(BROKER_RETRY);
        Self {
            code,
            detail: detail.into(),
            faults: Vec::new(),
            job: None,
            overrun: None,
            retry_after,
        }
    }

    /// A request with these faults.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        let detail = match faults.as_slice() {
            [only] if only.pointer.is_empty() => only.message.clone(),
            [only] => format!("{} {}", only.pointer, only.message),
            _ => format!("{} parts of the request cannot be", faults.len()),
        };
        Self {
            faults,
            ..Self::new(FailureCode::RequestInvalid, detail)
        }
    }

    /// A refusal by the job's life cycle; `of_status` says what a job in another state means for this call.
    pub fn refused(refusal: &Refusal, current: Job, of_status: FailureCode) -> Self {
        let code = match refusal {
            Refusal::Finished(_) => FailureCode::JobFinished,
            Refusal::NotHolder | Refusal::TooEarly(_) | Refusal::NothingToDo | Refusal::WrongStatus(_) => {
                of_status
            }
        };
        let status = Status::as_str_name(&current.status());
        Self {
            job: Some(Box::new(current)),
            ..Self::new(code, format!("the job is {status}"))
        }
    }
}

impl From<BusError> for Problem {
    fn from(error: BusError) -> Self {
        let text = chain(&error);
        match error {
            BusError::Unavailable { .. } => Self::new(FailureCode::BrokerUnavailable, text),
            BusError::Conflict => Self::new(FailureCode::JobContended, text),
            BusError::TooLarge => Self::new(FailureCode::RequestTooLarge, text),
            BusError::Refused { .. } | BusError::Garbled { .. } | BusError::Unsuitable(_) => {
                tracing::error!(error = text, "the broker does not work as expected");
                Self::new(FailureCode::GatewayFault, text)
            }
        }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown(id) => Self::new(FailureCode::JobUnknown, format!("there is no job {id}")),
            ChangeError::Refused { refusal, current } => {
                Self::refused(&refusal, *current, FailureCode::JobContended)
            }
            ChangeError::Contended(_) => Self::new(FailureCode::JobContended, error.to_string()),
            ChangeError::Bus(error) => error.into(),
        }
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Denied(denial) => denial.into(),
            LedgerError::Contended => Self::new(FailureCode::JobContended, error.to_string()),
            LedgerError::Bus(error) => error.into(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Missing(_) => FailureCode::ArtifactUnknown,
            StoreError::TooLarge(_) => FailureCode::RequestTooLarge,
            StoreError::Full(_) => FailureCode::StoreFull,
            StoreError::Corrupt { .. } | StoreError::Cut(_) => FailureCode::UploadCorrupt,
            StoreError::Range(_) => FailureCode::RangeUnsatisfiable,
            StoreError::Failed(_) => FailureCode::StoreUnavailable,
        };
        Self::new(code, chain(&error))
    }
}
