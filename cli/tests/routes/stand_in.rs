//! A gateway that gives prepared answers over real HTTP and tells what it was asked, and the program that asks.

use std::{net::SocketAddr, path::Path, process::Stdio, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, sync::mpsc, task::JoinSet};

const PATIENCE: Duration = Duration::from_mins(1);

/// What was asked of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    /// Method, path and query: `GET /api/models?kind=lora`.
    pub(crate) line: String,
    /// The body, null where there is none.
    pub(crate) body: Value,
    /// The header If-None-Match.
    pub(crate) only_new: bool,
}

/// A prepared answer.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Json(Value),
    /// Name and data of each event; then the stream ends.
    Events(Vec<(&'static str, Value)>),
    /// A problem document with this status.
    Refusal(u16, Value),
    NoContent,
}

/// Answers by method and path, or also by query.
pub(crate) type Answers = Vec<(&'static str, Answer)>;

/// The gateway, and a place from which the program is called.
pub(crate) struct Desk {
    pub(crate) dir: TempDir,
    address: SocketAddr,
    asked: mpsc::UnboundedReceiver<Asked>,
    /// Ends the server when dropped.
    _server: JoinSet<()>,
}

#[derive(Clone)]
struct Known {
    answers: Arc<Answers>,
    asked: mpsc::UnboundedSender<Asked>,
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// Each line of standard output as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.out.lines().map(parse).collect()
    }
}

impl Desk {
    pub(crate) async fn new(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, asked) = mpsc::unbounded_channel();
        let known = Known {
            answers: Arc::new(answers),
            asked: sender,
        };
        let router = Router::new().fallback(answer).with_state(known);
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self {
            dir: tempfile::tempdir().expect("a directory"),
            address,
            asked,
            _server: server,
        }
    }

    /// Runs a command that has to end with this exit code.
    pub(crate) async fn expect(&self, code: i32, arguments: &[&str]) -> Said {
        run(self.dir.path(), self.address, code, arguments).await
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&mut self) -> Vec<Asked> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
    }

    /// The same, without bodies.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// Writes a file beside which the program is called.
    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.dir.path().join(name), content).expect("written");
    }
}

async fn run(dir: &Path, gateway: SocketAddr, code: i32, arguments: &[&str]) -> Said {
    let ended = Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("ORCHESTRATOR_CLIENT_GATEWAY", format!("http://{gateway}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, ended)
        .await
        .unwrap_or_else(|_| panic!("{arguments:?} does not end"))
        .expect("the program");
    let said = Said {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said:#?}");
    said
}

async fn answer(State(known): State<Known>, request: Request) -> Response {
    let method = request.method().as_str().to_owned();
    let uri = request.uri();
    let (path, whole) = (uri.path().to_owned(), uri.to_string());
    let only_new = request.headers().contains_key(header::IF_NONE_MATCH);
    let body: Bytes = to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    let told = Asked {
        line: format!("{method} {whole}"),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        only_new,
    };
    let named = |wanted: &str| known.answers.iter().find(|(line, _)| *line == wanted);
    let found = named(&told.line).or_else(|| named(&format!("{method} {path}")));
    known.asked.send(told).expect("the test listens");
    match found.map(|(_, answer)| answer) {
        Some(Answer::Json(value)) => axum::Json(value).into_response(),
        Some(Answer::Events(events)) => {
            let frame = |(name, data): &(&str, Value)| format!("event: {name}\ndata: {data}\n\n");
            let text: String = events.iter().map(frame).collect();
            let headers = [(header::CONTENT_TYPE, "text/event-stream")];
            (headers, format!(": alive\n\n{text}")).into_response()
        }
        Some(Answer::Refusal(status, document)) => {
            let status = StatusCode::from_u16(*status).expect("a status");
            let headers = [(header::CONTENT_TYPE, "application/problem+json")];
            (status, headers, document.to_string()).into_response()
        }
        Some(Answer::NoContent) => StatusCode::NO_CONTENT.into_response(),
        None => (StatusCode::NOT_FOUND, "no such route").into_response(),
    }
}
