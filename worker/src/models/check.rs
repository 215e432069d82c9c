//! Looks at one model file: is it what its name says, and is all of it there?
//!
//! Only the beginning, the header and, of an archive, the table of contents are read; a model of many
//! gigabytes takes milliseconds. What the safetensors library would refuse is refused here, with a reason.

use std::io::{self, Read, Seek, SeekFrom};

use super::{
    family::Family,
    header::{Header, MAX_HEADER_BYTES},
    verdict::{Contents, Fault, Format, Verdict},
};

/// As much of the beginning as tells the kinds of content apart.
const HEAD_BYTES: u64 = 512;
/// Shortest file that can be a model.
const LEAST_BYTES: u64 = 8;
/// How much of the header's free text is kept: entries, and characters of each.
const KEPT_METADATA: (usize, usize) = (64, 400);
/// Begins the second part of PyTorch's old layout: the number that names it, pickled.
const LEGACY_TORCH: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Judges the file `name` of `size` bytes.
pub fn check(name: &str, size: u64, source: &mut (impl Read + Seek)) -> Verdict {
    let found = look(Named::of(name), size, source);
    found
        .unwrap_or_else(|error| {
            Err(Fault::NotReadable {
                detail: error.to_string(),
            })
        })
        .into()
}

/// What a name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Safetensors,
    Torch,
    Gguf,
    Other,
}

impl Named {
    fn of(name: &str) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
        match extension.to_ascii_lowercase().as_str() {
            "safetensors" | "sft" => Self::Safetensors,
            "ckpt" | "pt" | "pt2" | "pth" | "bin" | "pkl" => Self::Torch,
            "gguf" => Self::Gguf,
            _ => Self::Other,
        }
    }
}

/// What the first bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    LfsPointer,
    Html,
    Json,
    Zip,
    Pickle,
    Gguf,
    Header,
    Unknown,
}

impl Begins {
    fn of(head: &[u8]) -> Self {
        let text = head
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(head)
            .trim_ascii_start();
        let starts = |mark: &str| {
            text.get(..mark.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(mark.as_bytes()))
        };
        match head {
            [b'P', b'K', 3, 4, ..] => Self::Zip,
            [b'G', b'G', b'U', b'F', ..] => Self::Gguf,
            [0x80, 2..=5, ..] => Self::Pickle,
            _ if text.starts_with(b"version https://git-lfs") => Self::LfsPointer,
            _ if starts("<!doctype") || starts("<html") || starts("<head") || starts("<?xml") => Self::Html,
            _ if header_length(head).is_some_and(|length| length <= MAX_HEADER_BYTES) => Self::Header,
            _ if starts("{\"") || starts("{\n") || starts("{ ") || starts("{'") || starts("[{") => Self::Json,
            _ => Self::Unknown,
        }
    }
}

fn header_length(head: &[u8]) -> Option<u64> {
    head.first_chunk().map(|first| u64::from_le_bytes(*first))
}

type Found = Result<Contents, Fault>;

fn look(named: Named, size: u64, source: &mut (impl Read + Seek)) -> io::Result<Found> {
    let mut head = Vec::new();
    source.seek(SeekFrom::Start(0))?;
    source.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    if size < LEAST_BYTES || (head.len() as u64) < LEAST_BYTES {
        return Ok(Err(Fault::Empty { actual: size }));
    }
    // a header's length may begin with the bytes of another kind; then its brace tells
    let braced = head.get(8) == Some(&b'{');
    let plausible = header_length(&head).is_some_and(|length| length <= MAX_HEADER_BYTES);
    let begins = if braced && plausible {
        Begins::Header
    } else {
        Begins::of(&head)
    };
    match begins {
        Begins::LfsPointer => return Ok(Err(pointer(&head))),
        Begins::Html => return Ok(Err(Fault::HtmlPage)),
        Begins::Json => return Ok(Err(json_body(&head))),
        Begins::Zip | Begins::Pickle | Begins::Gguf | Begins::Header | Begins::Unknown => {}
    }
    Ok(match (named, begins) {
        (Named::Safetensors, Begins::Zip) => Err(Fault::TorchZip),
        (Named::Safetensors, Begins::Pickle) => Err(Fault::Pickle),
        (Named::Safetensors | Named::Torch, Begins::Gguf) => Err(Fault::Gguf),
        (Named::Safetensors, _) => return safetensors(size, &head, source),
        (Named::Torch, Begins::Zip) => archive(source),
        (Named::Torch, Begins::Pickle) => pickle(&head),
        (Named::Torch, Begins::Header) if braced => Err(Fault::Misnamed),
        (Named::Gguf, Begins::Gguf) => gguf(&head),
        (Named::Torch | Named::Gguf, _) => Err(Fault::UnknownContent),
        (Named::Other, _) => Ok(Contents::of(Format::Other)),
    })
}

