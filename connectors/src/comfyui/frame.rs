//! Binary messages of the WebSocket: previews, and text of nodes. A big-endian number says what follows.

use bytes::Bytes;
use serde_json::Value;

use super::event::Event;

/// A picture of the unfinished result. Scaled to fit 512 × 512 pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// Its format.
    pub format: PreviewFormat,
    /// The picture.
    pub bytes: Bytes,
    /// The prompt; only if both sides speak preview metadata.
    pub prompt_id: Option<String>,
    /// The node; likewise.
    pub node_id: Option<String>,
}

/// A preview's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PreviewFormat {
    /// JPEG, the default.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, from custom nodes.
    Webp,
}

impl PreviewFormat {
    /// The media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }

    /// By the picture itself, which is more reliable than what is said about it.
    fn of(picture: &[u8]) -> Option<Self> {
        match picture {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            _ => None,
        }
    }
}

impl Event {
    /// Reads a binary message.
    pub fn from_binary(message: &Bytes) -> Self {
        let read = match word(message, 0) {
            // 2 is an unencoded preview and never leaves the server
            Some(1) => preview(message),
            Some(3) => node_text(message),
            Some(4) => preview_with_metadata(message),
            Some(other) => Err(format!("binary event {other} is unknown")),
            None => Err("shorter than the number of its event".to_owned()),
        };
        read.unwrap_or_else(|reason| Self::Unreadable { reason })
    }
}

fn preview(message: &Bytes) -> Result<Event, String> {
    let kind = word(message, 4).ok_or("a preview without a format")?;
    let bytes = message.slice(8..);
    let said = match kind {
        1 => Some(PreviewFormat::Jpeg),
        2 => Some(PreviewFormat::Png),
        _ => None,
    };
    let format = PreviewFormat::of(&bytes)
        .or(said)
        .ok_or_else(|| format!("a preview of unknown format {kind}"))?;
    Ok(Event::Preview(Preview {
        format,
        bytes,
        prompt_id: None,
        node_id: None,
    }))
}

fn preview_with_metadata(message: &Bytes) -> Result<Event, String> {
    let (head, bytes) = counted(message)?;
    let metadata: Value = serde_json::from_slice(&head)
        .map_err(|error| format!("a preview whose metadata is not JSON: {error}"))?;
    let said = match metadata.get("image_type").and_then(Value::as_str) {
        Some("image/jpeg") => Some(PreviewFormat::Jpeg),
        Some("image/png") => Some(PreviewFormat::Png),
        Some("image/webp") => Some(PreviewFormat::Webp),
        _ => None,
    };
    let format = PreviewFormat::of(&bytes)
        .or(said)
        .ok_or("a preview of unknown format")?;
    Ok(Event::Preview(Preview {
        format,
        bytes,
        prompt_id: text(&metadata, "prompt_id"),
        node_id: text(&metadata, "display_node_id").or_else(|| text(&metadata, "node_id")),
    }))
}

fn node_text(message: &Bytes) -> Result<Event, String> {
    let (head, rest) = counted(message)?;
    Ok(Event::Text {
        node_id: String::from_utf8_lossy(&head).into_owned(),
        text: String::from_utf8_lossy(&rest).into_owned(),
    })
}

/// After the event's number: a length, so many bytes, and the rest.
fn counted(message: &Bytes) -> Result<(Bytes, Bytes), String> {
    let length = word(message, 4).ok_or("no length after the number of the event")? as usize;
    let end = 8_usize.checked_add(length).filter(|end| *end <= message.len());
    let end = end.ok_or("a length beyond the end of the message")?;
    Ok((message.slice(8..end), message.slice(end..)))
}

fn word(message: &[u8], at: usize) -> Option<u32> {
    let bytes = message.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(message: &[u8]) -> Event {
        Event::from_binary(&Bytes::copy_from_slice(message))
    }

    #[test]
    fn broken_frames_are_told_and_never_panic() {
        for message in [
            &b""[..],
            &[0, 0, 0],
            &[0, 0, 0, 9],
            &[0, 0, 0, 1],
            &[0, 0, 0, 1, 0, 0, 0, 9, 1],
        ] {
            assert!(matches!(binary(message), Event::Unreadable { .. }), "{message:?}");
        }
        let too_long = [0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff, b'{'];
        assert!(matches!(binary(&too_long), Event::Unreadable { .. }));
    }

    #[test]
    fn text_of_a_node_is_read() {
        let event = binary(&[&[0, 0, 0, 3, 0, 0, 0, 2][..], b"17hello"].concat());
        assert_eq!(
            event,
            Event::Text {
                node_id: "17".to_owned(),
                text: "hello".to_owned()
            }
        );
    }
}
