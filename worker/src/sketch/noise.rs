//! Gradient noise on an integer lattice, and sums of it.

use std::f32::consts::FRAC_1_SQRT_2;

use super::exact::lerp;

/// Sixteen directions, evenly around the circle.
const DIRECTIONS: [(f32, f32); 16] = [
    (1.0, 0.0),
    (0.923_88, 0.382_68),
    (FRAC_1_SQRT_2, FRAC_1_SQRT_2),
    (0.382_68, 0.923_88),
    (0.0, 1.0),
    (-0.382_68, 0.923_88),
    (-FRAC_1_SQRT_2, FRAC_1_SQRT_2),
    (-0.923_88, 0.382_68),
    (-1.0, 0.0),
    (-0.923_88, -0.382_68),
    (-FRAC_1_SQRT_2, -FRAC_1_SQRT_2),
    (-0.382_68, -0.923_88),
    (0.0, -1.0),
    (0.382_68, -0.923_88),
    (FRAC_1_SQRT_2, -FRAC_1_SQRT_2),
    (0.923_88, -0.382_68),
];

/// One field of noise.
#[derive(Clone, Copy)]
pub(super) struct Noise(pub(super) u32);

/// 32 bits that look random, from a lattice point and a seed.
pub(super) fn scramble(x: u32, y: u32, seed: u32) -> u32 {
    let mut h = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ seed;
    h ^= h >> 16;
    h = h.wrapping_mul(0x7feb_352d);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}

/// A number in 0..1 from a lattice point and a seed.
pub(super) fn speckle(x: u32, y: u32, seed: u32) -> f32 {
    (scramble(x, y, seed) >> 8) as f32 / 16_777_216.0
}

impl Noise {
    /// The field at a point, about -1..1, with features of size 1.
    pub(super) fn at(self, x: f32, y: f32) -> f32 {
        let (fx, fy) = (x.floor(), y.floor());
        let (ix, iy) = (fx as i32, fy as i32);
        let (x, y) = (x - fx, y - fy);
        let corner = |dx: i32, dy: i32| {
            let h = scramble(ix.wrapping_add(dx) as u32, iy.wrapping_add(dy) as u32, self.0);
            let (gx, gy) = DIRECTIONS[(h >> 28) as usize];
            gx * (x - dx as f32) + gy * (y - dy as f32)
        };
        let (sx, sy) = (fade(x), fade(y));
        let top = lerp(corner(0, 0), corner(1, 0), sx);
        let bottom = lerp(corner(0, 1), corner(1, 1), sx);
        lerp(top, bottom, sy) * 1.5
    }

    /// Sum of `octaves` fields, each twice as fine and half as strong: about -1..1.
    pub(super) fn cloud(self, x: f32, y: f32, octaves: u32) -> f32 {
        self.sum(x, y, octaves, |n| n)
    }

    /// As [`Self::cloud`], with sharp crests: 0..1, 1 on the crest.
    pub(super) fn crests(self, x: f32, y: f32, octaves: u32) -> f32 {
        self.sum(x, y, octaves, |n| {
            let crest = 1.0 - n.abs().min(1.0);
            crest * crest
        })
    }

    fn sum(self, mut x: f32, mut y: f32, octaves: u32, shape: impl Fn(f32) -> f32) -> f32 {
        let (mut sum, mut weight, mut total) = (0.0, 1.0, 0.0);
        for octave in 0..octaves {
            sum += weight * shape(Self(self.0.wrapping_add(octave.wrapping_mul(0x9e37_79b9))).at(x, y));
            total += weight;
            weight *= 0.5;
            // the turn keeps the lattices of the octaves from lining up
            (x, y) = (1.6 * x - 1.2 * y + 17.3, 1.2 * x + 1.6 * y - 9.1);
        }
        sum / total
    }
}

fn fade(t: f32) -> f32 {
    t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
}
