//! Mountains, hills, forests and dunes, with a lake if one is asked for.

use super::colour::{Rgb, blend, mix, screen, shade};
use super::dice::Dice;
use super::exact::{fall, lerp, sin_turns, smoothstep, unit};
use super::layer::{Frame, Layer, Scene};
use super::noise::Noise;
use super::ridge::{Crest, ridge, rows_between};
use super::sky::{Luminary, birds, sky, snow};
use super::trees::{leaf, plant};
use super::vocabulary::{Extra, Mood, Motif};

/// The layers of a landscape.
pub(super) fn landscape(scene: &Scene) -> Vec<Layer> {
    let frame = scene.frame;
    let mut dice = scene.dice("landscape");
    let has_lake =
        scene.reading.has(Extra::Lake) || (scene.reading.motif == Motif::Peaks && dice.chance(0.4));
    let shore = if has_lake { dice.range(0.62, 0.70) } else { 1.0 };
    let horizon = frame.h() * shore * dice.range(0.56, 0.64);
    let luminary = Luminary::above(scene, horizon);
    let mut layers = sky(scene, horizon * 1.08, luminary);
    let wants_birds = scene.reading.has(Extra::Birds) || (!scene.palette.is_night && dice.chance(0.35));
    if wants_birds {
        layers.push(birds(scene, horizon));
    }
    let far = Range {
        motif: scene.reading.motif,
        top: horizon,
        bottom: frame.h() * shore,
        luminary,
    };
    layers.extend(ranges(scene, &far, &mut dice, has_lake));
    if has_lake {
        layers.push(mirror(scene, frame.h() * shore));
        layers.push(bank(scene, &mut dice));
    }
    if scene.reading.has(Extra::Snow) {
        layers.push(snow(scene));
    }
    layers
}

/// Where a series of ridges lies, in pixels from the top.
struct Range {
    motif: Motif,
    top: f32,
    bottom: f32,
    luminary: Luminary,
}

fn ranges(scene: &Scene, range: &Range, dice: &mut Dice, has_lake: bool) -> Vec<Layer> {
    let count: u8 = if range.motif == Motif::Dunes { 5 } else { 6 };
    let depth = range.bottom - range.top;
    let crests: Vec<(f32, Crest)> = (0..count)
        .map(|i| {
            let near = f32::from(i) / f32::from(count - 1);
            // the nearest ridge keeps away from the bottom, or it would be a sliver
            let reach = if has_lake { 0.86 } else { 0.80 };
            let base = range.top + depth * near * lerp(0.6, 1.0, near) * reach;
            (near, crest(scene, range.motif, near, base, dice))
        })
        .collect();
    let bottoms: Vec<f32> = crests
        .iter()
        .skip(1)
        .map(|(_, next)| next.span().1 + 2.0)
        .chain([range.bottom])
        .collect();
    crests
        .into_iter()
        .zip(bottoms)
        .map(|((near, crest), bottom)| face(scene, range, near, crest, bottom.min(range.bottom), dice))
        .collect()
}

fn crest(scene: &Scene, motif: Motif, near: f32, base: f32, dice: &mut Dice) -> Crest {
    let frame = scene.frame;
    let (noise, shift) = (Noise(dice.bits()), dice.range(0.0, 50.0));
    match motif {
        Motif::Dunes => {
            let (size, wide) = (lerp(0.16, 0.36, near), lerp(1.9, 0.8, near));
            Crest::new(&frame, |x| {
                let u = x / frame.unit * wide + shift;
                let swell = noise.at(u, shift) + 0.12 * noise.at(u * 3.1, 9.0);
                // a sharp edge where the wind breaks over
                let sharp = 1.0 - (swell * 1.1).abs().min(1.0);
                base + frame.unit * size * (0.35 - sharp * 0.75)
            })
        }
        Motif::Hills => {
            let (size, wide) = (lerp(0.15, 0.20, near), lerp(1.9, 1.1, near));
            let mut crest = Crest::new(&frame, |x| {
                let u = x / frame.unit * wide + shift;
                base - frame.unit * size * noise.cloud(u, shift, 2)
            });
            leaf(&frame, &mut crest, frame.unit * lerp(0.012, 0.05, near), dice);
            crest
        }
        Motif::Forest => {
            let mut crest = Crest::new(&frame, |x| {
                base - frame.unit * 0.10 * noise.cloud(x / frame.unit * 1.3 + shift, shift, 3)
            });
            plant(
                &frame,
                &mut crest,
                frame.unit * lerp(0.05, 0.34, near * near),
                0.9,
                dice,
            );
            crest
        }
        Motif::Peaks
        | Motif::Sea
        | Motif::City
        | Motif::Cosmos
        | Motif::Streams
        | Motif::Orbs
        | Motif::Silk => {
            let (size, wide) = (lerp(0.46, 0.16, near), lerp(1.15, 1.7, near));
            let mut crest = Crest::new(&frame, |x| {
                let u = x / frame.unit * wide + shift;
                let jag = noise.crests(u, shift, 6) - 0.42;
                base - frame.unit * size * (jag + 0.25 * noise.at(u * 0.6, 4.0))
            });
            if near > 0.75 {
                plant(
                    &frame,
                    &mut crest,
                    frame.unit * lerp(0.02, 0.075, near),
                    0.7,
                    dice,
                );
            }
            crest
        }
    }
}

