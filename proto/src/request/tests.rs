//! What may be asked for, and how faults are told.

use super::*;
use proptest::prelude::*;

fn sketch(sketch: SketchRequest) -> JobRequest {
    JobRequest {
        body: Some(Body::Sketch(sketch)),
        ..JobRequest::default()
    }
}

fn pointers(request: JobRequest) -> Vec<String> {
    accept(request, 7, 0)
        .expect_err("faulty")
        .into_iter()
        .map(|fault| fault.pointer)
        .collect()
}

#[test]
fn defaults_are_filled_in_and_the_hash_is_of_what_was_sent() {
    let request = sketch(SketchRequest {
        prompt: " a  lake ".into(),
        ..SketchRequest::default()
    });
    let accepted = accept(request.clone(), 7, 0).expect("good");
    assert_eq!(accepted.hash, accept(request, 8, 0).expect("good").hash);
    assert_eq!(
        (accepted.summary.as_str(), accepted.lane.as_str()),
        ("a lake", "_")
    );
    let Some(Body::Sketch(sketch)) = accepted.request.body else {
        panic!("still a sketch")
    };
    assert_eq!(
        (sketch.width, sketch.height, sketch.steps, sketch.seed),
        (512, 512, 20, Some(7))
    );
}

#[test]
fn all_faults_are_named_at_once() {
    let mut request = sketch(SketchRequest {
        prompt: "x".repeat(MAX_PROMPT_BYTES + 1),
        width: 5000,
        steps: 1001,
        palette: "/etc/passwd".into(),
        ..SketchRequest::default()
    });
    request.max_attempts = 11;
    request.tags = vec![String::new()];
    assert_eq!(
        pointers(request),
        [
            "/max_attempts",
            "/tags/0",
            "/sketch/prompt",
            "/sketch/width",
            "/sketch/steps",
            "/sketch/palette"
        ]
    );
    assert_eq!(pointers(JobRequest::default()), [""]);
}

#[test]
fn a_graph_must_be_in_api_format() {
    let graph = |graph: &str| {
        let body = ComfyUiRequest {
            graph: graph.into(),
            ..ComfyUiRequest::default()
        };
        accept(
            JobRequest {
                body: Some(Body::Comfyui(body)),
                ..JobRequest::default()
            },
            7,
            0,
        )
    };
    assert!(graph(r#"{"1":{"class_type":"EmptyImage","inputs":{"width":64}}}"#).is_ok());
    let editor = graph(r#"{"nodes":[],"links":[]}"#).expect_err("editor format");
    assert!(editor[0].message.contains("Export (API)"), "{editor:?}");
    assert_eq!(
        graph(r#"{"1":{"inputs":{}}}"#).expect_err("no class")[0].pointer,
        "/comfyui/graph/1/class_type"
    );
    assert!(graph("{").is_err() && graph("[]").is_err() && graph("{}").is_err());
}

#[test]
fn a_large_request_is_abridged_in_the_record() {
    let small = sketch(SketchRequest {
        prompt: "x".into(),
        ..SketchRequest::default()
    });
    assert_eq!(abridged(&small), None);
    let large = sketch(SketchRequest {
        prompt: "x".repeat(10_000),
        width: 64,
        ..SketchRequest::default()
    });
    let short = abridged(&large).expect("too large");
    assert!(short.encoded_len() < 300);
}

proptest! {
    #[test]
    fn no_request_panics(prompt in ".{0,50}", graph in ".{0,50}", width: u32, steps: u32, deadline: i64) {
        let body = ComfyUiRequest { prompt, graph, width, steps, ..ComfyUiRequest::default() };
        let request = JobRequest {
            body: Some(Body::Comfyui(body)),
            deadline: Some(pbjson_types::Timestamp { seconds: deadline, nanos: 0 }),
            ..JobRequest::default()
        };
        drop(accept(request, 1, 0));
    }
}
