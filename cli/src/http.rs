//! The gateway's HTTP routes, for what gRPC does not offer: JSON both ways, steps as they come, refusals told as
//! problems.

mod frames;

use std::time::Duration;

use proto::v1::{ListWorkersResponse, Worker};
use reqwest::{Method, RequestBuilder, Response, header};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use crate::{
    contract::{self, Message},
    exit::Exit,
    problem::Problem,
};
pub(crate) use frames::Frame;
use frames::Frames;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a question with a short answer may take; a rescan of a slow disk takes a while.
const CALL_TIMEOUT: Duration = Duration::from_mins(2);
/// A stream of steps that says nothing, not even that it is alive, for this long is lost.
const SILENCE: Duration = Duration::from_mins(1);
/// An answer is never larger; a graph is at most a few MiB.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// The HTTP side of a gateway.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    client: reqwest::Client,
    base: Url,
}

/// A route with what is asked of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route<'a> {
    /// Below `/api`; what comes from people is escaped.
    pub(crate) path: &'a [&'a str],
    /// Pairs whose value is empty are left out.
    pub(crate) query: &'a [(&'a str, &'a str)],
}

impl<'a> Route<'a> {
    pub(crate) const fn of(path: &'a [&'a str]) -> Self {
        Self { path, query: &[] }
    }
}

