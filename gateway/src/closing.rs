//! Which accounts of the ledger can be closed: decided from what is known, without asking anybody.
//!
//! A worker writes down what the vendor took as soon as it knows. This is the net below it, for what was never
//! called, and for what nobody will ever know. All of it may be done twice, and by several gateways.

use std::time::Duration;

use proto::{
    Backend, SpendState, Status, UpstreamPhase,
    failure::FailureCode,
    ids::JobId,
    ledger::{Account, Act, Book},
    moment::{self, Millis},
    money::MicroDollars,
    v1::{Job, Spend},
};

use crate::index::Index;

/// A record that has not come this long after the last line of its account will not come any more: whoever was about
/// to write it has given up, or is gone.
pub const UNRECORDED: Duration = Duration::from_mins(10);

/// An account that can be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// What is to be written.
    pub act: Act,
    /// Only if there really is no record of this job, which this gateway does not know.
    pub unless_recorded: Option<JobId>,
}

/// What can be written about accounts that are not closed.
pub fn due(book: &Book, index: &Index, now: Millis) -> Vec<Closing> {
    let closing = |(id, account): (JobId, &Account)| {
        if !index.contains(id) {
            return unrecorded(id, account, now);
        }
        let act = of_finished(id, account, &index.finished(id)?)?;
        Some(Closing {
            act,
            unless_recorded: None,
        })
    };
    book.unfinished().filter_map(closing).collect()
}

/// The job was not accepted after all, or its record has expired.
fn unrecorded(id: JobId, account: &Account, now: Millis) -> Option<Closing> {
    let newest = moment::maybe_millis(account.summary.at.as_ref()).unwrap_or_default();
    let patience = Millis::try_from(UNRECORDED.as_millis()).unwrap_or(Millis::MAX);
    if now.saturating_sub(newest) <= patience {
        return None;
    }
    let act = match account.state() {
        SpendState::Open => release(id, "the job was never accepted"),
        SpendState::Started => doubt(id, "a paid call was begun, and the job's record is gone"),
        SpendState::Settled | SpendState::Released | SpendState::Unknown | SpendState::Unspecified => {
            return None;
        }
    };
    Some(Closing {
        act,
        unless_recorded: Some(id),
    })
}

/// A finished record never changes, so that what it says holds for ever. `None` leaves the account to the workers.
fn of_finished(id: JobId, account: &Account, job: &Job) -> Option<Act> {
    if let Some(Spend {
        charged_microdollars: Some(charged),
        estimated,
        ..
    }) = &job.spend
    {
        return Some(settle(id, MicroDollars(*charged), *estimated, job));
    }
    if is_doubtful(job) {
        return Some(doubt(
            id,
            "the job failed, and it is not known whether its paid call went through",
        ));
    }
    let Some(upstream) = &job.upstream else {
        return Some(release(id, "the job is over, and no paid call was made"));
    };
    match (upstream.phase(), account.summary.backend()) {
        (UpstreamPhase::Ended, _) => Some(release(id, "the job is over, and its paid call came to nothing")),
        (UpstreamPhase::Submitting, _) => Some(doubt(id, "the job ended while a paid call was being made")),
        // ComfyUI tells no figures, and nobody can ask for them later
        (UpstreamPhase::Submitted, Backend::Comfyui) if job.status() == Status::Succeeded => {
            let reserved = MicroDollars(account.summary.reserved_microdollars);
            Some(settle(id, reserved, true, job))
        }
        (UpstreamPhase::Submitted, Backend::Comfyui) => Some(doubt(
            id,
            "the job ended while its graph, which calls paid services, was in ComfyUI",
        )),
        (UpstreamPhase::Submitted, Backend::Flux | Backend::V0 | Backend::Sketch | Backend::Unspecified) => {
            None
        }
    }
}

fn is_doubtful(job: &Job) -> bool {
    let code = job.failure.as_ref().map(|failure| failure.code.as_str());
    let code = code.and_then(FailureCode::parse);
    job.status() == Status::Failed
        && matches!(
            code,
            Some(FailureCode::OutcomeUnknown | FailureCode::FluxTaskLost)
        )
}

fn settle(job: JobId, amount: MicroDollars, estimated: bool, record: &Job) -> Act {
    let upstream = record.upstream.as_ref();
    Act::Settle {
        job,
        amount,
        estimated,
        reference: upstream
            .map(|upstream| upstream.task_id.clone())
            .unwrap_or_default(),
    }
}

fn release(job: JobId, reason: &str) -> Act {
    Act::Release {
        job,
        reason: reason.to_owned(),
    }
}

