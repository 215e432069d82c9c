//! The same pipeline over gRPC, on the same port.

use bytes::Bytes;
use e2e::{System, client::sketch};
use futures::stream;
use proto::{
    Backend, Status,
    v1::{
        CancelJobRequest, GetArtifactRequest, GetRequest, JobRequest, ListModelsRequest, ListRequest,
        ListWorkersRequest, SketchRequest, SubmitRequest, UploadChunk, WatchRequest, job_request::Body,
        orchestrator_client::OrchestratorClient, update::Update,
    },
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

async fn channel(system: &System) -> Channel {
    let endpoint = Channel::from_shared(system.client.base().to_owned()).expect("an address");
    endpoint.connect().await.expect("a connection")
}

async fn connect(system: &System) -> OrchestratorClient<Channel> {
    OrchestratorClient::new(channel(system).await)
}

fn drawing(sketch: SketchRequest) -> SubmitRequest {
    let request = JobRequest {
        body: Some(Body::Sketch(sketch)),
        ..JobRequest::default()
    };
    SubmitRequest {
        request: Some(request),
        ..SubmitRequest::default()
    }
}

fn small(prompt: &str, palette: String) -> SubmitRequest {
    drawing(SketchRequest {
        prompt: prompt.into(),
        width: 64,
        height: 64,
        steps: 4,
        seed: Some(7),
        palette,
        ..SketchRequest::default()
    })
}

async fn submit(grpc: &mut OrchestratorClient<Channel>, request: SubmitRequest) -> String {
    let submitted = grpc.submit(request).await.expect("accepted").into_inner();
    assert!(!submitted.repeated);
    submitted.job.expect("a job").id
}

/// The numbers of the events and the last record of a job's stream, which ends by itself.
async fn watch(grpc: &mut OrchestratorClient<Channel>, id: &str) -> (Vec<u32>, proto::v1::Job) {
    let request = WatchRequest {
        id: id.into(),
        after: 0,
    };
    let mut updates = grpc.watch(request).await.expect("a stream").into_inner();
    let (mut numbers, mut last) = (Vec::new(), None);
    while let Some(update) = updates.message().await.expect("no failure") {
        match update.update.expect("an update") {
            Update::Event(event) => numbers.push(event.number),
            Update::Job(job) => last = Some(*job),
            Update::Progress(progress) => assert_eq!(progress.job, id),
        }
    }
    (numbers, last.expect("a record"))
}

async fn artifact(grpc: &mut OrchestratorClient<Channel>, id: &str) -> Vec<u8> {
    let request = GetArtifactRequest { id: id.into() };
    let mut chunks = grpc.get_artifact(request).await.expect("a stream").into_inner();
    let head = chunks
        .message()
        .await
        .expect("no failure")
        .expect("a first chunk");
    assert_eq!(head.artifact.expect("in the first chunk").id, id);
    let mut content = head.content.to_vec();
    while let Some(chunk) = chunks.message().await.expect("no failure") {
        assert_eq!(chunk.artifact, None);
        content.extend_from_slice(&chunk.content);
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sketch_is_made_and_is_the_one_that_http_makes() {
    let system = System::start().await;
    let mut grpc = connect(&system).await;
    let id = submit(&mut grpc, small("a lake", String::new())).await;
    let (numbers, job) = watch(&mut grpc, &id).await;
    assert_eq!(job.status(), Status::Succeeded, "{job:#?}");
    let told: Vec<u32> = job.timeline.iter().map(|event| event.number).collect();
    assert_eq!(numbers, told);
    let output = &job.outputs[0].id;
    let picture = artifact(&mut grpc, output).await;
    assert_eq!(picture, system.client.artifact(output).await.to_vec());
    let twin = system.client.submit(&sketch("a lake")).await;
    let twin = system.client.until_status(&twin, "succeeded").await;
    assert_eq!(
        twin["outputs"][0]["sha256"], job.outputs[0].sha256,
        "both doors, one picture"
    );

    let got = grpc
        .get(GetRequest { id: id.clone() })
        .await
        .expect("there")
        .into_inner();
    assert_eq!(got, job);
    let page = grpc
        .list(ListRequest {
            status: vec![Status::Succeeded.into()],
            limit: 1,
            ..ListRequest::default()
        })
        .await
        .expect("a page")
        .into_inner();
    assert_eq!((page.jobs.len(), page.total), (1, 2), "{page:#?}");
    let refused = grpc
        .cancel(CancelJobRequest {
            id,
            reason: String::new(),
        })
        .await;
    assert_eq!(refused.expect_err("it is over").code(), Code::FailedPrecondition);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_becomes_the_palette() {
    let system = System::start().await;
    let mut grpc = connect(&system).await;
    let plain = submit(&mut grpc, small("a lake", String::new())).await;
    let (_, plain) = watch(&mut grpc, &plain).await;
    let other = submit(&mut grpc, small("lava", String::new())).await;
    let (_, other) = watch(&mut grpc, &other).await;
    let content = system.client.artifact(&other.outputs[0].id).await;
    let middle = content.len() / 2;
    let chunk = |filename: &str, content: Bytes| UploadChunk {
        filename: filename.into(),
        content,
    };
    let chunks = [
        chunk("lava.png", content.slice(..middle)),
        chunk("", content.slice(middle..)),
    ];
    let asset = grpc
        .upload(stream::iter(chunks))
        .await
        .expect("stored")
        .into_inner();
    assert_eq!(
        (
            asset.id.as_str(),
            asset.filename.as_str(),
            asset.media_type.as_str()
        ),
        (other.outputs[0].sha256.as_str(), "lava.png", "image/png")
    );
    let coloured = submit(&mut grpc, small("a lake", format!("asset:{}", asset.id))).await;
    let (_, coloured) = watch(&mut grpc, &coloured).await;
    assert_eq!(coloured.status(), Status::Succeeded, "{coloured:#?}");
    assert_ne!(
        coloured.outputs[0].sha256, plain.outputs[0].sha256,
        "the colours are others"
    );

    let gone = format!("asset:{}", "0".repeat(64));
    let refused = grpc
        .submit(small("a lake", gone))
        .await
        .expect_err("there is no such upload");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:#?}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_models_health_and_reflection_are_there() {
    let system = System::start().await;
    let mut grpc = connect(&system).await;
    let workers = grpc
        .list_workers(ListWorkersRequest {})
        .await
        .expect("a list")
        .into_inner();
    let offer = &workers.workers[0].backends[0];
    assert_eq!(
        (workers.workers[0].id.as_str(), offer.backend(), offer.healthy),
        ("w1", Backend::Sketch, true)
    );
    let models = grpc
        .list_models(ListModelsRequest {})
        .await
        .expect("a list")
        .into_inner();
    assert_eq!(models.models, [], "a sketch needs no model");

    for service in ["", "orchestrator.v1.Orchestrator"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let answer = HealthClient::new(channel(&system).await).check(request).await;
        let status = answer.expect("an answer").into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }

    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel(&system).await);
    let answers = reflection.server_reflection_info(stream::iter([question])).await;
    let answer = answers
        .expect("a stream")
        .into_inner()
        .message()
        .await
        .expect("no failure");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.and_then(|answer| answer.message_response)
    else {
        panic!("a list of services");
    };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"orchestrator.v1.Orchestrator"), "{names:?}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_a_problem_document_says() {
    let system = System::without_worker(&[]).await;
    let mut grpc = connect(&system).await;
    let wide = SketchRequest {
        width: 5000,
        steps: 2000,
        ..SketchRequest::default()
    };
    let status = grpc.submit(drawing(wide)).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    let metadata = status.metadata();
    assert_eq!(
        metadata.get("orchestrator-code").expect("a code"),
        "request_invalid"
    );
    let document = metadata
        .get_bin("orchestrator-problem-bin")
        .expect("a document")
        .to_bytes();
    let document: serde_json::Value = serde_json::from_slice(&document.expect("bytes")).expect("JSON");
    let pointers: Vec<_> = document["faults"]
        .as_array()
        .expect("faults")
        .iter()
        .map(|fault| &fault["pointer"])
        .collect();
    assert_eq!(pointers, ["/sketch/width", "/sketch/steps"]);

    for id in ["nonsense", "018f0000-0000-7000-8000-000000000000"] {
        let status = grpc
            .get(GetRequest { id: id.into() })
            .await
            .expect_err("not there");
        assert_eq!(status.code(), Code::NotFound, "{id}");
    }
    system.stop().await;
}
