//! Real files of the programs that ComfyUI writes with, whole, cut and damaged.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;

use super::*;

const FILM_MP4: &[u8] = include_bytes!("samples/film.mp4");
const FILM_WEBM: &[u8] = include_bytes!("samples/film.webm");
const FILM_MOV: &[u8] = include_bytes!("samples/film.mov");
const MOVING_WEBP: &[u8] = include_bytes!("samples/moving.webp");
const MOVING_GIF: &[u8] = include_bytes!("samples/moving.gif");
const MOVING_PNG: &[u8] = include_bytes!("samples/moving.png");
const LOSSY_WEBP: &[u8] = include_bytes!("samples/lossy.webp");
const LOSSLESS_WEBP: &[u8] = include_bytes!("samples/lossless.webp");

const MOVING: [&[u8]; 3] = [MOVING_WEBP, MOVING_GIF, MOVING_PNG];

/// A picture with enough in it that its data is most of the file.
fn picture(format: ImageFormat) -> Vec<u8> {
    let pixels = RgbImage::from_fn(64, 48, |x, y| {
        let mixed = x.wrapping_mul(2_654_435_761).wrapping_add(y * 40_503) >> 3;
        Rgb([mixed as u8, (mixed >> 8) as u8, (x ^ y) as u8])
    });
    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(pixels)
        .write_to(&mut file, format)
        .expect("a picture");
    file.into_inner()
}

const STILL: [(ImageFormat, &str); 5] = [
    (ImageFormat::Png, "image/png"),
    (ImageFormat::Jpeg, "image/jpeg"),
    (ImageFormat::WebP, "image/webp"),
    (ImageFormat::Bmp, "image/bmp"),
    (ImageFormat::Tiff, "image/tiff"),
];

fn seen(file: &[u8]) -> Facts {
    probe(Cursor::new(file))
}

fn inspected(file: &[u8]) -> Result<Facts, Unusable> {
    inspect(Cursor::new(file))
}

fn close(seconds: Option<f64>, to: f64) -> bool {
    seconds.is_some_and(|seconds| (seconds - to).abs() < 0.051)
}

#[test]
fn still_pictures_have_a_size_and_no_duration() {
    for (format, media_type) in STILL {
        let file = picture(format);
        let facts = inspected(&file).expect("a whole picture");
        assert_eq!(
            (facts.media_type, facts.dimensions()),
            (media_type, Some((64, 48)))
        );
        assert_eq!((facts.frames, facts.duration_seconds), (None, None));
        assert_eq!(seen(&file), facts);
    }
    for file in [LOSSY_WEBP, LOSSLESS_WEBP] {
        assert_eq!(inspected(file).expect("a picture").dimensions(), Some((40, 30)));
    }
}

#[test]
fn moving_pictures_have_frames_and_a_duration() {
    for file in MOVING {
        let facts = inspected(file).expect("a moving picture");
        assert_eq!(
            (facts.dimensions(), facts.frames),
            (Some((40, 30)), Some(4)),
            "{facts:?}"
        );
        assert!(close(facts.duration_seconds, 1.0), "{facts:?}");
    }
}

#[test]
fn films_have_a_size_frames_and_a_duration() {
    for (file, media_type) in [(FILM_MP4, "video/mp4"), (FILM_WEBM, "video/webm")] {
        let facts = inspected(file).expect("a film");
        assert_eq!(
            (facts.media_type, facts.dimensions()),
            (media_type, Some((64, 48)))
        );
        assert_eq!(facts.frames, Some(5), "{facts:?}");
        assert!(close(facts.duration_seconds, 0.5), "{facts:?}");
    }
    let facts = seen(FILM_MOV);
    assert_eq!(
        (facts.dimensions(), facts.frames),
        (Some((64, 48)), Some(5)),
        "{facts:?}"
    );
    let part = FILM_WEBM.get(..FILM_WEBM.len() * 2 / 3).expect("a part");
    assert_eq!(seen(part).dimensions(), Some((64, 48)), "its head is there");
}

#[test]
fn sounds_tell_how_long_they_last() {
    let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    wav.extend(8000_u32.to_le_bytes().iter().chain(&16_000_u32.to_le_bytes()));
    wav.extend(b"\x02\0\x10\0data\x80\x3e\0\0");
    wav.resize(wav.len() + 16_000, 0);
    let facts = inspected(&wav).expect("a sound");
    assert_eq!(
        (facts.media_type, facts.duration_seconds),
        ("audio/wav", Some(1.0))
    );
    let mut flac = b"fLaC\0\0\0\x22".to_vec();
    flac.extend([0; 10]);
    flac.extend(((44_100_u64 << 44) + 88_200).to_be_bytes());
    assert_eq!(inspected(&flac).expect("a sound").duration_seconds, Some(2.0));
    assert_eq!(
        inspected(b"\xff\xfb\x90\x64\0").expect("a sound").media_type,
        "audio/mpeg"
    );
}

