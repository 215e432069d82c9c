//! The open sea under a sky, with swell and a boat if they are asked for.

use super::colour::{Ramp, Rgb, mix, screen, shade};
use super::exact::{fall, lerp, sin_turns, smoothstep};
use super::layer::{Layer, Scene};
use super::noise::Noise;
use super::ridge::{Crest, ridge, rows_between};
use super::sky::{Luminary, birds, sky, snow};
use super::vocabulary::Extra;

/// The layers of a seascape.
pub(super) fn sea(scene: &Scene) -> Vec<Layer> {
    let frame = scene.frame;
    let mut dice = scene.dice("sea");
    let horizon = (frame.h() * dice.range(0.44, 0.58)).floor();
    let luminary = Luminary::above(scene, horizon);
    let mut layers = sky(scene, horizon, luminary);
    if scene.reading.has(Extra::Birds) || (!scene.palette.is_night && dice.chance(0.5)) {
        layers.push(birds(scene, horizon));
    }
    layers.push(water(scene, horizon, luminary));
    if scene.reading.has(Extra::Boat) || dice.chance(0.4) {
        layers.push(boat(scene, horizon, luminary));
    }
    let has_swell = scene.reading.has(Extra::Waves) || dice.chance(0.3);
    if has_swell {
        layers.extend((0..4).map(|i| swell(scene, horizon, i)));
    }
    if scene.reading.has(Extra::Snow) {
        layers.push(snow(scene));
    }
    layers
}

/// The colours of the water from the horizon to the viewer.
fn water_colours(scene: &Scene) -> [Rgb; 4] {
    let palette = &scene.palette;
    let near = palette.land[1];
    let middle = mix(mix(palette.sky[1], palette.land[0], 0.5), near, 0.25);
    [
        mix(palette.sky[3], palette.land[0], 0.45),
        middle,
        mix(middle, near, 0.6),
        near,
    ]
}

fn water(scene: &Scene, horizon: f32, luminary: Luminary) -> Layer {
    let frame = scene.frame;
    let mut dice = scene.dice("water");
    let (waves, sparks) = (Noise(dice.bits()), Noise(dice.bits()));
    let ramp = Ramp::new(&water_colours(scene));
    let (light, glare) = (
        scene.palette.light,
        mix(scene.palette.sky[3], scene.palette.sky[2], 0.3),
    );
    let brightness = if luminary.is_moon { 0.7 } else { 0.95 };
    let rows = rows_between(&frame, horizon, frame.h());
    Layer::rows("rolling the sea in", &frame, rows, 7, move |picture, y| {
        let near = (y as f32 + 0.5 - horizon) / (frame.h() - horizon).max(1.0);
        // seen flat, distance grows without end towards the horizon
        let far = 1.0 / (near + 0.035);
        let calm = smoothstep(0.0, 0.12, near);
        for x in 0..frame.width {
            let across = (x as f32 + 0.5 - frame.w() / 2.0) / frame.unit;
            let wave = waves.cloud(across * far * 0.55 + 40.0, far * 4.2, 3);
            let ripple = sparks.at(across * far * 1.9, far * 13.0);
            let lift = wave * 0.75 + ripple * 0.35;
            let base = ramp.at(near * 0.92 + 0.10 * lift * calm);
            let shine = smoothstep(0.05, 0.75, lift) * lerp(0.45, 0.16, near);
            let mut colour = mix(base, glare, shine);
            let aside = (x as f32 - luminary.middle.0).abs() / frame.unit;
            let path = aside / (0.045 + 0.30 * near);
            let glitter = fall(path * path * 1.3)
                * lerp(0.75, smoothstep(-0.05, 0.34, lift), smoothstep(0.0, 0.10, near))
                * lerp(1.0, 0.7, near);
            colour = screen(colour, light, glitter * brightness);
            picture.put(x, y, colour);
        }
    })
}

