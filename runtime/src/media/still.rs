//! How PNG, JPEG, GIF, WebP and BMP are laid out, as far as size, frames and completeness need it.

use std::io::{Read, Seek};

use super::{Survey, reading::Source};

/// Chunks, segments or blocks after which a file is given up.
const MOST_PARTS: u32 = 4_000_000;

/// Counts frames and adds up their times.
#[derive(Debug, Default)]
struct Reel {
    frames: u32,
    seconds: f64,
}

impl Reel {
    /// A picture that does not move has neither frames nor a duration.
    fn survey(&self, width: u32, height: u32, whole: bool) -> Survey {
        let moves = self.frames > 1;
        Survey {
            width: Some(width),
            height: Some(height),
            frames: moves.then_some(self.frames),
            duration_seconds: moves.then_some(self.seconds),
            whole,
        }
    }
}

pub(super) fn png<R: Read + Seek>(source: &mut Source<R>) -> Option<Survey> {
    source.go(8)?;
    let mut size = None;
    let mut reel = Reel::default();
    for _ in 0..MOST_PARTS {
        let Some(length) = source.u32_be() else { break };
        let Some(name) = source.take::<4>() else { break };
        let Some(end) = source.at().checked_add(u64::from(length) + 4) else {
            break;
        };
        match &name {
            b"IHDR" if size.is_none() => size = Some((source.u32_be()?, source.u32_be()?)),
            b"fcTL" if length == 26 => {
                source.skip(20)?;
                let (over, under) = (source.u16_be()?, source.u16_be()?);
                reel.frames += 1;
                // the format's own rule for an absent denominator
                reel.seconds += f64::from(over) / if under == 0 { 100.0 } else { f64::from(under) };
            }
            b"IEND" => {
                let whole = source.go(end).is_some();
                let (width, height) = size?;
                return Some(reel.survey(width, height, whole));
            }
            _ => {}
        }
        if size.is_none() || source.go(end).is_none() {
            break;
        }
    }
    let (width, height) = size?;
    Some(reel.survey(width, height, false))
}

pub(super) fn jpeg<R: Read + Seek>(source: &mut Source<R>) -> Option<Survey> {
    source.go(2)?;
    let mut size = None;
    let mut whole = false;
    for _ in 0..MOST_PARTS {
        let Some(marker) = next_marker(source) else { break };
        match marker {
            0xd9 => {
                whole = true;
                break;
            }
            // these stand alone
            0x01 | 0xd0..=0xd8 => {}
            // a frame's header, of any process; the three others in this range are tables
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) && size.is_none() => {
                let end = source.at() + u64::from(source.u16_be()?);
                source.byte()?;
                let (height, width) = (source.u16_be()?, source.u16_be()?);
                size = Some((u32::from(width), u32::from(height)));
                source.go(end)?;
            }
            _ => {
                let Some(length) = source.u16_be().filter(|length| *length >= 2) else {
                    break;
                };
                if source.skip(u64::from(length) - 2).is_none() {
                    break;
                }
            }
        }
    }
    let (width, height) = size?;
    Some(Reel::default().survey(width, height, whole))
}

/// Reads over the picture's data to the next marker.
fn next_marker<R: Read + Seek>(source: &mut Source<R>) -> Option<u8> {
    loop {
        while source.byte()? != 0xff {}
        let mut marker = source.byte()?;
        while marker == 0xff {
            marker = source.byte()?;
        }
        if marker != 0 {
            return Some(marker);
        }
    }
}

pub(super) fn gif<R: Read + Seek>(source: &mut Source<R>) -> Option<Survey> {
    source.go(6)?;
    let (width, height) = (u32::from(source.u16_le()?), u32::from(source.u16_le()?));
    let mut reel = Reel::default();
    let whole = gif_blocks(source, &mut reel).is_some();
    Some(reel.survey(width, height, whole))
}

/// Reads to the trailer.
fn gif_blocks<R: Read + Seek>(source: &mut Source<R>, reel: &mut Reel) -> Option<()> {
    let flags = source.byte()?;
    source.skip(2)?;
    skip_colours(source, flags)?;
    let mut delay = 0.0;
    for _ in 0..MOST_PARTS {
        match source.byte()? {
            0x21 => {
                if source.byte()? == 0xf9 {
                    source.skip(2)?;
                    delay = f64::from(source.u16_le()?) / 100.0;
                    source.skip(1)?;
                }
                skip_pieces(source)?;
            }
            0x2c => {
                source.skip(8)?;
                let flags = source.byte()?;
                skip_colours(source, flags)?;
                source.skip(1)?;
                skip_pieces(source)?;
                reel.frames += 1;
                reel.seconds += std::mem::take(&mut delay);
            }
            0x3b => return Some(()),
            _ => return None,
        }
    }
    None
}

fn skip_colours<R: Read + Seek>(source: &mut Source<R>, flags: u8) -> Option<()> {
    if flags & 0x80 == 0 {
        return Some(());
    }
    source.skip(3 << ((flags & 7) + 1))
}

fn skip_pieces<R: Read + Seek>(source: &mut Source<R>) -> Option<()> {
    loop {
        match source.byte()? {
            0 => return Some(()),
            length => source.skip(u64::from(length))?,
        }
    }
}

pub(super) fn webp<R: Read + Seek>(source: &mut Source<R>) -> Option<Survey> {
    source.go(4)?;
    let end = u64::from(source.u32_le()?) + 8;
    let whole = end <= source.len;
    source.skip(4)?;
    let mut size = None;
    let mut reel = Reel::default();
    for _ in 0..MOST_PARTS {
        if source.at() + 8 > end {
            break;
        }
        let Some(name) = source.take::<4>() else { break };
        let Some(length) = source.u32_le() else { break };
        let next = source.at() + u64::from(length) + u64::from(length & 1);
        match &name {
            b"VP8X" => {
                source.skip(4)?;
                size = Some((source.u24_le()? + 1, source.u24_le()? + 1));
            }
            b"ANMF" => {
                let Some(milliseconds) = source.skip(12).and_then(|()| source.u24_le()) else {
                    break;
                };
                reel.frames += 1;
                reel.seconds += f64::from(milliseconds) / 1000.0;
            }
            b"VP8 " if size.is_none() => {
                source.skip(6)?;
                let (width, height) = (source.u16_le()?, source.u16_le()?);
                size = Some((u32::from(width & 0x3fff), u32::from(height & 0x3fff)));
            }
            b"VP8L" if size.is_none() => {
                source.skip(1)?;
                let bits = source.u32_le()?;
                size = Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1));
            }
            _ => {}
        }
        if source.go(next).is_none() {
            break;
        }
    }
    let (width, height) = size?;
    Some(reel.survey(width, height, whole))
}

pub(super) fn bmp<R: Read + Seek>(source: &mut Source<R>) -> Option<Survey> {
    source.go(14)?;
    let (width, height) = if source.u32_le()? == 12 {
        (u32::from(source.u16_le()?), u32::from(source.u16_le()?))
    } else {
        let (width, height) = (source.take()?, source.take()?);
        // a negative height means that the rows go downwards
        (
            i32::from_le_bytes(width).unsigned_abs(),
            i32::from_le_bytes(height).unsigned_abs(),
        )
    };
    Some(Reel::default().survey(width, height, true))
}
