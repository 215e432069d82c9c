//! Everything at once: workers, gateways and the broker die at random while jobs are submitted.

use std::{cell::RefCell, collections::BTreeSet, future::Future, time::Duration};

use e2e::{
    Client, History, Process,
    client::{rehearsal, sketch, slow},
    patience::{let_pass, within},
};
use futures::future::{join, join_all, join3};
use proto::Status;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use crate::{
    dice::{Dice, seed},
    scene::{Scene, extended, record, total, try_submit},
};

const JOBS: u32 = 60;
const FOR: Duration = Duration::from_secs(15);
/// Within this time everything is over when nothing dies any more.
const SETTLED: Duration = Duration::from_mins(1);
/// Within this time every gateway knows what another one did.
const SOON: Duration = Duration::from_secs(3);

/// Lets something live and die in turns until `end`; `die` comes back when it lives again.
async fn ordeal<F: Future>(mut dice: Dice, end: Instant, mut die: impl FnMut(Duration) -> F) -> u32 {
    let mut deaths = 0;
    loop {
        let alive = dice.between(800, 4_000);
        if Instant::now() + alive >= end {
            return deaths;
        }
        let_pass(alive).await;
        die(dice.between(1, 1_500)).await;
        deaths += 1;
    }
}

fn body(dice: &mut Dice) -> Value {
    match dice.roll() % 6 {
        0 => slow(dice.between(500, 2_500)),
        1 => {
            let mut once = rehearsal("fail");
            once["sketch"]["rehearsal"]["until_attempt"] = 1.into();
            once
        }
        _ => sketch("quick"),
    }
}

/// Submits one job by its key to whichever gateway answers, for as long as it takes.
async fn submit(gateways: &RefCell<Vec<Client>>, key: String, body: Value) -> String {
    loop {
        let clients = gateways.borrow().clone();
        for client in &clients {
            if let Some(id) = try_submit(client, &key, &body).await {
                return id;
            }
        }
        let_pass(Duration::from_millis(100)).await;
    }
}

/// The processes that die.
struct Arena {
    gateways: Vec<Mutex<Process>>,
    /// A client of each gateway as it is now.
    clients: RefCell<Vec<Client>>,
    workers: Vec<(&'static str, Mutex<Process>)>,
}

impl Arena {
    async fn open(scene: &Scene) -> Self {
        let (first, client) = scene.gateway().await;
        let (second, other) = scene.gateway().await;
        let mut workers = Vec::new();
        for id in ["w1", "w2", "w3"] {
            workers.push((id, Mutex::new(scene.worker(id, &[], &client).await)));
        }
        Self {
            gateways: vec![Mutex::new(first), Mutex::new(second)],
            clients: RefCell::new(vec![client, other]),
            workers,
        }
    }

    /// Lets everything die and come back until `end`, each by itself; afterwards everything runs.
    #[expect(clippy::print_stdout, reason = "a failed test shows what went before")]
    async fn ordeals(&self, scene: &mut Scene, dice: &mut Dice, end: Instant) {
        let Scene {
            broker,
            environment,
            dir,
        } = scene;
        let (environment, dir, broker) = (&*environment, dir.path(), &Mutex::new(broker));
        let of_broker = ordeal(dice.fork(), end, |away| async move {
            let mut broker = broker.lock().await;
            broker.kill().await;
            let_pass(away).await;
            broker.restart().await;
        });
        let of_gateways = join_all(self.gateways.iter().enumerate().map(|(number, gateway)| {
            ordeal(dice.fork(), end, move |away| async move {
                let mut gateway = gateway.lock().await;
                gateway.kill().await;
                let_pass(away).await;
                let (process, client) = Process::gateway(dir, environment).await;
                *gateway = process;
                self.clients.borrow_mut()[number] = client;
            })
        }));
        let of_workers = join_all(self.workers.iter().map(|(id, worker)| {
            ordeal(dice.fork(), end, move |away| async move {
                let mut worker = worker.lock().await;
                worker.kill().await;
                let_pass(away).await;
                let environment = extended(environment, &[("ORCHESTRATOR_WORKER_ID", *id)]);
                *worker = Process::start(dir, &["worker"], &environment);
            })
        }));
        let (broker, gateways, workers) = join3(of_broker, of_gateways, of_workers).await;
        println!("deaths: broker {broker}, gateways {gateways:?}, workers {workers:?}");
    }
}

/// Every job ends soon, and fails only where its tries are used up.
#[expect(clippy::print_stdout, reason = "a failed test shows what went before")]
async fn check_ends(client: &Client, accepted: &[String]) {
    let calm = Instant::now();
    let mut failed = 0;
    for id in accepted {
        let left = SETTLED.saturating_sub(calm.elapsed());
        let job = record(&client.until_over(id, left).await);
        if job.status() == Status::Failed {
            failed += 1;
            let tries = job.attempt - job.handed_back;
            assert_eq!(tries, job.max_attempts, "it had tries left: {job:#?}");
        }
    }
    println!(
        "over {:?} after the last death, {failed} out of tries",
        calm.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_dies_at_random() {
    let seed = seed();
    println!("ORCHESTRATOR_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let mut scene = Scene::new().await;
    let mut history = History::of(&scene.broker).await;
    let arena = Arena::open(&scene).await;

    let end = Instant::now() + FOR;
    let every = FOR / JOBS;
    let mut script = dice.fork();
    let submissions = join_all((0..JOBS).map(|number| {
        let (body, clients) = (body(&mut script), &arena.clients);
        async move {
            let_pass(every * number + Duration::from_millis(1)).await;
            submit(clients, format!("{seed}-{number}"), body).await
        }
    }));
    let (accepted, ()) = join(submissions, arena.ordeals(&mut scene, &mut dice, end)).await;

    for client in arena.clients.take() {
        client.until_ready().await;
        check_ends(&client, &accepted).await;
        let different: BTreeSet<&String> = accepted.iter().collect();
        assert_eq!(different.len(), JOBS as usize, "a job a key");
        within(SOON, "the gateway to list each of them once", || async {
            (total(&client).await == u64::from(JOBS)).then_some(())
        })
        .await;
    }
    history.check(&accepted).await;
}
