//! The life of a job under any order of changes.

mod paid;

use super::{endings::MAX_TOLD_ATTEMPTS, timeline::MAX_TIMELINE, *};
use crate::failure::FailureCode;
use crate::v1::{JobEvent, JobRequest, SketchRequest, job_request::Body};
use proptest::prelude::*;

fn accepted(hold: bool, max_attempts: u32) -> Accepted {
    let body = Body::Sketch(SketchRequest {
        prompt: "a lake".into(),
        ..SketchRequest::default()
    });
    let request = JobRequest {
        body: Some(body),
        hold,
        max_attempts,
        ..JobRequest::default()
    };
    request::accept(request, 1, 0).expect("a good request")
}

fn queued() -> Job {
    submitted(JobId::generate(), &accepted(false, 3), None, 1_000)
}

fn claim(id: ClaimId) -> Claim {
    Claim {
        claim_id: id.to_string(),
        worker: "w1".into(),
        incarnation: "i".into(),
        since: Some(timestamp(2_000)),
    }
}

fn phase() -> Phase {
    Phase {
        name: "p".into(),
        began: 0,
        seconds: 0.5,
    }
}

fn success(claim: ClaimId, outputs: Vec<Artifact>, phases: Vec<Phase>) -> Change {
    Change::Succeed {
        claim,
        product: outputs.into(),
        phases,
    }
}

fn running() -> (Job, ClaimId) {
    let id = ClaimId::generate();
    (
        apply(&queued(), Change::Claim(claim(id)), 2_000).expect("claimable"),
        id,
    )
}

fn failure(code: FailureCode) -> Failure {
    code.failure("because")
}

fn fail(job: &Job, claim: ClaimId, code: FailureCode) -> Job {
    let change = Change::FailAttempt {
        claim,
        failure: failure(code),
        retry_at: 9_000,
        phases: vec![],
    };
    apply(job, change, 3_000).expect("its own claim")
}

fn kinds(job: &Job) -> Vec<EventKind> {
    job.timeline.iter().map(JobEvent::kind).collect()
}

#[test]
fn a_job_that_goes_well() {
    let (job, claim) = running();
    let phases = vec![Phase {
        name: "drawing".into(),
        began: 2_000,
        seconds: 1.0,
    }];
    let done = apply(&job, success(claim, vec![Artifact::default()], phases), 3_000).expect("own");
    assert_eq!(
        (done.status(), done.attempt, done.outputs.len()),
        (Status::Succeeded, 1, 1)
    );
    assert_eq!(
        kinds(&done),
        [
            EventKind::Submitted,
            EventKind::Started,
            EventKind::Phase,
            EventKind::Succeeded
        ]
    );
    assert!(done.claim.is_none() && done.finished_at.is_some());
}

#[test]
fn a_held_job_waits_until_it_is_let_go() {
    let job = submitted(JobId::generate(), &accepted(true, 3), None, 1_000);
    assert_eq!(
        apply(&job, Change::Claim(claim(ClaimId::generate())), 2_000),
        Err(Refusal::WrongStatus(Status::Created))
    );
    let free = apply(&job, Change::Release, 2_000).expect("held");
    assert_eq!(free.status(), Status::Queued);
    assert_eq!(
        apply(&free, Change::Release, 2_000),
        Err(Refusal::WrongStatus(Status::Queued))
    );
}

#[test]
fn a_failed_attempt_is_tried_again_after_its_wait_and_not_for_ever() {
    let (job, first) = running();
    let waiting = fail(&job, first, FailureCode::ComfyuiUnreachable);
    assert_eq!(waiting.status(), Status::Queued);
    let early = apply(&waiting, Change::Claim(claim(ClaimId::generate())), 8_999);
    assert_eq!(early, Err(Refusal::TooEarly(9_000)));
    let mut job = waiting;
    for _ in 0..2 {
        let id = ClaimId::generate();
        job = apply(&job, Change::Claim(claim(id)), 9_000).expect("due");
        job = fail(&job, id, FailureCode::ComfyuiUnreachable);
    }
    assert_eq!(
        (job.status(), job.attempt, job.attempts.len()),
        (Status::Failed, 3, 3)
    );
    assert_eq!(
        job.failure.as_ref().map(|failure| failure.code.as_str()),
        Some("comfyui_unreachable")
    );
}

