//! The pictures that the double makes: plain colours as real PNG files, with the graph in a text chunk as
//! the server's `SaveImage` writes it.

use bytes::Bytes;
use png::{BitDepth, ColorType, Compression, Encoder};

/// A PNG of one colour, which follows from `seed`.
pub(super) fn png(
    width: u32,
    height: u32,
    seed: u64,
    texts: &[(String, String)],
) -> Result<Bytes, png::EncodingError> {
    let [red, green, blue, ..] = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let pixels = [red, green, blue].repeat(width as usize * height as usize);
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    for (key, text) in texts {
        encoder.add_itxt_chunk(key.clone(), text.clone())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(file.into())
}

/// Whether a file looks like a picture.
pub(super) fn is_picture(content: &[u8]) -> bool {
    content.starts_with(b"\x89PNG") || content.starts_with(b"\xff\xd8\xff") || content.starts_with(b"RIFF")
}
