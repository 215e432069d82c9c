//! A server that says exactly what a test wants, byte for byte, and remembers what it heard.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Says this and closes the connection.
    Say(Vec<u8>),
    /// Says this and keeps the connection, and closes it without an answer at the next request.
    Keep(Vec<u8>),
    /// Says this and nothing more, and does not close.
    Stay(Vec<u8>),
}

pub(crate) struct Raw {
    pub(crate) url: Url,
    heard: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Raw {
    /// Does one act a connection, in order; further connections are closed without an answer.
    pub(crate) async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let acts = Arc::new(Mutex::new(acts.into_iter()));
        let mut tasks = JoinSet::new();
        let ears = Arc::clone(&heard);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (ears, acts) = (Arc::clone(&ears), Arc::clone(&acts));
                connections.spawn(async move {
                    converse(stream, &ears, &acts).await;
                });
            }
        });
        Self {
            url: Url::parse(&url).expect("an address"),
            heard,
            _tasks: tasks,
        }
    }

    /// One that does a single thing.
    pub(crate) async fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        Self::start(vec![Act::Say(bytes.into())]).await
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("a list").clone()
    }

    pub(crate) fn at(&self, path: &str) -> String {
        self.url.join(path).expect("an address").to_string()
    }
}

/// One connection.
async fn converse(mut stream: TcpStream, ears: &Mutex<Vec<String>>, acts: &Mutex<std::vec::IntoIter<Act>>) {
    let hear = |request| ears.lock().expect("a list").push(request);
    let Some(request) = read(&mut stream).await else {
        return;
    };
    hear(request);
    let act = acts.lock().expect("a list").next();
    let Some(Act::Say(bytes) | Act::Keep(bytes) | Act::Stay(bytes)) = &act else {
        return;
    };
    if stream.write_all(bytes).await.is_err() {
        return;
    }
    match act {
        Some(Act::Keep(_)) => {
            if let Some(request) = read(&mut stream).await {
                hear(request);
            }
        }
        Some(Act::Stay(_)) => std::future::pending().await,
        Some(Act::Say(_)) | None => drop(stream.shutdown().await),
    }
}

/// A whole request: its head and as much body as it announces.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.trim().parse().expect("a length")) {
                return Some(text);
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => seen.extend_from_slice(&buffer[..count]),
        }
    }
}

/// An answer with its length.
pub(crate) fn answer(status: u16, body: impl AsRef<[u8]>) -> Vec<u8> {
    with_headers(status, "", body)
}

pub(crate) fn with_headers(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
