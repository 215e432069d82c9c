//! Decodes a picture to its end, to see that it can be done.
//!
//! PNG goes row by row and costs two rows of memory; of the others one picture is held at a time.

use std::io::{BufRead, BufReader, Read, Seek};

use image::{AnimationDecoder, ImageDecoder, ImageError, ImageFormat, Limits, error::LimitErrorKind};

use super::{MAX_SIDE, Unusable};

/// The most that a decoder may hold at a time, in bytes: the largest picture with four channels, and room.
const MAX_MEMORY: u64 = 1280 * 1024 * 1024;

/// Decodes everything and keeps nothing.
pub(super) fn decode<R: Read + Seek>(media_type: &'static str, mut source: R) -> Result<(), Unusable> {
    source.rewind().map_err(|error| Unusable::unreadable(&error))?;
    let source = BufReader::new(source);
    let decoded = match media_type {
        "image/png" => return png(source),
        "image/jpeg" => image::codecs::jpeg::JpegDecoder::new(source).and_then(picture),
        "image/webp" => webp(source),
        "image/gif" => gif(source),
        "image/bmp" => image::codecs::bmp::BmpDecoder::new(source).and_then(picture),
        "image/tiff" => image::codecs::tiff::TiffDecoder::new(source).and_then(picture),
        _ => return Ok(()),
    };
    decoded.map_err(|error| fault(media_type, &error))
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    limits
}

fn picture(mut decoder: impl ImageDecoder) -> Result<(), ImageError> {
    let mut limits = limits();
    decoder.set_limits(limits.clone())?;
    limits.reserve(decoder.total_bytes())?;
    let bytes = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
    let mut pixels = vec![0; bytes];
    decoder.read_image(&mut pixels)
}

fn webp<R: BufRead + Seek>(source: R) -> Result<(), ImageError> {
    let mut decoder = image::codecs::webp::WebPDecoder::new(source)?;
    decoder.set_limits(limits())?;
    if decoder.has_animation() {
        frames(decoder)
    } else {
        picture(decoder)
    }
}

fn gif<R: BufRead + Seek>(source: R) -> Result<(), ImageError> {
    let mut decoder = image::codecs::gif::GifDecoder::new(source)?;
    decoder.set_limits(limits())?;
    frames(decoder)
}

fn frames<'a>(decoder: impl AnimationDecoder<'a>) -> Result<(), ImageError> {
    for frame in decoder.into_frames() {
        drop(frame?);
    }
    Ok(())
}

fn png<R: BufRead + Seek>(source: R) -> Result<(), Unusable> {
    let limits = png::Limits {
        bytes: 64 * 1024 * 1024,
    };
    let read = || {
        let mut reader = png::Decoder::new_with_limits(source, limits).read_info()?;
        let more = reader
            .info()
            .animation_control()
            .map_or(0, |animation| animation.num_frames);
        while reader.next_row()?.is_some() {}
        // a first picture outside of the animation does not count among its frames
        let shown = u32::from(reader.info().frame_control().is_some());
        for _ in shown..more {
            reader.next_frame_info()?;
            while reader.next_row()?.is_some() {}
        }
        reader.finish()
    };
    read().map_err(|error: png::DecodingError| match error {
        png::DecodingError::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            Unusable::unreadable(&error)
        }
        png::DecodingError::IoError(_) => Unusable::Cut {
            media_type: "image/png",
        },
        png::DecodingError::LimitsExceeded => Unusable::TooMuchMemory {
            media_type: "image/png",
        },
        png::DecodingError::Format(_) | png::DecodingError::Parameter(_) => Unusable::Damaged {
            media_type: "image/png",
            detail: error.to_string(),
        },
    })
}

fn fault(media_type: &'static str, error: &ImageError) -> Unusable {
    match error {
        ImageError::Limits(limit) if matches!(limit.kind(), LimitErrorKind::InsufficientMemory) => {
            Unusable::TooMuchMemory { media_type }
        }
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Unusable::Cut { media_type }
        }
        ImageError::IoError(error) => Unusable::unreadable(error),
        ImageError::Unsupported(_) => Unusable::Uncommon {
            media_type,
            detail: error.to_string(),
        },
        ImageError::Decoding(_)
        | ImageError::Encoding(_)
        | ImageError::Parameter(_)
        | ImageError::Limits(_) => Unusable::Damaged {
            media_type,
            detail: error.to_string(),
        },
    }
}

/// The size of a picture whose layout we leave to its decoder.
pub(super) fn tiff_size<R: Read + Seek>(mut source: R) -> Option<(u32, u32)> {
    source.rewind().ok()?;
    let mut reader = image::ImageReader::with_format(BufReader::new(source), ImageFormat::Tiff);
    reader.limits(limits());
    reader.into_dimensions().ok()
}
