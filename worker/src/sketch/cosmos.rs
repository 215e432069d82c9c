//! Deep space: nebula, stars, planets.

use super::colour::{Ramp, mix, screen, shade};
use super::dice::Dice;
use super::exact::{cos_turns, fall, length, lerp, sin_turns, smoothstep, unit};
use super::layer::{Layer, Scene};
use super::noise::Noise;
use super::sky::stars;

/// The layers of a view into space.
pub(super) fn cosmos(scene: &Scene) -> Vec<Layer> {
    let mut dice = scene.dice("cosmos");
    let frame = scene.frame;
    let mut layers = vec![nebula(scene, &mut dice), stars(scene, 1500.0, frame.h())];
    let has_planet = scene.reading.has(super::vocabulary::Extra::Planet) || dice.chance(0.8);
    if has_planet {
        let left = dice.chance(0.5);
        let x = if left {
            dice.range(0.16, 0.36)
        } else {
            dice.range(0.64, 0.84)
        };
        let place = (frame.w() * x, frame.h() * dice.range(0.55, 0.78));
        let radius = frame.unit * dice.range(0.14, 0.24);
        let has_ring = dice.chance(0.7);
        layers.push(planet(scene, place, radius, has_ring, &mut dice));
        let moon = (
            frame.w() * (1.0 - x) + frame.unit * dice.range(-0.1, 0.1),
            frame.h() * dice.range(0.16, 0.36),
        );
        layers.push(planet(
            scene,
            moon,
            radius * dice.range(0.16, 0.3),
            false,
            &mut dice,
        ));
    }
    layers
}

fn nebula(scene: &Scene, dice: &mut Dice) -> Layer {
    let frame = scene.frame;
    let palette = scene.palette.clone();
    let deep = shade(palette.sky[0], 0.8);
    let [hot, cold, bright, violet, _] = palette.accents;
    let gas = Ramp::new(&[
        palette.sky[1],
        palette.sky[2],
        mix(palette.sky[3], violet, 0.4),
        hot,
        mix(bright, palette.light, 0.4),
    ]);
    let cool = Ramp::new(&[palette.sky[0], mix(palette.sky[1], cold, 0.3), cold]);
    let (warp, body, dust) = (Noise(dice.bits()), Noise(dice.bits()), Noise(dice.bits()));
    let (tilt, along) = (dice.range(-0.5, 0.5), dice.range(0.35, 0.65));
    Layer::rows(
        "condensing a nebula",
        &frame,
        0..frame.height,
        16,
        move |picture, y| {
            let v = frame.at(y);
            for x in 0..frame.width {
                let u = frame.at(x);
                let (wx, wy) = (
                    warp.cloud(u * 1.3, v * 1.3, 3),
                    warp.cloud(u * 1.3 + 31.0, v * 1.3 + 7.0, 3),
                );
                let thick = body.cloud(u * 1.7 + wx * 0.9, v * 1.7 + wy * 0.9, 5);
                let band = (v - along * frame.h() / frame.unit) + tilt * (u - frame.w() / frame.unit / 2.0);
                let belt = fall(band * band * 6.0);
                let glow = unit((thick * 1.15 + 0.60) * lerp(0.30, 1.15, belt));
                let veins =
                    smoothstep(0.52, 0.92, dust.crests(u * 2.2 + wx * 1.2, v * 2.2 + wy * 1.2, 4)) * belt;
                let mut colour = mix(deep, gas.at(glow * glow * 1.15), smoothstep(0.02, 0.5, glow));
                colour = screen(
                    colour,
                    cool.at(unit(wx + 0.55)),
                    0.55 * smoothstep(-0.25, 0.5, wy),
                );
                colour = mix(colour, deep, 0.62 * veins);
                picture.put(x, y, colour);
            }
        },
    )
}

fn planet(scene: &Scene, place: (f32, f32), radius: f32, has_ring: bool, dice: &mut Dice) -> Layer {
    let noise = Noise(dice.bits());
    let accents = scene.palette.accents;
    let first = dice.index(4);
    let tones = Ramp::new(&[
        accents[first],
        mix(accents[(first + 1) % 4], scene.palette.light, 0.35),
        accents[(first + 2) % 4],
        mix(accents[first], scene.palette.light, 0.5),
    ]);
    let (lean, sun) = (dice.range(-0.09, 0.09), dice.range(0.58, 0.68));
    let toward = (cos_turns(sun) * 0.8, sin_turns(sun) * 0.8, 0.6);
    let (dark, light) = (shade(scene.palette.sky[0], 0.6), scene.palette.light);
    let (sin, cos) = (sin_turns(lean), cos_turns(lean));
    let ring_colour = mix(tones.at(0.4), light, 0.3);
    let cost = radius * radius * if has_ring { 90.0 } else { 25.0 };
    Layer::things("hanging a planet", 1, cost, move |picture, _| {
        let ring = |picture: &mut super::picture::Picture, is_front: bool| {
            let reach = radius * 2.3;
            let (low, high) = (
                (place.0 - reach, place.1 - reach),
                (place.0 + reach, place.1 + reach),
            );
            picture.each_within(low, high, |picture, x, y, px, py| {
                let (dx, dy) = ((px - place.0) / radius, (py - place.1) / radius);
                let (rx, ry) = (dx * cos + dy * sin, (dy * cos - dx * sin) * 3.6);
                let out = length(rx, ry);
                if (ry > 0.0) != is_front || !(1.25..2.25).contains(&out) {
                    return;
                }
                let edge = smoothstep(1.28, 1.36, out) * smoothstep(2.2, 2.1, out);
                let groove = 0.55 + 0.45 * noise.at(out * 16.0, 0.5);
                let gap = 1.0 - 0.85 * smoothstep(0.05, 0.02, (out - 1.82).abs());
                picture.cover(
                    x,
                    y,
                    shade(ring_colour, 0.75 + 0.35 * groove),
                    edge * groove * gap * 0.85,
                );
            });
        };
        picture.glow(place, radius * 1.75, tones.at(0.5), 0.30);
        if has_ring {
            ring(picture, false);
        }
        picture.disc(place, radius, |dx, dy| {
            let bulge = (1.0 - dx * dx - dy * dy).max(0.0).sqrt();
            let (bx, by) = (dx * cos + dy * sin, dy * cos - dx * sin);
            let swirl = noise.cloud(bx * 1.6 / (0.5 + bulge), by * 3.2, 4);
            let stripe = 0.5 + 0.5 * noise.at(0.7 + swirl * 0.25, by * 4.5 + swirl * 0.7);
            let lit = dx * toward.0 + dy * toward.1 + bulge * toward.2;
            let day = smoothstep(-0.12, 0.75, lit);
            let colour = mix(dark, shade(tones.at(stripe), 0.55 + 0.6 * day), 0.08 + 0.92 * day);
            let rim = (1.0 - bulge) * (1.0 - bulge) * day;
            (screen(colour, light, rim * 0.45), 1.0)
        });
        if has_ring {
            ring(picture, true);
        }
    })
}
