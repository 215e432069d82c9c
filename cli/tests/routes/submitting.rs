//! What `submit --dry-run` and `workflows run` ask.

use serde_json::{Value, json};

use crate::stand_in::{Answer, Desk};

fn validated() -> Answer {
    Answer::Json(json!({
        "graph": {"3": {"class_type": "KSampler"}},
        "substitutions": [{"pointer": "/comfyui/sampler", "given": "Euler a", "used": "euler_ancestral"}],
        "needs": [{"kind": "checkpoint", "name": "sd15"}],
        "workers": []
    }))
}

#[tokio::test]
async fn a_dry_run_shows_what_would_run_and_submits_nothing() {
    let mut desk = Desk::new(vec![("POST /api/jobs/validate", validated())]).await;
    let line = [
        "submit",
        "a lake",
        "--checkpoint",
        "sd15",
        "--sampler",
        "Euler a",
        "--lora",
        "ink:0.5",
        "--image",
        "asset:00",
        "--denoise",
        "0.6",
        "--dry-run",
    ];
    let said = desk.expect(0, &line).await;
    for told in [
        "none that is here could serve it",
        "needs     checkpoint sd15",
        "sampler: Euler a → euler_ancestral",
        "\"class_type\": \"KSampler\"",
    ] {
        assert!(said.out.contains(told), "{told}: {said:#?}");
    }
    let asked = desk.asked();
    assert_eq!(asked.len(), 1);
    let comfyui = json!({
        "prompt": "a lake", "checkpoint": "sd15", "sampler": "Euler a", "image": "asset:00", "denoise": 0.6,
        "loras": [{"name": "ink", "weight": 0.5}]
    });
    assert_eq!(asked[0].body["comfyui"], comfyui);
    let said = desk.expect(0, &[&line[..], &["--json"]].concat()).await;
    assert_eq!(said.json()[0]["needs"][0]["name"], "sd15");
}

#[tokio::test]
async fn a_dry_run_shows_what_a_paid_service_would_be_sent_and_what_it_would_cost() {
    let answer = json!({
        "workers": ["w1"],
        "payload": {"prompt": "a lake", "seed": 7},
        "estimate": {"microdollars": "40000", "text": "$0.04", "basis": "4 credits a picture", "refusal": ""}
    });
    let mut desk = Desk::new(vec![("POST /api/jobs/validate", Answer::Json(answer))]).await;
    let line = [
        "submit",
        "a lake",
        "--model",
        "flux-pro-1.1",
        "--raw",
        "--dry-run",
    ];
    let said = desk.expect(0, &line).await;
    for told in [
        "cost     up to $0.04: 4 credits a picture",
        "payload\n{\n  \"prompt\": \"a lake\",",
    ] {
        assert!(said.out.contains(told), "{told}: {said:#?}");
    }
    let asked = desk.asked();
    let flux = json!({"prompt": "a lake", "model": "flux-pro-1.1", "raw": true});
    assert_eq!((asked.len(), &asked[0].body["flux"]), (1, &flux));

    desk.write("page.tsx", "export default 1");
    let line = [
        "submit",
        "--chat",
        "c1",
        "--change",
        "app/page.tsx=page.tsx",
        "--dry-run",
    ];
    desk.expect(0, &line).await;
    let v0 = json!({"chat": "c1", "changes": [{"path": "app/page.tsx", "content": "export default 1"}]});
    assert_eq!(desk.asked()[0].body["v0"], v0);
    let said = desk
        .expect(2, &["submit", "--chat", "c1", "--change", "a=none.tsx"])
        .await;
    assert!(said.err.contains("--change a: none.tsx"), "{said:#?}");
}

#[tokio::test]
async fn parameters_of_a_workflow_have_the_types_that_it_declares() {
    let workflow = json!({
        "name": "portrait", "graph": {},
        "parameters": [
            {"name": "prompt", "type": "text", "default": "x"},
            {"name": "steps", "type": "integer", "default": 20, "min": 1.0}
        ]
    });
    let mut desk = Desk::new(vec![
        ("GET /api/workflows/portrait", Answer::Json(workflow)),
        ("POST /api/jobs/validate", validated()),
    ])
    .await;
    let run = [
        "workflows",
        "run",
        "portrait",
        "--dry-run",
        "-p",
        "prompt=42",
        "-p",
    ];
    desk.expect(0, &[&run[..], &["steps=9"]].concat()).await;
    let asked = desk.asked();
    let comfyui = &asked[1].body["comfyui"];
    assert_eq!(comfyui["workflow"], "portrait");
    let values: Value = serde_json::from_str(comfyui["parameters"].as_str().expect("text")).expect("JSON");
    assert_eq!(values, json!({"prompt": "42", "steps": 9}));
    let said = desk.expect(2, &[&run[..], &["steps=many"]].concat()).await;
    assert!(said.err.contains("is not a whole number"), "{said:#?}");
    let said = desk.expect(2, &[&run[..], &["stps=3"]].concat()).await;
    assert!(said.err.contains("did you mean steps?"), "{said:#?}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_before_anything_is_asked() {
    let mut desk = Desk::new(Vec::new()).await;
    let said = desk
        .expect(
            2,
            &[
                "submit",
                "x",
                "--checkpoint",
                "a",
                "--controlnet",
                "c=none.png:0.5",
            ],
        )
        .await;
    assert!(said.err.contains("--controlnet: none.png"), "{said:#?}");
    let said = desk
        .expect(2, &["submit", "x", "--backend", "sketch", "--lora", "a"])
        .await;
    assert!(said.err.contains("backend sketch has no loras"), "{said:#?}");
    assert_eq!(desk.lines(), Vec::<String>::new());
}
