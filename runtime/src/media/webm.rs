//! How WebM and Matroska files are laid out, as far as size, duration and frames need it.
//!
//! The elements that hold others are entered and all others passed over, in one pass: then the sizes of
//! the outer ones, which live recordings leave open, do not matter.

use std::io::{Read, Seek};

use super::{Survey, reading::Source};

/// Elements after which a file is given up.
const MOST_ELEMENTS: u32 = 4_000_000;

const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x002a_d7b1;
const DURATION: u32 = 0x4489;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_TYPE: u32 = 0x83;
const VIDEO: u32 = 0xe0;
const PIXEL_WIDTH: u32 = 0xb0;
const PIXEL_HEIGHT: u32 = 0xba;
const CLUSTER: u32 = 0x1f43_b675;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const SIMPLE_BLOCK: u32 = 0xa3;

#[derive(Debug, Default, Clone, Copy)]
struct Track {
    number: u64,
    video: bool,
    width: Option<u32>,
    height: Option<u32>,
}

#[derive(Debug)]
struct Film {
    scale: u64,
    duration: Option<f64>,
    /// The track being described.
    track: Track,
    /// The first video track, once it is known.
    video: Option<Track>,
    tracks: bool,
    frames: u32,
    /// An element that holds others goes beyond the end.
    cut: bool,
}

/// Surveys a file; `None` where it describes no track.
pub(super) fn webm<R: Read + Seek>(source: &mut Source<R>) -> Option<Survey> {
    let mut film = Film {
        scale: 1_000_000,
        duration: None,
        track: Track::default(),
        video: None,
        tracks: false,
        frames: 0,
        cut: false,
    };
    source.go(0)?;
    let whole = film.walk(source).is_some() && !film.cut;
    if !film.tracks {
        return None;
    }
    film.settle();
    Some(Survey {
        width: film.video.and_then(|track| track.width),
        height: film.video.and_then(|track| track.height),
        frames: (film.frames > 0).then_some(film.frames),
        duration_seconds: film
            .duration
            .map(|units| units * film.scale as f64 / 1e9)
            .filter(|seconds| seconds.is_finite() && *seconds > 0.0),
        whole,
    })
}

impl Film {
    /// Reads to the end; `None` where something goes beyond it.
    fn walk<R: Read + Seek>(&mut self, source: &mut Source<R>) -> Option<()> {
        for _ in 0..MOST_ELEMENTS {
            if source.at() >= source.len {
                return Some(());
            }
            let id = element_id(source)?;
            let length = variable(source)?;
            let end = length.map(|length| source.at().saturating_add(length));
            let cut = end.is_some_and(|end| end > source.len);
            match id {
                SEGMENT | INFO | TRACKS | TRACK_ENTRY | VIDEO | CLUSTER | BLOCK_GROUP => {
                    self.enter(id);
                    self.cut |= cut;
                    continue;
                }
                _ if cut => return None,
                _ => {}
            }
            // only the elements that are entered may leave their length open
            let length = length?;
            self.read(source, id, length)?;
            source.go(end?)?;
        }
        None
    }

    fn enter(&mut self, id: u32) {
        match id {
            TRACKS => self.tracks = true,
            TRACK_ENTRY | CLUSTER => self.settle(),
            _ => {}
        }
    }

    fn read<R: Read + Seek>(&mut self, source: &mut Source<R>, id: u32, length: u64) -> Option<()> {
        match id {
            TIMESTAMP_SCALE => self.scale = unsigned(source, length)?,
            DURATION => self.duration = float(source, length),
            TRACK_NUMBER => self.track.number = unsigned(source, length)?,
            TRACK_TYPE => self.track.video = unsigned(source, length)? == 1,
            PIXEL_WIDTH => self.track.width = u32::try_from(unsigned(source, length)?).ok(),
            PIXEL_HEIGHT => self.track.height = u32::try_from(unsigned(source, length)?).ok(),
            BLOCK | SIMPLE_BLOCK => {
                let number = variable(source)?;
                if self.video.is_some_and(|video| Some(video.number) == number) {
                    self.frames = self.frames.saturating_add(1);
                }
            }
            _ => {}
        }
        Some(())
    }

    /// The track that was being described is described.
    fn settle(&mut self) {
        let track = std::mem::take(&mut self.track);
        if track.video && self.video.is_none() {
            self.video = Some(track);
        }
    }
}

/// An element's name: as many bytes as its first one says.
fn element_id<R: Read + Seek>(source: &mut Source<R>) -> Option<u32> {
    let first = source.byte()?;
    let more = first.leading_zeros();
    if more > 3 {
        return None;
    }
    let mut id = u32::from(first);
    for _ in 0..more {
        id = id << 8 | u32::from(source.byte()?);
    }
    Some(id)
}

/// A length, or a track's number: the inner `None` is a length that is left open.
#[expect(
    clippy::option_option,
    reason = "unreadable and left open are different things"
)]
fn variable<R: Read + Seek>(source: &mut Source<R>) -> Option<Option<u64>> {
    let first = source.byte()?;
    let more = first.leading_zeros();
    if more > 7 {
        return None;
    }
    let mut value = u64::from(first) & (0x7f >> more);
    let mut open = value == u64::from(0x7f_u8 >> more);
    for _ in 0..more {
        let byte = source.byte()?;
        open &= byte == 0xff;
        value = value << 8 | u64::from(byte);
    }
    Some((!open).then_some(value))
}

fn unsigned<R: Read + Seek>(source: &mut Source<R>, length: u64) -> Option<u64> {
    if length > 8 {
        return None;
    }
    (0..length).try_fold(0_u64, |value, _| Some(value << 8 | u64::from(source.byte()?)))
}

fn float<R: Read + Seek>(source: &mut Source<R>, length: u64) -> Option<f64> {
    match length {
        4 => source.take().map(f32::from_be_bytes).map(f64::from),
        8 => source.take().map(f64::from_be_bytes),
        _ => None,
    }
}
