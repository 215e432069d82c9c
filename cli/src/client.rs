//! The connection to a gateway: every call of the contract, its failures told as problems.

use std::time::Duration;

use clap::Args;
use futures::Stream;
use proto::{
    ids::JobId,
    v1::{
        Asset, CancelJobRequest, GetArtifactChunk, GetArtifactRequest, GetRequest, GetSpendRequest,
        GetSpendResponse, Job, JobRequest, ListModelsRequest, ListRequest, ListResponse, ListWorkersRequest,
        ModelPlace, RetryRequest, RunRequest, SubmitRequest, SubmitResponse, Update, UploadChunk,
        ValidateRequest, ValidateResponse, WatchRequest, Worker, orchestrator_client::OrchestratorClient,
    },
};
use tonic::{
    Streaming,
    transport::{Channel, ClientTlsConfig, Endpoint},
};
use url::Url;

use crate::{exit::Exit, problem::Problem};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a question with a short answer may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// An artifact or record message is never larger; the transport's own default is 4 MiB.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// Jobs a page when looking for an abbreviated id.
const SEARCH_PAGE: u32 = 500;
/// Pages that are searched for an abbreviated id.
const SEARCH_PAGES: u32 = 10;

/// What every command that asks a gateway takes.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ClientArguments {
    /// Address of the gateway; the setting client.gateway if absent
    #[arg(long, value_name = "URL")]
    pub(crate) gateway: Option<Url>,
    /// Print JSON, one object a line; problems too, on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// A gateway that answers.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    calls: OrchestratorClient<Channel>,
    base: Url,
}