#[test]
fn a_failure_that_cannot_differ_ends_the_job_at_once() {
    let (job, claim) = running();
    assert_eq!(
        fail(&job, claim, FailureCode::ComfyuiRejected).status(),
        Status::Failed
    );
}

#[test]
fn a_lost_claim_cannot_change_anything() {
    let (job, stale) = running();
    let taken = apply(
        &job,
        Change::TakeBack {
            dead: stale,
            reason: "silent".into(),
        },
        3_000,
    )
    .expect("holder");
    let fresh = ClaimId::generate();
    let again = apply(&taken, Change::Claim(claim(fresh)), 4_000).expect("queued");
    for change in [
        success(stale, vec![], vec![]),
        Change::FailAttempt {
            claim: stale,
            failure: failure(FailureCode::WorkerLost),
            retry_at: 0,
            phases: vec![],
        },
        Change::HandBack {
            claim: stale,
            reason: String::new(),
            phases: vec![],
        },
        Change::NoteUpstream {
            claim: stale,
            upstream: Upstream::default(),
        },
        Change::ConfirmCancel {
            claim: stale,
            phases: vec![],
        },
        Change::TakeBack {
            dead: stale,
            reason: String::new(),
        },
    ] {
        assert_eq!(apply(&again, change, 5_000), Err(Refusal::NotHolder));
    }
}

#[test]
fn handing_back_costs_no_attempt_but_being_lost_does() {
    let mut job = queued();
    for _ in 0..5 {
        let id = ClaimId::generate();
        job = apply(&job, Change::Claim(claim(id)), 2_000).expect("queued");
        job = apply(
            &job,
            Change::HandBack {
                claim: id,
                reason: "drain".into(),
                phases: vec![],
            },
            3_000,
        )
        .expect("holder");
    }
    assert_eq!(job.status(), Status::Queued);
    for expected in [Status::Queued, Status::Queued, Status::Failed] {
        let id = ClaimId::generate();
        job = apply(&job, Change::Claim(claim(id)), 4_000).expect("queued");
        job = apply(
            &job,
            Change::TakeBack {
                dead: id,
                reason: "silent".into(),
            },
            5_000,
        )
        .expect("holder");
        assert_eq!(job.status(), expected);
    }
    assert_eq!(
        job.failure.as_ref().map(|failure| failure.code.as_str()),
        Some("worker_lost")
    );
}

#[test]
fn taking_over_the_last_attempt_ends_the_job() {
    let job = submitted(JobId::generate(), &accepted(false, 1), None, 0);
    let first = ClaimId::generate();
    let job = apply(&job, Change::Claim(claim(first)), 1).expect("queued");
    let job = apply(
        &job,
        Change::TakeOver {
            dead: first,
            claim: claim(ClaimId::generate()),
        },
        2,
    )
    .expect("holder");
    assert_eq!(job.status(), Status::Failed);
}

#[test]
fn a_waiting_job_is_cancelled_at_once_and_a_running_one_by_its_holder() {
    let cancel = || Change::RequestCancel {
        by: "me".into(),
        reason: "no".into(),
    };
    assert_eq!(
        apply(&queued(), cancel(), 1).expect("waiting").status(),
        Status::Cancelled
    );
    let (job, claim) = running();
    assert!(
        apply(
            &job,
            Change::ConfirmCancel {
                claim,
                phases: vec![]
            },
            3_000
        )
        .is_err(),
        "nobody asked"
    );
    let asked = apply(&job, cancel(), 3_000).expect("running");
    assert_eq!(asked.status(), Status::Running);
    assert_eq!(apply(&asked, cancel(), 3_000), Err(Refusal::NothingToDo));
    let ended = apply(
        &asked,
        Change::ConfirmCancel {
            claim,
            phases: vec![],
        },
        4_000,
    )
    .expect("holder");
    assert_eq!(ended.status(), Status::Cancelled);
    let lost = apply(
        &asked,
        Change::TakeBack {
            dead: claim,
            reason: "silent".into(),
        },
        4_000,
    )
    .expect("holder");
    assert_eq!(
        lost.status(),
        Status::Cancelled,
        "a lost worker does not undo the cancellation"
    );
}

