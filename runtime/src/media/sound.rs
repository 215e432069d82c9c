//! How long a sound lasts, where its header says so.

use std::io::{Read, Seek};

use super::{Survey, reading::Source};

/// Chunks after which a file is given up.
const MOST_CHUNKS: u32 = 10_000;

pub(super) fn wav<R: Read + Seek>(source: &mut Source<R>) -> Option<Survey> {
    source.go(12)?;
    let mut bytes_per_second = None;
    for _ in 0..MOST_CHUNKS {
        let (name, length) = (source.take::<4>()?, u64::from(source.u32_le()?));
        let next = source.at() + length + (length & 1);
        match &name {
            b"fmt " => {
                source.skip(8)?;
                bytes_per_second = Some(source.u32_le()?).filter(|rate| *rate > 0);
            }
            b"data" => {
                // a recorder that was broken off leaves a length of all ones, or none
                let there = length.min(source.len - source.at());
                return Some(Survey {
                    duration_seconds: Some(there as f64 / f64::from(bytes_per_second?)),
                    whole: true,
                    ..Survey::default()
                });
            }
            _ => {}
        }
        source.go(next)?;
    }
    None
}

pub(super) fn flac<R: Read + Seek>(source: &mut Source<R>) -> Option<Survey> {
    source.go(8 + 10)?;
    let bits = source.u64_be()?;
    let (rate, samples) = (bits >> 44, bits & 0xf_ffff_ffff);
    (rate > 0).then(|| Survey {
        duration_seconds: (samples > 0).then(|| samples as f64 / rate as f64),
        whole: true,
        ..Survey::default()
    })
}
