//! Server-sent events out of the bytes of an answer. Pure.

use serde_json::Value;

use crate::{exit::Exit, problem::Problem};

/// A frame is never larger: steps and reports are short.
const MAX_PENDING_BYTES: usize = 8 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Frame {
    /// `message` where the other side named none.
    pub(crate) event: String,
    /// What it carries; null where that is nothing, text where it is no JSON.
    pub(crate) data: Value,
}

/// Takes bytes, gives frames.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Bytes that are not a whole line yet, and lines that are no whole frame.
    pending: Vec<u8>,
    event: String,
    data: Vec<String>,
}

impl Frames {
    /// Takes what has arrived.
    ///
    /// # Errors
    /// That it goes on without end.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        if self.pending.len() + bytes.len() > MAX_PENDING_BYTES {
            return Err(Problem::new(
                Exit::Failure,
                "the gateway sent an event without end",
            ));
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Option<Frame> {
        let mut taken = 0;
        let mut found = None;
        while let Some(length) = self.pending[taken..].iter().position(|byte| *byte == b'\n') {
            let line = &self.pending[taken..taken + length];
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
            taken += length + 1;
            found = self.line(&line);
            if found.is_some() {
                break;
            }
        }
        self.pending.drain(..taken);
        found
    }

    fn line(&mut self, line: &str) -> Option<Frame> {
        if line.is_empty() {
            return self.frame();
        }
        // a line that begins with a colon is a comment that keeps the connection alive
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event),
            "data" => self.data.push(value.to_owned()),
            _ => {}
        }
        None
    }

    fn frame(&mut self) -> Option<Frame> {
        let event = std::mem::take(&mut self.event);
        let data = std::mem::take(&mut self.data).join("\n");
        if event.is_empty() && data.is_empty() {
            return None;
        }
        let event = if event.is_empty() {
            "message".to_owned()
        } else {
            event
        };
        let data = match data.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
        };
        Some(Frame { event, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_come_out_whole_however_the_bytes_arrive() {
        let text = "retry: 5\n\n: alive\n\nevent: step\r\ndata: {\"a\":\r\ndata: \"ü\"}\r\n\r\nevent: done\n\ndata: plain\n\n";
        for size in [1, 2, 7, text.len()] {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                frames.take(piece).expect("taken");
                while let Some(frame) = frames.next() {
                    seen.push((frame.event, frame.data));
                }
            }
            let wanted = [
                ("step".to_owned(), json!({"a": "ü"})),
                ("done".to_owned(), Value::Null),
                ("message".to_owned(), json!("plain")),
            ];
            assert_eq!(seen, wanted, "in pieces of {size}");
        }
    }

    #[test]
    fn half_a_frame_is_none_and_an_endless_one_is_refused() {
        let mut frames = Frames::default();
        frames.take(b"event: step\ndata: 1\n").expect("taken");
        assert_eq!(frames.next(), None);
        assert!(frames.take(&vec![b'x'; MAX_PENDING_BYTES + 1]).is_err());
    }
}
