//! Everything at once: workers, gateways and the broker die at random while jobs are submitted.

use std::{cell::RefCell, collections::BTreeSet, env, future::Future, time::Duration};

use e2e::{
    Client, History, Process,
    client::{rehearsal, sketch, slow},
    patience::let_pass,
};
use futures::future::{join_all, join3};
use proto::Status;
use serde_json::Value;
use tokio::{sync::Mutex, time::Instant};

use crate::scene::{Scene, extended, record, total, try_submit};

const JOBS: u32 = 60;
const FOR: Duration = Duration::from_secs(15);
/// Within this time everything is over when nothing dies any more.
const SETTLED: Duration = Duration::from_secs(60);

/// Numbers that follow from a seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.roll() % (most - least))
    }

    /// Dice whose numbers do not depend on how often these are rolled.
    fn fork(&mut self) -> Self {
        Self(self.roll())
    }
}

/// The seed of this run: `ORCHESTRATOR_TEST_SEED`, or the time.
fn seed() -> u64 {
    let chosen = env::var_os("ORCHESTRATOR_TEST_SEED").and_then(|text| text.to_str()?.parse().ok());
    chosen.unwrap_or_else(|| runtime::clock::now().unsigned_abs())
}

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

#[tokio::test(flavor = "multi_thread")]
async fn everything_dies_at_random() {
    let seed = seed();
    println!("ORCHESTRATOR_TEST_SEED={seed}");
    let mut dice = Dice(seed);
    let mut scene = Scene::new().await;
    let mut history = History::of(&scene.broker).await;
    let (first, client) = scene.gateway().await;
    let (second, other) = scene.gateway().await;
    let clients = RefCell::new(vec![client.clone(), other]);
    let gateways = [Mutex::new(first), Mutex::new(second)];
    let mut workers = Vec::new();
    for id in ["w1", "w2", "w3"] {
        workers.push((id, Mutex::new(scene.worker(id, &[], &client).await)));
    }

    let end = Instant::now() + FOR;
    let every = FOR / JOBS;
    let mut script = dice.fork();
    let submissions = join_all((0..JOBS).map(|number| {
        let (body, clients) = (body(&mut script), &clients);
        async move {
            let_pass(every * number + Duration::from_millis(1)).await;
            submit(clients, format!("{seed}-{number}"), body).await
        }
    }));
    let Scene {
        broker,
        environment,
        dir,
    } = &mut scene;
    let (environment, dir, broker) = (&*environment, &*dir, Mutex::new(broker));
    let broker_dies = ordeal(dice.fork(), end, |away| {
        let broker = &broker;
        async move {
            let mut broker = broker.lock().await;
            broker.kill().await;
            let_pass(away).await;
            broker.restart().await;
        }
    });
    let gateways_die = join_all(gateways.iter().enumerate().map(|(number, gateway)| {
        let clients = &clients;
        ordeal(dice.fork(), end, move |away| async move {
            let mut gateway = gateway.lock().await;
            gateway.kill().await;
            let_pass(away).await;
            let (process, client) = Process::gateway(dir.path(), environment).await;
            *gateway = process;
            clients.borrow_mut()[number] = client;
        })
    }));
    let workers_die = join_all(workers.iter().map(|(id, worker)| {
        ordeal(dice.fork(), end, move |away| async move {
            let mut worker = worker.lock().await;
            worker.kill().await;
            let_pass(away).await;
            let environment = extended(environment, &[("ORCHESTRATOR_WORKER_ID", *id)]);
            *worker = Process::start(dir.path(), &["worker"], &environment);
        })
    }));
    let deaths = join3(broker_dies, gateways_die, workers_die);
    let (accepted, (brokers, gateway_deaths, worker_deaths)) =
        futures::future::join(submissions, deaths).await;
    println!("deaths: broker {brokers}, gateways {gateway_deaths:?}, workers {worker_deaths:?}");

    let client = clients.borrow()[0].clone();
    client.until_ready().await;
    let calm = Instant::now();
    let mut failed = 0;
    for id in &accepted {
        let left = SETTLED.saturating_sub(calm.elapsed());
        let job = record(&client.until_over(id, left).await);
        if job.status() == Status::Failed {
            failed += 1;
            let tries = job.attempt - job.handed_back;
            assert_eq!(tries, job.max_attempts, "it had tries left: {job:#?}");
        }
    }
    println!(
        "all over {:?} after the last death, {failed} out of tries",
        calm.elapsed()
    );
    let different: BTreeSet<&String> = accepted.iter().collect();
    assert_eq!(
        (different.len(), total(&client).await),
        (JOBS as usize, u64::from(JOBS)),
        "a job a key"
    );
    history.check(&accepted).await;
}
