//! Sums, budgets and limits under any order of acts.

use proptest::prelude::*;

use super::*;
use crate::Backend;

const NOW: Millis = 20_000 * DAY + 5;
const FOUR_CENTS: MicroDollars = MicroDollars(40_000);

/// A ledger that is written by acts, as the runtime does.
#[derive(Default)]
struct Desk {
    book: Book,
    lines: Vec<LedgerEntry>,
}

impl Desk {
    fn act(&mut self, act: &Act, now: Millis) -> Result<bool, Denial> {
        let Some(entry) = self.book.decide(act, now)? else {
            return Ok(false);
        };
        let entry = LedgerEntry {
            number: self.book.last() + 1,
            ..entry
        };
        self.book.take(&entry);
        self.lines.push(entry);
        Ok(true)
    }

    fn state(&self, job: JobId) -> SpendState {
        self.book
            .account(job)
            .map_or(SpendState::Unspecified, Account::state)
    }
}

fn reserve(job: JobId, amount: MicroDollars, budgets: Budgets) -> Act {
    Act::Reserve(reservation(job, amount, budgets))
}

fn reservation(job: JobId, amount: MicroDollars, budgets: Budgets) -> Reservation {
    Reservation {
        job,
        amount,
        key: String::new(),
        backend: Backend::Flux,
        model: "flux-kontext-max".to_owned(),
        budgets,
    }
}

fn total(limit: u64) -> Budgets {
    Budgets {
        total: Some(MicroDollars(limit)),
        ..Budgets::default()
    }
}

fn start(job: JobId, limits: &[Limit]) -> Act {
    Act::Start {
        job,
        account: "default".to_owned(),
        limits: limits.to_vec(),
    }
}

fn settle(job: JobId, amount: MicroDollars) -> Act {
    Act::Settle {
        job,
        amount,
        estimated: false,
        reference: "task".to_owned(),
    }
}

fn release(job: JobId) -> Act {
    Act::Release {
        job,
        reason: "cancelled".to_owned(),
    }
}

fn doubt(job: JobId) -> Act {
    Act::Doubt {
        job,
        reason: "cut".to_owned(),
    }
}

fn withdraw(job: JobId) -> Act {
    Act::Withdraw {
        job,
        reason: "429".to_owned(),
    }
}

fn resolve(job: JobId, charge: Charge) -> Act {
    Act::Resolve {
        job,
        charge,
        by: "kim".to_owned(),
        note: "the invoice".to_owned(),
    }
}

#[test]
fn a_budget_for_three_takes_three() {
    let mut desk = Desk::default();
    let taken = (0..100)
        .filter(|_| {
            desk.act(&reserve(JobId::generate(), FOUR_CENTS, total(150_000)), NOW)
                .is_ok()
        })
        .count();
    assert_eq!(taken, 3);
    let denial = desk.act(&reserve(JobId::generate(), FOUR_CENTS, total(150_000)), NOW);
    let expected = Denial::OverBudget {
        scope: "total",
        limit: MicroDollars(150_000),
        used: MicroDollars(120_000),
        wanted: FOUR_CENTS,
    };
    assert_eq!(denial, Err(expected.clone()));
    assert_eq!(
        expected.to_string(),
        "$0.04 is more than what is left of the total budget: $0.12 of $0.15 are used"
    );
}

#[test]
fn a_day_and_a_key_have_budgets_of_their_own() {
    let mut desk = Desk::default();
    let budgets = Budgets {
        day: Some(FOUR_CENTS),
        ..Budgets::default()
    };
    assert_eq!(
        desk.act(&reserve(JobId::generate(), FOUR_CENTS, budgets), NOW),
        Ok(true)
    );
    assert!(
        desk.act(&reserve(JobId::generate(), FOUR_CENTS, budgets), NOW)
            .is_err()
    );
    assert_eq!(
        desk.act(&reserve(JobId::generate(), FOUR_CENTS, budgets), NOW + DAY),
        Ok(true),
        "the next day has its own"
    );
    let budgets = Budgets {
        key: Some(MicroDollars(80_000)),
        ..Budgets::default()
    };
    assert!(
        desk.act(&reserve(JobId::generate(), FOUR_CENTS, budgets), NOW + DAY)
            .is_err()
    );
    let of_other = Act::Reserve(Reservation {
        key: "other".to_owned(),
        ..reservation(JobId::generate(), FOUR_CENTS, budgets)
    });
    assert_eq!(desk.act(&of_other, NOW + DAY), Ok(true));
}

#[test]
fn what_is_settled_below_the_reservation_is_free_again() {
    let mut desk = Desk::default();
    let job = JobId::generate();
    let budgets = total(100_000);
    desk.act(&reserve(job, MicroDollars(90_000), budgets), NOW)
        .unwrap();
    assert!(
        desk.act(&reserve(JobId::generate(), FOUR_CENTS, budgets), NOW)
            .is_err()
    );
    desk.act(&start(job, &[]), NOW).unwrap();
    desk.act(&settle(job, MicroDollars(45_000)), NOW).unwrap();
    assert_eq!(
        desk.book.sums(),
        (MicroDollars(45_000), MicroDollars::ZERO, MicroDollars::ZERO)
    );
    assert_eq!(desk.book.charged_today(NOW), MicroDollars(45_000));
    assert_eq!(
        desk.act(&reserve(JobId::generate(), FOUR_CENTS, budgets), NOW),
        Ok(true)
    );
}