#[test]
fn a_job_expires_only_if_it_never_started() {
    let mut job = queued();
    job.request.get_or_insert_default().deadline = Some(timestamp(5_000));
    assert!(apply(&job, Change::Expire, 4_999).is_err());
    let expired = apply(&job, Change::Expire, 5_000).expect("passed");
    assert_eq!(
        expired.failure.map(|failure| failure.code),
        Some("deadline_passed".into())
    );
    let late = apply(&job, Change::Claim(claim(ClaimId::generate())), 5_000).expect("is ended instead");
    assert_eq!(late.status(), Status::Failed);
    let started = apply(&job, Change::Claim(claim(ClaimId::generate())), 4_000).expect("in time");
    assert!(apply(&started, Change::Expire, 6_000).is_err());
}

fn any_change() -> impl Strategy<Value = u8> {
    0..11_u8
}

fn nth(n: u8, holder: ClaimId) -> Change {
    match n {
        0 => Change::Release,
        1 => Change::Claim(claim(ClaimId::generate())),
        2 => Change::TakeOver {
            dead: holder,
            claim: claim(ClaimId::generate()),
        },
        3 => Change::TakeBack {
            dead: holder,
            reason: "r".into(),
        },
        4 => Change::HandBack {
            claim: holder,
            reason: "r".into(),
            phases: vec![],
        },
        5 => Change::NoteUpstream {
            claim: holder,
            upstream: Upstream::default(),
        },
        6 => success(holder, vec![], vec![phase(); 7]),
        7 => Change::FailAttempt {
            claim: holder,
            failure: failure(FailureCode::ComfyuiFailed),
            retry_at: 0,
            phases: vec![phase(); 30],
        },
        8 => Change::RequestCancel {
            by: "b".into(),
            reason: "r".repeat(2_000),
        },
        9 => Change::ConfirmCancel {
            claim: holder,
            phases: vec![],
        },
        _ => Change::Expire,
    }
}

proptest! {
    #[test]
    fn any_order_of_changes_keeps_the_promises(
        hold: bool, max_attempts in 1..=10_u32, changes in prop::collection::vec(any_change(), 0..200)
    ) {
        let mut job = submitted(JobId::generate(), &accepted(hold, max_attempts), None, 0);
        for (at, n) in changes.into_iter().enumerate() {
            let holder = holder(&job).unwrap_or_else(ClaimId::generate);
            let before = job.clone();
            match apply(&job, nth(n, holder), i64::try_from(at).unwrap()) {
                Ok(next) => job = next,
                Err(_) => continue,
            }
            prop_assert!(!is_finished(before.status()), "a finished job changed");
            prop_assert_eq!(job.claim.is_some(), job.status() == Status::Running);
            prop_assert_eq!(job.finished_at.is_some(), is_finished(job.status()));
            prop_assert!(job.attempt - job.handed_back <= job.max_attempts);
            prop_assert!(job.attempts.len() <= MAX_TOLD_ATTEMPTS && job.timeline.len() <= MAX_TIMELINE);
            prop_assert!(job.timeline.last().unwrap().number >= before.timeline.last().unwrap().number);
            let ends = kinds(&job).into_iter().filter(|kind| matches!(
                kind, EventKind::Succeeded | EventKind::Failed | EventKind::Cancelled
            ));
            prop_assert_eq!(ends.count(), usize::from(is_finished(job.status())));
        }
    }
}
