//! The colours of a picture that somebody uploaded.

use std::io::Cursor;

use image::{ImageReader, Limits};

use super::recipe::SketchError;

/// Most pixels of a picture that colours are taken from.
pub const MAX_SOURCE_PIXELS: u64 = 50_000_000;

/// Longest side of such a picture, in pixels.
const MAX_SOURCE_SIDE: u32 = 16_384;

/// Most memory that decoding it may take, in bytes.
const MAX_DECODE_BYTES: u64 = 512 * 1024 * 1024;

/// How many colours are taken.
const SWATCHES: usize = 8;

/// Points that are looked at along each side.
const GRID: u32 = 96;

/// The main colours of a PNG, JPEG, WebP or GIF (its first frame), most frequent first: at most 8 and at
/// least one. Size and memory are checked from the header, before anything is decoded.
pub fn palette_of(image_bytes: &[u8]) -> Result<Vec<[u8; 3]>, SketchError> {
    let open = || ImageReader::new(Cursor::new(image_bytes)).with_guessed_format();
    let io = |error| SketchError::Decode(image::ImageError::IoError(error));
    let (width, height) = open()
        .map_err(io)?
        .into_dimensions()
        .map_err(SketchError::Decode)?;
    if width.max(height) > MAX_SOURCE_SIDE || u64::from(width) * u64::from(height) > MAX_SOURCE_PIXELS {
        return Err(SketchError::SourceTooLarge { width, height });
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SOURCE_SIDE);
    limits.max_image_height = Some(MAX_SOURCE_SIDE);
    limits.max_alloc = Some(MAX_DECODE_BYTES);
    let mut reader = open().map_err(io)?;
    reader.limits(limits);
    let decoded = reader.decode().map_err(SketchError::Decode)?;
    let points = sample(&decoded);
    if points.is_empty() {
        return Err(SketchError::SourceEmpty);
    }
    Ok(median_cut(points))
}

/// Colours at the points of an even grid, without those that are mostly transparent.
fn sample(decoded: &image::DynamicImage) -> Vec<[u8; 3]> {
    use image::GenericImageView;
    let (width, height) = decoded.dimensions();
    let along = |side: u32| {
        let count = side.min(GRID);
        (0..count).map(move |i| (u64::from(2 * i + 1) * u64::from(side) / u64::from(2 * count)) as u32)
    };
    along(height)
        .flat_map(|y| along(width).map(move |x| (x, y)))
        .map(|(x, y)| decoded.get_pixel(x, y).0)
        .filter(|[_, _, _, alpha]| *alpha >= 128)
        .map(|[r, g, b, _]| [r, g, b])
        .collect()
}

/// Halves the group with the widest channel until there are enough, and takes the mean of each.
fn median_cut(points: Vec<[u8; 3]>) -> Vec<[u8; 3]> {
    let mut groups = vec![points];
    while groups.len() < SWATCHES {
        let widest = groups.iter().enumerate().max_by_key(|(_, group)| {
            let (_, width) = widest_channel(group);
            usize::from(width) * (group.len().ilog2() as usize + 1)
        });
        let Some((index, _)) = widest else { break };
        let (channel, width) = widest_channel(&groups[index]);
        if width == 0 {
            break;
        }
        let mut group = groups.swap_remove(index);
        group.sort_unstable_by_key(|rgb| (rgb[channel], *rgb));
        // equal colours stay together, or a flat picture would give the same swatch twice
        let middle = group[group.len() / 2][channel];
        let cut = match group.partition_point(|rgb| rgb[channel] < middle) {
            0 => group.partition_point(|rgb| rgb[channel] <= middle),
            cut => cut,
        };
        let upper = group.split_off(cut);
        groups.push(group);
        groups.push(upper);
    }
    groups.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    let mut swatches: Vec<[u8; 3]> = groups.iter().map(|group| mean(group)).collect();
    swatches.dedup();
    swatches
}

fn widest_channel(group: &[[u8; 3]]) -> (usize, u8) {
    let width = |channel: usize| {
        let values = || group.iter().map(|rgb| rgb[channel]);
        values().max().unwrap_or(0) - values().min().unwrap_or(0)
    };
    (0..3)
        .map(|channel| (channel, width(channel)))
        .max_by_key(|(_, width)| *width)
        .unwrap_or((0, 0))
}

fn mean(group: &[[u8; 3]]) -> [u8; 3] {
    let count = (group.len() as u32).max(1);
    std::array::from_fn(|i| (group.iter().map(|rgb| u32::from(rgb[i])).sum::<u32>() / count) as u8)
}
