//! A spree: many paid jobs, a service in which everything goes wrong now and then, and workers that are killed all
//! the while. Afterwards the ledger and the service's bill agree to the millionth of a dollar.
//!
//! `ORCHESTRATOR_TEST_PAID_JOBS` says how many jobs, `ORCHESTRATOR_TEST_SEED` repeats a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::Arc,
    time::Duration,
};

use connectors::bfl::double::{Bill, Double, Faults, Options, Outcome};
use e2e::{
    Client, Process,
    patience::let_pass,
    vendor::{self, accounts, borrowed, micros, picture},
};
use futures::{StreamExt as _, stream};
use runtime::tasks::Stop;
use serde_json::{Value, json};

use crate::{
    dice::{Dice, seed},
    scene::{Scene, extended, try_submit},
};

const JOBS: usize = 60;
const AT_ONCE: usize = 16;
/// Of a hundred jobs so many are cancelled at some time.
const CANCELLED: u64 = 4;
/// Of a hundred jobs the tokens of so many are delivered twice.
const DOUBLED: u64 = 20;

fn jobs() -> usize {
    let chosen = env::var_os("ORCHESTRATOR_TEST_PAID_JOBS").and_then(|text| text.to_str()?.parse().ok());
    chosen.unwrap_or(JOBS)
}

fn faults(seed: u64) -> Faults {
    Faults {
        busy: 0.06,
        error_500: 0.04,
        unavailable_503: 0.03,
        bad_gateway_502: 0.01,
        cut_before: 0.01,
        cut_after: 0.02,
        slow: 0.04,
        delay: Duration::from_millis(800),
        html: 0.01,
        no_polling_url: 0.01,
        task_fails: 0.02,
        poll_503: 0.03,
        poll_cut: 0.03,
        sample_503: 0.03,
        sample_cut: 0.03,
        seed,
        ..Faults::default()
    }
}

fn prompt(number: usize) -> String {
    format!("picture {number} of the spree")
}

struct Spree {
    scene: Scene,
    double: Double,
    client: Client,
}

impl Spree {
    /// Workers that live for a while and are killed, one after the other, until `stop`; how many died.
    async fn deaths(&self, name: &str, mut dice: Dice, stop: &Stop) -> usize {
        let mut deaths = 0;
        loop {
            let mut worker = self.scene.start_worker(name, &[]);
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    worker.kill().await;
                    return deaths;
                }
                () = let_pass(dice.between(1_000, 5_000)) => {}
            }
            worker.kill().await;
            deaths += 1;
        }
    }

    async fn submit_all(&self, count: usize, dice: &mut Dice) -> BTreeMap<String, usize> {
        let chances: Vec<(usize, u64, u64, Duration)> = (0..count)
            .map(|number| {
                (
                    number,
                    dice.roll() % 100,
                    dice.roll() % 100,
                    dice.between(10, 2_000),
                )
            })
            .collect();
        let submissions = chances
            .into_iter()
            .map(|(number, cancel, double, after)| async move {
                let key = format!("spree-{number}");
                let mut body = picture(&prompt(number));
                body["max_attempts"] = 10.into();
                let id = loop {
                    if let Some(id) = try_submit(&self.client, &key, &body).await {
                        break id;
                    }
                };
                if double < DOUBLED {
                    self.scene.deliver_again(&self.client.job(&id).await).await;
                }
                if cancel < CANCELLED {
                    let_pass(after).await;
                    self.client.cancel(&id).await;
                }
                (id, number)
            });
        stream::iter(submissions)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    /// A person looks at the service's bill and says what became of each call of which nobody knew.
    async fn resolve(&self, jobs: &BTreeMap<String, usize>, bill: &Bill) -> BTreeSet<String> {
        let unknown = accounts(&self.client, "unknown").await;
        let mut listed = BTreeSet::new();
        for account in unknown {
            let id = account["job"].as_str().expect("a job").to_owned();
            let charged: u64 = bill
                .of_prompt(&prompt(jobs[&id]))
                .iter()
                .map(|entry| entry.charged())
                .sum();
            let found = if charged > 0 {
                json!({"charged": true, "microdollars": charged, "note": "the bill"})
            } else {
                json!({"charged": false, "note": "the bill"})
            };
            let (status, answer) = self
                .client
                .post(&format!("/api/spend/{id}/resolve"), &found)
                .await;
            assert_eq!(status, 200, "{answer:#}");
            listed.insert(id);
        }
        listed
    }
}

