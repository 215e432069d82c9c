//! Pictures that come in as base64, and those that the double makes: small, in one colour, but real files.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use image::{ImageFormat, ImageReader, Rgb, RgbImage};

/// The longer side of what is made, pixels.
const LONGEST: u32 = 128;
/// A film of four frames, H.264.
const FILM: &[u8] = include_bytes!("../../comfyui/double/movie.mp4");

/// Pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Size {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }
}

/// What bare base64 holds.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

/// The size of a picture in a request: bare base64, or an https address, which is not fetched. The error says
/// what it is instead.
pub(super) fn read(text: &str) -> Result<Size, &'static str> {
    if text.starts_with("https://") {
        let named = url::Url::parse(text).is_ok_and(|url| url.has_host());
        return named.then(|| Size::new(1024, 1024)).ok_or("the URL is not valid");
    }
    if text.starts_with("data:") {
        return Err("Input should be bare base64, without a data: prefix");
    }
    if text.contains(':') {
        return Err("Input should be base64 or an https URL");
    }
    let bytes = decoded(text).ok_or("Input should be valid base64")?;
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let image = reader.ok().and_then(|reader| reader.decode().ok());
    let image = image.ok_or("the image cannot be decoded")?;
    Ok(Size::new(image.width(), image.height()))
}

/// A result: its media type and its bytes, in the form that was wanted and small.
pub(super) fn made(format: &str, size: Size, seed: u64) -> (&'static str, Bytes) {
    let (kind, media_type) = match format {
        "png" => (ImageFormat::Png, "image/png"),
        "webp" => (ImageFormat::WebP, "image/webp"),
        "mp4" => return ("video/mp4", Bytes::from_static(FILM)),
        _ => (ImageFormat::Jpeg, "image/jpeg"),
    };
    let scale = f64::from(LONGEST) / f64::from(size.width.max(size.height).max(1));
    let side = |side: u32| ((f64::from(side) * scale.min(1.0)).round() as u32).max(1);
    let [red, green, blue, ..] = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let image = RgbImage::from_pixel(side(size.width), side(size.height), Rgb([red, green, blue]));
    let mut file = Cursor::new(Vec::new());
    image
        .write_to(&mut file, kind)
        .expect("a small picture in memory can be written");
    (media_type, file.into_inner().into())
}
