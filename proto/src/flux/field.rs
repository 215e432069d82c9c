//! The fields of a request that a model may take: one list, with what sort of value each has.

use serde::{Deserialize, Serialize};

use crate::v1::FluxRequest;

/// What sort of value a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Any text.
    Text,
    /// One of some words.
    Choice,
    /// `<width>:<height>`.
    Ratio,
    /// A whole number from 0.
    Integer,
    /// A number.
    Number,
    /// Yes or no.
    Flag,
    /// `asset:<id>` or `artifact:<id>`.
    File,
}

/// What a request gives for a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Given<'a> {
    Text(&'a str),
    Integer(u64),
    Number(f64),
    Flag(bool),
}

macro_rules! fields {
    ($($(#[$meta:meta])* $field:ident = $name:ident: $kind:ident,)+) => {
        /// A field of a request; the model and the images are none.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Field {
            $($(#[$meta])* $field,)+
        }

        impl Field {
            /// All of them, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$field,)+];

            /// Its name in a request, which is the vendor's too unless the row of a model says otherwise.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => stringify!($name),)+
                }
            }

            /// What sort of value it has.
            pub const fn kind(self) -> Kind {
                match self {
                    $(Self::$field => Kind::$kind,)+
                }
            }

            /// What a request gives for it; `None` where it gives nothing.
            pub(super) fn of(self, request: &FluxRequest) -> Option<Given<'_>> {
                match self {
                    $(Self::$field => request.$name.given(),)+
                }
            }
        }
    };
}

fields! {
    /// What is to be seen.
    Prompt = prompt: Text,
    /// The same seed gives the same picture.
    Seed = seed: Integer,
    /// Pixels.
    Width = width: Integer,
    /// Pixels.
    Height = height: Integer,
    /// Instead of a size.
    AspectRatio = aspect_ratio: Ratio,
    /// Of the result.
    OutputFormat = output_format: Choice,
    /// 0 is strict.
    SafetyTolerance = safety_tolerance: Integer,
    /// Whether the model rewrites the prompt.
    PromptUpsampling = prompt_upsampling: Flag,
    /// Leaves the prompt as it is where the model would rewrite it.
    DisablePup = disable_pup: Flag,
    /// Less processed pictures.
    Raw = raw: Flag,
    /// Of sampling.
    Steps = steps: Integer,
    /// How closely the prompt is followed.
    Guidance = guidance: Number,
    /// What is white in it is painted anew.
    Mask = mask: File,
    /// How far the mask grows, in pixels.
    DilatePixels = dilate_pixels: Integer,
    /// How much of the image shows.
    ImagePromptStrength = image_prompt_strength: Number,
    /// Pixels to add.
    Top = top: Integer,
    /// Pixels to add.
    Bottom = bottom: Integer,
    /// Pixels to add.
    Left = left: Integer,
    /// Pixels to add.
    Right = right: Integer,
    /// A model that somebody has trained.
    FinetuneId = finetune_id: Text,
    /// How much of that model shows.
    FinetuneStrength = finetune_strength: Number,
    /// Of the search for edges.
    CannyLowThreshold = canny_low_threshold: Integer,
    /// Of the search for edges.
    CannyHighThreshold = canny_high_threshold: Integer,
    /// The image is an edge or depth picture already.
    Preprocessed = preprocessed: Flag,
    /// Of models that have several.
    Mode = mode: Choice,
    /// Cuts off what lies beyond the canvas.
    AutoCrop = auto_crop: Flag,
    /// Where the image lies on the canvas.
    ReferenceOffsetX = reference_offset_x: Integer,
    /// Where the image lies on the canvas.
    ReferenceOffsetY = reference_offset_y: Integer,
    /// Of a film.
    Resolution = resolution: Choice,
}

trait Give {
    fn given(&self) -> Option<Given<'_>>;
}

impl Give for String {
    fn given(&self) -> Option<Given<'_>> {
        (!self.is_empty()).then(|| Given::Text(self))
    }
}

impl Give for Option<u32> {
    fn given(&self) -> Option<Given<'_>> {
        self.map(|value| Given::Integer(value.into()))
    }
}

impl Give for Option<u64> {
    fn given(&self) -> Option<Given<'_>> {
        self.map(Given::Integer)
    }
}

impl Give for Option<f64> {
    fn given(&self) -> Option<Given<'_>> {
        self.map(Given::Number)
    }
}

impl Give for Option<bool> {
    fn given(&self) -> Option<Given<'_>> {
        self.map(Given::Flag)
    }
}
