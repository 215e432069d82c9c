//! Drawing a recipe in steps.

use std::io::Write;

use super::city::city;
use super::cosmos::cosmos;
use super::dice::Root;
use super::exact::{length, smoothstep};
use super::landscape::landscape;
use super::layer::{Frame, Layer, Scene};
use super::noise::speckle;
use super::orbs::orbs;
use super::palette::Palette;
use super::picture::Picture;
use super::png_file;
use super::recipe::{Recipe, SketchError};
use super::sea::sea;
use super::silk::silk;
use super::streams::streams;
use super::vocabulary::{Motif, Reading};

/// Most work of one call of [`Canvas::step`], in noise lookups: about 50 ms of an optimised build.
const SLICE: u64 = 4_000_000;

/// What one call of [`Canvas::step`] did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// Steps done so far, `0..=of`.
    pub step: u32,
    /// Steps of the recipe.
    pub of: u32,
    /// What was being drawn, for people, such as "laying the sky".
    pub label: &'static str,
    /// Share of the whole work that is done, `0.0..=1.0`.
    pub fraction: f32,
}

/// A picture being drawn. Memory: 6 bytes a pixel, and less than 2 more for outlines.
pub struct Canvas {
    recipe: Recipe,
    picture: Picture,
    layers: Vec<Layer>,
    grain: u32,
    /// The unit to be drawn next.
    next: Next,
    done: u64,
    total: u64,
}

struct Next {
    layer: usize,
    unit: u32,
}

impl Canvas {
    /// Composes the picture of a recipe; nothing is drawn yet.
    pub fn new(recipe: &Recipe) -> Result<Self, SketchError> {
        recipe.check()?;
        let of_prompt = Root::of_prompt(&recipe.prompt);
        let root = of_prompt.with_seed(recipe.seed);
        let reading = Reading::of(&recipe.prompt, of_prompt, root);
        let given = recipe.palette_from.as_deref().and_then(Palette::from_colours);
        let palette = given.unwrap_or_else(|| Palette::of(&reading, root));
        let paper = palette.sky[2];
        let scene = Scene {
            frame: Frame::new(recipe.width, recipe.height),
            palette,
            reading,
            root,
        };
        let mut layers = match scene.reading.motif {
            Motif::Peaks | Motif::Hills | Motif::Forest | Motif::Dunes => landscape(&scene),
            Motif::Sea => sea(&scene),
            Motif::City => city(&scene),
            Motif::Cosmos => cosmos(&scene),
            Motif::Streams => streams(&scene),
            Motif::Orbs => orbs(&scene),
            Motif::Silk => silk(&scene),
        };
        layers.push(vignette(&scene));
        layers.retain(|layer| layer.units > 0);
        let total = layers
            .iter()
            .map(|layer| u64::from(layer.units) * u64::from(layer.cost))
            .sum();
        Ok(Self {
            recipe: recipe.clone(),
            picture: Picture::filled(recipe.width, recipe.height, paper),
            layers,
            grain: scene.dice("grain").bits(),
            next: Next { layer: 0, unit: 0 },
            done: 0,
            total,
        })
    }

    /// Draws on to the end of the current step. A step of a large picture takes several calls, so that no call
    /// takes long: call until [`Self::is_done`], and stop at any time by dropping the canvas.
    pub fn step(&mut self) -> StepReport {
        let steps = u64::from(self.recipe.steps);
        let end = (self.total * (u64::from(self.steps_done()) + 1))
            .div_ceil(steps)
            .min(self.total);
        let stop = end.min(self.done + SLICE);
        let mut label = "finished";
        while let Some(layer) = self.layers.get_mut(self.next.layer) {
            // units are not cut, so one may reach into the next step
            if self.done >= stop {
                break;
            }
            label = layer.label;
            layer.paint(&mut self.picture, self.next.unit);
            self.done += u64::from(layer.cost);
            self.next.unit += 1;
            if self.next.unit == layer.units {
                self.next = Next {
                    layer: self.next.layer + 1,
                    unit: 0,
                };
            }
        }
        StepReport {
            step: self.steps_done(),
            of: self.recipe.steps,
            label,
            fraction: self.done as f32 / self.total as f32,
        }
    }

    /// Whether everything is drawn.
    pub fn is_done(&self) -> bool {
        self.next.layer == self.layers.len()
    }

    /// The picture as it is now, scaled down so that no side is longer than `max_side` pixels (at least 1):
    /// a file of type [`PREVIEW_MEDIA_TYPE`](super::PREVIEW_MEDIA_TYPE). Its bytes are for the eye and may
    /// differ between versions.
    pub fn preview(&self, max_side: u32) -> Result<Vec<u8>, SketchError> {
        png_file::preview(&self.picture, max_side)
    }

    /// The finished pixels, 8-bit sRGB, row by row from the top.
    pub fn pixels(&self) -> Vec<u8> {
        let mut row = Vec::new();
        let mut pixels = Vec::with_capacity(self.recipe.width as usize * self.recipe.height as usize * 3);
        for y in 0..self.recipe.height {
            png_file::quantise(&self.picture, y, self.grain, &mut row);
            pixels.extend_from_slice(&row);
        }
        pixels
    }

    /// Writes the finished picture as a PNG with its recipe in text chunks, row by row. Give a buffered or
    /// in-memory writer.
    pub fn finish(self, out: impl Write) -> Result<(), SketchError> {
        if !self.is_done() {
            return Err(SketchError::Unfinished {
                done: self.steps_done(),
                of: self.recipe.steps,
            });
        }
        png_file::write(&self.recipe, &self.picture, self.grain, out)
    }

    fn steps_done(&self) -> u32 {
        if self.is_done() {
            return self.recipe.steps;
        }
        (self.done * u64::from(self.recipe.steps) / self.total.max(1)) as u32
    }
}

/// Darker corners and the grain of film, last of all.
fn vignette(scene: &Scene) -> Layer {
    let frame = scene.frame;
    let seed = scene.dice("film").bits();
    Layer::rows(
        "adding the last touch",
        &frame,
        0..frame.height,
        2,
        move |picture, y| {
            let v = (y as f32 + 0.5) / frame.h() * 2.0 - 1.0;
            for x in 0..frame.width {
                let u = (x as f32 + 0.5) / frame.w() * 2.0 - 1.0;
                let dim = 1.0 - 0.24 * smoothstep(0.55, 1.45, length(u, v));
                let grain = (speckle(x, y, seed) - 0.5) * 0.012;
                let colour = picture.get(x, y);
                picture.put(x, y, colour.map(|c| c * dim + grain));
            }
        },
    )
}
