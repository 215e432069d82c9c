//! The double refuses what the service refuses, and says where.

use std::time::Duration;

use connectors::bfl::double::{FORBIDDEN_OUTPUT, Options};
use connectors::bfl::{Status, SubmitError};
use serde_json::{Value, json};

use crate::bench::{Bench, MODEL, client, picture, soon};

/// Submissions that are refused for one field each.
#[expect(clippy::too_many_lines, reason = "a table")]
fn faulty() -> Vec<(&'static str, Value, &'static str)> {
    let cat = |more: Value| {
        let mut body = json!({"prompt": "a cat"});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        body
    };
    let small = picture(8, 8);
    vec![
        ("flux-2-pro", json!({}), "prompt"),
        ("flux-2-pro", json!({"prompt": null}), "prompt"),
        ("flux-2-pro", json!({"prompt": 7}), "prompt"),
        ("flux-2-pro", cat(json!({"steps": 20})), "steps"),
        ("flux-2-pro", cat(json!({"aspect_ratio": "1:1"})), "aspect_ratio"),
        (
            "flux-2-pro",
            cat(json!({"safety_tolerance": 6})),
            "safety_tolerance",
        ),
        ("flux-2-pro", cat(json!({"width": 48})), "width"),
        ("flux-2-pro", cat(json!({"width": 1000})), "width"),
        ("flux-2-pro", cat(json!({"width": "1024"})), "width"),
        ("flux-2-pro", cat(json!({"width": 2048, "height": 2064})), "width"),
        (
            "flux-2-pro",
            cat(json!({"output_format": "gif"})),
            "output_format",
        ),
        ("flux-2-pro", cat(json!({"seed": 1.5})), "seed"),
        ("flux-2-pro", cat(json!({"webhook_url": "x"})), "webhook_url"),
        (
            "flux-2-klein-4b",
            cat(json!({"input_image_5": small})),
            "input_image_5",
        ),
        (
            "flux-2-klein-4b",
            cat(json!({"disable_pup": true})),
            "disable_pup",
        ),
        ("flux-2-flex", cat(json!({"guidance": 1.0})), "guidance"),
        ("flux-pro-1.1", cat(json!({"width": 1000})), "width"),
        ("flux-pro-1.1", cat(json!({"height": 1472})), "height"),
        (
            "flux-pro-1.1",
            cat(json!({"safety_tolerance": 7})),
            "safety_tolerance",
        ),
        (
            "flux-pro-1.1",
            cat(json!({"output_format": "webp"})),
            "output_format",
        ),
        ("flux-pro-1.1-ultra", cat(json!({"width": 1024})), "width"),
        (
            "flux-pro-1.1-ultra",
            cat(json!({"aspect_ratio": "22:9"})),
            "aspect_ratio",
        ),
        (
            "flux-pro-1.1-ultra",
            cat(json!({"aspect_ratio": "wide"})),
            "aspect_ratio",
        ),
        (
            "flux-pro-1.1-ultra",
            cat(json!({"image_prompt_strength": 1.1})),
            "image_prompt_strength",
        ),
        ("flux-pro-1.1-ultra", cat(json!({"raw": "yes"})), "raw"),
        ("flux-kontext-pro", cat(json!({"guidance": 3.0})), "guidance"),
        ("flux-pro-1.0-fill", cat(json!({})), "image"),
        (
            "flux-pro-1.0-fill",
            json!({"image": small, "mask": picture(8, 9)}),
            "mask",
        ),
        ("flux-pro-1.0-fill", json!({"image": small, "steps": 14}), "steps"),
        ("flux-pro-1.0-expand", json!({"image": small, "top": 2049}), "top"),
        ("flux-pro-1.0-canny", cat(json!({})), "control_image"),
        ("flux-pro-1.1-ultra-finetuned", cat(json!({})), "finetune_id"),
        (
            "flux-tools/erase-v1",
            json!({"image": small, "mask": small, "dilate_pixels": 26}),
            "dilate_pixels",
        ),
        (
            "flux-tools/outpainting-v1",
            json!({"input_image": small, "width": 128}),
            "height",
        ),
        ("flux-3-video", cat(json!({"mode": "i2v"})), "keyframes"),
        ("flux-3-video", cat(json!({"mode": "t2v", "seed": 7})), "seed"),
        (
            "flux-3-video",
            cat(json!({"mode": "t2v", "keyframes": small})),
            "keyframes",
        ),
        (
            "flux-3-video",
            cat(json!({"mode": "t2v", "duration": 21})),
            "duration",
        ),
        (
            "flux-3-video",
            cat(json!({"mode": "i2v", "keyframes": [small, "asset:1"]})),
            "keyframes.1",
        ),
    ]
}

