//! The pictures that the double makes: plain colours as real files, with the graph in a text chunk of a PNG
//! as the server's `SaveImage` writes it. Films are the same few frames, whatever the graph asks for.

use bytes::Bytes;
use png::{BitDepth, ColorType, Compression, Decoder, Encoder, EncodingError, Transformations};

use super::canvas::Canvas;

/// Four frames of 64 × 64, H.264.
pub(super) const MP4: &[u8] = include_bytes!("movie.mp4");
/// Four frames of 64 × 64, VP9.
pub(super) const WEBM: &[u8] = include_bytes!("movie.webm");

/// The colour that follows from a number.
fn colour(seed: u64) -> [u8; 3] {
    let [red, green, blue, ..] = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    [red, green, blue]
}

/// A PNG of one colour a frame, which follows from `seed`; animated if there are several, so many a second.
pub(super) fn png(
    canvas: Canvas,
    fps: f64,
    seed: u64,
    texts: &[(String, String)],
) -> Result<Bytes, EncodingError> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, canvas.width, canvas.height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    if canvas.batch > 1 {
        encoder.set_animated(canvas.batch, 0)?;
        encoder.set_frame_delay(1, fps.round().clamp(1.0, 1000.0) as u16)?;
    }
    for (key, text) in texts {
        encoder.add_itxt_chunk(key.clone(), text.clone())?;
    }
    let mut writer = encoder.write_header()?;
    for frame in 0..canvas.batch {
        let pixels = colour(seed.wrapping_add(u64::from(frame)));
        writer.write_image_data(&pixels.repeat(canvas.width as usize * canvas.height as usize))?;
    }
    writer.finish()?;
    Ok(file.into())
}

/// An animated WebP of one colour a frame.
pub(super) fn webp(canvas: Canvas, fps: f64, seed: u64) -> Bytes {
    let three = |number: u32| number.to_le_bytes()[..3].to_vec();
    let size = [three(canvas.width - 1), three(canvas.height - 1)].concat();
    let animated = [&[0x02, 0, 0, 0], size.as_slice()].concat();
    let mut chunks = [chunk(*b"VP8X", &animated), chunk(*b"ANIM", &[0; 6])].concat();
    let delay = three((1000.0 / fps.max(0.01)).round().clamp(1.0, 16_777_215.0) as u32);
    for frame in 0..canvas.batch {
        let pixels = chunk(
            *b"VP8L",
            &one_colour(canvas, colour(seed.wrapping_add(u64::from(frame)))),
        );
        // at the origin, neither blended nor disposed
        let head = [&[0; 6], size.as_slice(), &delay, &[0x02]].concat();
        chunks.extend(chunk(*b"ANMF", &[head, pixels].concat()));
    }
    chunk(*b"RIFF", &[b"WEBP".as_slice(), &chunks].concat()).into()
}

/// A RIFF chunk: its name, its length, its content, filled up to an even length.
fn chunk(name: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = [&name, (content.len() as u32).to_le_bytes().as_slice(), content].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

/// A lossless WebP bitstream whose five alphabets have one symbol each, so that a pixel takes no bits.
fn one_colour(canvas: Canvas, [red, green, blue]: [u8; 3]) -> Vec<u8> {
    let mut bits: Vec<bool> = Vec::new();
    let mut write = |value: u32, count: u32| bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
    write(0x2f, 8);
    write(canvas.width - 1, 14);
    write(canvas.height - 1, 14);
    // no alpha, version 0; no transform, no colour cache, one group of alphabets
    write(0, 1 + 3);
    write(0, 1 + 1 + 1);
    for symbol in [green, red, blue, 255] {
        // a simple code, of one symbol, in eight bits
        write(0b101, 3);
        write(u32::from(symbol), 8);
    }
    // distances: a simple code, of one symbol, in one bit
    write(0b001, 3);
    write(0, 1);
    let byte = |bits: &[bool]| (0..).zip(bits).map(|(n, &bit)| u8::from(bit) << n).sum();
    bits.chunks(8).map(byte).collect()
}

/// Whether a file looks like a picture.
pub(super) fn is_picture(content: &[u8]) -> bool {
    let starts: [&[u8]; 4] = [b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8"];
    starts.iter().any(|start| content.starts_with(start))
}

/// Width and height of a PNG or a JPEG.
pub(super) fn size(content: &[u8]) -> Option<(u32, u32)> {
    let number = |place: usize, length: usize| {
        let bytes = content.get(place..place + length)?;
        Some(
            bytes
                .iter()
                .fold(0_u32, |number, &byte| number << 8 | u32::from(byte)),
        )
    };
    if content.starts_with(b"\x89PNG") {
        return Some((number(16, 4)?, number(20, 4)?));
    }
    if !content.starts_with(b"\xff\xd8") {
        return None;
    }
    let mut place = 2;
    loop {
        let marker = number(place, 2)?;
        // the frame headers, among which there are markers of other things
        if (0xffc0..=0xffcf).contains(&marker) && !matches!(marker, 0xffc4 | 0xffc8 | 0xffcc) {
            return Some((number(place + 7, 2)?, number(place + 5, 2)?));
        }
        place += 2 + number(place + 2, 2)? as usize;
    }
}

/// A PNG with the alpha channel of another one of the same size; `None` if they are not that.
pub(super) fn with_alpha(original: &[u8], mask: &[u8]) -> Option<Bytes> {
    let (width, height, mut pixels) = rgba(original)?;
    let (mask_width, mask_height, mask) = rgba(mask)?;
    if (width, height) != (mask_width, mask_height) {
        return None;
    }
    for (pixel, mask) in pixels.chunks_exact_mut(4).zip(mask.chunks_exact(4)) {
        pixel[3] = mask[3];
    }
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, width, height);
    encoder.set_color(ColorType::Rgba);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&pixels).ok()?;
    writer.finish().ok()?;
    Some(file.into())
}

fn rgba(content: &[u8]) -> Option<(u32, u32, Vec<u8>)> {
    let mut decoder = Decoder::new(std::io::Cursor::new(content));
    decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
    let mut reader = decoder.read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    let info = reader.next_frame(&mut pixels).ok()?;
    let pixels = match info.color_type {
        ColorType::Rgba => pixels,
        ColorType::GrayscaleAlpha => {
            let wide = |pair: &[u8]| [pair[0], pair[0], pair[0], pair[1]];
            pixels.chunks_exact(2).flat_map(wide).collect()
        }
        ColorType::Grayscale | ColorType::Rgb | ColorType::Indexed => return None,
    };
    Some((info.width, info.height, pixels))
}
