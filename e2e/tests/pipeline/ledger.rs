//! The ledger on a real nats-server: what it promises however many write at once, and whatever happens to the broker.

use std::sync::Arc;

use e2e::{TestBroker, patience::until, system::bus_of};
use futures::future::join_all;
use proto::{
    Backend, EntryKind, SpendState,
    ids::JobId,
    ledger::{Act, Book, Budgets, Denial, Reservation},
    money::MicroDollars,
    subjects, topology,
};
use runtime::{
    bus::BusError,
    ledger::{Ledger, LedgerError},
    tasks::{Stop, Tasks},
};

const CENT: MicroDollars = MicroDollars(10_000);

/// A process that reads and writes the ledger, with a connection of its own.
struct Desk {
    ledger: Ledger,
    stop: Stop,
    /// Kept, since dropping it would end the reading.
    _tasks: Tasks,
}

impl Desk {
    async fn open(broker: &TestBroker, name: &str) -> Self {
        let ledger = Ledger::new(bus_of(broker, name).await);
        let stop = Stop::new();
        let mut tasks = Tasks::new(stop.clone());
        tasks.start("ledger", ledger.clone().keep(stop.clone()));
        until("the ledger to be read", || async {
            ledger.is_read().then_some(())
        })
        .await;
        Self {
            ledger,
            stop,
            _tasks: tasks,
        }
    }

    async fn until_line(&self, number: u64) {
        until(&format!("line {number}"), || async {
            (self.ledger.with(Book::last) >= number).then_some(())
        })
        .await;
    }

