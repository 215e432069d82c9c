//! A ridge: everything below a line across the picture, such as a mountain range or a row of houses.

use std::ops::Range;

use super::colour::Rgb;
use super::layer::{Frame, Layer};

/// Samples of the line for each column, so that steep edges are smooth.
const SAMPLES: usize = 4;

/// The line that a ridge shows against what is behind it.
#[derive(Clone)]
pub(super) struct Crest {
    samples: Vec<f32>,
}

impl Crest {
    /// The line whose height on the screen (pixels from the top) is a function of x (pixels from the left).
    pub(super) fn new(frame: &Frame, height: impl FnMut(f32) -> f32) -> Self {
        let count = frame.width as usize * SAMPLES;
        let place = |i: usize| (i as f32 + 0.5) / SAMPLES as f32;
        Self {
            samples: (0..count).map(place).map(height).collect(),
        }
    }

    /// Raises the line to at least `height(x)` within a range of x (pixels).
    pub(super) fn raise(&mut self, from: f32, to: f32, mut height: impl FnMut(f32) -> f32) {
        let first = (from * SAMPLES as f32) as usize;
        let last = ((to * SAMPLES as f32).max(0.0).ceil() as usize).min(self.samples.len());
        for i in first..last {
            let x = (i as f32 + 0.5) / SAMPLES as f32;
            self.samples[i] = self.samples[i].min(height(x));
        }
    }

    /// The highest and the lowest point, in pixels from the top.
    pub(super) fn span(&self) -> (f32, f32) {
        self.samples
            .iter()
            .fold((f32::MAX, f32::MIN), |(low, high), y| (low.min(*y), high.max(*y)))
    }

    /// The line at a column, in pixels from the top.
    pub(super) fn at(&self, x: u32) -> f32 {
        self.samples[x as usize * SAMPLES + SAMPLES / 2]
    }

    /// How much of a pixel lies below the line.
    fn coverage(&self, x: u32, y: u32) -> f32 {
        let start = x as usize * SAMPLES;
        let middle = y as f32 + 0.5;
        let below = |crest: &f32| (middle - crest + 0.5).clamp(0.0, 1.0);
        self.samples[start..start + SAMPLES]
            .iter()
            .map(below)
            .sum::<f32>()
            / SAMPLES as f32
    }
}

/// The layer of a ridge down to row `bottom`, coloured by `surface(x, y, depth below the crest in pixels)`.
pub(super) fn ridge(
    label: &'static str,
    frame: &Frame,
    crest: Crest,
    bottom: f32,
    weight: u32,
    mut surface: impl FnMut(u32, u32, f32) -> Rgb + Send + 'static,
) -> Layer {
    let width = frame.width;
    let rows = rows_between(frame, crest.span().0 - 1.0, bottom);
    Layer::rows(label, frame, rows, weight, move |picture, y| {
        for x in 0..width {
            let share = crest.coverage(x, y);
            if share > 0.0 {
                let depth = (y as f32 + 0.5 - crest.at(x)).max(0.0);
                picture.cover(x, y, surface(x, y, depth), share);
            }
        }
    })
}

/// The rows of the picture between two heights in pixels from the top.
pub(super) fn rows_between(frame: &Frame, top: f32, bottom: f32) -> Range<u32> {
    let top = (top as u32).min(frame.height);
    top..(bottom.ceil() as u32).clamp(top, frame.height)
}
