//! The pixels, and how shapes are put on them with smooth edges.
//!
//! Channels are 16-bit sRGB: 6 bytes a pixel, fine enough that many layers leave no bands.

use super::colour::{Rgb, mix, screen};
use super::exact::{length, unit};

/// A picture being drawn.
pub(super) struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<[u16; 3]>,
}

impl Picture {
    /// A picture of one colour.
    pub(super) fn filled(width: u32, height: u32, colour: Rgb) -> Self {
        let count = width as usize * height as usize;
        Self {
            width,
            height,
            pixels: vec![encode(colour); count],
        }
    }

    /// Width in pixels.
    pub(super) fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub(super) fn height(&self) -> u32 {
        self.height
    }

    /// A row of pixels, 16-bit sRGB.
    pub(super) fn row(&self, y: u32) -> &[[u16; 3]] {
        let start = y as usize * self.width as usize;
        &self.pixels[start..start + self.width as usize]
    }

    /// The colour of a pixel.
    pub(super) fn get(&self, x: u32, y: u32) -> Rgb {
        self.pixels[self.index(x, y)].map(|c| f32::from(c) / 65_535.0)
    }

    /// Replaces a pixel.
    pub(super) fn put(&mut self, x: u32, y: u32, colour: Rgb) {
        let index = self.index(x, y);
        self.pixels[index] = encode(colour);
    }

    /// Covers a pixel by this share (0..=1).
    pub(super) fn cover(&mut self, x: u32, y: u32, colour: Rgb, share: f32) {
        if share >= 1.0 {
            self.put(x, y, colour);
        } else if share > 0.0 {
            let under = self.get(x, y);
            self.put(x, y, mix(under, colour, share));
        }
    }

    /// Lights a pixel up.
    pub(super) fn light(&mut self, x: u32, y: u32, colour: Rgb, strength: f32) {
        if strength > 0.0 {
            let under = self.get(x, y);
            self.put(x, y, screen(under, colour, strength));
        }
    }

    /// A round light that fades out at `radius` (all in pixels).
    pub(super) fn glow(&mut self, (cx, cy): (f32, f32), radius: f32, colour: Rgb, strength: f32) {
        self.each_within(
            (cx - radius, cy - radius),
            (cx + radius, cy + radius),
            |picture, x, y, px, py| {
                let (dx, dy) = ((px - cx) / radius, (py - cy) / radius);
                let rest = 1.0 - dx * dx - dy * dy;
                if rest > 0.0 {
                    picture.light(x, y, colour, strength * rest * rest * rest);
                }
            },
        );
    }

    /// A disc whose colour and opacity come from the offset to its centre, in radii.
    pub(super) fn disc(
        &mut self,
        (cx, cy): (f32, f32),
        radius: f32,
        mut colour: impl FnMut(f32, f32) -> (Rgb, f32),
    ) {
        let reach = radius + 1.0;
        self.each_within(
            (cx - reach, cy - reach),
            (cx + reach, cy + reach),
            |picture, x, y, px, py| {
                let (dx, dy) = (px - cx, py - cy);
                let edge = unit(radius - length(dx, dy) + 0.5);
                if edge > 0.0 {
                    let (rgb, opacity) = colour(dx / radius, dy / radius);
                    picture.cover(x, y, rgb, edge * opacity);
                }
            },
        );
    }

    /// A convex polygon, corners clockwise on the screen.
    pub(super) fn polygon(&mut self, corners: &[(f32, f32)], colour: Rgb) {
        let low = corners
            .iter()
            .fold((f32::MAX, f32::MAX), |a, b| (a.0.min(b.0), a.1.min(b.1)));
        let high = corners
            .iter()
            .fold((f32::MIN, f32::MIN), |a, b| (a.0.max(b.0), a.1.max(b.1)));
        self.each_within(
            (low.0 - 1.0, low.1 - 1.0),
            (high.0 + 1.0, high.1 + 1.0),
            |picture, x, y, px, py| {
                let mut inside = 1.0_f32;
                for (i, a) in corners.iter().enumerate() {
                    let b = corners[(i + 1) % corners.len()];
                    let (ex, ey) = (b.0 - a.0, b.1 - a.1);
                    let depth = (ex * (py - a.1) - ey * (px - a.0)) / length(ex, ey).max(1e-3);
                    inside = inside.min(unit(depth + 0.5));
                }
                picture.cover(x, y, colour, inside);
            },
        );
    }

    /// A line with round ends.
    pub(super) fn line(&mut self, a: (f32, f32), b: (f32, f32), width: f32, colour: Rgb, opacity: f32) {
        let reach = width / 2.0 + 1.0;
        let low = (a.0.min(b.0) - reach, a.1.min(b.1) - reach);
        let high = (a.0.max(b.0) + reach, a.1.max(b.1) + reach);
        let (ex, ey) = (b.0 - a.0, b.1 - a.1);
        let squared = (ex * ex + ey * ey).max(1e-6);
        // thinner than a pixel is drawn a pixel wide and fainter
        let opacity = opacity * width.min(1.0);
        let half = width.max(1.0) / 2.0;
        self.each_within(low, high, |picture, x, y, px, py| {
            let along = unit(((px - a.0) * ex + (py - a.1) * ey) / squared);
            let distance = length(px - a.0 - ex * along, py - a.1 - ey * along);
            picture.cover(x, y, colour, unit(half - distance + 0.5) * opacity);
        });
    }

    /// Calls `draw` with each pixel of a box that is on the picture, and with the middle of that pixel.
    pub(super) fn each_within(
        &mut self,
        low: (f32, f32),
        high: (f32, f32),
        mut draw: impl FnMut(&mut Self, u32, u32, f32, f32),
    ) {
        // float to integer conversion saturates, so that a box far outside is empty or cut
        let (x0, y0) = (low.0 as u32, low.1 as u32);
        let x1 = (high.0.ceil() as u32).min(self.width);
        let y1 = (high.1.ceil() as u32).min(self.height);
        for y in y0..y1 {
            for x in x0..x1 {
                draw(self, x, y, x as f32 + 0.5, y as f32 + 0.5);
            }
        }
    }

    fn index(&self, x: u32, y: u32) -> usize {
        y as usize * self.width as usize + x as usize
    }
}

fn encode(colour: Rgb) -> [u16; 3] {
    colour.map(|c| (unit(c) * 65_535.0 + 0.5) as u16)
}