fn face(scene: &Scene, range: &Range, near: f32, crest: Crest, bottom: f32, dice: &mut Dice) -> Layer {
    let frame = scene.frame;
    let palette = &scene.palette;
    let haze = mix(palette.sky[3], palette.sky[2], 0.35);
    let distant = blend(palette.sky[3], palette.land[0], 0.55);
    let mut body = blend(distant, palette.land[1], near * near * 0.35 + near * 0.65);
    if range.motif == Motif::Hills {
        body = mix(body, palette.accents[dice.index(4)], 0.34);
    }
    let mist = mix(haze, body, lerp(0.25, 0.9, near));
    let light = palette.light;
    let has_snow = range.motif == Motif::Peaks && (scene.reading.mood == Mood::Ice || near < 0.55);
    let snow_colour = mix(light, haze, 0.15);
    let (high, low) = crest.span();
    let snow_line = lerp(high, low, 0.62);
    let fade = frame.unit * lerp(0.22, 0.40, near);
    let sun = range.luminary.middle.0;
    let relief = Relief::new(&frame, range.motif, near, sun, &crest, Noise(dice.bits()));
    let paint = move |x: u32, y: u32, depth: f32| {
        let down = unit(depth / fade);
        let rise = relief.at(x, y, depth, down);
        let ground = mix(body, mist, down * lerp(0.9, 0.35, near));
        let mut colour = shade(ground, 1.0 + rise * lerp(0.5, 1.2, near));
        if has_snow {
            let ragged = 0.07 * relief.rock.cloud(frame.at(x) * 11.0, frame.at(y) * 7.0, 3);
            let above = (snow_line - y as f32) / frame.unit + ragged;
            let cap = smoothstep(0.0, 0.05, above) * smoothstep(-0.16, 0.05, rise) * lerp(0.85, 0.4, near);
            colour = mix(colour, snow_colour, cap * 0.92);
        }
        let aside = (x as f32 - sun).abs() / frame.unit;
        let rim = fall(depth / (frame.unit * 0.02)) * fall(aside * 2.5) * lerp(0.30, 0.10, near);
        screen(colour, light, rim)
    };
    let (label, weight) = match range.motif {
        Motif::Forest => ("planting a forest", 5),
        Motif::Dunes => ("heaping dunes", 7),
        Motif::Hills => ("rolling hills", 8),
        Motif::Peaks
        | Motif::Sea
        | Motif::City
        | Motif::Cosmos
        | Motif::Streams
        | Motif::Orbs
        | Motif::Silk => ("raising mountains", 10),
    };
    ridge(label, &frame, crest, bottom, weight, paint)
}

/// Light and shade on the ground.
struct Relief {
    frame: Frame,
    motif: Motif,
    near: f32,
    /// -1 if the light comes from the left, 1 if from the right.
    lit_side: f32,
    rock: Noise,
    /// Slope of the crest at each column, for dunes.
    slopes: Vec<f32>,
}

impl Relief {
    fn new(frame: &Frame, motif: Motif, near: f32, sun: f32, crest: &Crest, rock: Noise) -> Self {
        let lit_side = if sun < frame.w() / 2.0 { -1.0 } else { 1.0 };
        let slopes = if motif == Motif::Dunes {
            slopes(frame, crest)
        } else {
            Vec::new()
        };
        Self {
            frame: *frame,
            motif,
            near,
            lit_side,
            rock,
            slopes,
        }
    }

