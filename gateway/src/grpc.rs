//! The gRPC surface: the same operations on the same messages, with reflection and health beside them.

mod failure;
mod health;
mod hosts;

use std::any::Any;

use axum::{Router, http::HeaderMap, http::header, response::Response};
use bytes::Bytes;
use futures::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use proto::{
    DESCRIPTOR,
    failure::FailureCode,
    ids::{ArtifactId, JobId},
    v1::{
        Asset, CallHostRequest, CancelJobRequest, DeleteWorkflowRequest, DeleteWorkflowResponse,
        GetArtifactChunk, GetArtifactRequest, GetRequest, GetSpendRequest, GetSpendResponse,
        GetWorkflowRequest, HostReply, IgniteRequest, IgniteStep, Job, ListLedgerRequest, ListLedgerResponse,
        ListModelsRequest, ListModelsResponse, ListRequest, ListResponse, ListWorkersRequest,
        ListWorkersResponse, ListWorkflowsRequest, ListWorkflowsResponse, PutWorkflowRequest,
        ResolveSpendRequest, RetryRequest, RunRequest, SpendAccount, SubmitRequest, SubmitResponse, Update,
        UploadChunk, ValidateRequest, ValidateResponse, WatchAllRequest, WatchRequest, Workflow,
        orchestrator_server::{Orchestrator, OrchestratorServer},
    },
};
use tokio::time::timeout;
use tonic::{Request, Response as Reply, Status, Streaming, service::Routes};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    admission::{Outcome, Submitted},
    files,
    front::{ANYBODY, Front, SILENCE, note_panic},
    problem::Problem,
    spending::Resolution,
    workflows::Precondition,
};
use failure::status;
use health::Health;

/// Content of one message of a file on its way out, in bytes.
const PIECE_BYTES: usize = 128 * 1024;

type Answer<T> = Result<Reply<T>, Status>;

/// The services, ready to be merged with other routes.
pub(crate) fn routes(front: Front) -> Router {
    let health = Health::service(front.readiness.clone(), front.stop.clone());
    let mut routes = Routes::new(OrchestratorServer::new(Service { front })).add_service(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => routes = routes.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "gRPC reflection is not served"),
    }
    routes
        .into_axum_router()
        .reset_fallback()
        .layer(CatchPanicLayer::custom(panicked))
}

/// Whether a request is a gRPC call, wherever it goes.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    let named = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    named.is_some_and(|named| named.starts_with("application/grpc"))
}

/// The answer to a call of a method that does not exist.
pub(crate) fn unknown(path: &str) -> Response {
    let path: String = path.chars().take(200).collect();
    status(Problem::new(
        FailureCode::RouteUnknown,
        format!("there is no method {path}"),
    ))
    .into_http()
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer wants")]
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    note_panic(payload.as_ref());
    let detail = "the call crashed; the gateway's log says where";
    status(Problem::new(FailureCode::GatewayFault, detail)).into_http()
}

struct Service {
    front: Front,
}

#[tonic::async_trait]
impl Orchestrator for Service {
    async fn submit(&self, request: Request<SubmitRequest>) -> Answer<SubmitResponse> {
        let SubmitRequest {
            request,
            idempotency_key,
        } = request.into_inner();
        let key = Some(idempotency_key.as_str()).filter(|key| !key.is_empty());
        let submitted = self
            .front
            .jobs
            .submit(request.unwrap_or_default(), key, ANYBODY)
            .await;
        Ok(Reply::new(match submitted.map_err(status)? {
            Outcome::Accepted(Submitted { job, repeated }) => SubmitResponse {
                job: Some(job),
                repeated,
                validation: None,
            },
            Outcome::Checked(found) => SubmitResponse {
                validation: Some(*found),
                ..SubmitResponse::default()
            },
        }))
    }

    async fn get(&self, request: Request<GetRequest>) -> Answer<Job> {
        let id = job_id(&request.get_ref().id)?;
        self.front.jobs.get(id).await.map(Reply::new).map_err(status)
    }

