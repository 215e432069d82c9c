//! Models: looked at anew, and checked, through a gateway and without one.

use serde_json::{Value, json};

use crate::stand_in::{Answer, Desk};

fn file(worker: &str, name: &str, reason: &str) -> (&'static str, Value) {
    let file = json!({
        "worker": worker, "kind": "checkpoint", "name": name, "size_bytes": "2048", "reason": reason,
        "message": "The file ends too early.", "remedy": "Fetch it again.", "newer": 1
    });
    ("file", file)
}

fn done(worker: &str) -> (&'static str, Value) {
    ("done", json!({"worker": worker, "files": 1, "damaged": 0}))
}

const ROUTE: &str = "GET /api/models/verify";

#[tokio::test]
async fn each_damaged_file_of_each_worker_is_told() {
    let progress = json!({"worker": "gpu-1", "files_done": 1, "files": 2, "bytes": "4096"});
    let events = vec![
        ("progress", progress),
        file("gpu-1", "good", ""),
        // the end of one worker is not the end of all
        done("gpu-1"),
        file("gpu-2", "bad.safetensors", "truncated"),
        done("gpu-2"),
    ];
    let mut desk = Desk::new(vec![(ROUTE, Answer::Events(events))]).await;
    let said = desk
        .expect(1, &["models", "verify", "--kind", "checkpoint", "--sha256"])
        .await;
    assert_eq!(
        said.out,
        "✗ gpu-2: checkpoint bad.safetensors (2.0 KiB): truncated\n  → The file ends too early.\n  → Fetch it again.\n"
    );
    assert!(said.err.contains("1 of 2 files damaged"), "{said:#?}");
    assert_eq!(
        desk.lines(),
        ["GET /api/models/verify?kind=checkpoint&sha256=true"]
    );
    let said = desk.expect(1, &["models", "verify", "--json"]).await;
    let told = said.json();
    assert_eq!(
        (told.len(), &told[1]["worker"], &told[1]["reason"]),
        (2, &json!("gpu-2"), &json!("truncated"))
    );
}

#[tokio::test]
async fn sound_files_are_a_success_and_a_worker_that_fails_is_none() {
    let sound = vec![file("gpu-1", "a", ""), done("gpu-1")];
    let desk = Desk::new(vec![(ROUTE, Answer::Events(sound))]).await;
    desk.expect(0, &["models", "verify"]).await;
    let failed =
        json!({"worker": "gpu-2", "code": "worker_lost", "detail": "it said nothing", "remedy": "Look."});
    let mixed = vec![file("gpu-1", "a", ""), ("failed", failed), done("gpu-1")];
    let desk = Desk::new(vec![(ROUTE, Answer::Events(mixed))]).await;
    let said = desk.expect(1, &["models", "verify"]).await;
    assert!(
        said.err.contains("gpu-2: it said nothing [worker_lost]"),
        "{said:#?}"
    );
    let cut = vec![file("gpu-1", "a", "")];
    let desk = Desk::new(vec![(ROUTE, Answer::Events(cut))]).await;
    desk.expect(5, &["models", "verify"]).await;
}

#[tokio::test]
async fn a_rescan_tells_what_each_worker_has() {
    let models = json!([
        {"kind": "checkpoint", "name": "a"}, {"kind": "checkpoint", "name": "b", "problem": "truncated"},
        {"kind": "sampler", "name": "euler"}
    ]);
    let answer = json!({"workers": [
        {"worker": "gpu-1", "offer": {"backend": "comfyui", "models": models, "node_class_count": 3}},
        {"worker": "gpu-2", "failure": {"code": "worker_lost", "detail": "it is gone", "remedy": "Look."}}
    ]});
    let mut desk = Desk::new(vec![("POST /api/models/rescan", Answer::Json(answer))]).await;
    let said = desk.expect(1, &["models", "rescan"]).await;
    assert_eq!(said.out, "✓ gpu-1: 2 checkpoint; 1 damaged\n");
    assert!(said.err.contains("gpu-2: it is gone"), "{said:#?}");
    desk.lines();
    desk.expect(1, &["models", "rescan", "--worker", "gpu-1"]).await;
    assert_eq!(desk.lines(), ["POST /api/models/rescan?worker=gpu-1"]);
}

#[tokio::test]
async fn files_of_this_machine_are_checked_without_a_gateway() {
    let mut desk = Desk::new(Vec::new()).await;
    let checkpoints = desk.dir.path().join("comfyui/models/checkpoints");
    std::fs::create_dir_all(&checkpoints).expect("made");
    std::fs::write(checkpoints.join("a.safetensors"), "<!DOCTYPE html><html></html>").expect("written");
    let said = desk.expect(1, &["models", "verify", "--local", "comfyui"]).await;
    assert!(
        said.out.contains("✗ checkpoints a.safetensors") && said.out.contains("html_page"),
        "{said:#?}"
    );
    let said = desk
        .expect(1, &["models", "verify", "--local", "comfyui", "--json"])
        .await;
    assert_eq!(said.json()[0]["reason"], "html_page");
    let said = desk.expect(2, &["models", "verify", "--local", "nowhere"]).await;
    assert!(said.err.contains("→ Name the directory of ComfyUI"), "{said:#?}");

    let paths = |rest: &'static str| ["models", "paths", rest, "--dir", "comfyui"];
    let said = desk.expect(0, &paths("create")).await;
    assert!(said.out.trim().ends_with("extra_model_paths.yaml"), "{said:#?}");
    desk.expect(0, &paths("validate")).await;
    let said = desk.expect(0, &paths("explain")).await;
    assert!(said.out.contains("checkpoints\n  1. "), "{said:#?}");
    let said = desk.expect(0, &paths("create")).await;
    assert!(said.err.contains("is kept as"), "{said:#?}");
    desk.write("comfyui/extra_model_paths.yaml", "a: [\n");
    let said = desk.expect(1, &paths("validate")).await;
    assert!(
        said.out.contains("line") && said.out.contains("error"),
        "{said:#?}"
    );
    let said = desk.expect(2, &["models", "paths", "validate"]).await;
    assert!(said.err.contains("comfyui.dir"), "{said:#?}");
    assert_eq!(desk.lines(), Vec::<String>::new(), "nobody is asked");
}
