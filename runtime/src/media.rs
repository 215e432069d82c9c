//! What a file of pictures, film or sound is: its kind, its size, how long it lasts, and whether it is whole.
//!
//! [`probe`] looks at headers and says what it finds; it is for results. [`inspect`] is for files from
//! outside: it decodes pictures to the end and refuses what a backend could not load.

mod decode;
mod kinds;
mod mp4;
mod reading;
mod sound;
mod still;
mod unusable;
mod webm;

use std::io::{Read, Seek};

pub use kinds::{UNKNOWN, extension, of_content, of_file};
pub use unusable::Unusable;

use reading::Source;

/// The longest side of a picture that is taken, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// The most pixels of a picture that is taken: a square of the longest side.
pub const MAX_PIXELS: u64 = 268_435_456;
/// The most pixels of all frames of an animated picture together.
const MAX_ANIMATION_PIXELS: u64 = 4 * MAX_PIXELS;
/// How much of a file is enough to know its kind.
const HEAD_BYTES: u64 = 512;

/// What is known of a file. What a damaged or unusual file does not tell is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Facts {
    /// By content; [`UNKNOWN`] where the content says nothing.
    pub media_type: &'static str,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    /// How long a film, a sound or an animated picture lasts.
    pub duration_seconds: Option<f64>,
    /// Frames of a film or an animated picture.
    pub frames: Option<u32>,
}

impl Facts {
    /// A file of which only the kind is known.
    pub const fn of(media_type: &'static str) -> Self {
        Self {
            media_type,
            width: None,
            height: None,
            duration_seconds: None,
            frames: None,
        }
    }

    /// Pixels, where both sides are known.
    pub fn dimensions(&self) -> Option<(u32, u32)> {
        self.width.zip(self.height)
    }
}

/// What the layout of a file tells.
#[derive(Debug, Default)]
struct Survey {
    width: Option<u32>,
    height: Option<u32>,
    duration_seconds: Option<f64>,
    frames: Option<u32>,
    /// Whether the file has the end that its beginning promises.
    whole: bool,
}

/// Looks at the headers of a file; reads no more of it than the layout needs, and decodes nothing.
///
/// Blocks: call it where blocking is allowed.
pub fn probe<R: Read + Seek>(mut source: R) -> Facts {
    let Ok(head) = head(&mut source) else {
        return Facts::of(UNKNOWN);
    };
    let media_type = of_content(&head).unwrap_or(UNKNOWN);
    facts(media_type, &survey(media_type, &mut source).unwrap_or_default())
}

/// Looks at a file from outside: its kind is one that ComfyUI loads, it is whole, and a picture is decoded to
/// its end.
///
/// Blocks, and may hold a decoded picture (at most 1.25 GiB) in memory: call it where blocking is allowed, and
/// not often at the same time.
///
/// # Errors
/// Why it is refused, with a sentence that says what to do.
pub fn inspect<R: Read + Seek>(mut source: R) -> Result<Facts, Unusable> {
    let head = head(&mut source).map_err(|error| Unusable::unreadable(&error))?;
    if head.is_empty() {
        return Err(Unusable::Empty);
    }
    let Some(media_type) = of_content(&head) else {
        return Err(Unusable::foreign(&head));
    };
    let picture = match media_type {
        "image/png" | "image/jpeg" | "image/webp" | "image/gif" | "image/bmp" | "image/tiff" => true,
        "video/mp4" | "video/webm" | "audio/wav" | "audio/flac" => false,
        "audio/mpeg" | "audio/ogg" => return Ok(Facts::of(media_type)),
        _ if media_type.starts_with("image/") || media_type.starts_with("video/") => {
            return Err(Unusable::Unsupported { media_type });
        }
        _ => return Err(Unusable::foreign(&head)),
    };
    let survey = survey(media_type, &mut source).ok_or(Unusable::Cut { media_type })?;
    if picture {
        fits(&survey)?;
    }
    if !survey.whole {
        return Err(Unusable::Cut { media_type });
    }
    if picture {
        decode::decode(media_type, &mut source)?;
    }
    Ok(facts(media_type, &survey))
}

fn fits(survey: &Survey) -> Result<(), Unusable> {
    let (Some(width), Some(height)) = (survey.width, survey.height) else {
        return Ok(());
    };
    let pixels = u64::from(width) * u64::from(height);
    if width > MAX_SIDE || height > MAX_SIDE || pixels > MAX_PIXELS {
        return Err(Unusable::TooLarge { width, height });
    }
    match survey.frames {
        Some(frames) if pixels.saturating_mul(u64::from(frames)) > MAX_ANIMATION_PIXELS => {
            Err(Unusable::TooLong { frames })
        }
        Some(_) | None => Ok(()),
    }
}

fn facts(media_type: &'static str, survey: &Survey) -> Facts {
    Facts {
        media_type,
        // nothing has a side of no pixels; where a header says so, it says nothing
        width: survey.width.filter(|width| *width > 0),
        height: survey.height.filter(|height| *height > 0),
        duration_seconds: survey.duration_seconds,
        frames: survey.frames,
    }
}

fn head<R: Read + Seek>(source: &mut R) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.rewind()?;
    source.by_ref().take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(head)
}

fn survey<R: Read + Seek>(media_type: &str, source: &mut R) -> Option<Survey> {
    if media_type == "image/tiff" {
        let (width, height) = decode::tiff_size(source)?;
        return Some(Survey {
            width: Some(width),
            height: Some(height),
            whole: true,
            ..Survey::default()
        });
    }
    let source = &mut Source::new(source)?;
    match media_type {
        "image/png" => still::png(source),
        "image/jpeg" => still::jpeg(source),
        "image/gif" => still::gif(source),
        "image/webp" => still::webp(source),
        "image/bmp" => still::bmp(source),
        "video/mp4" | "video/quicktime" => mp4::mp4(source),
        "video/webm" | "video/x-matroska" => webm::webm(source),
        "audio/wav" => sound::wav(source),
        "audio/flac" => sound::flac(source),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