#[test]
fn acts_repeated_change_nothing() {
    let mut desk = Desk::default();
    let job = JobId::generate();
    for act in [
        reserve(job, FOUR_CENTS, total(50_000)),
        start(job, &[]),
        settle(job, FOUR_CENTS),
    ] {
        assert_eq!(desk.act(&act, NOW), Ok(true), "{act:?}");
        assert_eq!(desk.act(&act, NOW), Ok(false), "{act:?}");
    }
    assert_eq!(
        desk.act(&reserve(job, FOUR_CENTS, total(0)), NOW),
        Ok(false),
        "a job is paid for once"
    );
    assert_eq!(
        desk.act(&release(job), NOW),
        Err(Denial::Closed(SpendState::Settled))
    );
}

#[test]
fn calls_under_way_are_limited_for_each_account() {
    let mut desk = Desk::default();
    let limits = [
        Limit {
            models: Vec::new(),
            calls: 3,
        },
        Limit {
            models: vec!["flux-kontext-max".to_owned()],
            calls: 2,
        },
    ];
    let jobs: Vec<JobId> = (0..3).map(|_| JobId::generate()).collect();
    for job in &jobs {
        desk.act(&reserve(*job, FOUR_CENTS, Budgets::default()), NOW)
            .unwrap();
    }
    assert_eq!(desk.act(&start(jobs[0], &limits), NOW), Ok(true));
    assert_eq!(desk.act(&start(jobs[1], &limits), NOW), Ok(true));
    assert_eq!(desk.act(&start(jobs[2], &limits), NOW), Err(Denial::Full(2)));
    assert_eq!(desk.act(&withdraw(jobs[0]), NOW), Ok(true));
    assert_eq!(desk.state(jobs[0]), SpendState::Open, "the reservation stays");
    assert_eq!(desk.act(&start(jobs[2], &limits), NOW), Ok(true));
    let elsewhere = Act::Start {
        job: jobs[0],
        account: "other".to_owned(),
        limits: limits.to_vec(),
    };
    assert_eq!(
        desk.act(&elsewhere, NOW),
        Ok(true),
        "another account has its own places"
    );
}

#[test]
fn a_person_resolves_what_nobody_knows() {
    let mut desk = Desk::default();
    for (charge, state, charged, estimated) in [
        (Charge::Nothing, SpendState::Released, 0, false),
        (Charge::AsReserved, SpendState::Settled, 40_000, true),
        (Charge::Amount(MicroDollars(7)), SpendState::Settled, 7, false),
    ] {
        let job = JobId::generate();
        desk.act(&reserve(job, FOUR_CENTS, Budgets::default()), NOW)
            .unwrap();
        assert_eq!(
            desk.act(&resolve(job, charge), NOW),
            Err(Denial::NotUnknown(SpendState::Open))
        );
        desk.act(&start(job, &[]), NOW).unwrap();
        desk.act(&doubt(job), NOW).unwrap();
        assert_eq!(desk.book.sums().2, FOUR_CENTS, "it counts until somebody knows");
        desk.act(&resolve(job, charge), NOW).unwrap();
        let summary = &desk.book.account(job).unwrap().summary;
        assert_eq!(
            (summary.state(), summary.charged_microdollars, summary.estimated),
            (state, charged, estimated)
        );
    }
}

fn any_act(jobs: Vec<JobId>) -> impl Strategy<Value = Act> {
    let job = proptest::sample::select(jobs);
    (job, 0..8, 0..100_000_u64).prop_map(|(job, kind, amount)| {
        let amount = MicroDollars(amount);
        match kind {
            0 | 1 => reserve(job, amount, total(300_000)),
            2 => start(
                job,
                &[Limit {
                    models: Vec::new(),
                    calls: 2,
                }],
            ),
            3 => withdraw(job),
            4 => settle(job, amount),
            5 => release(job),
            6 => doubt(job),
            _ => resolve(job, Charge::Amount(amount)),
        }
    })
}

proptest! {
    #[test]
    fn the_sums_are_those_of_the_accounts(
        acts in Just((0..6).map(|_| JobId::generate()).collect::<Vec<_>>())
            .prop_flat_map(|jobs| proptest::collection::vec((any_act(jobs), 0..3_i64), 0..80))
    ) {
        let mut desk = Desk::default();
        for (act, days) in acts {
            let before = desk.book.sums();
            if desk.act(&act, NOW + days * DAY).is_err() {
                prop_assert_eq!(desk.book.sums(), before);
            }
        }
        let of = |states: &[SpendState]| {
            let fits = desk.book.accounts().filter(|(_, account)| states.contains(&account.state()));
            MicroDollars(fits.map(|(_, account)| account.used().0).sum())
        };
        let (charged, set_aside, unknown) = desk.book.sums();
        prop_assert_eq!(charged, of(&[SpendState::Settled]));
        prop_assert_eq!(set_aside, of(&[SpendState::Open, SpendState::Started]));
        prop_assert_eq!(unknown, of(&[SpendState::Unknown]));
        let mut again = Book::default();
        for line in &desk.lines {
            again.take(line);
            again.take(line);
        }
        prop_assert_eq!(again.sums(), desk.book.sums(), "a line read twice counts once");
        let days: u64 = desk.book.days.values().map(|used| used.0).sum();
        prop_assert_eq!(days, charged.0 + set_aside.0 + unknown.0);
    }
}