impl Client {
    /// Connects to the gateway at `base`.
    pub(crate) async fn connect(base: &Url) -> Result<Self, Problem> {
        let unusable = |error: tonic::transport::Error| {
            Problem::failed(
                format_args!("{base} cannot be used as a gateway's address"),
                &error,
            )
        };
        let mut endpoint = Endpoint::from_shared(base.to_string())
            .map_err(unusable)?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(Duration::from_secs(15))
            .keep_alive_timeout(Duration::from_secs(10));
        if base.scheme() == "https" {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(unusable)?;
        }
        let channel = endpoint.connect().await.map_err(|error| {
            let detail = format!(
                "the gateway at {base} does not answer: {}",
                runtime::telemetry::chain(&error)
            );
            Problem::new(Exit::Unreachable, detail)
                .with_remedy("Start it with `orchestrator up`, or name another with --gateway.")
        })?;
        let calls = OrchestratorClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self {
            calls,
            base: base.clone(),
        })
    }

    /// The address of an artifact's content, for people and browsers.
    pub(crate) fn content_url(&self, artifact: &str) -> String {
        format!(
            "{}/api/artifacts/{artifact}/content",
            self.base.as_str().trim_end_matches('/')
        )
    }

    pub(crate) async fn submit(
        &self,
        request: JobRequest,
        idempotency_key: String,
    ) -> Result<SubmitResponse, Problem> {
        let message = SubmitRequest {
            request: Some(request),
            idempotency_key,
        };
        answer(self.calls.clone().submit(brief(message)).await)
    }

    /// What would become of a request.
    pub(crate) async fn validate(&self, request: JobRequest) -> Result<ValidateResponse, Problem> {
        let message = ValidateRequest {
            request: Some(request),
        };
        answer(self.calls.clone().validate(brief(message)).await)
    }

    pub(crate) async fn get(&self, id: JobId) -> Result<Job, Problem> {
        answer(
            self.calls
                .clone()
                .get(brief(GetRequest { id: id.to_string() }))
                .await,
        )
    }

    pub(crate) async fn list(&self, request: ListRequest) -> Result<ListResponse, Problem> {
        answer(self.calls.clone().list(brief(request)).await)
    }

    pub(crate) async fn cancel(&self, id: JobId, reason: String) -> Result<Job, Problem> {
        let message = CancelJobRequest {
            id: id.to_string(),
            reason,
        };
        answer(self.calls.clone().cancel(brief(message)).await)
    }

    pub(crate) async fn retry(&self, id: JobId) -> Result<Job, Problem> {
        answer(
            self.calls
                .clone()
                .retry(brief(RetryRequest { id: id.to_string() }))
                .await,
        )
    }

    pub(crate) async fn run(&self, id: JobId) -> Result<Job, Problem> {
        answer(
            self.calls
                .clone()
                .run(brief(RunRequest { id: id.to_string() }))
                .await,
        )
    }

    /// Events up to the number `after` are not sent again.
    pub(crate) async fn watch(&self, id: JobId, after: u32) -> Result<Streaming<Update>, Problem> {
        let message = WatchRequest {
            id: id.to_string(),
            after,
        };
        answer(self.calls.clone().watch(message).await)
    }

    pub(crate) async fn workers(&self) -> Result<Vec<Worker>, Problem> {
        Ok(answer(
            self.calls
                .clone()
                .list_workers(brief(ListWorkersRequest {}))
                .await,
        )?
        .workers)
    }

    pub(crate) async fn models(&self) -> Result<Vec<ModelPlace>, Problem> {
        Ok(answer(self.calls.clone().list_models(brief(ListModelsRequest {})).await)?.models)
    }

    pub(crate) async fn spend(&self, request: GetSpendRequest) -> Result<GetSpendResponse, Problem> {
        answer(self.calls.clone().get_spend(brief(request)).await)
    }

    pub(crate) async fn artifact(&self, id: &str) -> Result<Streaming<GetArtifactChunk>, Problem> {
        answer(
            self.calls
                .clone()
                .get_artifact(GetArtifactRequest { id: id.to_owned() })
                .await,
        )
    }

    pub(crate) async fn upload(
        &self,
        chunks: impl Stream<Item = UploadChunk> + Send + 'static,
    ) -> Result<Asset, Problem> {
        answer(self.calls.clone().upload(chunks).await)
    }

    /// The job that `text` names: its id, or the beginning of the id of exactly one job.
    pub(crate) async fn find(&self, text: &str) -> Result<JobId, Problem> {
        let text = text.trim();
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        if text.len() < 4 || !text.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
            return Err(Problem::usage(format!(
                "{text:?} is neither a job id nor the beginning of one"
            )));
        }
        let beginning = text.to_ascii_lowercase();
        let mut found = Vec::new();
        let mut cursor = String::new();
        for _ in 0..SEARCH_PAGES {
            let page = ListRequest {
                limit: SEARCH_PAGE,
                cursor,
                ..ListRequest::default()
            };
            let page = self.list(page).await?;
            found.extend(
                page.jobs
                    .into_iter()
                    .map(|job| job.id)
                    .filter(|id| id.starts_with(&beginning)),
            );
            cursor = page.next_cursor;
            if cursor.is_empty() {
                return one_of(text, &found);
            }
        }
        Err(Problem::usage(format!(
            "there are too many jobs to tell which one begins with {text}; give the whole id"
        )))
    }
}

fn one_of(text: &str, found: &[String]) -> Result<JobId, Problem> {
    match found {
        [] => Err(Problem::new(
            Exit::Unknown,
            format!("there is no job whose id begins with {text}"),
        )),
        [id] => id
            .parse()
            .map_err(|error| Problem::failed("the gateway sent an id that is none", &error)),
        [first, second, ..] => Err(Problem::usage(format!(
            "{} jobs begin with {text}, among them {first} and {second}; give more of the id",
            found.len()
        ))),
    }
}

fn brief<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL_TIMEOUT);
    request
}

fn answer<T>(result: Result<tonic::Response<T>, tonic::Status>) -> Result<T, Problem> {
    result
        .map(tonic::Response::into_inner)
        .map_err(|status| Problem::of_status(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_must_fit_one_job() {
        let ids = [JobId::generate().to_string(), JobId::generate().to_string()];
        assert_eq!(
            one_of("01", &[]).map_err(|problem| problem.exit),
            Err(Exit::Unknown)
        );
        assert_eq!(
            one_of("01", &ids[..1]).map(|id| id.to_string()),
            Ok(ids[0].clone())
        );
        assert_eq!(
            one_of("01", &ids).map_err(|problem| problem.exit),
            Err(Exit::Usage)
        );
    }
}