fn pointer(head: &[u8]) -> Fault {
    let text = String::from_utf8_lossy(head);
    let declared = text
        .lines()
        .find_map(|line| line.strip_prefix("size ")?.trim().parse().ok());
    Fault::LfsPointer { declared }
}

fn json_body(head: &[u8]) -> Fault {
    let excerpt = String::from_utf8_lossy(head).chars().take(80).collect();
    Fault::JsonBody { excerpt }
}

fn safetensors(size: u64, head: &[u8], source: &mut (impl Read + Seek)) -> io::Result<Found> {
    let length = header_length(head).unwrap_or_default();
    if length > MAX_HEADER_BYTES {
        return Ok(Err(Fault::HeaderTooLarge { declared: length }));
    }
    let cut = Fault::HeaderCut {
        declared: LEAST_BYTES + length,
        actual: size,
    };
    if LEAST_BYTES + length > size {
        return Ok(Err(cut));
    }
    let mut bytes = Vec::new();
    source.seek(SeekFrom::Start(LEAST_BYTES))?;
    source.by_ref().take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Ok(Err(cut));
    }
    Ok(Header::parse(&bytes).and_then(|header| whole(header, LEAST_BYTES + length, size)))
}

fn whole(header: Header, data_from: u64, actual: u64) -> Found {
    let declared = data_from.saturating_add(header.data_bytes);
    if actual < declared {
        return Err(Fault::DataCut { declared, actual });
    }
    if actual > declared {
        return Err(Fault::BytesAppended { declared, actual });
    }
    if header.tensors.is_empty() {
        return Err(Fault::NoTensors);
    }
    let parameters = header
        .tensors
        .values()
        .try_fold(0_u64, |all, tensor| all.checked_add(tensor.elements()?));
    let (entries, characters) = KEPT_METADATA;
    Ok(Contents {
        format: Format::Safetensors,
        tensors: Some(header.tensors.len() as u64),
        parameters,
        family: Family::of(&header.tensors),
        metadata: header
            .metadata
            .into_iter()
            .take(entries)
            .map(|(key, text)| (shortened(&key, characters), shortened(&text, characters)))
            .collect(),
    })
}

fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn archive(source: &mut (impl Read + Seek)) -> Found {
    let archive = zip::ZipArchive::new(source).map_err(|_| Fault::ArchiveCut)?;
    if archive
        .file_names()
        .flatten()
        .any(|name| name.ends_with("data.pkl"))
    {
        Ok(Contents::of(Format::TorchZip))
    } else {
        Err(Fault::ForeignArchive)
    }
}

/// The old layout names itself after two bytes; any other pickle is let pass, since scripts write them too.
fn pickle(head: &[u8]) -> Found {
    let legacy = head.get(2..).is_some_and(|rest| rest.starts_with(LEGACY_TORCH));
    // protocol 4 and later put a frame around the whole, the older ones begin with a mark or an opcode
    let plausible = head
        .get(2)
        .is_some_and(|opcode| b"\x95}](cK\x8a".contains(opcode));
    if legacy || plausible {
        Ok(Contents::of(Format::Pickle))
    } else {
        Err(Fault::UnknownContent)
    }
}

fn gguf(head: &[u8]) -> Found {
    let number = |at: usize| {
        head.get(at..)?
            .first_chunk()
            .map(|bytes| u64::from_le_bytes(*bytes))
    };
    let version = head
        .get(4..)
        .and_then(|rest| rest.first_chunk())
        .map(|bytes| u32::from_le_bytes(*bytes));
    match (version, number(8)) {
        (Some(2 | 3), Some(0)) => Err(Fault::NoTensors),
        // more tensors than any model has: the bytes are something else
        (Some(2 | 3), Some(tensors)) if tensors < 1 << 24 => Ok(Contents {
            tensors: Some(tensors),
            ..Contents::of(Format::Gguf)
        }),
        _ => Err(Fault::UnknownContent),
    }
}

#[cfg(test)]
pub(in crate::models) mod tests;