#[test]
fn a_picture_that_is_cut_anywhere_is_refused_and_still_probed() {
    for (format, media_type) in STILL {
        let file = picture(format);
        for part in [file.len() - 2, file.len() * 3 / 4, file.len() / 2] {
            let refused = inspected(file.get(..part).expect("a part"));
            assert!(refused.is_err(), "{media_type} cut at {part} of {}", file.len());
        }
    }
    for file in MOVING
        .iter()
        .chain([&LOSSY_WEBP, &LOSSLESS_WEBP, &FILM_MP4, &FILM_WEBM])
    {
        for part in [file.len() - 1, file.len() / 2] {
            let refused = inspected(file.get(..part).expect("a part"));
            assert!(matches!(refused, Err(Unusable::Cut { .. })), "{part} {refused:?}");
        }
    }
    let jpeg = picture(ImageFormat::Jpeg);
    let half = jpeg.get(..jpeg.len() / 2).expect("a half");
    assert_eq!(seen(half).dimensions(), Some((64, 48)));
    let words = inspected(half).expect_err("cut").to_string();
    assert!(words.contains("JPEG picture is cut off"), "{words}");
}

#[test]
fn a_damaged_picture_is_refused() {
    let mut png = picture(ImageFormat::Png);
    let middle = png.len() / 2;
    for byte in png.iter_mut().skip(middle).take(16) {
        *byte ^= 0x5a;
    }
    assert!(matches!(inspected(&png), Err(Unusable::Damaged { .. })));
}

#[test]
fn a_picture_whose_every_checksum_is_right_is_decoded_all_the_same() {
    let with_data = |data: &[u8]| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, 4, 4);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().expect("a header");
        writer.write_chunk(png::chunk::IDAT, data).expect("data");
        drop(writer);
        file
    };
    // one stored block of five rows of four pixels where five bytes make a row
    let rows = [0_u8; 20];
    let whole = [&b"\x78\x01\x01\x14\0\xeb\xff"[..], &rows, b"\0\x14\0\x01"].concat();
    assert!(inspected(&with_data(&whole)).is_ok());
    assert!(inspected(&with_data(whole.get(..12).expect("a part"))).is_err());
    assert!(inspected(&with_data(b"no stream at all")).is_err());
}

#[test]
fn a_decompression_bomb_is_refused_before_it_is_decoded() {
    for (width, height) in [(60_000, 60_000), (60_000, 1), (1, 60_000)] {
        let mut png = picture(ImageFormat::Png);
        png.splice(16..20, u32::to_be_bytes(width));
        png.splice(20..24, u32::to_be_bytes(height));
        let refused = inspected(&png).expect_err("too large");
        assert_eq!(refused, Unusable::TooLarge { width, height });
        assert!(refused.to_string().contains("scale it down"));
    }
    // one frame of a square of the largest side again and again, in a file of some hundred bytes
    let mut gif = b"GIF89a\xff\x3f\xff\x3f\0\0\0".to_vec();
    for _ in 0..5 {
        gif.extend(b"\x2c\0\0\0\0\xff\x3f\xff\x3f\0\x02\x01\0\0");
    }
    gif.push(0x3b);
    assert_eq!(inspected(&gif), Err(Unusable::TooLong { frames: 5 }));
}

#[test]
fn what_is_no_picture_is_called_by_its_name() {
    let what = |file: &[u8]| inspected(file).expect_err("no picture").to_string();
    assert!(what(b"").contains("empty"));
    assert!(what(b"<!DOCTYPE html><p>").contains("a web page"));
    assert!(what(b"MZ\x90\0\x03").contains("a Windows program"));
    assert!(what(b"\x7fELF\x02").contains("a program"));
    assert!(what(br#"{"error": 1}"#).contains("a JSON text"));
    assert!(what("Grüße\n".as_bytes()).contains("is a text;"));
    assert!(what(b"%PDF-1.7").contains("a PDF"));
    assert!(what(b"PK\x03\x04\x14\0").contains("a zip archive"));
    assert!(what(b"\x00\x01\x02\x03").contains("neither a picture"));
    assert!(what(b"\0\0\0\x1cftypheic\0\0\0\0").contains("save it as PNG"));
    assert!(what(b"\0\0\0\x14ftypqt  \0\0\0\0").contains("convert it to MP4"));
}

fn heads() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<Vec<u8>> = STILL
        .iter()
        .map(|(format, _)| picture(*format))
        .chain(MOVING.iter().map(|file| file.to_vec()))
        .chain([FILM_MP4, FILM_MOV, FILM_WEBM, LOSSY_WEBP].map(<[u8]>::to_vec))
        .collect();
    proptest::sample::select(files)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_damage_makes_a_reader_panic(
        mut file in heads(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        part in any::<prop::sample::Index>(),
    ) {
        for (place, byte) in damage {
            let at = place.index(file.len().min(900));
            if let Some(spot) = file.get_mut(at) {
                *spot = byte;
            }
        }
        // what claims to be huge is decoded too, and would only take its time
        let small = |facts: Facts| facts.dimensions().is_none_or(|(width, height)| u64::from(width) * u64::from(height) < 1 << 20);
        if small(seen(&file)) {
            drop(inspected(&file));
        }
        file.truncate(part.index(file.len()));
        let facts = seen(&file);
        prop_assert!(facts.duration_seconds.is_none_or(f64::is_finite));
    }

    #[test]
    fn no_noise_makes_a_reader_panic(noise in proptest::collection::vec(any::<u8>(), 0..300), head in heads()) {
        drop(inspected(&noise));
        let start = head.get(..12).unwrap_or_default();
        drop(inspected(&[start, &noise].concat()));
        prop_assert!(seen(&[start, &noise].concat()).frames != Some(0));
    }
}