    fn state(&self, job: JobId) -> SpendState {
        self.ledger.with(|book| {
            book.account(job)
                .map_or(SpendState::Unspecified, proto::ledger::Account::state)
        })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn reserve(job: JobId, total: u64) -> Act {
    Act::Reserve(Reservation {
        job,
        amount: CENT,
        key: String::new(),
        backend: Backend::Flux,
        model: "flux-2-pro".to_owned(),
        budgets: Budgets {
            total: Some(MicroDollars(total)),
            ..Budgets::default()
        },
    })
}

fn release(job: JobId) -> Act {
    Act::Release {
        job,
        reason: "a test".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_who_write_at_once_do_not_spend_the_same_money() {
    let mut broker = TestBroker::start().await;
    let desks = [Desk::open(&broker, "one").await, Desk::open(&broker, "two").await];
    let wishes = (0..200).map(|n: usize| {
        let desk = &desks[n % 2];
        async move {
            let act = reserve(JobId::generate(), 50 * CENT.0);
            desk.ledger.act(&act).await
        }
    });
    let mut taken = 0;
    for outcome in join_all(wishes).await {
        match outcome {
            Ok(true) => taken += 1,
            Err(LedgerError::Denied(Denial::OverBudget {
                scope,
                limit,
                used,
                wanted,
            })) => {
                assert_eq!(
                    (scope, limit.0, used.0, wanted),
                    ("total", 500_000, 500_000, CENT)
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(taken, 50);
    let lines = desks[0].ledger.lines(None, 0, 500).await.expect("the ledger");
    let numbers: Vec<u64> = lines.iter().map(|line| line.number).collect();
    assert_eq!(numbers, (1..=50).rev().collect::<Vec<_>>());
    // who comes later reads the same
    let third = Desk::open(&broker, "three").await;
    for desk in desks.iter().chain([&third]) {
        desk.until_line(50).await;
        let sums = desk.ledger.with(Book::sums);
        assert_eq!(sums, (MicroDollars(0), MicroDollars(500_000), MicroDollars(0)));
    }
    drop((desks, third));
    broker.kill().await;
}

/// What one process knows may be old; nobody is refused because of it.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_refused_for_what_was_given_back_already() {
    let mut broker = TestBroker::start().await;
    let desks = [Desk::open(&broker, "one").await, Desk::open(&broker, "two").await];
    for round in 0..100_usize {
        let ledger = &desks[round % 2].ledger;
        let job = JobId::generate();
        // the other has just given it back
        let taken = ledger.act(&reserve(job, CENT.0)).await;
        assert!(matches!(taken, Ok(true)), "round {round}: {taken:?}");
        assert!(ledger.act(&release(job)).await.expect("released"));
    }
    drop(desks);
    broker.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_is_done_once_however_often_it_is_repeated() {
    let mut broker = TestBroker::start().await;
    let desks = [Desk::open(&broker, "one").await, Desk::open(&broker, "two").await];
    let job = JobId::generate();
    let act = reserve(job, 10 * CENT.0);
    let repeats = (0..40_usize).map(|n| desks[n % 2].ledger.act(&act));
    let outcomes = join_all(repeats).await;
    let added = outcomes.iter().filter(|outcome| matches!(outcome, Ok(true)));
    assert_eq!(added.count(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let denied = desks[0].ledger.act(&release(JobId::generate())).await;
    assert!(
        matches!(denied, Err(LedgerError::Denied(Denial::NotReserved))),
        "{denied:?}"
    );
    drop(desks);
    broker.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_loses_and_doubles_nothing() {
    let mut broker = TestBroker::start().await;
    let desks = [
        Arc::new(Desk::open(&broker, "one").await),
        Arc::new(Desk::open(&broker, "two").await),
    ];
    let jobs: Vec<JobId> = (0..120).map(|_| JobId::generate()).collect();
    let writers = jobs.iter().enumerate().map(|(n, job)| {
        let desk = Arc::clone(&desks[n % 2]);
        async move {
            let act = reserve(*job, 1_000 * CENT.0);
            until("a line to be written", || async {
                match desk.ledger.act(&act).await {
                    Ok(_) => Some(()),
                    Err(LedgerError::Bus(BusError::Unavailable { .. })) => None,
                    Err(other) => panic!("{other:?}"),
                }
            })
            .await;
        }
    });
    let killer = async {
        for line in [20, 60] {
            desks[0].until_line(line).await;
            broker.restart().await;
        }
    };
    futures::join!(join_all(writers), killer);
    let lines = desks[1].ledger.lines(None, 0, 500).await.expect("the ledger");
    assert_eq!(lines.len(), jobs.len(), "{lines:#?}");
    assert!(lines.iter().all(|line| line.kind() == EntryKind::Reservation));
    for desk in &desks {
        desk.until_line(120).await;
        assert!(jobs.iter().all(|job| desk.state(*job) == SpendState::Open));
        assert_eq!(desk.ledger.with(Book::sums).1, MicroDollars(120 * CENT.0));
    }
    drop(desks);
    broker.kill().await;
}

/// What was sent to a broker that stood still arrives when it goes on, after its sender was told that it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_arrives_late_counts_once() {
    let mut broker = TestBroker::start().await;
    let desk = Desk::open(&broker, "one").await;
    let (early, job) = (JobId::generate(), JobId::generate());
    let act = reserve(job, 1_000 * CENT.0);
    assert!(
        desk.ledger
            .act(&reserve(early, 1_000 * CENT.0))
            .await
            .expect("written")
    );
    broker.pause().await;
    let unanswered = desk.ledger.act(&act).await;
    assert!(
        matches!(unanswered, Err(LedgerError::Bus(BusError::Unavailable { .. }))),
        "{unanswered:?}"
    );
    broker.go_on();
    until("the line to be written", || async {
        desk.ledger.act(&act).await.ok()
    })
    .await;
    let other = reserve(JobId::generate(), 1_000 * CENT.0);
    until("another line", || async { desk.ledger.act(&other).await.ok() }).await;
    let lines = desk.ledger.lines(Some(job), 0, 10).await.expect("its lines");
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert_eq!(desk.ledger.with(Book::sums).1, MicroDollars(3 * CENT.0));
    drop(desk);
    broker.kill().await;
}

/// A line that says nothing does not keep others from being written.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_cannot_be_read_is_passed_over() {
    let mut broker = TestBroker::start().await;
    let desk = Desk::open(&broker, "one").await;
    let client = async_nats::connect(broker.url()).await.expect("a connection");
    let context = async_nats::jetstream::new(client);
    let subject = subjects::ledger(&JobId::generate().to_string());
    let stored = context.publish(subject, "\u{ff}".into()).await.expect("sent");
    stored.await.expect("stored");
    let job = JobId::generate();
    assert!(desk.ledger.act(&reserve(job, CENT.0)).await.expect("written"));
    let second = Desk::open(&broker, "two").await;
    assert_eq!(second.state(job), SpendState::Open);
    drop((desk, second));
    broker.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_take_a_line_away() {
    let mut broker = TestBroker::start().await;
    let desk = Desk::open(&broker, "one").await;
    let job = JobId::generate();
    assert!(desk.ledger.act(&reserve(job, CENT.0)).await.expect("written"));
    let client = async_nats::connect(broker.url()).await.expect("a connection");
    let context = async_nats::jetstream::new(client);
    let stream = context.get_stream(topology::LEDGER).await.expect("the stream");
    assert!(stream.delete_message(1).await.is_err(), "deleted");
    assert!(stream.purge().await.is_err(), "purged");
    let mut config = stream.cached_info().config.clone();
    config.deny_delete = false;
    config.deny_purge = false;
    assert!(context.update_stream(config).await.is_err(), "allowed again");
    // what replaces the last message of a subject elsewhere is refused here
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Nats-Rollup", "all");
    let subject = subjects::ledger(&job.to_string());
    let sent = context.publish_with_headers(subject, headers, "".into()).await;
    assert!(sent.expect("sent").await.is_err(), "rolled up");
    let second = Desk::open(&broker, "two").await;
    assert_eq!(second.state(job), SpendState::Open);
    assert!(second.ledger.act(&release(job)).await.expect("released"));
    let lines = second.ledger.lines(None, 0, 10).await.expect("the ledger");
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert_eq!(
        (lines[0].kind(), lines[1].kind()),
        (EntryKind::Release, EntryKind::Reservation)
    );
    drop((desk, second));
    broker.kill().await;
}