    async fn list(&self, request: Request<ListRequest>) -> Answer<ListResponse> {
        self.front
            .jobs
            .list(request.get_ref())
            .map(Reply::new)
            .map_err(status)
    }

    async fn cancel(&self, request: Request<CancelJobRequest>) -> Answer<Job> {
        let CancelJobRequest { id, reason } = request.get_ref();
        let job = self.front.jobs.cancel(job_id(id)?, ANYBODY, reason).await;
        job.map(Reply::new).map_err(status)
    }

    async fn retry(&self, request: Request<RetryRequest>) -> Answer<Job> {
        let id = job_id(&request.get_ref().id)?;
        self.front.jobs.retry(id).await.map(Reply::new).map_err(status)
    }

    async fn run(&self, request: Request<RunRequest>) -> Answer<Job> {
        let id = job_id(&request.get_ref().id)?;
        self.front.jobs.run(id).await.map(Reply::new).map_err(status)
    }

    type WatchStream = BoxStream<'static, Result<Update, Status>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Answer<Self::WatchStream> {
        let WatchRequest { id, after } = request.get_ref();
        let updates = self.front.jobs.watch(job_id(id)?, *after).await.map_err(status)?;
        Ok(Reply::new(self.until_stop(updates)))
    }

    type WatchAllStream = BoxStream<'static, Result<Update, Status>>;

    async fn watch_all(&self, request: Request<WatchAllRequest>) -> Answer<Self::WatchAllStream> {
        let updates = self.front.jobs.watch_all(request.get_ref().after_revision);
        Ok(Reply::new(self.until_stop(updates)))
    }

    async fn list_workers(&self, _: Request<ListWorkersRequest>) -> Answer<ListWorkersResponse> {
        Ok(Reply::new(ListWorkersResponse {
            workers: self.front.jobs.workers(),
        }))
    }

    async fn list_models(&self, _: Request<ListModelsRequest>) -> Answer<ListModelsResponse> {
        Ok(Reply::new(ListModelsResponse {
            models: self.front.jobs.models(),
        }))
    }

    type GetArtifactStream = BoxStream<'static, Result<GetArtifactChunk, Status>>;

    async fn get_artifact(&self, request: Request<GetArtifactRequest>) -> Answer<Self::GetArtifactStream> {
        let id: ArtifactId = request
            .get_ref()
            .id
            .parse()
            .map_err(|error: proto::ids::InvalidId| {
                status(Problem::new(FailureCode::ArtifactUnknown, error.to_string()))
            })?;
        let artifact = self.front.files.artifact(id).await.map_err(status)?;
        let content = self
            .front
            .files
            .open_artifact(&artifact, None)
            .await
            .map_err(status)?;
        let head = GetArtifactChunk {
            artifact: Some(artifact),
            content: Bytes::new(),
        };
        let pieces = files::in_pieces(content.stream, PIECE_BYTES)
            .map_ok(|content| GetArtifactChunk {
                artifact: None,
                content,
            })
            .map_err(|error| status(error.into()));
        Ok(Reply::new(stream::iter([Ok(head)]).chain(pieces).boxed()))
    }

    async fn upload(&self, request: Request<Streaming<UploadChunk>>) -> Answer<Asset> {
        let mut chunks = request.into_inner();
        let first = next_chunk(&mut chunks).await?.unwrap_or_default();
        let rest = stream::try_unfold(chunks, |mut chunks| async move {
            let chunk = next_chunk(&mut chunks).await?;
            Ok::<_, Status>(chunk.map(|chunk| (chunk.content, chunks)))
        });
        let content = stream::iter([Ok(first.content)]).chain(rest).boxed();
        let asset = self.front.files.upload(&first.filename, content).await;
        asset.map(Reply::new).map_err(status)
    }

    type CallHostStream = BoxStream<'static, Result<HostReply, Status>>;

    async fn call_host(&self, request: Request<CallHostRequest>) -> Answer<Self::CallHostStream> {
        let replies = hosts::call(&self.front, request.into_inner()).map_err(status)?;
        Ok(Reply::new(self.until_stop(replies)))
    }

    type IgniteStream = BoxStream<'static, Result<IgniteStep, Status>>;

    async fn ignite(&self, request: Request<IgniteRequest>) -> Answer<Self::IgniteStream> {
        let steps = self.front.ignition.clone().run(request.into_inner().workers);
        Ok(Reply::new(self.until_stop(steps)))
    }

    async fn list_workflows(&self, _: Request<ListWorkflowsRequest>) -> Answer<ListWorkflowsResponse> {
        let workflows = self.front.workflows.list().await.map_err(status)?;
        Ok(Reply::new(ListWorkflowsResponse { workflows }))
    }

    async fn get_workflow(&self, request: Request<GetWorkflowRequest>) -> Answer<Workflow> {
        let workflow = self.front.workflows.get(&request.get_ref().name).await;
        workflow.map(Reply::new).map_err(status)
    }

    async fn put_workflow(&self, request: Request<PutWorkflowRequest>) -> Answer<Workflow> {
        let workflow = request.into_inner().workflow.unwrap_or_default();
        let only = hosts::precondition(&workflow);
        let stored = self.front.workflows.put(workflow, only).await;
        stored.map(Reply::new).map_err(status)
    }

    async fn delete_workflow(
        &self,
        request: Request<DeleteWorkflowRequest>,
    ) -> Answer<DeleteWorkflowResponse> {
        let name = &request.get_ref().name;
        let deleted = self.front.workflows.delete(name, Precondition::None).await;
        deleted
            .map(|()| Reply::new(DeleteWorkflowResponse {}))
            .map_err(status)
    }

    async fn validate(&self, request: Request<ValidateRequest>) -> Answer<ValidateResponse> {
        let request = request.into_inner().request.unwrap_or_default();
        let found = self.front.jobs.validate(request).await;
        found.map(Reply::new).map_err(status)
    }

    async fn get_spend(&self, request: Request<GetSpendRequest>) -> Answer<GetSpendResponse> {
        let found = self.front.jobs.spending.overview(request.get_ref());
        found.map(Reply::new).map_err(status)
    }

    async fn list_ledger(&self, request: Request<ListLedgerRequest>) -> Answer<ListLedgerResponse> {
        let lines = self.front.jobs.spending.lines(request.get_ref()).await;
        let entries = lines.map_err(status)?;
        Ok(Reply::new(ListLedgerResponse { entries }))
    }

    async fn resolve_spend(&self, request: Request<ResolveSpendRequest>) -> Answer<SpendAccount> {
        let request = request.get_ref();
        let job = job_id(&request.job)?;
        let resolution = Resolution::read(request).map_err(status)?;
        let account = self.front.jobs.spending.resolve(job, resolution, ANYBODY).await;
        account.map(Reply::new).map_err(status)
    }
}

