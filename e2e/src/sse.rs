//! Server-sent events as a browser reads them: a parser of the text, and a listener that can be cut off.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::Client;

/// Longer than any test listens.
const NEVER: Duration = Duration::from_mins(10);

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its name; `message` where the sender gave none.
    pub event: String,
    /// Its id, where the sender gave one.
    pub id: Option<String>,
    /// Its lines of data, joined.
    pub data: String,
}

impl Frame {
    /// The data as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// Turns the bytes of a stream, however they are cut, into frames.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    event: String,
    id: Option<String>,
    data: Vec<String>,
    /// The last byte was CR, so a following LF belongs to it.
    after_return: bool,
}

impl Parser {
    /// Takes some bytes; gives the frames that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for byte in bytes {
            let belongs = std::mem::replace(&mut self.after_return, *byte == b'\r') && *byte == b'\n';
            match byte {
                b'\n' if belongs => {}
                b'\r' | b'\n' => frames.extend(self.end_line()),
                byte => self.line.push(*byte),
            }
        }
        frames
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line.is_empty() {
            return self.end_frame();
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value).to_owned();
        match name {
            "event" => self.event = value,
            "data" => self.data.push(value),
            "id" => self.id = Some(value),
            // a comment, `retry`, or something newer
            _ => {}
        }
        None
    }

    fn end_frame(&mut self) -> Option<Frame> {
        let (event, id) = (std::mem::take(&mut self.event), self.id.take());
        let data = std::mem::take(&mut self.data);
        (!data.is_empty()).then(|| Frame {
            event: if event.is_empty() {
                "message".to_owned()
            } else {
                event
            },
            id,
            data: data.join("\n"),
        })
    }
}

/// An open stream. Dropping it cuts the connection.
pub struct Listener {
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    parser: Parser,
    ready: VecDeque<Frame>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// Opens a stream after the frame that was seen last; `None` where the server says that it is over.
    ///
    /// # Errors
    /// If nobody answers.
    ///
    /// # Panics
    /// If the answer is no stream.
    pub async fn open(client: &Client, path: &str, seen: Option<&str>) -> reqwest::Result<Option<Self>> {
        let mut request = client.request(Method::GET, path).timeout(NEVER);
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        let response = request.send().await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()["content-type"], "text/event-stream", "{path}");
        Ok(Some(Self {
            body: response.bytes_stream().boxed(),
            parser: Parser::default(),
            ready: VecDeque::new(),
        }))
    }

    /// The next frame; `None` where the stream has ended or broke off. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            let bytes = self.body.next().await?.ok()?;
            self.ready.extend(self.parser.push(&bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "retry: 1000\n\n: keep-alive\n\nevent: job\ndata: {\"a\":1}\nid: 7-0\n\n\
        data:one\r\ndata: two\r\n\r\nid\ndata\n\nevent: cut\ndata: never";

    fn frame(event: &str, id: Option<&str>, data: &str) -> Frame {
        Frame {
            event: event.into(),
            id: id.map(str::to_owned),
            data: data.into(),
        }
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let expected = [
            frame("job", Some("7-0"), r#"{"a":1}"#),
            frame("message", None, "one\ntwo"),
            frame("message", Some(""), ""),
        ];
        for size in 1..TEXT.len() {
            let mut parser = Parser::default();
            let frames: Vec<Frame> = TEXT
                .as_bytes()
                .chunks(size)
                .flat_map(|part| parser.push(part))
                .collect();
            assert_eq!(frames, expected, "in parts of {size}");
        }
    }
}
