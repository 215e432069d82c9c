//! Jobs that cost money.

use super::*;
use crate::v1::Spend;

#[test]
fn what_is_paid_for_is_fetched_however_many_workers_die() {
    let claimed = |job: &Job| {
        let id = ClaimId::generate();
        (
            apply(job, Change::Claim(claim(id)), 2_000).expect("claimable"),
            id,
        )
    };
    let mut job = queued();
    job.spend = Some(Spend::default());
    for loss in 1..=8 {
        let (taken, id) = claimed(&job);
        let upstream = Upstream {
            task_id: "task".into(),
            ..Upstream::default()
        };
        let noted = apply(&taken, Change::NoteUpstream { claim: id, upstream }, 2_000).expect("own");
        let back = Change::TakeBack {
            dead: id,
            reason: "killed".into(),
        };
        job = apply(&noted, back, 2_000).expect("its holder");
        assert_eq!(job.status(), Status::Queued, "loss {loss}");
    }
    let (taken, id) = claimed(&job);
    let product = Product {
        charge: Some(Charge {
            amount: MicroDollars(45_000),
            estimated: false,
        }),
        ..Product::default()
    };
    let done = Change::Succeed {
        claim: id,
        product,
        phases: Vec::new(),
    };
    let done = apply(&taken, done, 3_000).expect("own");
    assert_eq!(done.spend.unwrap().charged_microdollars, Some(45_000));
}
