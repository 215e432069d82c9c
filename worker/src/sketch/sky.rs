//! The sky: colours, clouds, sun or moon, stars, aurora, birds, falling snow.

use super::colour::{Ramp, Rgb, lightness, mix, screen, shade};
use super::exact::{cos_turns, fall, length, lerp, sin_turns, smoothstep, unit};
use super::layer::{Layer, Scene};
use super::noise::Noise;
use super::vocabulary::{Extra, Mood};

/// Sun or moon.
#[derive(Clone, Copy)]
pub(super) struct Luminary {
    /// Middle, in pixels.
    pub(super) middle: (f32, f32),
    /// Radius in pixels.
    pub(super) radius: f32,
    /// A moon is lit from one side and glows less.
    pub(super) is_moon: bool,
}

impl Luminary {
    /// Places the sun or moon above a horizon (pixels from the top).
    pub(super) fn above(scene: &Scene, horizon: f32) -> Self {
        let mut dice = scene.dice("luminary");
        let wants_moon = scene.reading.has(Extra::Moon);
        let is_moon = wants_moon
            || (scene.palette.is_night
                && !scene.reading.has(Extra::Sun)
                && !matches!(scene.reading.mood, Mood::Neon | Mood::Fire));
        let side = if dice.chance(0.5) {
            dice.range(0.2, 0.42)
        } else {
            dice.range(0.58, 0.8)
        };
        let height = if is_moon {
            dice.range(0.25, 0.5)
        } else {
            dice.range(0.5, 0.86)
        };
        let (x, y, radius) = if scene.reading.mood == Mood::Neon {
            (0.5, 0.62, 0.23)
        } else if is_moon {
            (side, height, dice.range(0.05, 0.085))
        } else {
            (side, height, dice.range(0.055, 0.11))
        };
        Self {
            middle: (scene.frame.w() * x, horizon * y),
            radius: radius * scene.frame.unit,
            is_moon,
        }
    }
}

/// The layers of a sky down to a horizon (pixels from the top).
pub(super) fn sky(scene: &Scene, horizon: f32, luminary: Luminary) -> Vec<Layer> {
    let mut layers = vec![air(scene, horizon, luminary)];
    let reading = &scene.reading;
    let is_dark = lightness(scene.palette.sky[0]) < 0.36;
    let wants_stars =
        is_dark && (reading.has(Extra::Stars) || scene.palette.is_night && reading.mood != Mood::Fire);
    if wants_stars {
        layers.push(stars(scene, 620.0, horizon));
    }
    if reading.has(Extra::Aurora) {
        layers.push(aurora(scene, horizon));
    }
    layers.push(orb_of_light(scene, luminary));
    layers.push(clouds(scene, horizon, luminary));
    layers
}

fn air(scene: &Scene, horizon: f32, luminary: Luminary) -> Layer {
    let frame = scene.frame;
    let ramp = Ramp::new(&scene.palette.sky);
    let noise = Noise(scene.dice("air").bits());
    let light = mix(
        scene.palette.light,
        scene.palette.sky[3],
        if luminary.is_moon { 0.3 } else { 0.5 },
    );
    let (strength, reach) = if luminary.is_moon {
        (0.30, 6.0)
    } else {
        (0.55, 3.2)
    };
    Layer::rows("laying the sky", &frame, 0..frame.height, 4, move |picture, y| {
        let v = frame.at(y);
        let t = (y as f32 + 0.5) / horizon.max(1.0);
        for x in 0..frame.width {
            let u = frame.at(x);
            let drift = 0.05 * noise.cloud(u * 0.9, v * 2.4, 2);
            let base = ramp.at(t + drift);
            let dx = u - luminary.middle.0 / frame.unit;
            let dy = v - luminary.middle.1 / frame.unit;
            picture.put(
                x,
                y,
                screen(base, light, strength * fall(length(dx, dy * 1.25) * reach)),
            );
        }
    })
}