#[tokio::test]
async fn what_a_model_does_not_take_is_refused_with_its_place() {
    let bench = Bench::plain().await;
    for (path, body, field) in faulty() {
        let (status, detail) = bench.refused(path, &body).await;
        let fields: Vec<String> = detail
            .fields
            .iter()
            .map(connectors::bfl::FieldFault::field)
            .collect();
        assert_eq!(
            (status, fields),
            (422, vec![field.to_owned()]),
            "{path}: {detail}"
        );
    }
    assert!(bench.double.bill().entries.is_empty());
}

#[tokio::test]
async fn what_a_model_takes_is_taken() {
    let bench = Bench::plain().await;
    let small = picture(8, 8);
    for (path, body) in [
        (
            "flux-2-pro",
            json!({"prompt": "a", "input_image": small, "input_image_8": "https://example.com/a.png",
            "seed": u64::MAX, "width": 0, "height": null, "safety_tolerance": 5, "disable_pup": true}),
        ),
        (
            "flux-2-max",
            json!({"prompt": "a", "width": 2048, "height": 2048}),
        ),
        (
            "flux-2-flex",
            json!({"prompt": "a", "prompt_upsampling": null, "steps": 50, "guidance": 4.5}),
        ),
        ("flux-2-klein-9b", json!({"prompt": "a", "output_format": "png"})),
        (
            "flux-kontext-max",
            json!({"prompt": "a", "aspect_ratio": "9:21", "safety_tolerance": 6}),
        ),
        (
            "flux-pro-1.1-ultra",
            json!({"aspect_ratio": "21:9", "raw": true, "image_prompt": small}),
        ),
        (
            "flux-pro-1.1",
            json!({"prompt": null, "width": 1440, "height": 256}),
        ),
        ("flux-dev", json!({"prompt": "a", "steps": 28, "guidance": 3})),
        (
            "flux-pro-1.0-fill",
            json!({"image": small, "mask": small, "guidance": 60}),
        ),
        (
            "flux-pro-1.0-depth",
            json!({"prompt": "a", "preprocessed_image": small}),
        ),
        (
            "flux-pro-1.0-fill-finetuned",
            json!({"image": small, "finetune_id": "x", "finetune_strength": 1.1}),
        ),
        ("flux-tools/deblur-v1", json!({"image": small})),
        (
            "flux-tools/outpainting-v1",
            json!({"input_image": small, "width": 64, "height": 64, "mode": "fast",
            "reference_offset_x": -8, "auto_crop": true}),
        ),
        (
            "flux-tools/vto-v2",
            json!({"prompt": "a", "person": small, "garment": small}),
        ),
        (
            "flux-3-video",
            json!({"prompt": "a", "mode": "i2v", "keyframes": [[0, small], [4.5, small]],
            "duration": "auto", "aspect_ratio": "auto", "resolution": "fhd"}),
        ),
    ] {
        let result = soon(bench.client.submit(path, &body)).await;
        assert!(result.is_ok(), "{path}: {result:?}");
    }
}

