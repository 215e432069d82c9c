//! How MP4 files and their relatives are laid out, as far as size, duration and completeness need it.
//!
//! Nothing is read but numbers at known places, so that no file, however hostile, costs memory.

use std::io::{Read, Seek};

use super::{Survey, reading::Source};

/// Boxes after which a file is given up.
const MOST_BOXES: u32 = 100_000;

#[derive(Debug, Default)]
struct Track {
    video: bool,
    size: Option<(u32, u32)>,
    seconds: Option<f64>,
    samples: Option<u32>,
}

#[derive(Debug, Default)]
struct Movie {
    found: bool,
    seconds: Option<f64>,
    tracks: Vec<Track>,
    /// Fragments carry samples of their own, which the tracks do not count.
    fragmented: bool,
    whole: bool,
    boxes: u32,
}

/// Surveys a file; `None` where it has no description of its content.
pub(super) fn mp4<R: Read + Seek>(source: &mut Source<R>) -> Option<Survey> {
    let mut movie = Movie {
        whole: true,
        ..Movie::default()
    };
    let end = source.len;
    if movie.walk(source, 0, end, 0).is_none() {
        movie.whole = false;
    }
    if !movie.found {
        return None;
    }
    let video = movie.tracks.iter().find(|track| track.video);
    let seconds = movie
        .seconds
        .or_else(|| video.and_then(|track| track.seconds))
        .filter(|seconds| *seconds > 0.0);
    let size = video.and_then(|track| track.size);
    Some(Survey {
        width: size.map(|(width, _)| width),
        height: size.map(|(_, height)| height),
        frames: video
            .and_then(|track| track.samples)
            .filter(|samples| *samples > 0 && !movie.fragmented),
        duration_seconds: seconds,
        whole: movie.whole,
    })
}

impl Movie {
    /// Walks the boxes from `at` to `end`; `None` where they do not fit into each other.
    fn walk<R: Read + Seek>(&mut self, source: &mut Source<R>, at: u64, end: u64, depth: u8) -> Option<()> {
        let mut at = at;
        // what is left over after the last box may be padding
        while at + 8 <= end {
            self.boxes += 1;
            if self.boxes > MOST_BOXES {
                return None;
            }
            source.go(at)?;
            let (short, name) = (source.u32_be()?, source.take::<4>()?);
            let length = match short {
                0 => end - at,
                1 => source.u64_be()?,
                length => u64::from(length),
            };
            let next = at.checked_add(length).filter(|next| *next <= end)?;
            if next < source.at() {
                return None;
            }
            self.read(source, name, next, depth)?;
            at = next;
        }
        Some(())
    }

    fn read<R: Read + Seek>(
        &mut self,
        source: &mut Source<R>,
        name: [u8; 4],
        end: u64,
        depth: u8,
    ) -> Option<()> {
        let inside = source.at();
        match &name {
            b"moov" => self.found = true,
            b"trak" => self.tracks.push(Track::default()),
            b"moof" | b"mvex" => self.fragmented = true,
            _ => {}
        }
        match &name {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" if depth < 6 => {
                self.walk(source, inside, end, depth + 1)?;
            }
            b"mvhd" => self.seconds = duration(source),
            b"mdhd" => {
                let seconds = duration(source);
                self.tracks.last_mut()?.seconds = seconds;
            }
            b"hdlr" => {
                source.skip(8)?;
                // QuickTime names a second one, of how the data is stored
                self.tracks.last_mut()?.video |= source.take()? == *b"vide";
            }
            b"stsd" => {
                // the first entry; its size stands at the same place in all kinds of video
                source.skip(8 + 8 + 24)?;
                let size = (u32::from(source.u16_be()?), u32::from(source.u16_be()?));
                self.tracks.last_mut()?.size = Some(size);
            }
            b"stsz" => {
                source.skip(8)?;
                let samples = source.u32_be()?;
                self.tracks.last_mut()?.samples = Some(samples);
            }
            _ => {}
        }
        Some(())
    }
}

/// The duration of a header of the movie or of a track, in seconds.
fn duration<R: Read + Seek>(source: &mut Source<R>) -> Option<f64> {
    let [version, ..] = source.take::<4>()?;
    let (scale, units, unknown) = if version == 1 {
        source.skip(16)?;
        (source.u32_be()?, source.u64_be()?, u64::MAX)
    } else {
        source.skip(8)?;
        (source.u32_be()?, u64::from(source.u32_be()?), u64::from(u32::MAX))
    };
    (scale > 0 && units != unknown).then(|| units as f64 / f64::from(scale))
}