fn clouds(scene: &Scene, horizon: f32, luminary: Luminary) -> Layer {
    let frame = scene.frame;
    let palette = scene.palette.clone();
    let ramp = Ramp::new(&palette.sky);
    let mut dice = scene.dice("clouds");
    let noise = Noise(dice.bits());
    let mut threshold = dice.range(-0.10, 0.12);
    if scene.reading.mood == Mood::Storm {
        threshold = -0.4;
    } else if scene.reading.has(Extra::Aurora) || palette.is_night {
        threshold += 0.12;
    }
    let (flat, opacity) = (dice.range(3.0, 4.6), if palette.is_night { 0.35 } else { 0.72 });
    let rows = 0..(horizon.ceil() as u32).min(frame.height);
    Layer::rows("blowing clouds in", &frame, rows, 11, move |picture, y| {
        let v = frame.at(y);
        let t = (y as f32 + 0.5) / horizon.max(1.0);
        let veil = smoothstep(-0.1, 0.25, t) * (1.0 - 0.75 * smoothstep(0.75, 1.0, t)) * opacity;
        for x in 0..frame.width {
            let u = frame.at(x);
            let bend = 0.35 * noise.at(u * 0.7 + 5.0, v * 1.4);
            let thick = noise.cloud(u * 1.1 + bend, v * flat + bend, 5);
            let share = smoothstep(threshold, threshold + 0.42, thick);
            if share <= 0.0 {
                continue;
            }
            // seen from the light's side, a cloud that thickens towards us is lit
            let above = noise.cloud(u * 1.1 + bend, (v - 0.035) * flat + bend, 3);
            let relief = unit(0.5 + (thick - above) * 1.1);
            let distance = length(
                u - luminary.middle.0 / frame.unit,
                v - luminary.middle.1 / frame.unit,
            );
            let warmth = 0.25 + 0.75 * fall(distance * 1.8);
            let lit = mix(ramp.at(t + 0.35), palette.light, warmth);
            let dim = mix(shade(ramp.at(t), 0.86), ramp.at(t + 0.2), 0.5);
            let spare = smoothstep(1.6, 0.8, distance * frame.unit / luminary.radius);
            picture.cover(x, y, mix(dim, lit, relief), share * veil * (1.0 - 0.7 * spare));
        }
    })
}

fn orb_of_light(scene: &Scene, luminary: Luminary) -> Layer {
    let Luminary {
        middle,
        radius,
        is_moon,
    } = luminary;
    let light = scene.palette.light;
    let edge = scene.palette.sky[3];
    let noise = Noise(scene.dice("orb").bits());
    let is_retro = scene.reading.mood == Mood::Neon;
    let low = scene.palette.accents[0];
    let label = if is_moon {
        "hanging the moon"
    } else {
        "lighting the sun"
    };
    let halo = mix(light, edge, if is_retro { 0.9 } else { 0.35 });
    Layer::things(label, 1, radius * radius * 40.0, move |picture, _| {
        picture.glow(middle, radius * if is_moon { 2.6 } else { 4.2 }, halo, 0.45);
        picture.disc(middle, radius, |dx, dy| {
            if is_retro {
                return retro_sun(dy, radius, light, low);
            }
            if is_moon {
                let seas = smoothstep(-0.1, 0.5, noise.cloud(dx * 1.4 + 3.0, dy * 1.4, 4));
                let bulge = (1.0 - dx * dx - dy * dy).max(0.0).sqrt();
                return (shade(light, lerp(0.86, 1.0, bulge) - 0.13 * seas), 1.0);
            }
            (mix(light, edge, 0.35 * smoothstep(-0.2, 1.0, dy)), 1.0)
        });
    })
}

/// The striped sun of old arcade games.
fn retro_sun(dy: f32, radius: f32, light: Rgb, low: Rgb) -> (Rgb, f32) {
    let colour = mix(light, low, smoothstep(-0.7, 0.8, dy));
    let band = dy * 5.5;
    let within = band - band.floor();
    let gap = unit(dy * 0.75 + 0.08);
    let pixel = 5.5 / radius;
    let open = if dy < -0.05 {
        0.0
    } else {
        smoothstep(gap + pixel, gap - pixel, within)
    };
    (colour, 1.0 - open * 0.92)
}

/// Stars above a height in pixels, `density` in each square unit.
pub(super) fn stars(scene: &Scene, density: f32, bottom: f32) -> Layer {
    let frame = scene.frame;
    let mut dice = scene.dice("stars");
    let tints = [
        scene.palette.light,
        [1.0; 3],
        scene.palette.accents[0],
        scene.palette.accents[1],
    ];
    let count = frame.count(density * (bottom / frame.h()).min(1.0));
    Layer::things(
        "scattering stars",
        count,
        16.0 + frame.unit * frame.unit * 6e-5,
        move |picture, _| {
            let place = (dice.range(0.0, frame.w()), dice.range(0.0, bottom));
            let height = 1.0 - place.1 / bottom;
            let size = dice.unit();
            let size = size * size * size;
            let size = size * size * size * size;
            let twinkle = dice.range(0.35, 1.0) * lerp(0.35, 1.0, smoothstep(0.0, 0.4, height));
            let tint = mix([1.0; 3], tints[dice.index(tints.len())], 0.6);
            let radius = (frame.unit * lerp(0.0011, 0.0042, size)).max(0.8);
            picture.glow(place, radius * 1.6, tint, twinkle);
            if size > 0.66 {
                picture.glow(place, radius * 7.0, tint, 0.28 * twinkle);
                let arm = radius * lerp(2.5, 5.0, size);
                picture.line(
                    (place.0 - arm, place.1),
                    (place.0 + arm, place.1),
                    radius * 0.35,
                    tint,
                    0.5,
                );
                picture.line(
                    (place.0, place.1 - arm),
                    (place.0, place.1 + arm),
                    radius * 0.35,
                    tint,
                    0.5,
                );
            }
        },
    )
}