#[tokio::test]
async fn pictures_are_bare_base64_or_https() {
    let bench = Bench::plain().await;
    for bad in [
        "asset:01234".to_owned(),
        "artifact:01234".to_owned(),
        format!("data:image/png;base64,{}", picture(8, 8)),
        "http://example.com/a.png".to_owned(),
        "https://".to_owned(),
        "bm90IGEgcGljdHVyZQ==".to_owned(),
        picture(8, 8)[..40].to_owned(),
        format!("{}\n", picture(8, 8)),
        String::new(),
    ] {
        let body = json!({"prompt": "a cat", "input_image": bad});
        let (status, detail) = bench.refused(MODEL, &body).await;
        assert_eq!(
            (status, detail.fields[0].field().as_str()),
            (422, "input_image"),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn the_key_is_checked_first() {
    let bench = Bench::plain().await;
    for key in ["", "wrong"] {
        let stranger = client(&bench.double.base(), key);
        match soon(stranger.submit(MODEL, &json!({"nonsense": true}))).await {
            Err(SubmitError::Refused { status, detail, .. }) => {
                let words = "Not authenticated - Invalid Authentication";
                assert_eq!((status, detail.text.as_str()), (403, words));
            }
            other => panic!("{other:?}"),
        }
    }
    // whoever has the address of a task needs no key
    let task = bench.task("a cat").await;
    let stranger = client(&bench.double.base(), "wrong");
    let poll = soon(stranger.poll(&task.polling_url)).await.expect("a poll");
    assert!(matches!(poll.status, Status::Ready(_)));
}

#[tokio::test]
async fn paths_and_bodies_that_are_none_are_refused() {
    let bench = Bench::plain().await;
    for path in ["flux-9", "flux-kontext", "flux-pro-1.1-raw", "get_result"] {
        let (status, _) = bench.refused(path, &json!({"prompt": "a"})).await;
        assert!(matches!(status, 404 | 405), "{path}: {status}");
    }
    for body in [json!([]), json!("a"), json!(null)] {
        assert_eq!(bench.refused(MODEL, &body).await.0, 422, "{body}");
    }
    let http = reqwest::Client::new();
    let url = bench.double.base().join("v1/flux-2-pro").expect("an address");
    let garbled = http
        .post(url.clone())
        .header("x-key", bench.double.key())
        .body("{");
    assert_eq!(garbled.send().await.expect("an answer").status(), 422);
    assert_eq!(http.get(url).send().await.expect("an answer").status(), 405);
    assert_eq!(
        bench.double.submits().last().expect("a submission").body,
        Value::Null
    );
}

#[tokio::test]
async fn a_webhook_costs_the_address_to_ask_at() {
    let bench = Bench::plain().await;
    let body = json!({"prompt": "a cat", "webhook_url": "https://example.com/hook"});
    let error = soon(bench.client.submit(MODEL, &body))
        .await
        .expect_err("no address");
    let SubmitError::Unclear { id, .. } = error else {
        panic!("{error:?}")
    };
    let bill = bench.double.bill();
    assert_eq!(id.as_ref(), Some(&bill.entries[0].id));
    assert!(bill.entries[0].answered);
}

#[tokio::test]
async fn as_many_tasks_as_the_account_may_have() {
    let bench = Bench::plain().await;
    bench.double.hold();
    for n in 0..6 {
        let body = json!({"prompt": format!("max {n}")});
        soon(bench.client.submit("flux-kontext-max", &body))
            .await
            .expect("a task");
    }
    let seventh = bench
        .refused("flux-kontext-max", &json!({"prompt": "one more"}))
        .await;
    assert_eq!(seventh.0, 429);
    for n in 6..24 {
        bench.task(&format!("pro {n}")).await;
    }
    let (status, _) = bench.refused(MODEL, &json!({"prompt": "one more"})).await;
    assert_eq!(status, 429);
    bench.double.release();
    bench.task("one more").await;
}

#[tokio::test]
async fn a_place_is_free_when_time_has_passed_and_not_before() {
    let bench = Bench::new(Options {
        max_active: 1,
        task_time: Duration::from_secs(2),
        ..Options::default()
    })
    .await;
    let first = bench.task("first").await;
    assert_eq!(bench.refused(MODEL, &json!({"prompt": "second"})).await.0, 429);
    soon(bench.double.until(|bill| bill.charged() > 0)).await;
    bench.task("second").await;
    assert_eq!(
        bench.double.bill().entries[0].polls,
        0,
        "{first:?} was never asked for"
    );
}

#[tokio::test]
async fn credits_are_set_aside_for_what_runs_and_come_back() {
    let bench = Bench::new(Options {
        credits: 3.0,
        ..Options::default()
    })
    .await;
    bench.double.hold();
    bench.task(FORBIDDEN_OUTPUT).await;
    assert_eq!(bench.refused(MODEL, &json!({"prompt": "a cat"})).await.0, 402);
    bench.double.release();
    bench.task("a cat").await;
    assert!(bench.client.credits().await.expect("credits").abs() < 1e-9);
}

#[tokio::test]
async fn without_credits_nothing_is_taken() {
    let bench = Bench::new(Options {
        credits: 2.9,
        ..Options::default()
    })
    .await;
    assert_eq!(bench.refused(MODEL, &json!({"prompt": "a cat"})).await.0, 402);
    bench.double.set_credits(3.0);
    bench.task("a cat").await;
    assert_eq!(bench.refused(MODEL, &json!({"prompt": "a cat"})).await.0, 402);
}
