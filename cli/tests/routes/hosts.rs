//! ComfyUI beside the workers, and everything together.

use serde_json::{Value, json};

use crate::stand_in::{Answer, Desk};

fn fleet(ids: &[&str]) -> Answer {
    let workers: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({"id": id, "backends": [
                {"backend": "comfyui", "healthy": true, "software": "ComfyUI 0.33.0", "node_class_count": 812}
            ]})
        })
        .collect();
    Answer::Json(json!({"workers": workers}))
}

fn host(state: &str) -> Value {
    json!({"state": state, "pid": 77, "offer": {"newer": true}})
}

#[tokio::test]
async fn each_state_on_the_way_is_told_until_it_is_done() {
    let events = vec![
        ("host", host("starting")),
        ("host", host("running")),
        ("done", host("running")),
    ];
    let mut desk = Desk::new(vec![
        ("GET /api/workers", fleet(&["gpu-1"])),
        ("POST /api/workers/gpu-1/comfyui/start", Answer::Events(events)),
    ])
    .await;
    let said = desk.expect(0, &["comfyui", "start"]).await;
    assert_eq!(said.out, "✓ start: ComfyUI of gpu-1 is running\n");
    let steps: Vec<&str> = said.err.lines().collect();
    assert_eq!(
        steps,
        ["gpu-1: starting, process 77", "gpu-1: running, process 77"]
    );
    assert_eq!(
        desk.lines(),
        ["GET /api/workers", "POST /api/workers/gpu-1/comfyui/start"]
    );
    let said = desk.expect(0, &["comfyui", "start", "--json"]).await;
    assert_eq!(said.json()[0]["state"], "starting");
}

#[tokio::test]
async fn a_start_that_fails_says_why_and_what_to_do() {
    let failed = json!({
        "worker": "gpu-1", "code": "worker_lost", "detail": "it ended with exit status 3", "remedy": "Look at the log."
    });
    let desk = Desk::new(vec![
        ("GET /api/workers", fleet(&["gpu-1"])),
        (
            "POST /api/workers/gpu-1/comfyui/restart",
            Answer::Events(vec![("host", host("stopping")), ("failed", failed)]),
        ),
        (
            "POST /api/workers/gpu-1/comfyui/stop",
            Answer::Events(vec![("host", host("stopping"))]),
        ),
    ])
    .await;
    let said = desk.expect(1, &["comfyui", "restart"]).await;
    assert!(
        said.err
            .contains("error: it ended with exit status 3 [worker_lost]\n  → Look at the log."),
        "{said:#?}"
    );
    // the gateway died on the way
    let said = desk.expect(5, &["comfyui", "stop"]).await;
    assert!(
        said.out.is_empty() && said.err.contains("before it was done"),
        "{said:#?}"
    );
}

#[tokio::test]
async fn with_several_workers_one_has_to_be_named() {
    let mut desk = Desk::new(vec![
        ("GET /api/workers", fleet(&["gpu-1", "gpu-2"])),
        (
            "GET /api/workers/gpu-2/comfyui/status",
            Answer::Json(host("running")),
        ),
        (
            "GET /api/workers/gpu-2/comfyui/logs",
            Answer::Json(json!({"lines": ["one", "two\u{1b}[2J"]})),
        ),
    ])
    .await;
    let said = desk.expect(2, &["comfyui", "status"]).await;
    assert!(
        said.err.contains("gpu-1") && said.err.contains("--worker"),
        "{said:#?}"
    );
    let said = desk.expect(0, &["comfyui", "status", "--worker", "gpu-2"]).await;
    assert!(
        said.out.contains("ComfyUI 0.33.0") && said.out.contains("77"),
        "{said:#?}"
    );
    desk.lines();
    let said = desk
        .expect(0, &["comfyui", "logs", "-w", "gpu-2", "-n", "2"])
        .await;
    assert_eq!(said.out, "one\ntwo [2J\n");
    assert!(
        desk.lines()
            .contains(&"GET /api/workers/gpu-2/comfyui/logs?lines=2".to_owned())
    );
    desk.expect(2, &["comfyui", "logs", "-n", "0"]).await;
}

#[tokio::test]
async fn everything_is_brought_up_step_by_step() {
    let step = |name: &str, state: &str| {
        (
            "step",
            json!({"worker": "gpu-1", "name": name, "state": state, "message": ""}),
        )
    };
    let route = "POST /api/system/ignite";
    let good = vec![
        step("reach the broker", "done"),
        step("start ComfyUI", "started"),
        step("start ComfyUI", "done"),
        ("done", json!({"ok": true})),
    ];
    let mut desk = Desk::new(vec![(route, Answer::Events(good))]).await;
    let said = desk.expect(0, &["ignite", "--worker", "gpu-1"]).await;
    assert_eq!(said.out, "✓ gpu-1: reach the broker\n✓ gpu-1: start ComfyUI\n");
    assert_eq!(desk.asked()[0].body, json!({"workers": ["gpu-1"]}));

    let bad = vec![
        step("start ComfyUI", "failed"),
        (
            "failed",
            json!({"ok": false, "failed": 1, "message": "gpu-1: start ComfyUI: no such program"}),
        ),
    ];
    let desk = Desk::new(vec![(route, Answer::Events(bad))]).await;
    let said = desk.expect(1, &["ignite"]).await;
    assert!(said.out.contains("✗ gpu-1: start ComfyUI"), "{said:#?}");
    assert!(
        said.err.contains("no such program") && said.err.contains('→'),
        "{said:#?}"
    );
}