fn is_unknown(job: &Value) -> bool {
    job["failure"]["code"] == "outcome_unknown"
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_and_the_bill_agree_whatever_dies() {
    let (seed, count) = (seed(), jobs());
    println!("ORCHESTRATOR_TEST_SEED={seed}, {count} jobs");
    let mut dice = Dice(seed);
    connectors::install_tls();
    let options = Options {
        task_time: Duration::from_millis(150),
        faults: faults(dice.roll()),
        ..Options::default()
    };
    let double = Double::start(options).await.expect("a double");
    let mut scene = Scene::with(&[
        ("ORCHESTRATOR_SKETCH_ENABLED", "false"),
        ("ORCHESTRATOR_PAID_BUDGET_DAY", "1000"),
    ])
    .await;
    scene.environment = extended(&scene.environment, &borrowed(&vendor::flux(&double)));
    let (_gateway, client) = scene.gateway().await;
    let spree = Arc::new(Spree {
        scene,
        double,
        client,
    });

    let stop = Stop::new();
    let (first, second) = (dice.fork(), dice.fork());
    let finish = async {
        let jobs = spree.submit_all(count, &mut dice).await;
        let mut over = BTreeMap::new();
        for id in jobs.keys() {
            let job = spree.client.until_over(id, Duration::from_mins(10)).await;
            over.insert(id.clone(), job);
        }
        stop.cancel();
        (jobs, over)
    };
    let ((jobs, over), first, second) = tokio::join!(
        finish,
        spree.deaths("w1", first, &stop),
        spree.deaths("w2", second, &stop)
    );
    println!("{} workers were killed", first + second);

    let _worker: Process = spree.scene.worker("w3", &[], &spree.client).await;
    vendor::until_closed(&spree.client).await;
    let bill = spree.double.until(|bill| bill.open() == 0).await;
    let endings = check_each(&jobs, &over, &bill);
    println!("{endings:?}");
    let listed = spree.resolve(&jobs, &bill).await;
    for (id, job) in over.iter().filter(|(_, job)| is_unknown(job)) {
        let known = vendor::account(&spree.client, id).await["state"] == "settled";
        assert!(listed.contains(id) || known, "{id} is listed: {job:#}");
    }
    let settled = accounts(&spree.client, "settled").await;
    let charged: u64 = settled
        .iter()
        .map(|account| micros(&account["charged_microdollars"]))
        .sum();
    assert_eq!(charged, bill.charged(), "the ledger and the bill agree");
    let (_, spend) = spree.client.get("/api/spend").await;
    assert_eq!(micros(&spend["charged_microdollars"]), bill.charged());
    assert!(
        spree.double.violations().is_empty(),
        "{:?}",
        spree.double.violations()
    );
    println!(
        "{} unknown outcomes were listed, {charged} microdollars spent",
        listed.len()
    );
}

/// No task was submitted again that had been taken, and what succeeded was paid once; how the jobs ended.
fn check_each(
    jobs: &BTreeMap<String, usize>,
    over: &BTreeMap<String, Value>,
    bill: &Bill,
) -> BTreeMap<String, u32> {
    let mut endings: BTreeMap<String, u32> = BTreeMap::new();
    for (id, number) in jobs {
        let tasks = bill.of_prompt(&prompt(*number));
        // only a task of which the service said that it failed may be made anew
        let taken = tasks
            .iter()
            .filter(|entry| entry.outcome != Outcome::Failed)
            .count();
        assert!(taken <= 1, "{id} was submitted {taken} times: {tasks:#?}");
        let job = &over[id];
        let told = micros(&job["spend"]["charged_microdollars"]);
        if job["status"] == "succeeded" {
            assert_eq!(
                told,
                tasks.iter().map(|entry| entry.charged()).sum::<u64>(),
                "{job:#}"
            );
        }
        let ending = job["failure"]["code"].as_str().or(job["status"].as_str());
        *endings.entry(ending.unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    endings
}
