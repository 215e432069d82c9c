//! The bill of the double: what is charged, for how much, and who can know.

use connectors::bfl::double::{BROKEN, Double, FORBIDDEN_INPUT, FORBIDDEN_OUTPUT, Fault, Options, Outcome};
use serde_json::{Value, json};

use crate::bench::{Bench, MODEL, client, picture, soon};

#[tokio::test]
async fn prices_are_those_of_the_service() {
    let bench = Bench::plain().await;
    let megapixel = picture(1024, 1024);
    for (path, body, cents, megapixels) in [
        ("flux-2-pro", json!({"prompt": "a"}), 3.0, 1.0),
        (
            "flux-2-pro",
            json!({"prompt": "a", "width": 1440, "height": 1440}),
            4.5,
            1.98,
        ),
        (
            "flux-2-pro",
            json!({"prompt": "a", "input_image": megapixel}),
            4.5,
            1.0,
        ),
        (
            "flux-2-max",
            json!({"prompt": "a", "width": 2048, "height": 2048}),
            16.0,
            4.0,
        ),
        (
            "flux-2-flex",
            json!({"prompt": "a", "input_image": megapixel}),
            10.0,
            1.0,
        ),
        ("flux-2-klein-4b", json!({"prompt": "a", "width": 2048}), 1.5, 2.0),
        (
            "flux-2-klein-9b",
            json!({"prompt": "a", "width": 512, "height": 512}),
            1.5,
            0.25,
        ),
        ("flux-kontext-max", json!({"prompt": "a"}), 8.0, 1.0),
        ("flux-dev", json!({"prompt": "a"}), 2.5, 1.0),
        ("flux-pro-1.1-ultra", json!({"prompt": "a"}), 6.0, 4.0),
    ] {
        let task = soon(bench.client.submit(path, &body)).await.expect("a task");
        assert_eq!(task.cost_cents, Some(cents), "{path}");
        let input = if body["input_image"].is_string() {
            "1.0"
        } else {
            "0.0"
        };
        assert_eq!(
            format!("{:?}", task.input_megapixels),
            format!("Some({input})"),
            "{path}"
        );
        let told = task.output_megapixels.expect("a size");
        assert!((told - megapixels).abs() < 0.011, "{path}: {told}");
        let bill = bench.double.bill();
        let entry = bill.entries.last().expect("an entry");
        assert_eq!(
            (entry.cost, entry.path.as_str()),
            ((cents * 10_000.0) as u64, path)
        );
    }
}

#[tokio::test]
async fn only_what_is_ready_is_charged_whether_it_is_asked_for_or_not() {
    let bench = Bench::plain().await;
    bench.double.hold();
    for prompt in ["a cat", FORBIDDEN_INPUT, FORBIDDEN_OUTPUT, BROKEN] {
        bench.task(prompt).await;
    }
    let before = bench.double.bill();
    assert_eq!((before.charged(), before.open()), (0, 4 * 30_000));
    bench.double.release();
    let after = bench.double.bill();
    assert_eq!((after.charged(), after.open()), (30_000, 0));
    let outcomes: Vec<Outcome> = after.entries.iter().map(|entry| entry.outcome).collect();
    assert_eq!(
        outcomes,
        [
            Outcome::Ready,
            Outcome::Moderated,
            Outcome::Moderated,
            Outcome::Failed
        ]
    );
    assert_eq!(after.of_prompt("a cat")[0].charged(), 30_000);
    assert!(
        after
            .entries
            .iter()
            .all(|entry| entry.polls == 0 && entry.answered)
    );
}

#[tokio::test]
async fn the_bill_knows_who_cannot_know() {
    let bench = Bench::plain().await;
    bench.double.fault_next_submit(Fault::CutAfter);
    bench.submit("cut").await.expect_err("no answer");
    bench.double.fault_next_submit(Fault::Duplicate);
    bench.task("twice").await;
    let bill = bench.double.bill();
    let unanswered: Vec<&str> = bill
        .unanswered()
        .iter()
        .map(|entry| entry.prompt.as_str())
        .collect();
    assert_eq!(unanswered, ["cut", "twice"]);
    assert_eq!(bill.charged(), 3 * 30_000);
    let twice = bill.of_prompt("twice");
    assert_eq!(twice[1].duplicate_of.as_ref(), Some(&twice[0].id));
    let submits = bench.double.submits();
    assert_eq!((submits[0].status, submits[1].status), (None, Some(200)));
    assert_eq!(submits[0].fault, Some(Fault::CutAfter));
    assert_eq!(submits[0].task.as_ref(), Some(&bill.entries[0].id));
    assert_eq!(submits[1].body, json!({"prompt": "twice"}));
}

#[tokio::test]
async fn the_bill_can_be_read_over_http() {
    let options = Options {
        admin: Some("127.0.0.1:0".parse().expect("an address")),
        ..Options::default()
    };
    let double = Double::start(options).await.expect("a double");
    let client = client(&double.base(), double.key());
    let task = soon(client.submit(MODEL, &json!({"prompt": "a cat"})))
        .await
        .expect("a task");
    let address = double
        .admin()
        .expect("an address")
        .join("bill")
        .expect("an address");
    let bill: Value = reqwest::get(address)
        .await
        .expect("an answer")
        .json()
        .await
        .expect("JSON");
    let expected = json!({
        "charged_micros": 30_000, "open_micros": 0, "violations": [], "submissions": 1, "connections": 1,
        "entries": [{
            "id": task.id, "path": MODEL, "prompt": "a cat", "cost_micros": 30_000, "charged_micros": 30_000,
            "outcome": "ready", "answered": true, "duplicate_of": null, "polls": 0, "fetches": 0,
        }],
    });
    assert_eq!(bill, expected);
}
