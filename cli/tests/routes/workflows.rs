//! Workflows: kept, shown, checked.

use serde_json::{Value, json};

use crate::stand_in::{Answer, Desk};

const GRAPH: &str = r#"{"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lake"}}}"#;

fn workflow() -> Value {
    json!({
        "name": "portrait", "title": "Portrait", "revision": "7",
        "graph": serde_json::from_str::<Value>(GRAPH).expect("JSON"),
        "parameters": [{"name": "count", "type": "integer", "node": "6", "input": "text", "default": 20}]
    })
}

#[tokio::test]
async fn a_bare_graph_is_stored_with_its_parameters() {
    let mut desk = Desk::new(vec![("PUT /api/workflows/portrait", Answer::Json(workflow()))]).await;
    desk.write("g.json", GRAPH);
    desk.expect(
        0,
        &[
            "workflows",
            "put",
            "portrait",
            "g.json",
            "-p",
            "prompt=6.text",
            "--create",
        ],
    )
    .await;
    let asked = desk.asked();
    assert!(asked[0].only_new);
    let parameter =
        json!({"name": "prompt", "type": "text", "node": "6", "input": "text", "default": "a lake"});
    assert_eq!(asked[0].body["parameters"], json!([parameter]));
    assert_eq!(asked[0].body["graph"]["6"]["class_type"], "CLIPTextEncode");

    let wrong = ["workflows", "put", "portrait", "g.json", "-p", "prompt=7.text"];
    let said = desk.expect(2, &wrong).await;
    assert!(said.err.contains("the graph has no node 7"), "{said:#?}");
    assert_eq!(desk.lines(), Vec::<String>::new(), "nothing is sent");
    let said = desk
        .expect(2, &["workflows", "put", "portrait", "none.json"])
        .await;
    assert!(said.err.contains("none.json cannot be read"), "{said:#?}");
}

#[tokio::test]
async fn what_was_saved_can_be_stored_again() {
    let mut desk = Desk::new(vec![
        ("GET /api/workflows/portrait", Answer::Json(workflow())),
        ("PUT /api/workflows/copy", Answer::NoContent),
        ("DELETE /api/workflows/copy", Answer::NoContent),
        (
            "GET /api/workflows",
            Answer::Json(json!({"workflows": [workflow()]})),
        ),
    ])
    .await;
    let said = desk.expect(0, &["workflows"]).await;
    assert!(
        said.out.contains("portrait") && said.out.contains("count"),
        "{said:#?}"
    );
    let said = desk.expect(0, &["workflows", "get", "portrait"]).await;
    assert!(
        said.out.contains("6.text") && said.out.contains("20"),
        "{said:#?}"
    );
    desk.expect(0, &["workflows", "get", "portrait", "-o", "w.json"])
        .await;
    desk.lines();
    desk.expect(0, &["workflows", "put", "copy", "w.json"]).await;
    let asked = desk.asked();
    assert!(!asked[0].only_new);
    assert_eq!(asked[0].body["name"], "copy");
    assert_eq!(asked[0].body["parameters"][0]["default"], 20);
    desk.expect(0, &["workflows", "delete", "copy"]).await;
    assert_eq!(desk.lines(), ["DELETE /api/workflows/copy"]);
}

#[tokio::test]
async fn a_stored_workflow_and_a_file_are_checked() {
    let answer = Answer::Json(json!({"graph": null, "workers": ["gpu-1"], "needs": []}));
    let refusal = json!({
        "code": "job_unknown", "detail": "no such workflow", "faults": [{"pointer": "/graph/6", "message": "strange"}]
    });
    let mut desk = Desk::new(vec![
        ("POST /api/workflows/portrait/validate", answer.clone()),
        ("POST /api/jobs/validate", answer),
        (
            "POST /api/workflows/other/validate",
            Answer::Refusal(404, refusal),
        ),
    ])
    .await;
    let said = desk.expect(0, &["workflows", "validate", "portrait"]).await;
    assert!(said.out.contains("workers  gpu-1"), "{said:#?}");
    desk.lines();
    desk.write("g.json", GRAPH);
    desk.expect(0, &["workflows", "validate", "g.json"]).await;
    let asked = desk.asked();
    let graph = asked[0].body["comfyui"]["graph"].as_str().expect("a graph");
    assert_eq!(
        serde_json::from_str::<Value>(graph).expect("JSON")["6"]["class_type"],
        "CLIPTextEncode"
    );
    let said = desk.expect(4, &["workflows", "validate", "other"]).await;
    assert!(said.err.contains("/graph/6: strange"), "{said:#?}");
}
