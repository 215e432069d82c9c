//! `cargo xtask bench`: the product against raw JetStream, in interleaved rounds of one run.

#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use e2e::{
    TestBroker,
    bench::{
        Contestant, Latency, Lookout, accept, many_at_once, median, one_at_a_time, product::Product,
        quantile, raw::Raw,
    },
    system::{quick, start_gateway, start_worker},
};

/// As in the product's binary; the yardstick gets it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AT_ONCE: usize = 64;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(3);
const SINGLE_JOBS: usize = 300;
const ACCEPT_JOBS: usize = 10_000;

#[derive(Default)]
struct Figures {
    end_to_end: Vec<f64>,
    accepted: Vec<f64>,
    latency: Latency,
}

async fn round<C: Contestant + 'static>(
    contestant: &Arc<C>,
    lookout: &Arc<Lookout>,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let single = one_at_a_time(contestant.as_ref(), lookout, SINGLE_JOBS)
        .await
        .context("one at a time")?;
    figures.latency.accepted.extend(single.accepted);
    figures.latency.start.extend(single.start);
    figures.latency.done.extend(single.done);
    let rate = many_at_once(contestant.clone(), lookout.clone(), AT_ONCE, ROUND)
        .await
        .context("many at once")?;
    figures.end_to_end.push(rate);
    let accepted = accept(contestant.clone(), lookout.clone(), AT_ONCE, ACCEPT_JOBS)
        .await
        .context("accepting")?;
    figures.accepted.push(accepted);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let broker = TestBroker::start().await;
    let dir = tempfile::tempdir()?;
    let mut environment = quick(&broker, dir.path());
    // the times as they are shipped; slots as many as are under way
    environment.retain(|name, _| !name.contains("LEASE") && !name.contains("WORKER"));
    environment.insert("ORCHESTRATOR_SKETCH_SLOTS".into(), AT_ONCE.to_string());
    environment.insert("ORCHESTRATOR_WORKER_ID".into(), "bench".into());
    let (gateway, client) = start_gateway(&environment).await;
    let worker = start_worker(&environment).await;
    client.until_worker("bench").await;

    let (product, sightings) = Product::start(&broker.url(), client).await?;
    let (product, product_lookout) = (Arc::new(product), Arc::new(Lookout::new(sightings)));
    let raw_broker = TestBroker::start().await;
    let (same, sightings) = Raw::start(&raw_broker.url(), AT_ONCE, 350, true).await?;
    let (same, same_lookout) = (Arc::new(same), Arc::new(Lookout::new(sightings)));
    let lean_broker = TestBroker::start().await;
    let (lean, sightings) = Raw::start(&lean_broker.url(), AT_ONCE, 350, false).await?;
    let (lean, lean_lookout) = (Arc::new(lean), Arc::new(Lookout::new(sightings)));

    let (mut ours, mut yardstick, mut leaner) = (Figures::default(), Figures::default(), Figures::default());
    for number in 1..=ROUNDS {
        println!("round {number} of {ROUNDS} …");
        round(&same, &same_lookout, &mut yardstick).await?;
        round(&product, &product_lookout, &mut ours).await?;
        round(&lean, &lean_lookout, &mut leaner).await?;
    }
    print(&[
        (product.name(), &ours),
        (same.name(), &yardstick),
        (lean.name(), &leaner),
    ]);
    worker.stop().await;
    gateway.stop().await;
    Ok(())
}

fn print(rows: &[(&str, &Figures)]) {
    println!(
        "\n| medians of {ROUNDS} interleaved rounds | accepted jobs/s ({AT_ONCE} at once) | end to end jobs/s ({AT_ONCE} at once) \
         | accepted ms p50 / p99 | start ms p50 / p99 | done ms p50 / p99 |\n|---|---|---|---|---|---|"
    );
    let ms = |values: &[f64]| {
        format!(
            "{:.2} / {:.2}",
            quantile(values, 0.5) * 1e3,
            quantile(values, 0.99) * 1e3
        )
    };
    for (name, figures) in rows {
        println!(
            "| {name} | {:.0} | {:.0} | {} | {} | {} |",
            median(&figures.accepted),
            median(&figures.end_to_end),
            ms(&figures.latency.accepted),
            ms(&figures.latency.start),
            ms(&figures.latency.done),
        );
    }
    let [(_, ours), yardsticks @ ..] = rows else {
        return;
    };
    for (name, raw) in yardsticks {
        println!(
            "\nratio to {name}: end to end {:.0} %, accepted {:.0} %, start p50 {:.2} times, done p50 {:.2} times",
            100.0 * median(&ours.end_to_end) / median(&raw.end_to_end),
            100.0 * median(&ours.accepted) / median(&raw.accepted),
            median(&ours.latency.start) / median(&raw.latency.start),
            median(&ours.latency.done) / median(&raw.latency.done),
        );
    }
}