impl Service {
    /// A watcher whose stream is broken off by the gateway's stop is told so, and not that this was all.
    fn until_stop<T: Send + 'static>(
        &self,
        updates: impl Stream<Item = T> + Send + 'static,
    ) -> BoxStream<'static, Result<T, Status>> {
        let stop = self.front.stop.clone();
        let farewell = stream::once(async move {
            stop.is_cancelled()
                .then(|| Err(Status::unavailable("the gateway stops; connect again")))
        });
        let stop = self.front.stop.clone();
        let updates = updates.map(Ok).take_until(stop.cancelled_owned());
        updates.chain(farewell.filter_map(std::future::ready)).boxed()
    }
}

async fn next_chunk(chunks: &mut Streaming<UploadChunk>) -> Result<Option<UploadChunk>, Status> {
    match timeout(SILENCE, chunks.message()).await {
        Ok(chunk) => chunk,
        Err(_) => Err(status(Problem::new(
            FailureCode::UploadCorrupt,
            format!("the sender was silent for {} s", SILENCE.as_secs()),
        ))),
    }
}

fn job_id(text: &str) -> Result<JobId, Status> {
    text.parse().map_err(|error: proto::ids::InvalidId| {
        status(Problem::new(FailureCode::JobUnknown, error.to_string()))
    })
}
