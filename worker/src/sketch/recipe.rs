//! What determines a picture, its limits, and what can be wrong with it.

use std::io;

/// Name of this generator, as written into every picture.
pub const GENERATOR_NAME: &str = "orchestrator sketch";

/// Version of the drawing algorithm: raised whenever the same recipe gives other pixels than before.
pub const GENERATOR_VERSION: u32 = 1;

/// Longest side of a picture, in pixels.
pub const MAX_SIDE: u32 = 4096;

/// Most steps in which a picture may be drawn.
pub const MAX_STEPS: u32 = 1000;

/// Longest prompt, in bytes of UTF-8.
pub const MAX_PROMPT_BYTES: usize = 64 * 1024;

/// Most colours in [`Recipe::palette_from`].
pub const MAX_PALETTE: usize = 64;

/// Everything that determines a picture; the same recipe gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// What to draw: known words choose colours and subject, its hash the rest. May be empty.
    pub prompt: String,
    /// Chooses one of the pictures of this prompt.
    pub seed: u64,
    /// Width in pixels, `1..=MAX_SIDE`.
    pub width: u32,
    /// Height in pixels, `1..=MAX_SIDE`.
    pub height: u32,
    /// In how many equal portions of work the picture is drawn, `1..=MAX_STEPS`. The pixels do not depend on it.
    pub steps: u32,
    /// Colours (sRGB) to draw with instead of those that the prompt chooses, see
    /// [`palette_of`](super::palette_of). At most [`MAX_PALETTE`]; an empty list counts as none.
    pub palette_from: Option<Vec<[u8; 3]>>,
}

/// Why a picture cannot be drawn, written, or used as a source of colours.
#[derive(Debug, thiserror::Error)]
pub enum SketchError {
    /// A side is zero or longer than [`MAX_SIDE`].
    #[error("size {width}x{height} is outside 1x1 to {MAX_SIDE}x{MAX_SIDE}")]
    Size {
        /// Width asked for, in pixels.
        width: u32,
        /// Height asked for, in pixels.
        height: u32,
    },
    /// The number of steps is zero or above [`MAX_STEPS`].
    #[error("{0} steps are outside 1 to {MAX_STEPS}")]
    Steps(u32),
    /// The prompt is longer than [`MAX_PROMPT_BYTES`].
    #[error("prompt of {0} bytes is longer than {MAX_PROMPT_BYTES}")]
    PromptTooLong(usize),
    /// The palette has more than [`MAX_PALETTE`] colours.
    #[error("palette of {0} colours is larger than {MAX_PALETTE}")]
    PaletteTooLarge(usize),
    /// The picture was to be written before its last step.
    #[error("picture is not finished: {done} of {of} steps are done")]
    Unfinished {
        /// Steps done.
        done: u32,
        /// Steps of the recipe.
        of: u32,
    },
    /// The PNG could not be written.
    #[error("cannot write the PNG")]
    Write(#[source] io::Error),
    /// The source picture is larger than we are willing to decode.
    #[error("source picture of {width}x{height} is too large to take colours from")]
    SourceTooLarge {
        /// Width that the file states, in pixels.
        width: u32,
        /// Height that the file states, in pixels.
        height: u32,
    },
    /// The source picture has no pixel that can be seen.
    #[error("source picture has no visible colours")]
    SourceEmpty,
    /// The source picture cannot be read.
    #[error("cannot decode the source picture")]
    Decode(#[source] image::ImageError),
}

impl Recipe {
    /// Checks every limit.
    pub fn check(&self) -> Result<(), SketchError> {
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&self.width) || !sides.contains(&self.height) {
            return Err(SketchError::Size {
                width: self.width,
                height: self.height,
            });
        }
        if !(1..=MAX_STEPS).contains(&self.steps) {
            return Err(SketchError::Steps(self.steps));
        }
        if self.prompt.len() > MAX_PROMPT_BYTES {
            return Err(SketchError::PromptTooLong(self.prompt.len()));
        }
        match &self.palette_from {
            Some(colours) if colours.len() > MAX_PALETTE => Err(SketchError::PaletteTooLarge(colours.len())),
            Some(_) | None => Ok(()),
        }
    }

    /// The recipe as JSON, for the picture's text chunk. The seed is a string, as 64-bit numbers are in the
    /// protobuf JSON mapping, because many readers would round it.
    pub(super) fn to_json(&self) -> String {
        let palette = self.palette_from.as_ref().map(|colours| {
            colours
                .iter()
                .map(|[r, g, b]| format!("#{r:02x}{g:02x}{b:02x}"))
                .collect::<Vec<_>>()
        });
        serde_json::json!({
            "generator": GENERATOR_NAME,
            "version": GENERATOR_VERSION,
            "prompt": self.prompt,
            "seed": self.seed.to_string(),
            "width": self.width,
            "height": self.height,
            "steps": self.steps,
            "palette": palette,
        })
        .to_string()
    }
}