fn aurora(scene: &Scene, horizon: f32) -> Layer {
    let frame = scene.frame;
    let mut dice = scene.dice("aurora");
    let (path, rays) = (Noise(dice.bits()), Noise(dice.bits()));
    let accents = scene.palette.accents;
    let ramp = Ramp::new(&[accents[0], accents[0], accents[1], accents[2], accents[3]]);
    let tilt = dice.range(-0.12, 0.12);
    let rows = 0..(horizon.ceil() as u32).min(frame.height);
    Layer::rows("waving the aurora", &frame, rows, 12, move |picture, y| {
        let v = (y as f32 + 0.5) / horizon;
        for x in 0..frame.width {
            let u = frame.at(x);
            let mut glow = [0.0; 3];
            for band in 0..3_u8 {
                let shift = f32::from(band) * 7.7;
                let foot = 0.40
                    + 0.17 * f32::from(band)
                    + tilt * (u - 0.5)
                    + 0.20 * path.cloud(u * 1.1 + shift, shift, 2);
                let up = foot - v;
                let ray = 0.5 + 0.5 * rays.cloud(u * 9.0 + shift, shift + v * 0.35, 3);
                let tall = 0.16 + 0.34 * ray * ray;
                let body = smoothstep(-0.035, 0.01, up) * fall(up.max(0.0) / tall * 2.2);
                let patchy = 0.25 + 0.75 * smoothstep(-0.35, 0.35, path.at(u * 0.8 + shift, 3.0 + shift));
                let strength = body * (0.30 + 0.75 * ray) * patchy * (1.0 - 0.22 * f32::from(band));
                glow = screen(glow, ramp.at(up / tall * 0.55), strength);
            }
            picture.light(x, y, glow, 0.9);
        }
    })
}

/// Birds in the upper part of the picture.
pub(super) fn birds(scene: &Scene, bottom: f32) -> Layer {
    let frame = scene.frame;
    let mut dice = scene.dice("birds");
    let ink = mix(scene.palette.land[1], scene.palette.sky[0], 0.15);
    let flock = (dice.range(0.25, 0.75) * frame.w(), dice.range(0.25, 0.6) * bottom);
    let count = 5 + dice.index(7) as u32;
    Layer::things(
        "letting birds fly",
        count,
        frame.unit * frame.unit * 4e-4,
        move |picture, i| {
            let away = frame.unit * 0.045 * f32::from(i as u16 + 1).sqrt();
            let turn = dice.unit();
            let (x, y) = (
                flock.0 + away * 2.6 * cos_turns(turn),
                flock.1 + away * sin_turns(turn),
            );
            let span = frame.unit * dice.range(0.009, 0.02);
            let lift = span * dice.range(0.25, 0.6);
            for side in [-1.0, 1.0] {
                let elbow = (x + side * span * 0.45, y - lift);
                picture.line((x, y), elbow, span * 0.16, ink, 0.9);
                picture.line(elbow, (x + side * span, y - lift * 0.55), span * 0.11, ink, 0.9);
            }
        },
    )
}

/// Falling snow over everything.
pub(super) fn snow(scene: &Scene) -> Layer {
    let frame = scene.frame;
    let mut dice = scene.dice("snow");
    Layer::things(
        "letting snow fall",
        frame.count(420.0),
        16.0 + frame.unit * frame.unit * 1e-4,
        move |picture, _| {
            let near = dice.unit();
            let near = near * near * near;
            let place = (dice.range(0.0, frame.w()), dice.range(0.0, frame.h()));
            let radius = (frame.unit * lerp(0.0016, 0.009, near)).max(0.9);
            picture.glow(place, radius * 1.5, [1.0; 3], lerp(0.85, 0.5, near));
        },
    )
}
