//! Folded silk: noise bent by noise, lit from the side.

use super::colour::{Ramp, mix, screen, shade};
use super::exact::{smoothstep, unit};
use super::layer::{Layer, Scene};
use super::noise::Noise;

/// The layers of a picture of silk.
pub(super) fn silk(scene: &Scene) -> Vec<Layer> {
    let frame = scene.frame;
    let mut dice = scene.dice("silk");
    let palette = scene.palette.clone();
    let [first, second, third, fourth, fifth] = palette.accents;
    let ramp = Ramp::new(&[
        mix(fifth, fourth, 0.5),
        fourth,
        first,
        second,
        mix(third, palette.light, 0.35),
        second,
        fourth,
    ]);
    let sheen = palette.light;
    let shadow = shade(fourth, 0.5);
    let cloth = Cloth {
        bend: Noise(dice.bits()),
        fold: Noise(dice.bits()),
        scale: dice.range(0.85, 1.35),
        strength: dice.range(0.8, 1.35),
    };
    let mut above: Vec<f32> = Vec::new();
    let layer = Layer::rows("folding silk", &frame, 0..frame.height, 14, move |picture, y| {
        let v = frame.at(y);
        if above.is_empty() {
            above = (0..frame.width)
                .map(|x| cloth.height(frame.at(x), v - 1.0 / frame.unit).0)
                .collect();
        }
        let mut left = cloth.height(-0.5 / frame.unit, v).0;
        for x in 0..frame.width {
            let (height, tint) = cloth.height(frame.at(x), v);
            let slope = frame.unit * 0.30;
            let (nx, ny) = ((left - height) * slope, (above[x as usize] - height) * slope);
            let long = (nx * nx + ny * ny + 1.0).sqrt();
            let lit = unit((0.62 - nx * 0.45 - ny * 0.64) / long);
            let gloss = smoothstep(0.72, 1.0, lit);
            let base = ramp.at(unit(0.5 + tint * 0.55 + height * 0.28));
            let colour = mix(
                mix(shade(base, 0.55), shadow, 0.45),
                shade(base, 1.16),
                smoothstep(0.05, 0.92, lit),
            );
            picture.put(x, y, screen(colour, sheen, gloss * gloss * 0.42));
            left = height;
            above[x as usize] = height;
        }
    });
    vec![layer]
}

/// A cloth of which every point has a height and a tint.
struct Cloth {
    bend: Noise,
    fold: Noise,
    scale: f32,
    strength: f32,
}

impl Cloth {
    fn height(&self, u: f32, v: f32) -> (f32, f32) {
        let (x, y) = (u * self.scale, v * self.scale);
        let (ax, ay) = (self.bend.cloud(x, y, 2), self.bend.cloud(x + 5.2, y + 1.3, 2));
        let bend = self.strength;
        let (bx, by) = (x + bend * ax, y + bend * ay);
        let tint = self.bend.cloud(bx * 1.1 + 8.3, by * 1.1 + 2.8, 2);
        let height = self.fold.cloud(bx * 1.3 + bend * tint, by * 1.3 + bend * ax, 3);
        (height, tint)
    }
}
