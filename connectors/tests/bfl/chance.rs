//! Many submissions while everything goes wrong: what the client says and what the bill says must fit.

use std::time::Duration;

use connectors::bfl::double::{Faults, Options};
use connectors::bfl::{Status, SubmitError};
use futures::StreamExt;
use serde_json::json;

use crate::bench::{Bench, MODEL, patient, soon};

/// How many prompts are submitted.
const PROMPTS: usize = 120;

fn everything() -> Faults {
    Faults {
        busy: 0.06,
        error_500: 0.06,
        unavailable_503: 0.06,
        bad_gateway_502: 0.08,
        cut_before: 0.06,
        cut_after: 0.08,
        slow: 0.04,
        delay: Duration::from_secs(30),
        html: 0.06,
        duplicate: 0.04,
        no_polling_url: 0.04,
        task_fails: 0.06,
        poll_503: 0.1,
        poll_cut: 0.1,
        sample_503: 0.1,
        sample_cut: 0.1,
        seed: 20_260_101,
    }
}

#[tokio::test]
async fn what_the_client_says_and_what_is_billed_fit() {
    let bench = Bench::new(Options {
        faults: everything(),
        ..Options::default()
    })
    .await;
    let client = patient(&bench.double.base(), bench.double.key(), Duration::from_secs(5));
    let submissions = (0..PROMPTS).map(|n| {
        let client = &client;
        async move {
            let prompt = format!("prompt {n}");
            let result = client.submit(MODEL, &json!({"prompt": prompt})).await;
            (prompt, result)
        }
    });
    let results: Vec<_> = soon(futures::stream::iter(submissions).buffer_unordered(8).collect()).await;
    let bill = bench.double.bill();
    assert_eq!(bench.double.submits().len(), PROMPTS, "each was sent once");
    let mut counts = (0, 0, 0);
    for (prompt, result) in &results {
        let billed = bill.of_prompt(prompt);
        let known = billed.iter().filter(|entry| entry.answered).count();
        match result {
            Ok(task) => {
                counts.0 += 1;
                assert!(
                    billed.iter().any(|entry| entry.id == task.id && entry.answered),
                    "{prompt}"
                );
                let doubled = billed.iter().filter(|entry| entry.duplicate_of.is_some()).count();
                assert_eq!(billed.len(), 1 + doubled, "{prompt}");
            }
            Err(SubmitError::Refused { .. }) => {
                counts.1 += 1;
                assert!(billed.is_empty(), "{prompt} was refused and billed");
            }
            Err(SubmitError::Unclear { .. }) => {
                counts.2 += 1;
                assert!(billed.len() <= 1 && known == 0, "{prompt}: {billed:?}");
            }
            Err(error @ SubmitError::Unreachable { .. }) => panic!("{prompt}: {error:?}"),
        }
    }
    assert!(counts.0 > 30 && counts.1 > 10 && counts.2 > 20, "{counts:?}");
    let tasks = results.into_iter().filter_map(|(_, result)| result.ok());
    soon(futures::stream::iter(tasks).for_each_concurrent(8, async |task| {
        while let Some(result) = fetched(&client, &task.polling_url).await {
            if let Ok(content) = result {
                assert!(image::load_from_memory(&content).is_ok());
                return;
            }
        }
    }))
    .await;
}

/// A result, if the task has one; an error that may pass is no end.
async fn fetched(
    client: &connectors::bfl::Client,
    polling_url: &str,
) -> Option<Result<bytes::Bytes, connectors::bfl::SampleError>> {
    let poll = loop {
        match client.poll(polling_url).await {
            Ok(poll) => break poll,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    };
    let Status::Ready(sample) = poll.status else {
        assert!(matches!(poll.status, Status::Failed(_)), "{poll:?}");
        return None;
    };
    let fetched = async { client.sample(&sample.url).await?.bytes().await }.await;
    if let Err(error) = &fetched {
        assert!(error.is_transient(), "{error:?}");
    }
    Some(fetched)
}
