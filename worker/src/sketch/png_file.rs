//! The finished PNG with its recipe, and the small previews on the way.

use std::io::{self, Write};

use image::codecs::jpeg::JpegEncoder;

use super::noise::speckle;
use super::picture::Picture;
use super::recipe::{GENERATOR_NAME, GENERATOR_VERSION, Recipe, SketchError};

/// Media type of what [`Canvas::preview`](super::Canvas::preview) returns.
pub const PREVIEW_MEDIA_TYPE: &str = "image/jpeg";

const DISCLAIMER: &str =
    "Drawn by an algorithm from the words and the seed of its recipe. No AI model was involved.";

/// Writes the PNG.
pub(super) fn write(
    recipe: &Recipe,
    picture: &Picture,
    grain: u32,
    out: impl Write,
) -> Result<(), SketchError> {
    encode(recipe, picture, grain, out).map_err(|error| SketchError::Write(io::Error::from(error)))
}

fn encode(recipe: &Recipe, picture: &Picture, grain: u32, out: impl Write) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(out, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // fdeflate and one fixed filter: other settings go through flate2, whose backend any crate of the build
    // can swap, and then the same pixels would give other bytes
    encoder.set_deflate_compression(png::DeflateCompression::FdeflateUltraFast);
    encoder.set_filter(png::Filter::Paeth);
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    encoder.add_itxt_chunk("orchestrator:recipe".to_owned(), recipe.to_json())?;
    encoder.add_text_chunk(
        "Software".to_owned(),
        format!("{GENERATOR_NAME} {GENERATOR_VERSION}"),
    )?;
    encoder.add_text_chunk("Disclaimer".to_owned(), DISCLAIMER.to_owned())?;
    let mut writer = encoder.write_header()?;
    let mut stream = writer.stream_writer()?;
    let mut row = Vec::new();
    for y in 0..picture.height() {
        quantise(picture, y, grain, &mut row);
        stream.write_all(&row)?;
    }
    stream.finish()?;
    writer.finish()
}

/// Puts a row into `row` as 8-bit sRGB, with a dither of one level so that gradients show no bands.
pub(super) fn quantise(picture: &Picture, y: u32, grain: u32, row: &mut Vec<u8>) {
    row.clear();
    for (x, pixel) in (0..).zip(picture.row(y)) {
        let offset = speckle(x, y, grain);
        row.extend(pixel.map(|c| (f32::from(c) / 257.0 + offset).min(255.0) as u8));
    }
}

/// The picture as a small JPEG.
pub(super) fn preview(picture: &Picture, max_side: u32) -> Result<Vec<u8>, SketchError> {
    let max_side = max_side.max(1);
    let (w, h) = (picture.width(), picture.height());
    let longest = w.max(h).max(1);
    let scale = |side: u32| {
        let scaled = u64::from(side) * u64::from(max_side.min(longest)) / u64::from(longest);
        scaled.max(1) as u32
    };
    let (small_w, small_h) = (scale(w), scale(h));
    let mut pixels = Vec::with_capacity(small_w as usize * small_h as usize * 3);
    for y in 0..small_h {
        for x in 0..small_w {
            pixels.extend(mean(picture, span(x, small_w, w), span(y, small_h, h)));
        }
    }
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 82)
        .encode(&pixels, small_w, small_h, image::ExtendedColorType::Rgb8)
        .map_err(|error| SketchError::Write(io::Error::other(error)))?;
    Ok(bytes)
}

/// The pixels that the small pixel `at` of `small` stands for among `large`.
fn span(at: u32, small: u32, large: u32) -> std::ops::Range<u32> {
    let edge = |i: u32| (u64::from(i) * u64::from(large) / u64::from(small)) as u32;
    edge(at)..edge(at + 1)
}

fn mean(picture: &Picture, columns: std::ops::Range<u32>, rows: std::ops::Range<u32>) -> [u8; 3] {
    let count = u64::from(columns.end - columns.start) * u64::from(rows.end - rows.start);
    let mut sum = [0_u64; 3];
    for y in rows {
        for pixel in &picture.row(y)[columns.start as usize..columns.end as usize] {
            for (total, channel) in sum.iter_mut().zip(pixel) {
                *total += u64::from(*channel);
            }
        }
    }
    sum.map(|total| (total / count.max(1) / 257) as u8)
}
