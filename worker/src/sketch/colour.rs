//! Colours: sRGB in 0..1, mixed in `OKLab` where a gradient should look even.

use super::exact::{cbrt, cos_turns, lerp, sin_turns, unit};

/// A colour, sRGB-encoded, each channel 0..=1.
pub(super) type Rgb = [f32; 3];

/// The colour of `0xRRGGBB`.
pub(super) const fn hex(code: u32) -> Rgb {
    [
        ((code >> 16) & 0xff) as f32 / 255.0,
        ((code >> 8) & 0xff) as f32 / 255.0,
        (code & 0xff) as f32 / 255.0,
    ]
}

/// A mix of two colours as they are encoded: fast, good for coverage and haze.
pub(super) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    [lerp(a[0], b[0], t), lerp(a[1], b[1], t), lerp(a[2], b[2], t)]
}

/// `base` brightened by light of a colour, never beyond white.
pub(super) fn screen(base: Rgb, light: Rgb, strength: f32) -> Rgb {
    let channel = |b: f32, l: f32| 1.0 - (1.0 - b) * (1.0 - unit(l * strength));
    [
        channel(base[0], light[0]),
        channel(base[1], light[1]),
        channel(base[2], light[2]),
    ]
}

/// Brightness scaled by a factor.
pub(super) fn shade(colour: Rgb, factor: f32) -> Rgb {
    colour.map(|channel| unit(channel * factor))
}

/// Perceived lightness, 0..=1.
pub(super) fn lightness(colour: Rgb) -> f32 {
    to_lab(colour)[0]
}

/// Distance from grey, 0 to about 0.3.
pub(super) fn chroma(colour: Rgb) -> f32 {
    let [_, a, b] = to_lab(colour);
    (a * a + b * b).sqrt()
}

/// A mix of two colours in `OKLab`: even to the eye.
pub(super) fn blend(a: Rgb, b: Rgb, t: f32) -> Rgb {
    from_lab(mix(to_lab(a), to_lab(b), t))
}

/// The colour with its hue turned (in turns) and its lightness kept.
pub(super) fn turn_hue(colour: Rgb, turns: f32) -> Rgb {
    let [l, a, b] = to_lab(colour);
    let (sin, cos) = (sin_turns(turns), cos_turns(turns));
    from_lab([l, a * cos - b * sin, a * sin + b * cos])
}

/// A gradient through colours at even distances, looked up by a number in 0..=1.
#[derive(Clone)]
pub(super) struct Ramp(Vec<Rgb>);

impl Ramp {
    const STOPS: usize = 256;

    /// The gradient through these colours.
    pub(super) fn new(colours: &[Rgb]) -> Self {
        let last = colours.len().saturating_sub(1);
        let stop = |i: usize| {
            let at = i as f32 / (Self::STOPS - 1) as f32 * last as f32;
            let from = (at as usize).min(last);
            let to = (from + 1).min(last);
            blend(colours[from], colours[to], at - from as f32)
        };
        Self((0..Self::STOPS).map(stop).collect())
    }

    /// The colour at `t`, held within 0..=1.
    pub(super) fn at(&self, t: f32) -> Rgb {
        let at = unit(t) * (Self::STOPS - 1) as f32;
        let from = at as usize;
        let to = (from + 1).min(Self::STOPS - 1);
        mix(self.0[from], self.0[to], at - from as f32)
    }
}

#[expect(
    clippy::many_single_char_names,
    reason = "the names that the formulas have everywhere"
)]
fn to_lab(colour: Rgb) -> [f32; 3] {
    // cubic fit of the sRGB curve, within 0.2 %
    let [r, g, b] = colour.map(|c| c * (c * (c * 0.305_306 + 0.682_171) + 0.012_523));
    let l = cbrt(0.412_221_5 * r + 0.536_332_5 * g + 0.051_446 * b);
    let m = cbrt(0.211_903_5 * r + 0.680_699_5 * g + 0.107_397 * b);
    let s = cbrt(0.088_302_5 * r + 0.281_718_8 * g + 0.629_978_7 * b);
    [
        0.210_454_3 * l + 0.793_617_8 * m - 0.004_072 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904 * l + 0.782_771_8 * m - 0.808_675_8 * s,
    ]
}

#[expect(
    clippy::many_single_char_names,
    reason = "the names that the formulas have everywhere"
)]
fn from_lab([lightness, a, b]: [f32; 3]) -> Rgb {
    let l = lightness + 0.396_337_8 * a + 0.215_803_8 * b;
    let m = lightness - 0.105_561_3 * a - 0.063_854_2 * b;
    let s = lightness - 0.089_484_2 * a - 1.291_485_5 * b;
    let (l, m, s) = (l * l * l, m * m * m, s * s * s);
    let linear = [
        4.076_741_7 * l - 3.307_711_6 * m + 0.230_969_9 * s,
        -1.268_438 * l + 2.609_757_4 * m - 0.341_319_4 * s,
        -0.004_196_1 * l - 0.703_418_6 * m + 1.707_614_7 * s,
    ];
    linear.map(|c| {
        // fit of the inverse sRGB curve by roots alone
        let c = unit(c);
        let s1 = c.sqrt();
        let s2 = s1.sqrt();
        let s3 = s2.sqrt();
        unit(0.662_002_7 * s1 + 0.684_122 * s2 - 0.323_583_6 * s3 - 0.022_541_1 * c)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oklab_there_and_back_keeps_the_colour() {
        for code in [
            0x00_00_00, 0xff_ff_ff, 0xff_00_00, 0x12_34_56, 0xfe_dc_ba, 0x00_80_40,
        ] {
            let there = hex(code);
            let back = blend(there, there, 0.5);
            for (a, b) in there.iter().zip(back) {
                assert!((a - b).abs() < 0.02, "{code:06x}: {there:?} {back:?}");
            }
        }
    }
}