impl Http {
    /// For the gateway at `base`; nothing is asked of it yet.
    pub(crate) fn new(base: &Url) -> Result<Self, Problem> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE.max(CALL_TIMEOUT))
            .build()
            .map_err(|error| Problem::failed("HTTP cannot be used", &error))?;
        Ok(Self {
            client,
            base: base.clone(),
        })
    }

    pub(crate) async fn get<T: Message>(&self, route: Route<'_>) -> Result<T, Problem> {
        message(self.get_json(route).await?)
    }

    /// The answer as it came, with what only a newer gateway knows.
    pub(crate) async fn get_json(&self, route: Route<'_>) -> Result<Value, Problem> {
        self.answer(self.request(Method::GET, route)).await
    }

    /// POST without a body.
    pub(crate) async fn post(&self, route: Route<'_>) -> Result<Value, Problem> {
        self.answer(self.request(Method::POST, route)).await
    }

    /// POST with a message of the contract.
    pub(crate) async fn post_json<T: Message>(
        &self,
        route: Route<'_>,
        body: &impl Serialize,
    ) -> Result<T, Problem> {
        message(self.answer(self.request(Method::POST, route).json(body)).await?)
    }

    /// POST with JSON; the answer as it came, with what only a newer gateway knows.
    pub(crate) async fn post_for_json(&self, route: Route<'_>, body: &Value) -> Result<Value, Problem> {
        self.answer(self.request(Method::POST, route).json(body)).await
    }

    /// PUT with a message of the contract; with `create_only` what is there already is not replaced.
    pub(crate) async fn put_json(
        &self,
        route: Route<'_>,
        body: &impl Serialize,
        create_only: bool,
    ) -> Result<(), Problem> {
        let mut request = self.request(Method::PUT, route).json(body);
        if create_only {
            request = request.header(header::IF_NONE_MATCH, "*");
        }
        self.send(request.timeout(CALL_TIMEOUT)).await.map(drop)
    }

    pub(crate) async fn delete(&self, route: Route<'_>) -> Result<(), Problem> {
        let request = self.request(Method::DELETE, route);
        self.send(request.timeout(CALL_TIMEOUT)).await.map(drop)
    }

    /// Asks for steps as they come (SSE).
    pub(crate) async fn steps(&self, method: Method, route: Route<'_>) -> Result<Steps, Problem> {
        self.stream(self.request(method, route)).await
    }

    /// Asks with a message of the contract for steps as they come.
    pub(crate) async fn steps_of(&self, route: Route<'_>, body: &impl Serialize) -> Result<Steps, Problem> {
        self.stream(self.request(Method::POST, route).json(body)).await
    }

    async fn stream(&self, request: RequestBuilder) -> Result<Steps, Problem> {
        let request = request.header(header::ACCEPT, "text/event-stream");
        let answer = self.send(request).await?;
        let is_stream = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("text/event-stream"));
        if !is_stream {
            return Err(foreign(&self.base, "it does not answer with a stream of events"));
        }
        Ok(Steps {
            answer,
            frames: Frames::default(),
        })
    }

    /// The workers that the gateway knows.
    pub(crate) async fn workers(&self) -> Result<Vec<Worker>, Problem> {
        let answer: ListWorkersResponse = self.get(Route::of(&["workers"])).await?;
        Ok(answer.workers)
    }

    fn request(&self, method: Method, route: Route<'_>) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("api").extend(route.path);
        }
        let query = route.query.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<_> = query.collect();
        self.client.request(method, url).query(&query)
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Value, Problem> {
        let answer = self.send(request.timeout(CALL_TIMEOUT)).await?;
        let body = whole(answer).await?;
        serde_json::from_slice(&body)
            .map_err(|error| foreign(&self.base, &format!("its answer is not understood: {error}")))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Problem> {
        let answer = request.send().await.map_err(|error| {
            let what = runtime::telemetry::chain(&error);
            let detail = format!("the gateway at {} does not answer: {what}", self.base);
            Problem::new(Exit::Unreachable, detail)
                .with_remedy("Start it with `orchestrator up`, or name another with --gateway.")
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = whole(answer).await.unwrap_or_default();
        Err(Problem::of_answer(status.as_u16(), &body))
    }
}

async fn whole(mut answer: Response) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| lost(&error))? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(Problem::new(Exit::Failure, "the gateway's answer is too large"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn lost(error: &reqwest::Error) -> Problem {
    let what = runtime::telemetry::chain(error);
    Problem::new(
        Exit::Unreachable,
        format!("the connection to the gateway was lost: {what}"),
    )
    .with_remedy("What was begun goes on; ask again how it stands.")
}

fn foreign(base: &Url, what: &str) -> Problem {
    Problem::new(Exit::Failure, format!("{base}: {what}"))
        .with_remedy("Check the address: what answers there is no gateway of this version.")
}

/// Steps of something that takes a while.
#[derive(Debug)]
pub(crate) struct Steps {
    answer: Response,
    frames: Frames,
}

impl Steps {
    /// The next step of one thing; `None` after `done`.
    ///
    /// # Errors
    /// The problem of `failed`, or that the connection was lost before either.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, Problem> {
        match self.any().await? {
            Some(frame) if frame.event == "failed" => Err(Problem::of_document(&frame.data)),
            Some(frame) if frame.event == "done" => Ok(None),
            Some(frame) => Ok(Some(frame)),
            None => Err(cut()),
        }
    }

    /// The next event, whatever it is; `None` at the end of the stream.
    ///
    /// # Errors
    /// That the connection was lost.
    pub(crate) async fn any(&mut self) -> Result<Option<Frame>, Problem> {
        loop {
            if let Some(frame) = self.frames.next() {
                return Ok(Some(frame));
            }
            match self.answer.chunk().await.map_err(|error| lost(&error))? {
                Some(piece) => self.frames.take(&piece)?,
                None => return Ok(None),
            }
        }
    }
}

/// The stream ended before what it told of was done.
pub(crate) fn cut() -> Problem {
    let detail = "the gateway ended the stream before it was done";
    Problem::new(Exit::Unreachable, detail).with_remedy("What was begun goes on; ask again how it stands.")
}

/// The worker that the gateway named beside a message.
pub(crate) fn worker_of(data: &Value) -> String {
    data["worker"].as_str().unwrap_or_default().to_owned()
}

/// A message of the contract out of an answer or a step.
pub(crate) fn message<T: Message>(data: Value) -> Result<T, Problem> {
    contract::read(data).map_err(|error| {
        Problem::failed("the gateway's answer is not understood", &error)
            .with_remedy("Use a command of the gateway's version: see `orchestrator --version`.")
    })
}
