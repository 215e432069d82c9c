//! Every form of a submission, and where its faults are told.

use super::*;
use proto::v1::{ComfyUiRequest, SketchRequest, job_request::Body};

fn body(text: &str) -> Option<Body> {
    read(text.as_bytes()).expect("readable").request.body
}

fn complaint(text: &str) -> String {
    let problem = read(text.as_bytes()).expect_err("unreadable");
    format!("{problem}")
}

#[test]
fn what_is_asked_of_a_chat_is_read_with_its_frame() {
    let read = |text: &str| read_chat(Action::Continue, Some("c1"), Some(text.as_bytes()));
    let submission = read(r#"{"prompt": "in red", "model": "v0-mini", "priority": "high", "dryRun": true}"#);
    let request = submission.expect("a request").request;
    assert_eq!(
        (request.priority(), request.dry_run),
        (proto::Priority::High, true)
    );
    let Some(Body::V0(v0)) = request.body else {
        panic!("it is for v0");
    };
    assert_eq!(
        (
            v0.action(),
            v0.chat.as_str(),
            v0.prompt.as_str(),
            v0.model.as_str()
        ),
        (Action::Continue, "c1", "in red", "v0-mini")
    );
    let pointers = |text: &str| {
        let faults = read(text).expect_err("a fault").faults;
        faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
    };
    assert_eq!(pointers(r#"{"chat": "c2"}"#), ["/chat"]);
    assert_eq!(pointers(r#"{"v0": {}}"#), ["/v0"]);
    assert_eq!(pointers(r#"{"prompt": 7, "promt": "x"}"#), ["/prompt", "/promt"]);
    let none = read_chat(Action::Import, Some("c1"), None).expect("a request");
    let wrong = Problem::invalid(vec![fault("/v0/chat", "no".to_owned())]);
    assert_eq!(none.relocate(wrong).faults[0].pointer, "/chat");
}

#[test]
fn the_short_form_is_expanded() {
    let expected = SketchRequest {
        prompt: "a lake".into(),
        width: 64,
        seed: Some(u64::MAX),
        ..SketchRequest::default()
    };
    let short = r#"{"backend":"sketch","prompt":"a lake","tags":["t"],
        "params":{"width":64,"seed":"18446744073709551615"}}"#;
    let whole = r#"{"sketch":{"prompt":"a lake","width":64,"seed":18446744073709551615},"tags":["t"]}"#;
    assert_eq!(body(short), Some(Body::Sketch(expected.clone())));
    assert_eq!(body(whole), Some(Body::Sketch(expected)));
    let request = read(short.as_bytes()).expect("readable").request;
    assert_eq!(request.tags, ["t"]);
    assert_eq!(
        body(r#"{"backend":"sketch","params":null}"#),
        Some(Body::Sketch(SketchRequest::default()))
    );
}

#[test]
fn a_graph_may_be_an_object_in_both_forms() {
    let expected = ComfyUiRequest {
        graph: r#"{"1":{"class_type":"EmptyImage","inputs":{}}}"#.into(),
        ..ComfyUiRequest::default()
    };
    let graph = &expected.graph;
    assert_eq!(
        body(&format!(r#"{{"comfyui":{{"graph":{graph}}}}}"#)),
        Some(Body::Comfyui(expected.clone()))
    );
    assert_eq!(
        body(&format!(
            r#"{{"backend":"comfyui","params":{{"graph":{graph}}}}}"#
        )),
        Some(Body::Comfyui(expected.clone()))
    );
    let quoted = Value::String(graph.clone());
    assert_eq!(
        body(&format!(r#"{{"comfyui":{{"graph":{quoted}}}}}"#)),
        Some(Body::Comfyui(expected))
    );
}

#[test]
fn paid_backends_have_the_short_form_too() {
    let short = r#"{"backend":"flux","prompt":"a lake","params":{"model":"flux-2-pro","width":1024,
        "images":["artifact:x"]}}"#;
    let whole = r#"{"flux":{"prompt":"a lake","model":"flux-2-pro","width":1024,"images":["artifact:x"]}}"#;
    assert!(matches!(body(whole), Some(Body::Flux(_))));
    assert_eq!(body(short), body(whole));
    let submission = read(short.as_bytes()).expect("readable");
    let told = submission.relocate(Problem::invalid(vec![fault("/flux/images/0", "is none".into())]));
    assert_eq!(told.faults[0].pointer, "/params/images/0");
    let site = r#"{"backend":"v0","params":{"chat":"c1","changes":[{"path":"a.tsx","content":"x"}]}}"#;
    assert!(matches!(body(site), Some(Body::V0(_))));
    assert!(complaint(r#"{"flux":{"promt":"a"}}"#).contains("/flux/promt"));
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let complaints: Vec<String> = [
        "",
        "[]",
        "{\"sketch\":{\n  \"prompt\":}}",
        r#"{"sketch":{"stepz":3,"width":"wide"},"holt":true}"#,
        r#"{"sketch":{"prompt":7,"rehearsal":{"act":"explode"}},"priority":"hihg"}"#,
        r#"{"sketch":{"prompt":"a"},"not_before":"tomorrow"}"#,
        r#"{"sketch":{},"comfyui":{}}"#,
        r#"{"backend":"sketsh"}"#,
        r#"{"backend":7}"#,
        r#"{"backend":"sketch","sketch":{}}"#,
        r#"{"backend":"sketch","params":[1]}"#,
        r#"{"backend":"sketch","prompt":"a","params":{"prompt":"b"}}"#,
        r#"{"backend":"sketch","prompt":"a","params":{"widht":64}}"#,
    ]
    .into_iter()
    .map(complaint)
    .collect();
    insta::assert_snapshot!(complaints.join("\n"));
}

#[test]
fn faults_of_the_short_form_point_into_the_short_form() {
    let faults = || {
        Problem::invalid(vec![
            fault("/sketch/width", "is too large".into()),
            fault("/sketch/prompt", "is too long".into()),
            fault("/tags", "are too many".into()),
        ])
    };
    let pointers = |body: &str| {
        let submission = read(body.as_bytes()).expect("readable");
        let faults = submission.relocate(faults()).faults;
        faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
    };
    assert_eq!(
        pointers(r#"{"backend":"sketch"}"#),
        ["/params/width", "/prompt", "/tags"]
    );
    assert_eq!(
        pointers(r#"{"sketch":{}}"#),
        ["/sketch/width", "/sketch/prompt", "/tags"]
    );
}

#[test]
fn a_run_of_a_workflow_is_a_job_of_comfyui() {
    let body = br#"{"parameters":{"prompt":"a lake","steps":7},"seed":"9","tags":["t"],"priority":"high"}"#;
    let submission = read_run("mine", Some(body)).expect("readable");
    assert_eq!(submission.request.tags, ["t"]);
    assert_eq!(submission.request.priority(), proto::Priority::High);
    let Some(Body::Comfyui(comfyui)) = &submission.request.body else {
        panic!("a job of comfyui");
    };
    assert_eq!((comfyui.workflow.as_str(), comfyui.seed), ("mine", Some(9)));
    let values: Value = serde_json::from_str(&comfyui.parameters).expect("JSON");
    assert_eq!(values["steps"], 7);
    let told = submission.relocate(Problem::invalid(vec![fault(
        "/comfyui/parameters/steps",
        "is too large".into(),
    )]));
    assert_eq!(told.faults[0].pointer, "/parameters/steps");
    assert!(read_run("mine", None).is_ok());
    assert!(read_run("mine", Some(br#"{"comfyui":{}}"#)).is_err());
}

#[test]
fn the_oldest_form_needs_a_backend() {
    assert!(read_short(br#"{"backend":"sketch","prompt":"a"}"#).is_ok());
    let problem = read_short(br#"{"prompt":"a"}"#).expect_err("no backend");
    assert_eq!(problem.faults[0].pointer, "/backend");
}
