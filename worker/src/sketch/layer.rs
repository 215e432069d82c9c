//! A layer of a picture: work in small units that are done in order.

use super::dice::{Dice, Root};
use super::palette::Palette;
use super::picture::Picture;
use super::vocabulary::Reading;

/// The measures of a picture. Positions are in pixels; the sizes of things are in `unit`s, so that the same
/// recipe at another size is the same picture.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// Width in pixels.
    pub(super) width: u32,
    /// Height in pixels.
    pub(super) height: u32,
    /// Pixels of one unit: the shorter side, at least 16 so that a thin strip has a bounded area in units.
    pub(super) unit: f32,
}

impl Frame {
    /// The measures of a size in pixels.
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            unit: width.min(height).max(16) as f32,
        }
    }

    /// Width in pixels.
    pub(super) fn w(&self) -> f32 {
        self.width as f32
    }

    /// Height in pixels.
    pub(super) fn h(&self) -> f32 {
        self.height as f32
    }

    /// Position of the middle of a pixel, in units.
    pub(super) fn at(&self, pixel: u32) -> f32 {
        (pixel as f32 + 0.5) / self.unit
    }

    /// Area in square units.
    pub(super) fn area(&self) -> f32 {
        self.w() * self.h() / (self.unit * self.unit)
    }

    /// How many things to draw at this density (per square unit), never more than one for 24 pixels.
    pub(super) fn count(&self, density: f32) -> u32 {
        (density * self.area()).min(self.w() * self.h() / 24.0).ceil() as u32
    }
}

/// What a picture is composed from.
pub(super) struct Scene {
    /// Its measures.
    pub(super) frame: Frame,
    /// Its colours.
    pub(super) palette: Palette,
    /// What the prompt asks for.
    pub(super) reading: Reading,
    /// The root of its random numbers.
    pub(super) root: Root,
}

impl Scene {
    /// Random numbers for the part named `label`.
    pub(super) fn dice(&self, label: &str) -> Dice {
        self.root.dice(label)
    }
}

type Paint = Box<dyn FnMut(&mut Picture, u32) + Send>;

/// A layer and how far it is drawn.
pub(super) struct Layer {
    /// What is being done, for people.
    pub(super) label: &'static str,
    /// Number of units.
    pub(super) units: u32,
    /// Work of one unit, about a noise lookup a pixel.
    pub(super) cost: u32,
    paint: Paint,
}

impl Layer {
    /// A layer painted row by row, from `rows.start`; `weight` is its work per pixel.
    pub(super) fn rows(
        label: &'static str,
        frame: &Frame,
        rows: std::ops::Range<u32>,
        weight: u32,
        mut paint: impl FnMut(&mut Picture, u32) + Send + 'static,
    ) -> Self {
        let start = rows.start;
        Self {
            label,
            units: rows.end.saturating_sub(start),
            cost: frame.width * weight,
            paint: Box::new(move |picture, unit| paint(picture, start + unit)),
        }
    }

    /// A layer of things, each of which is about `pixels` large.
    pub(super) fn things(
        label: &'static str,
        count: u32,
        pixels: f32,
        paint: impl FnMut(&mut Picture, u32) + Send + 'static,
    ) -> Self {
        Self {
            label,
            units: count,
            cost: (pixels as u32).max(1),
            paint: Box::new(paint),
        }
    }

    /// Does one unit of the work.
    pub(super) fn paint(&mut self, picture: &mut Picture, unit: u32) {
        (self.paint)(picture, unit);
    }
}