fn doubt(job: JobId, reason: &str) -> Act {
    Act::Doubt {
        job,
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{
        EntryKind,
        moment::timestamp,
        v1::{LedgerEntry, Upstream},
    };

    const MINUTES_10: Millis = 600_000;

    /// A ledger in which an account stands like this since time 0.
    fn book(id: JobId, backend: Backend, state: SpendState) -> Book {
        let kinds: &[EntryKind] = match state {
            SpendState::Open => &[EntryKind::Reservation],
            SpendState::Started => &[EntryKind::Reservation, EntryKind::Call],
            SpendState::Unknown => &[EntryKind::Reservation, EntryKind::Doubt],
            SpendState::Settled | SpendState::Released | SpendState::Unspecified => &[],
        };
        let mut book = Book::default();
        for (kind, number) in kinds.iter().zip(1..) {
            book.take(&LedgerEntry {
                job: id.to_string(),
                kind: (*kind).into(),
                at: Some(timestamp(0)),
                amount_microdollars: 40_000,
                backend: backend.into(),
                number,
                ..LedgerEntry::default()
            });
        }
        book
    }

    fn job(id: JobId, status: Status, phase: Option<UpstreamPhase>) -> Job {
        let upstream = phase.map(|phase| Upstream {
            task_id: "t1".into(),
            phase: phase.into(),
            ..Upstream::default()
        });
        Job {
            id: id.to_string(),
            status: status.into(),
            backend: Backend::Flux.into(),
            revision: 1,
            upstream,
            spend: Some(Spend {
                reserved_microdollars: 40_000,
                ..Spend::default()
            }),
            ..Job::default()
        }
    }

    /// What is done, in a word; empty where nothing is.
    fn done(backend: Backend, state: SpendState, record: Option<Job>, now: Millis) -> String {
        let id = record
            .as_ref()
            .map_or_else(JobId::generate, |job| job.id.parse().expect("an id"));
        let mut index = Index::default();
        if let Some(job) = record {
            index.take(job);
        }
        let closings = due(&book(id, backend, state), &index, now);
        let word = |closing: &Closing| {
            let word = match &closing.act {
                Act::Release { .. } => "release".to_owned(),
                Act::Doubt { .. } => "doubt".to_owned(),
                Act::Settle {
                    amount, estimated, ..
                } => format!("settle {amount} {estimated}"),
                Act::Reserve(_) | Act::Start { .. } | Act::Withdraw { .. } | Act::Resolve { .. } => {
                    panic!("{closing:?}")
                }
            };
            let checked = if closing.unless_recorded == Some(id) {
                " unless recorded"
            } else {
                ""
            };
            format!("{word}{checked}")
        };
        closings.iter().map(word).collect()
    }

    #[test]
    fn what_a_finished_job_shows_decides() {
        let flux = |status, phase| {
            let job = job(JobId::generate(), status, phase);
            done(Backend::Flux, SpendState::Started, Some(job), 0)
        };
        for status in [Status::Succeeded, Status::Failed, Status::Cancelled] {
            assert_eq!(flux(status, None), "release", "{status:?}");
            assert_eq!(flux(status, Some(UpstreamPhase::Ended)), "release", "{status:?}");
            assert_eq!(
                flux(status, Some(UpstreamPhase::Submitting)),
                "doubt",
                "{status:?}"
            );
            assert_eq!(flux(status, Some(UpstreamPhase::Submitted)), "", "{status:?}");
        }
        for status in [Status::Created, Status::Queued, Status::Running] {
            for phase in [None, Some(UpstreamPhase::Submitting), Some(UpstreamPhase::Ended)] {
                assert_eq!(flux(status, phase), "", "{status:?}");
            }
        }
    }

    #[test]
    fn a_known_charge_and_an_unknown_outcome_come_before_the_phase() {
        for phase in [
            None,
            Some(UpstreamPhase::Submitted),
            Some(UpstreamPhase::Submitting),
        ] {
            let mut charged = job(JobId::generate(), Status::Succeeded, phase);
            charged.spend.as_mut().expect("a spend").charged_microdollars = Some(30_000);
            let told = done(Backend::Flux, SpendState::Started, Some(charged), 0);
            assert_eq!(told, "settle $0.03 false");
        }
        for code in [FailureCode::OutcomeUnknown, FailureCode::FluxTaskLost] {
            let mut lost = job(JobId::generate(), Status::Failed, Some(UpstreamPhase::Submitted));
            lost.failure = Some(code.failure("gone"));
            assert_eq!(done(Backend::Flux, SpendState::Started, Some(lost), 0), "doubt");
        }
    }

    #[test]
    fn a_graph_that_calls_services_is_settled_by_estimate() {
        let graph = |status, phase| {
            let job = job(JobId::generate(), status, phase);
            done(Backend::Comfyui, SpendState::Open, Some(job), 0)
        };
        let posted = Some(UpstreamPhase::Submitted);
        assert_eq!(graph(Status::Succeeded, posted), "settle $0.04 true");
        assert_eq!(graph(Status::Failed, posted), "doubt");
        assert_eq!(graph(Status::Cancelled, None), "release");
    }

    #[test]
    fn a_record_that_may_still_come_is_waited_for() {
        let flux = |state, now| done(Backend::Flux, state, None, now);
        for state in [SpendState::Open, SpendState::Started] {
            assert_eq!(flux(state, MINUTES_10), "", "{state:?}");
        }
        assert_eq!(flux(SpendState::Open, MINUTES_10 + 1), "release unless recorded");
        assert_eq!(flux(SpendState::Started, MINUTES_10 + 1), "doubt unless recorded");
        assert_eq!(
            flux(SpendState::Unknown, MINUTES_10 + 1),
            "",
            "a person has to find out"
        );
    }
}
