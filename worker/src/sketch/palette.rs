//! The colours of a picture: a mood's own, slightly turned by the seed, or made from colours that were given.

use super::colour::{Rgb, blend, chroma, hex, lightness, mix, turn_hue};
use super::dice::Root;
use super::vocabulary::{Mood, Reading};

/// The colours that a picture is drawn with, by what they are for.
#[derive(Clone)]
pub(super) struct Palette {
    /// The sky, from the top down to the horizon.
    pub(super) sky: [Rgb; 4],
    /// The land, far and near.
    pub(super) land: [Rgb; 2],
    /// Sun, moon and highlights.
    pub(super) light: Rgb,
    /// Colours for everything else; they go together.
    pub(super) accents: [Rgb; 5],
    /// Whether the sky is dark.
    pub(super) is_night: bool,
}

impl Palette {
    /// The colours for a reading of the prompt.
    pub(super) fn of(reading: &Reading, root: Root) -> Self {
        let (sky, land, light, accents) = colours(reading.mood);
        let most = if reading.mood_is_named { 0.018 } else { 0.04 };
        // grey stays grey, and the one accent in it is meant to be red
        let turns = if reading.mood == Mood::Mono {
            0.0
        } else {
            root.dice("hue").range(-most, most)
        };
        let turned = |code: u32| turn_hue(hex(code), turns);
        Self {
            sky: sky.map(turned),
            land: land.map(turned),
            light: turned(light),
            accents: accents.map(turned),
            is_night: lightness(hex(sky[1])) < 0.42,
        }
    }

    /// A palette from colours that were given; `None` if there are none.
    pub(super) fn from_colours(given: &[[u8; 3]]) -> Option<Self> {
        let mut sorted: Vec<Rgb> = given
            .iter()
            .map(|rgb| rgb.map(|c| f32::from(c) / 255.0))
            .collect();
        sorted.sort_by(|a, b| lightness(*a).total_cmp(&lightness(*b)));
        let (darkest, lightest) = (*sorted.first()?, *sorted.last()?);
        let along = |t: f32| {
            let at = t * (sorted.len() - 1) as f32;
            let from = at as usize;
            blend(
                sorted[from],
                sorted[(from + 1).min(sorted.len() - 1)],
                at - from as f32,
            )
        };
        let mean = sorted.iter().map(|c| lightness(*c)).sum::<f32>() / sorted.len() as f32;
        let is_night = mean < 0.45;
        let sky = if is_night {
            [along(0.1), along(0.3), along(0.5), along(0.75)]
        } else {
            [along(0.4), along(0.6), along(0.8), along(0.95)]
        };
        let mut vivid = sorted.clone();
        vivid.sort_by(|a, b| chroma(*b).total_cmp(&chroma(*a)));
        Some(Self {
            sky,
            land: [along(0.35), mix(darkest, [0.0; 3], 0.45)],
            light: mix(lightest, [1.0; 3], 0.5),
            accents: std::array::from_fn(|i| vivid[i % vivid.len()]),
            is_night,
        })
    }
}

type Codes = ([u32; 4], [u32; 2], u32, [u32; 5]);

