//! The media types that we know by name: their first bytes and their extensions.

/// Media types that we name, with the extension of each. Where a type stands twice, the first is used.
const KINDS: &[(&str, &str)] = &[
    ("image/png", "png"),
    ("image/jpeg", "jpg"),
    ("image/jpeg", "jpeg"),
    ("image/webp", "webp"),
    ("image/gif", "gif"),
    ("image/avif", "avif"),
    ("image/heic", "heic"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tiff"),
    ("image/tiff", "tif"),
    ("image/svg+xml", "svg"),
    ("image/x-exr", "exr"),
    ("video/mp4", "mp4"),
    ("video/webm", "webm"),
    ("video/quicktime", "mov"),
    ("video/x-matroska", "mkv"),
    ("audio/flac", "flac"),
    ("audio/mpeg", "mp3"),
    ("audio/ogg", "ogg"),
    ("audio/ogg", "opus"),
    ("audio/wav", "wav"),
    ("model/gltf-binary", "glb"),
    ("application/json", "json"),
    ("text/plain", "txt"),
    ("application/zip", "zip"),
];

/// The type of what we do not know.
pub const UNKNOWN: &str = "application/octet-stream";

/// The media type of a file: by its first bytes, else by its name.
pub fn of_file(head: &[u8], filename: &str) -> &'static str {
    of_content(head).or_else(|| of_name(filename)).unwrap_or(UNKNOWN)
}

/// The media type by the first bytes.
pub fn of_content(head: &[u8]) -> Option<&'static str> {
    Some(match head {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "audio/wav",
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => match brand {
            [b'a', b'v', b'i', b'f' | b's', ..] => "image/avif",
            [b'h', b'e', b'i', ..] | [b'm', b'i', b'f', b'1', ..] => "image/heic",
            [b'q', b't', ..] => "video/quicktime",
            _ => "video/mp4",
        },
        // Matroska too, but what ComfyUI writes in this container is WebM
        [0x1a, 0x45, 0xdf, 0xa3, rest @ ..] if has(rest, b"webm") => "video/webm",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "video/x-matroska",
        [b'f', b'L', b'a', b'C', ..] => "audio/flac",
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        [b'I', b'D', b'3', ..] => "audio/mpeg",
        [0xff, sync, rate, ..] if is_mp3_frame(*sync, *rate) => "audio/mpeg",
        [b'g', b'l', b'T', b'F', ..] => "model/gltf-binary",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "image/tiff",
        // two letters alone would take in many a text; the reserved zeros tell
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => "image/bmp",
        _ => return None,
    })
}

/// MPEG layer III, of any version, with a bit rate and a sampling rate that exist.
const fn is_mp3_frame(sync: u8, rate: u8) -> bool {
    sync & 0b1110_0110 == 0b1110_0010 && sync & 0b0001_1000 != 0b0000_1000 && {
        let (bits, sampling) = (rate >> 4, (rate >> 2) & 3);
        bits != 0 && bits != 15 && sampling != 3
    }
}

fn has(head: &[u8], mark: &[u8]) -> bool {
    head.windows(mark.len()).take(64).any(|window| window == mark)
}

fn of_name(filename: &str) -> Option<&'static str> {
    let extension = filename.rsplit_once('.')?.1.to_ascii_lowercase();
    KINDS
        .iter()
        .find(|(_, known)| *known == extension)
        .map(|(kind, _)| *kind)
}

/// The usual extension of a media type, `bin` where there is none.
pub fn extension(media_type: &str) -> &'static str {
    KINDS
        .iter()
        .find(|(kind, _)| *kind == media_type)
        .map_or("bin", |(_, extension)| *extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_counts_more_than_the_name() {
        assert_eq!(of_file(b"\x89PNG\r\n", "a.webp"), "image/png");
        assert_eq!(of_file(b"RIFF1234WEBPVP8 ", "a.png"), "image/webp");
        assert_eq!(of_file(b"\0\0\0\x20ftypisom", "a"), "video/mp4");
        assert_eq!(of_file(b"\x1a\x45\xdf\xa3....webm", "a.mkv"), "video/webm");
        assert_eq!(of_file(b"{}", "a.JSON"), "application/json");
        assert_eq!(of_file(b"", "a"), UNKNOWN);
        assert_eq!((extension("image/jpeg"), extension("x/y")), ("jpg", "bin"));
    }

    #[test]
    fn a_text_is_not_taken_for_sound_or_picture() {
        assert_eq!(of_content(b"\xff\xfeh\0i\0"), None, "UTF-16");
        assert_eq!(of_content(b"BMW is a car"), None);
        assert_eq!(of_content(b"\xff\xfb\x90\x64\0"), Some("audio/mpeg"));
    }
}