    /// How much lighter a pixel is, about -0.5..0.5, `depth` pixels below the crest.
    fn at(&self, x: u32, y: u32, depth: f32, down: f32) -> f32 {
        let (u, v) = (self.frame.at(x), self.frame.at(y));
        let rock = self.rock;
        match self.motif {
            Motif::Peaks => {
                let (fine, skew) = (lerp(6.5, 4.5, self.near), v * 0.5);
                let height = |u: f32, v: f32| rock.crests((u + skew) * fine, v * fine * 0.8, 4);
                (height(u, v) - height(u + 0.010 * self.lit_side, v - 0.008)) * 1.5
            }
            Motif::Dunes => {
                // the edge between the sunny and the shady side winds down from the crest
                let drift = depth * (0.9 * self.lit_side + 1.2 * rock.at(u * 1.3, v * 2.6));
                let last = self.slopes.len().saturating_sub(1);
                let under = ((x as f32 + drift).max(0.0) as usize).min(last);
                let side = smoothstep(-0.10, 0.10, self.slopes[under] * -self.lit_side) - 0.5;
                let ripple = rock.at(u * 3.0 + v * 6.0, v * 52.0 + u * 9.0);
                side * lerp(0.30, 0.62, self.near) * (1.0 - 0.6 * down) + 0.05 * ripple
            }
            Motif::Hills => {
                let bend = 1.5 * rock.at(u * 1.5, v * 3.0);
                let furrow = sin_turns(v * 24.0 + u * 9.0 * self.lit_side + bend);
                let patch = smoothstep(0.0, 0.12, rock.at(u * 2.2, v * 5.0 + 3.0));
                0.05 * furrow * patch + 0.05 * rock.cloud(u * 9.0, v * 26.0, 2) - 0.10 * patch * self.near
            }
            Motif::Forest => 0.07 * rock.cloud(u * 9.0, v * 26.0, 2),
            Motif::Sea | Motif::City | Motif::Cosmos | Motif::Streams | Motif::Orbs | Motif::Silk => 0.0,
        }
    }
}

/// How steeply a crest falls to the right at each column, over a width that leaves ripples out.
fn slopes(frame: &Frame, crest: &Crest) -> Vec<f32> {
    let reach = ((frame.unit * 0.012) as u32).max(1);
    let last = frame.width - 1;
    let slope = |x: u32| {
        let (from, to) = (x.saturating_sub(reach), (x + reach).min(last));
        (crest.at(to) - crest.at(from)) / (to - from).max(1) as f32
    };
    (0..frame.width).map(slope).collect()
}

/// Still water below `shore` (pixels from the top) that mirrors what is above it.
pub(super) fn mirror(scene: &Scene, shore: f32) -> Layer {
    let frame = scene.frame;
    let noise = Noise(scene.dice("water").bits());
    let (deep, light): (Rgb, Rgb) = (
        mix(scene.palette.land[1], scene.palette.sky[1], 0.45),
        scene.palette.light,
    );
    let rows = rows_between(&frame, shore, frame.h());
    Layer::rows("filling the lake", &frame, rows, 6, move |picture, y| {
        let below = (y as f32 + 0.5 - shore).max(0.0);
        let nearness = below / (frame.h() - shore).max(1.0);
        let v = frame.at(y);
        for x in 0..frame.width {
            let u = frame.at(x);
            let squeeze = 26.0 / (0.35 + nearness * 2.2);
            let wave = noise.cloud(u * squeeze * 0.16, v * squeeze, 2);
            let from = shore - 1.0 - below * 1.25 + wave * frame.unit * 0.035 * (0.15 + nearness);
            let from = (from.max(0.0) as u32).min(frame.height - 1);
            let across = x as f32 + wave * frame.unit * 0.006;
            let across = (across.max(0.0) as u32).min(frame.width - 1);
            let seen = picture.get(across, from.min(shore as u32));
            let dark = mix(shade(seen, 0.93), deep, 0.10 + 0.38 * nearness);
            let glint = smoothstep(0.38, 0.75, wave) * 0.10 + 0.30 * fall(below / frame.unit * 160.0);
            picture.put(x, y, screen(dark, light, glint));
        }
    })
}

/// The near bank of a lake: reeds and a dark edge at the bottom.
fn bank(scene: &Scene, dice: &mut Dice) -> Layer {
    let frame = scene.frame;
    let (noise, lean) = (Noise(dice.bits()), if dice.chance(0.5) { 1.0 } else { -1.0 });
    let mut crest = Crest::new(&frame, |x| {
        let side = (x / frame.w() - 0.5) * lean;
        frame.h() * (0.99 + 0.03 * side)
            - frame.unit * (0.10 * smoothstep(0.0, 0.5, side) + 0.02 * noise.at(x / frame.unit * 3.0, 0.0))
    });
    let ground = crest.clone();
    let blades = (frame.w() / frame.unit * 110.0) as u32;
    for _ in 0..blades {
        let x = dice.range(0.0, frame.w());
        let tall = frame.unit * dice.range(0.01, 0.055);
        let half = (frame.unit * 0.0028).max(0.6);
        let foot = ground.at((x as u32).min(frame.width - 1)) + 2.0;
        crest.raise((x - half).max(0.0), x + half, |at| {
            let inward = (1.0 - (at - x).abs() / half).max(0.0);
            foot - tall * inward * inward
        });
    }
    let ink = shade(scene.palette.land[1], 0.8);
    ridge("growing reeds", &frame, crest, frame.h(), 1, move |_, _, _| ink)
}
