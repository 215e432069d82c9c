//! Why a file cannot serve as an input, in words that say what it is and what to do.

use std::fmt;

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// There is nothing in it.
    Empty,
    /// It is something else than a picture, a film or a sound.
    Foreign {
        /// What it is, with its article.
        what: &'static str,
    },
    /// It is a picture or a film of a kind that ComfyUI does not load.
    Unsupported {
        /// What it is.
        media_type: &'static str,
    },
    /// It ends too early.
    Cut {
        /// What it is.
        media_type: &'static str,
    },
    /// It is all there and makes no sense.
    Damaged {
        /// What it is.
        media_type: &'static str,
        /// What the decoder says.
        detail: String,
    },
    /// It uses a part of its format that hardly anyone does.
    Uncommon {
        /// What it is.
        media_type: &'static str,
        /// What the decoder says.
        detail: String,
    },
    /// It has more pixels than we take.
    TooLarge {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// It has more frames than we take.
    TooLong {
        /// How many.
        frames: u32,
    },
    /// It needs more memory than we give.
    TooMuchMemory {
        /// What it is.
        media_type: &'static str,
    },
    /// The disk does not give it.
    Unreadable {
        /// What the operating system says.
        detail: String,
    },
}

impl Unusable {
    pub(super) fn unreadable(error: &std::io::Error) -> Self {
        Self::Unreadable {
            detail: error.to_string(),
        }
    }

    /// What is at the head of a file that is nothing we take.
    pub(super) fn foreign(head: &[u8]) -> Self {
        let text = head
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(head)
            .trim_ascii_start();
        let begins = |mark: &str| {
            text.get(..mark.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(mark.as_bytes()))
        };
        let what = match head {
            [b'M', b'Z', ..] => "a Windows program",
            [0x7f, b'E', b'L', b'F', ..] | [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => "a program",
            [b'#', b'!', ..] => "a script",
            [b'%', b'P', b'D', b'F', ..] => "a PDF document",
            [b'P', b'K', 3 | 5, 4 | 6, ..] => "a zip archive",
            [0x1f, 0x8b, ..] => "a gzip archive",
            [b'8', b'B', b'P', b'S', ..] => "a Photoshop document",
            _ if begins("<!doctype html") || begins("<html") => "a web page",
            _ if begins("<svg") || begins("<?xml") => "an XML or SVG text",
            _ if begins("{") || begins("[") => "a JSON text",
            _ if is_text(head) => "a text",
            _ => "neither a picture nor a film nor a sound that we know",
        };
        Self::Foreign { what }
    }
}

/// The head may end within a character.
fn is_text(head: &[u8]) -> bool {
    let readable = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let whole = head.get(..error.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(whole).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !readable.is_empty() && !readable.contains(|c: char| c.is_control() && !c.is_ascii_whitespace())
}

/// As people call it.
fn name(media_type: &str) -> &str {
    match media_type {
        "image/png" => "PNG picture",
        "image/jpeg" => "JPEG picture",
        "image/webp" => "WebP picture",
        "image/gif" => "GIF picture",
        "image/bmp" => "BMP picture",
        "image/tiff" => "TIFF picture",
        "image/avif" => "AVIF picture",
        "image/heic" => "HEIC picture",
        "video/mp4" => "MP4 film",
        "video/webm" => "WebM film",
        "video/quicktime" => "QuickTime film",
        "video/x-matroska" => "Matroska film",
        "audio/wav" => "WAV sound",
        "audio/flac" => "FLAC sound",
        other => other,
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty; send it again"),
            Self::Foreign { what } => write!(
                f,
                "the file is {what}; send a picture (PNG, JPEG, WebP, GIF, BMP or TIFF), a film (MP4 or WebM) \
                 or a sound (WAV, FLAC, MP3 or Ogg)"
            ),
            Self::Unsupported { media_type } => {
                let instead = if media_type.starts_with("video/") {
                    "convert it to MP4 or WebM"
                } else {
                    "save it as PNG or JPEG"
                };
                write!(f, "a {} is not taken here; {instead}", name(media_type))
            }
            Self::Cut { media_type } => write!(
                f,
                "the {} is cut off: its end is missing; fetch or export it again and send all of it",
                name(media_type)
            ),
            Self::Damaged { media_type, detail } => write!(
                f,
                "the {} is damaged ({detail}); open it in a picture program and save it anew",
                name(media_type)
            ),
            Self::Uncommon { media_type, detail } => write!(
                f,
                "the {} cannot be read ({detail}); save it anew as PNG",
                name(media_type)
            ),
            Self::TooLarge { width, height } => write!(
                f,
                "the picture has {width} x {height} pixels; at most {} on a side and {} in all are taken, so \
                 scale it down",
                super::MAX_SIDE,
                super::MAX_PIXELS
            ),
            Self::TooLong { frames } => write!(
                f,
                "the picture has {frames} frames, too many of its size; send fewer or smaller ones"
            ),
            Self::TooMuchMemory { media_type } => write!(
                f,
                "the {} needs too much memory to be read; save it anew with 8 bits a channel, or smaller",
                name(media_type)
            ),
            Self::Unreadable { detail } => {
                write!(f, "the file cannot be read again: {detail}; send it again")
            }
        }
    }
}

impl std::error::Error for Unusable {}
