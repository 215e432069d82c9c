//! Server-sent events: bytes go in, in pieces of any size, and whole events come out.

/// An event as it stood on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// Its name; empty where it has none.
    pub event: String,
    /// Its data: the lines of it, joined by line feeds.
    pub data: String,
}

/// More was sent for one event than is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {0} bytes")]
pub struct Overlong(pub u64);

/// Takes bytes and makes events of them. Lines may end in LF, CR or CRLF, and pieces may end anywhere, within a
/// character or between CR and LF.
#[derive(Debug)]
pub struct Frames {
    /// The line that is not over yet.
    line: Vec<u8>,
    frame: Frame,
    has_data: bool,
    /// The last byte was a CR, which ended a line; an LF that follows belongs to it.
    after_cr: bool,
    at_start: bool,
    limit: u64,
}

impl Frames {
    /// Events of at most so many bytes are taken.
    pub fn new(limit: u64) -> Self {
        Self {
            line: Vec::new(),
            frame: Frame::default(),
            has_data: false,
            after_cr: false,
            at_start: true,
            limit,
        }
    }

    /// Takes a piece; the events that it completes, in order.
    ///
    /// # Errors
    /// Where an event becomes too long; nothing can be read after that.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Frame>, Overlong> {
        let mut whole = Vec::new();
        for &byte in piece {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = byte == b'\r';
                    whole.extend(self.end_line());
                }
                byte => {
                    if (self.line.len() + self.frame.data.len()) as u64 >= self.limit {
                        return Err(Overlong(self.limit));
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(whole)
    }

    /// The event that stood last, where the sender left out the empty line after it.
    pub fn finish(mut self) -> Option<Frame> {
        if !self.line.is_empty() {
            drop(self.end_line());
        }
        self.end_frame()
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = std::mem::take(&mut self.line);
        let mut bytes = line.as_slice();
        if std::mem::take(&mut self.at_start) {
            bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        }
        if bytes.is_empty() {
            return self.end_frame();
        }
        let line = String::from_utf8_lossy(bytes);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.frame.event),
            // a comment, an id, a time to come again: of no use here
            _ => {}
        }
        None
    }

    fn end_frame(&mut self) -> Option<Frame> {
        let frame = std::mem::take(&mut self.frame);
        std::mem::take(&mut self.has_data).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<Frame> {
        let mut frames = Frames::new(1 << 20);
        let mut whole = Vec::new();
        for piece in pieces {
            whole.extend(frames.push(piece).expect("short events"));
        }
        whole.extend(frames.finish());
        whole
    }

    fn data(frames: &[Frame]) -> Vec<&str> {
        frames.iter().map(|frame| frame.data.as_str()).collect()
    }

    const TEXT: &str = "\u{feff}: hello\ndata: {\"a\":\"größer 🎨\"}\n\nevent: chat\r\ndata:x\r\ndata:  y\r\n\r\nid: 7\nretry: 3\n\ndata\n\ndata: [DONE]\r\r";

    #[test]
    fn events_are_the_same_wherever_they_are_cut() {
        let bytes = TEXT.as_bytes();
        let whole = all(&[bytes]);
        assert_eq!(data(&whole), ["{\"a\":\"größer 🎨\"}", "x\n y", "", "[DONE]"]);
        assert_eq!(whole[1].event, "chat");
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            assert_eq!(all(&[left, right]), whole, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(all(&single), whole);
    }

    #[test]
    fn the_last_event_counts_without_an_empty_line() {
        assert_eq!(data(&all(&[b"data: a\n\ndata: b"])), ["a", "b"]);
        assert_eq!(data(&all(&[b"data: a\n\nevent: x"])), ["a"]);
        assert!(all(&[b""]).is_empty());
    }

    #[test]
    fn an_event_has_a_limit_and_a_stream_has_none() {
        let mut frames = Frames::new(16);
        for _ in 0..100 {
            assert_eq!(frames.push(b"data: 12345\n\n").expect("short").len(), 1);
        }
        assert_eq!(frames.push(b"data: 1\ndata: 2345678901234"), Err(Overlong(16)));
        let mut endless = Frames::new(16);
        assert_eq!(endless.push(&[b'x'; 17]), Err(Overlong(16)));
    }

    #[test]
    fn bytes_that_are_no_text_do_no_harm() {
        assert_eq!(data(&all(&[b"data: a\xff\xfeb\n\n"])), ["a\u{fffd}\u{fffd}b"]);
    }
}