fn swell(scene: &Scene, horizon: f32, index: u8) -> Layer {
    let frame = scene.frame;
    let mut dice = scene.dice(["swell 0", "swell 1", "swell 2", "swell 3"][usize::from(index) % 4]);
    let near = f32::from(index) / 3.0;
    let noise = Noise(dice.bits());
    let foam_noise = Noise(dice.bits());
    let (phase, wide) = (dice.unit(), lerp(2.3, 1.1, near) * dice.range(0.85, 1.15));
    let size = frame.unit * lerp(0.018, 0.055, near);
    let base = horizon + (frame.h() - horizon) * lerp(0.42, 0.90, near);
    let crest = Crest::new(&frame, |x| {
        let u = x / frame.unit;
        let turns = u * wide + phase + 0.22 * noise.at(u * 1.3, 0.5);
        // trochoid: narrow crests, wide troughs
        let wave = sin_turns(turns + 0.06 * sin_turns(turns + 0.25));
        base - size * (wave.abs() * wave * 0.5 + wave * 0.5 + 0.35 * noise.cloud(u * 3.5, 2.0, 2))
    });
    let colours = water_colours(scene);
    let ramp = Ramp::new(&[
        mix(colours[1], scene.palette.accents[2], 0.30),
        colours[2],
        colours[3],
    ]);
    let foam = mix(scene.palette.light, colours[0], 0.2);
    let bottom = frame.h();
    ridge(
        "raising the swell",
        &frame,
        crest,
        bottom,
        5,
        move |x, y, depth| {
            let (u, v) = (frame.at(x), frame.at(y));
            let down = depth / (frame.unit * lerp(0.10, 0.26, near));
            let streak = foam_noise.cloud(u * 5.0, v * 22.0 + u * 2.0, 2);
            let body = shade(ramp.at(down * 0.9 + 0.25 * near), 1.0 + 0.14 * streak);
            let ragged = depth / size + 0.22 * foam_noise.cloud(u * 24.0, v * 24.0, 2);
            let edge = fall((ragged.max(0.0) * 7.0).min(20.0));
            let lace = smoothstep(0.62, 0.86, foam_noise.crests(u * 13.0, v * 21.0, 2) - down * 0.5) * 0.12;
            mix(body, foam, (edge * 0.85 + lace).min(0.95))
        },
    )
}

fn boat(scene: &Scene, horizon: f32, luminary: Luminary) -> Layer {
    let frame = scene.frame;
    let mut dice = scene.dice("boat");
    let size = frame.unit * dice.range(0.055, 0.085);
    let side = if luminary.middle.0 < frame.w() / 2.0 {
        1.0
    } else {
        -1.0
    };
    let x = luminary.middle.0 + side * frame.unit * dice.range(0.12, 0.34);
    let y = horizon + (frame.h() - horizon) * 0.10 + size * 0.1;
    let hull = shade(scene.palette.land[1], 0.9);
    let sail = mix(
        scene.palette.light,
        scene.palette.sky[2],
        if scene.palette.is_night { 0.6 } else { 0.2 },
    );
    let jib = mix(sail, scene.palette.accents[0], 0.75);
    Layer::things("sending a boat out", 1, size * size * 3.0, move |picture, _| {
        let at = |dx: f32, dy: f32| (x + dx * size, y + dy * size);
        for i in 0..9_u8 {
            let depth = 0.16 + f32::from(i) * 0.075;
            let half = (0.42 - f32::from(i) * 0.035) * (0.8 + 0.2 * sin_turns(f32::from(i) * 0.37));
            picture.line(
                at(-half, depth),
                at(half, depth),
                size * 0.035,
                hull,
                0.30 - 0.025 * f32::from(i),
            );
        }
        picture.polygon(
            &[at(-0.5, -0.06), at(0.56, -0.06), at(0.38, 0.13), at(-0.36, 0.13)],
            hull,
        );
        picture.line(at(0.0, -0.05), at(0.0, -1.08), size * 0.03, hull, 1.0);
        picture.polygon(&[at(0.04, -1.0), at(0.46, -0.14), at(0.04, -0.14)], sail);
        picture.polygon(&[at(-0.05, -0.9), at(-0.05, -0.14), at(-0.36, -0.14)], jib);
    })
}