#[rustfmt::skip]
#[expect(clippy::unreadable_literal, reason = "a colour code is read in pairs, as everywhere")]
fn colours(mood: Mood) -> Codes {
    match mood {
        Mood::Sunset => ([0x2b1b4d, 0x7a2f6e, 0xe8626a, 0xffc27a], [0xb0567a, 0x1d1230], 0xfff0c0,
            [0xffb45c, 0xff6b6b, 0xc44d8b, 0x6a3d9a, 0x2e1a57]),
        Mood::Dawn => ([0x4a6fa5, 0x9a9bc8, 0xf3b9a8, 0xffe3b8], [0x9a8fb8, 0x262b4d], 0xfff6dc,
            [0xf3a38f, 0xffd9a0, 0x8f9fd4, 0x5a6ea8, 0xfbeee0]),
        Mood::Ocean => ([0x2277b0, 0x62b3d9, 0xabdcea, 0xfdf3dc], [0x4a9abb, 0x0b2c4a], 0xfff8e0,
            [0x0e4d78, 0x1f8fb5, 0x6fd3d6, 0xf4e9cd, 0xff9f68]),
        Mood::Tropical => ([0x0e86a8, 0x3fc1c0, 0xa6e8c8, 0xfff3b8], [0x2aa198, 0x0a3b45], 0xfffbe0,
            [0xff6f61, 0xffd166, 0x06c6a0, 0x118ab2, 0xf78fb3]),
        Mood::Forest => ([0x7fb2b8, 0xa8cfc2, 0xd5e5c8, 0xf8efcf], [0x7fae97, 0x10291f], 0xfff6d0,
            [0x2f6b4a, 0x6fa35c, 0xc6d57e, 0xf2c14e, 0x8c4f2b]),
        Mood::Night => ([0x050817, 0x0d1638, 0x1f2f63, 0x4b5f9a], [0x2e3f73, 0x04060f], 0xf4f1de,
            [0x8fb8ff, 0x5468c4, 0xc9a6ff, 0xf7e8a4, 0x2a3a78]),
        Mood::Fire => ([0x1a0508, 0x5a0f12, 0xc4341a, 0xffb03a], [0x8a2318, 0x140406], 0xffe9a0,
            [0xff5a1f, 0xffb52e, 0xd7263d, 0x7a1022, 0xfff0b8]),
        Mood::Ice => ([0x5c9fd6, 0x9cc9ec, 0xd3eafa, 0xf7fcff], [0xa9cde6, 0x2c4f7c], 0xffffff,
            [0x2f6fb0, 0x7fc4ea, 0xd9f3ff, 0xb4a7e5, 0x4f86c6]),
        Mood::Neon => ([0x0b0221, 0x2a0a5e, 0x8a1c9c, 0xff4fa3], [0x5a1a8f, 0x080114], 0xffe45e,
            [0xff2e97, 0x00e5ff, 0x9d4dff, 0xffd319, 0x39ff88]),
        Mood::Pastel => ([0xa7c7f2, 0xcfc6f4, 0xf7cfe0, 0xfff1d9], [0xc9b5e0, 0x6b6fa8], 0xfffaf0,
            [0xf6a6b8, 0xf9d4a4, 0xa8dcd1, 0xb3b8f2, 0xfbeaa6]),
        Mood::Mono => ([0x5b5e66, 0x8b8e96, 0xc1c3c8, 0xf2f1ee], [0x8f9198, 0x0e0f12], 0xffffff,
            [0xf2f1ee, 0xb5b7bd, 0x6b6e76, 0xd94f3d, 0x2c2d31]),
        Mood::Autumn => ([0x8fb3c9, 0xd9c9b0, 0xf6cf92, 0xfbb267], [0xc9733f, 0x38150f], 0xfff3cf,
            [0xd1491f, 0xf08a24, 0xf6c453, 0x7c2d1e, 0x5d6b34]),
        Mood::Desert => ([0x3d86b0, 0x8fc1c9, 0xf6dcae, 0xfbc184], [0xe6a066, 0x5a2320], 0xfff4d2,
            [0xe4863c, 0xf3c677, 0xb24a31, 0x3e8e95, 0x7a2f2a]),
        Mood::Aurora => ([0x03071a, 0x08203f, 0x0f4a63, 0x2f8a86], [0x123a52, 0x020812], 0xe2fff4,
            [0x3dffb0, 0x2ec4ff, 0xa46bff, 0xf7a1ff, 0x0b7a75]),
        Mood::Space => ([0x05030f, 0x120a2e, 0x2d1457, 0x6b2a86], [0x2a1650, 0x04020c], 0xfff3e0,
            [0xff7ac6, 0x6ea8ff, 0xffd08a, 0x8b5cf6, 0x2dd4bf]),
        Mood::Rose => ([0x6d2e5b, 0xc25b84, 0xf2a0ae, 0xfde2d4], [0xb0587d, 0x3b1030], 0xfff2ea,
            [0xe8476a, 0xf78fa7, 0xfbd0c4, 0x8c2f5e, 0x5f7f5a]),
        Mood::Gold => ([0x6b4a1c, 0xb9832c, 0xeebf5a, 0xfdeebb], [0xb07f2f, 0x2b1a0a], 0xfff6d4,
            [0xf2b632, 0xc9862a, 0xfbe3a0, 0x7a4a17, 0x3f6f6a]),
        Mood::Storm => ([0x2a323c, 0x505d69, 0x84929a, 0xc9ccc2], [0x66747d, 0x10151a], 0xf3f1e2,
            [0x8fa6b3, 0x4f6878, 0xd8d5c4, 0xe0b45a, 0x2b3a46]),
    }
}
