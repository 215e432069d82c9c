//! The options of `submit` that only ComfyUI jobs have.

use std::path::PathBuf;

use clap::{Args, builder::PossibleValuesParser};

use super::models::{Control, Lora};
use crate::contract;

const COMFYUI: &str = ".orchestrator.v1.ComfyUiRequest";

fn words(field: &str) -> PossibleValuesParser {
    PossibleValuesParser::new(contract::choices(COMFYUI, field))
}

/// What only ComfyUI jobs have.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "ComfyUI")]
pub(crate) struct ComfyuiOptions {
    /// What is made; follows from the other options if absent
    #[arg(long, value_parser = words("task"))]
    pub(crate) task: Option<String>,
    /// What kind of checkpoint it is; follows from its name if absent
    #[arg(long, value_parser = words("family"))]
    pub(crate) family: Option<String>,
    /// What not to draw
    #[arg(long, value_name = "PROMPT")]
    pub(crate) negative: Option<String>,
    /// Model file as ComfyUI lists it; see `orchestrator models`
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<String>,
    /// LoRA as ComfyUI lists it, with its weight (1 if absent) and that for the text encoder; may be repeated
    #[arg(long, value_name = "NAME[:WEIGHT[:CLIP]]")]
    pub(crate) lora: Vec<Lora>,
    /// `ControlNet` as ComfyUI lists it, with its picture: a file, which is uploaded, `asset:<id>`, or `artifact:<id>` of a result; may be repeated
    #[arg(long, value_name = "NAME=IMAGE[:STRENGTH[:START[:END]]]")]
    pub(crate) controlnet: Vec<Control>,
    /// How much of the image is painted anew, 0 to 1
    #[arg(long, value_name = "PART")]
    pub(crate) denoise: Option<f64>,
    /// How strictly the prompt is followed, 0 to 100
    #[arg(long, value_name = "NUMBER")]
    pub(crate) cfg: Option<f64>,
    /// Sampler as ComfyUI names it, or as others do, such as `Euler a`
    #[arg(long, value_name = "NAME")]
    pub(crate) sampler: Option<String>,
    /// Scheduler as ComfyUI names it
    #[arg(long, value_name = "NAME")]
    pub(crate) scheduler: Option<String>,
    /// VAE as ComfyUI lists it; the checkpoint's own if absent
    #[arg(long, value_name = "FILE")]
    pub(crate) vae: Option<String>,
    /// Upscaling model as ComfyUI lists it, used on the result
    #[arg(long, value_name = "FILE")]
    pub(crate) upscaler: Option<String>,
    /// Separate text encoder for a checkpoint that holds none; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) text_encoder: Vec<String>,
    /// Layers of the text encoder left out, as other programs count: 1 is none
    #[arg(long, value_name = "NUMBER")]
    pub(crate) clip_skip: Option<u32>,
    /// Pictures in one go, 1 to 64
    #[arg(long, value_name = "NUMBER")]
    pub(crate) batch_size: Option<u32>,
    /// Pictures of a video
    #[arg(long, value_name = "NUMBER")]
    pub(crate) video_frames: Option<u32>,
    /// Pictures of a video a second
    #[arg(long, value_name = "NUMBER")]
    pub(crate) video_fps: Option<u32>,
    /// How much moves in a video, 1 to 1023
    #[arg(long, value_name = "NUMBER")]
    pub(crate) video_motion: Option<u32>,
    /// Noise on a video's first picture, 0 to 10
    #[arg(long, value_name = "NUMBER")]
    pub(crate) video_augmentation: Option<f64>,
    /// How a video is stored
    #[arg(long, value_parser = PossibleValuesParser::new(["webp", "webm", "mp4"]))]
    pub(crate) video_format: Option<String>,
    /// Where the checkpoint is damaged on a worker, let that worker use the one that it has instead
    #[arg(long)]
    pub(crate) allow_fallback: bool,
    /// Graph in ComfyUI's API format; `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "workflow")]
    pub(crate) graph: Option<PathBuf>,
    /// Stored workflow; --param NAME=VALUE then sets its parameters. See `orchestrator workflows`
    #[arg(long, value_name = "NAME")]
    pub(crate) workflow: Option<String>,
}

/// An option, the field that it sets, and the text for it.
pub(super) type Setting = (&'static str, &'static str, Option<String>);

impl ComfyuiOptions {
    /// Options that set one field to one text.
    pub(super) fn settings(&self) -> Vec<Setting> {
        fn text(value: Option<&impl ToString>) -> Option<String> {
            value.map(ToString::to_string)
        }
        vec![
            ("--task", "task", self.task.clone()),
            ("--family", "family", self.family.clone()),
            ("--negative", "negative_prompt", self.negative.clone()),
            ("--checkpoint", "checkpoint", self.checkpoint.clone()),
            ("--denoise", "denoise", text(self.denoise.as_ref())),
            ("--cfg", "cfg", text(self.cfg.as_ref())),
            ("--sampler", "sampler", self.sampler.clone()),
            ("--scheduler", "scheduler", self.scheduler.clone()),
            ("--vae", "vae", self.vae.clone()),
            ("--upscaler", "upscaler", self.upscaler.clone()),
            ("--clip-skip", "clip_skip", text(self.clip_skip.as_ref())),
            ("--batch-size", "batch_size", text(self.batch_size.as_ref())),
            ("--video-frames", "video.frames", text(self.video_frames.as_ref())),
            ("--video-fps", "video.fps", text(self.video_fps.as_ref())),
            (
                "--video-motion",
                "video.motion_bucket_id",
                text(self.video_motion.as_ref()),
            ),
            (
                "--video-augmentation",
                "video.augmentation",
                text(self.video_augmentation.as_ref()),
            ),
            ("--video-format", "video.format", self.video_format.clone()),
            (
                "--allow-fallback",
                "allow_fallback",
                self.allow_fallback.then(|| "true".to_owned()),
            ),
            ("--workflow", "workflow", self.workflow.clone()),
        ]
    }

    /// Whether it can only be a ComfyUI job. What is to be left out is no sign of it: a sketch that is asked
    /// for it is refused, instead of being made by another backend.
    pub(super) fn is_asked_for(&self) -> bool {
        let mut texts = self
            .settings()
            .into_iter()
            .filter(|(option, ..)| *option != "--negative");
        texts.any(|(_, _, text)| text.is_some())
            || self.graph.is_some()
            || !(self.lora.is_empty() && self.controlnet.is_empty() && self.text_encoder.is_empty())
    }
}
