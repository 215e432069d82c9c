//! Workers and their ComfyUI over HTTP: state, start and stop, log, model files, read-only requests.

use e2e::{System, patience::until, sse::Parser};
use futures::TryStreamExt as _;
use proto::v1::{
    CallHostRequest, FetchCall, GetWorkflowRequest, HostCall, HostReply, IgniteRequest, IgniteStep,
    JobRequest, ListWorkflowsRequest, StatusCall, ValidateRequest, host::State, host_call::Call,
    host_reply::Body, orchestrator_client::OrchestratorClient,
};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::{
    input::refused,
    standin::{CHECKPOINT, Condition, StandIn, condition_of, serving},
};

/// The events of a call, as name and data.
async fn events(system: &System, method: Method, path: &str) -> Vec<(String, Value)> {
    let request = system
        .client
        .request(method, path)
        .header("accept", "text/event-stream");
    let response = request.send().await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let bytes = response.bytes().await.expect("all events");
    let frames = Parser::default().push(&bytes);
    let named = frames.into_iter().filter(|frame| !frame.data.is_empty());
    named.map(|frame| (frame.event.clone(), frame.json())).collect()
}

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comfyui_is_seen_stopped_and_started() {
    let system = System::without_worker(&[]).await;
    let worker = StandIn::start(&system, "gpu1", serving()).await;
    let client = &system.client;
    let (_, all) = client.get("/api/workers").await;
    let offer = &all["workers"][0]["backends"][0];
    assert_eq!(
        (&offer["node_class_count"], &offer["node_classes"]),
        (&8.into(), &Value::Null)
    );
    let (_, one) = client.get("/api/workers/gpu1").await;
    let classes = one["backends"][0]["node_classes"].as_array().expect("a list");
    assert!(classes.contains(&"CLIPTextEncode".into()), "{classes:?}");

    let (status, host) = client.get("/api/workers/gpu1/comfyui/status").await;
    assert_eq!(
        (status, &host["state"]),
        (StatusCode::OK, &"running".into()),
        "{host}"
    );
    let stop = client.request(Method::POST, "/api/workers/gpu1/comfyui/stop");
    let (status, host) = client.send(stop).await;
    assert_eq!(
        (status, &host["state"]),
        (StatusCode::OK, &"stopped".into()),
        "{host}"
    );
    assert_eq!(condition_of(&worker.condition).state, State::Stopped);
    let told = events(&system, Method::POST, "/api/workers/gpu1/comfyui/start").await;
    assert_eq!(names(&told), ["host", "host", "done"], "{told:?}");
    assert_eq!(
        (&told[0].1["state"], &told[2].1["state"]),
        (&"starting".into(), &"running".into())
    );

    let (_, log) = client.get("/api/workers/gpu1/comfyui/logs?lines=3").await;
    assert_eq!(log["lines"][2], "line 3");
    let text = client.request(Method::GET, "/api/workers/gpu1/comfyui/logs?lines=2");
    let text = text
        .header("accept", "text/plain")
        .send()
        .await
        .expect("an answer");
    assert_eq!(text.text().await.expect("text"), "line 1\nline 2\n");
    let get = |path: &str| client.request(Method::GET, path);
    refused(
        get("/api/workers/gpu1/comfyui/logs?lines=0"),
        422,
        "request_invalid",
    )
    .await;
    refused(get("/api/workers/nobody"), 404, "worker_unknown").await;
    refused(get("/api/workers/nobody/comfyui/status"), 404, "worker_unknown").await;
    worker.stop().await;
    refused(get("/api/workers/gpu1/comfyui/status"), 503, "worker_unreachable").await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_looks_after_is_not_started() {
    let system = System::without_worker(&[]).await;
    let condition = Condition {
        state: State::Unmanaged,
        ..serving()
    };
    let worker = StandIn::start(&system, "gpu1", condition).await;
    let start = || {
        system
            .client
            .request(Method::POST, "/api/workers/gpu1/comfyui/start")
    };
    refused(start(), 409, "host_refused").await;
    let told = events(&system, Method::POST, "/api/workers/gpu1/comfyui/start").await;
    assert_eq!(
        (names(&told), &told[0].1["code"]),
        (vec!["failed"], &"host_refused".into())
    );
    worker.stop().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn model_files_are_looked_at_again_and_checked() {
    let system = System::without_worker(&[]).await;
    let worker = StandIn::start(&system, "gpu1", serving()).await;
    let (status, told) = system
        .client
        .post("/api/models/rescan", &serde_json::json!({}))
        .await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(told["workers"][0]["worker"], "gpu1");
    assert_eq!(told["workers"][0]["offer"]["models"][0]["name"], CHECKPOINT);
    let (_, told) = system.client.get("/api/models/verify?sha256=true").await;
    assert_eq!(told["workers"][0]["damaged"], 1, "{told:#}");
    assert_eq!(told["workers"][0]["files"][1]["reason"], "truncated");
    let told = events(&system, Method::GET, "/api/models/verify?worker=gpu1").await;
    assert_eq!(names(&told), ["progress", "file", "file", "done"], "{told:?}");
    assert!(told.iter().all(|(_, data)| data["worker"] == "gpu1"), "{told:?}");
    worker.stop().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comfyui_is_read_and_nothing_else() {
    let system = System::without_worker(&[]).await;
    let worker = StandIn::start(&system, "gpu1", serving()).await;
    let send = |method: Method, path: &str| {
        system
            .client
            .request(method, &format!("/api/comfyui/gpu1/{path}"))
    };
    let response = send(Method::GET, "view?filename=a%20b.png")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()["content-security-policy"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(
        policy.contains("sandbox"),
        "foreign content must not act: {policy}"
    );
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(response.text().await.expect("text"), "/view?filename=a%20b.png");
    let head = send(Method::HEAD, "object_info/KSampler")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        (
            head.status(),
            head.headers()["content-length"].to_str().expect("text")
        ),
        (StatusCode::OK, "22")
    );
    refused(send(Method::GET, "interrupt"), 403, "comfyui_path_refused").await;
    refused(
        send(Method::GET, "view/..%2fuserdata"),
        403,
        "comfyui_path_refused",
    )
    .await;
    refused(send(Method::POST, "prompt"), 405, "route_method").await;
    refused(send(Method::GET, "queue"), 502, "comfyui_answer_too_large").await;
    worker.stop().await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_brought_up() {
    let system = System::without_worker(&[("ORCHESTRATOR_GATEWAY_IGNITE_TIMEOUT", "5s")]).await;
    let (_, told) = system
        .client
        .post("/api/system/ignite", &serde_json::json!({}))
        .await;
    assert_eq!(
        (&told["ok"], &told["failed"]),
        (&false.into(), &1.into()),
        "no worker is here: {told:#}"
    );
    let down = Condition {
        state: State::Stopped,
        healthy: false,
        ..serving()
    };
    let first = StandIn::start(&system, "gpu1", down).await;
    let second = StandIn::start(&system, "gpu2", serving()).await;
    let told = events(&system, Method::POST, "/api/system/ignite").await;
    let (name, summary) = told.last().expect("an end");
    assert_eq!(
        (name.as_str(), &summary["ok"]),
        ("done", &true.into()),
        "{told:#?}"
    );
    let step = |worker: &str, state: &str| {
        told.iter().any(|(_, step)| {
            step["worker"] == worker && step["name"] == "start ComfyUI" && step["state"] == state
        })
    };
    assert!(step("gpu1", "done") && step("gpu2", "skipped"), "{told:#?}");
    let (_, again) = system
        .client
        .post("/api/system/ignite", &serde_json::json!({}))
        .await;
    assert_eq!(again["ok"], true, "{again:#}");
    assert_eq!(
        condition_of(&first.condition).starts,
        1,
        "what runs is not started again"
    );

    let unmanaged = Condition {
        state: State::Unmanaged,
        healthy: false,
        ..serving()
    };
    *first.condition.lock().expect("no panic") = unmanaged;
    until("the announcement", || async {
        let (_, worker) = system.client.get("/api/workers/gpu1").await;
        (worker["backends"][0]["healthy"] != true).then_some(())
    })
    .await;
    let (_, told) = system
        .client
        .post("/api/system/ignite", &serde_json::json!({"workers": ["gpu1"]}))
        .await;
    assert_eq!(told["ok"], false, "{told:#}");
    let message = told["message"].as_str().expect("text");
    assert!(message.contains("start it on its host"), "{message}");
    for worker in [first, second] {
        worker.stop().await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_over_grpc() {
    let system = System::without_worker(&[]).await;
    let worker = StandIn::start(&system, "gpu1", serving()).await;
    let mut grpc = OrchestratorClient::connect(system.client.base().to_owned())
        .await
        .expect("a connection");
    let ask = |call: Call| CallHostRequest {
        worker: "gpu1".into(),
        call: Some(HostCall { call: Some(call) }),
    };
    let replies = grpc
        .call_host(ask(Call::Status(StatusCall {})))
        .await
        .expect("a stream");
    let replies: Vec<HostReply> = replies.into_inner().try_collect().await.expect("no failure");
    assert!(
        matches!(&replies[..], [HostReply { last: true, body: Some(Body::Host(host)) }] if host.state() == State::Running),
        "{replies:?}"
    );
    let forbidden = Call::Fetch(FetchCall {
        path: "/interrupt".into(),
        query: String::new(),
    });
    let refused = grpc
        .call_host(ask(forbidden))
        .await
        .expect_err("it does not only read");
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let steps = grpc.ignite(IgniteRequest::default()).await.expect("a stream");
    let steps: Vec<IgniteStep> = steps.into_inner().try_collect().await.expect("no failure");
    assert!(steps.iter().any(|step| step.name == "start ComfyUI"), "{steps:?}");
    let all = grpc
        .list_workflows(ListWorkflowsRequest {})
        .await
        .expect("a list")
        .into_inner();
    let name = all.workflows[0].name.clone();
    let one = grpc
        .get_workflow(GetWorkflowRequest { name })
        .await
        .expect("one")
        .into_inner();
    assert!(one.built_in && !one.graph.is_empty() && all.workflows[0].graph.is_empty());
    let request = ValidateRequest {
        request: Some(JobRequest::default()),
    };
    let refused = grpc.validate(request).await.expect_err("nothing is asked for");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    worker.stop().await;
    system.stop().await;
}
