//! What is wrong with a request whose defaults have been filled in.

use std::ops::RangeInclusive;

use super::{fault, template::template_of};
use crate::{
    Family, Task,
    ids::InputId,
    request::{Fault, MAX_PROMPT_BYTES},
    v1::ComfyUiRequest,
};

const MAX_NAME_BYTES: usize = 512;
const MAX_LORAS: usize = 16;
const MAX_CONTROLS: usize = 8;
const PICTURES: &[Task] = &[Task::TextToImage, Task::ImageToImage, Task::Inpaint];
const SAMPLED: &[Task] = &[
    Task::TextToImage,
    Task::ImageToImage,
    Task::Inpaint,
    Task::ImageToVideo,
];
const WITH_IMAGE: &[Task] = &[
    Task::ImageToImage,
    Task::Inpaint,
    Task::ImageToVideo,
    Task::Upscale,
];

/// All faults, in the order of the fields. Those of a graph are found when it is read.
pub(super) fn check(request: &ComfyUiRequest) -> Vec<Fault> {
    let mut checker = Checker {
        request,
        faults: Vec::new(),
    };
    checker.text("prompt", &request.prompt, MAX_PROMPT_BYTES);
    checker.text("negative_prompt", &request.negative_prompt, MAX_PROMPT_BYTES);
    let Ok(task) = Task::try_from(request.task) else {
        checker.add("task", "is not a known task");
        return checker.faults;
    };
    if !request.graph.is_empty() || task == Task::Graph || !request.workflow.is_empty() {
        checker.graph(task);
        return checker.faults;
    }
    checker.fits(task);
    checker.files(task);
    checker.sizes();
    checker.numbers();
    checker.lists();
    checker.faults
}

struct Checker<'a> {
    request: &'a ComfyUiRequest,
    faults: Vec<Fault>,
}

/// A task as a sentence names it.
const fn in_words(task: Task) -> &'static str {
    match task {
        Task::Unspecified | Task::Graph => "a graph",
        Task::TextToImage => "text to image",
        Task::ImageToImage => "image to image",
        Task::Inpaint => "inpainting",
        Task::ImageToVideo => "image to video",
        Task::Upscale => "upscaling",
    }
}

impl Checker<'_> {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.faults.push(fault(format!("/comfyui/{field}"), message));
    }

    fn text(&mut self, field: &str, text: &str, max: usize) {
        if text.len() > max {
            let message = format!("has {} bytes, at most {max} are possible", text.len());
            self.add(field, message);
        }
        if text.contains('\0') {
            self.add(field, "must not contain the character U+0000");
        }
    }

    fn name(&mut self, field: &str, name: &str) {
        if name.is_empty() {
            self.add(field, "must be the name of a file (GET /api/models lists them)");
        }
        self.text(field, name, MAX_NAME_BYTES);
    }

    fn input(&mut self, field: &str, reference: &str) {
        if let Err(error) = reference.parse::<InputId>() {
            self.add(field, error.to_string());
        }
    }

    fn number(&mut self, field: &str, value: f64, range: RangeInclusive<f64>) {
        if !range.contains(&value) {
            let message = format!("{value} is not within {} to {}", range.start(), range.end());
            self.add(field, message);
        }
    }

    fn graph(&mut self, task: Task) {
        let request = self.request;
        if request.graph.is_empty() {
            if request.workflow.is_empty() {
                self.add("graph", "the task `graph` needs a graph");
            } else {
                self.add("workflow", format!("there is no workflow {:?}", request.workflow));
            }
        } else if task != Task::Graph {
            let message = format!("a graph is given, so this cannot be {}", in_words(task));
            self.add("task", message);
        }
        if request.workflow.is_empty() && !request.parameters.is_empty() {
            self.add("parameters", "belong to a `workflow`; name it");
        }
    }

    /// Fields that mean nothing for the task.
    fn fits(&mut self, task: Task) {
        let request = self.request;
        let given = [
            ("prompt", !request.prompt.is_empty(), PICTURES),
            ("negative_prompt", !request.negative_prompt.is_empty(), PICTURES),
            ("checkpoint", !request.checkpoint.is_empty(), SAMPLED),
            ("steps", request.steps > 0, SAMPLED),
            ("cfg", request.cfg.is_some(), SAMPLED),
            ("sampler", !request.sampler.is_empty(), SAMPLED),
            ("scheduler", !request.scheduler.is_empty(), SAMPLED),
            ("batch_size", request.batch_size > 1, PICTURES),
            ("family", request.family != 0, SAMPLED),
            ("image", !request.image.is_empty(), WITH_IMAGE),
            ("mask", !request.mask.is_empty(), &[Task::Inpaint]),
            (
                "denoise",
                request.denoise.is_some(),
                &[Task::ImageToImage, Task::Inpaint],
            ),
            ("loras", !request.loras.is_empty(), PICTURES),
            ("controls", !request.controls.is_empty(), PICTURES),
            ("vae", !request.vae.is_empty(), SAMPLED),
            ("clip_skip", request.clip_skip > 1, PICTURES),
            ("text_encoders", !request.text_encoders.is_empty(), PICTURES),
            ("video", request.video.is_some(), &[Task::ImageToVideo]),
            ("parameters", !request.parameters.is_empty(), &[]),
        ];
        for (field, is_given, tasks) in given {
            if is_given && field == "parameters" {
                self.add(field, "belong to a `workflow`; name it");
            } else if is_given && !tasks.contains(&task) {
                let meant: Vec<&str> = tasks.iter().map(|task| in_words(*task)).collect();
                let message = format!(
                    "means nothing for {}, only for {}",
                    in_words(task),
                    meant.join(", ")
                );
                self.add(field, message);
            }
        }
        self.family(task);
    }

    fn family(&mut self, task: Task) {
        let Ok(family) = Family::try_from(self.request.family) else {
            return self.add("family", "must be `sd15`, `sdxl`, `sd35` or `svd`");
        };
        if task == Task::Upscale || template_of(task, family).is_some() {
            return;
        }
        match family {
            // it follows from the name, and could not be filled in
            Family::Unspecified => self.add(
                "checkpoint",
                format!(
                    "is one for image to video by its name, not for {}; if it is another, say its `family`",
                    in_words(task)
                ),
            ),
            Family::Svd => self.add("family", format!("svd is not for {}", in_words(task))),
            Family::Sd15 | Family::Sdxl | Family::Sd35 => {
                self.add("family", "image to video needs a checkpoint of the family svd");
            }
        }
    }

    fn sizes(&mut self) {
        let request = self.request;
        for (field, side) in [("width", request.width), ("height", request.height)] {
            // the image has a size of its own
            if side == 0 {
                continue;
            }
            self.number(field, side.into(), 16.0..=4096.0);
            if side % 8 != 0 {
                self.add(field, format!("{side} is not a multiple of 8"));
            }
        }
    }

    fn files(&mut self, task: Task) {
        let request = self.request;
        if SAMPLED.contains(&task) && request.checkpoint.is_empty() {
            self.add(
                "checkpoint",
                "name a checkpoint (GET /api/models lists them), or give a whole `graph`",
            );
        }
        if WITH_IMAGE.contains(&task) {
            if request.image.is_empty() {
                let message = format!(
                    "{} needs an image: `asset:<id>` of an uploaded file or `artifact:<id>` of a result",
                    in_words(task)
                );
                self.add("image", message);
            } else {
                self.input("image", &request.image);
            }
        }
        if !request.mask.is_empty() {
            self.input("mask", &request.mask);
        }
        if task == Task::Upscale && request.upscaler.is_empty() {
            self.add("upscaler", "upscaling needs the name of an upscaling model");
        }
        for (field, name) in [
            ("checkpoint", &request.checkpoint),
            ("sampler", &request.sampler),
            ("scheduler", &request.scheduler),
            ("vae", &request.vae),
            ("upscaler", &request.upscaler),
        ] {
            self.text(field, name, MAX_NAME_BYTES);
        }
    }

    fn numbers(&mut self) {
        let request = self.request;
        self.number("steps", request.steps.into(), 0.0..=1000.0);
        self.number("batch_size", request.batch_size.into(), 0.0..=64.0);
        self.number("clip_skip", request.clip_skip.into(), 0.0..=24.0);
        self.number("cfg", request.cfg.unwrap_or_default(), 0.0..=100.0);
        self.number("denoise", request.denoise.unwrap_or_default(), 0.0..=1.0);
        if let Some(video) = &request.video {
            self.number("video/frames", video.frames.into(), 0.0..=4096.0);
            self.number("video/fps", video.fps.into(), 0.0..=120.0);
            self.number(
                "video/motion_bucket_id",
                video.motion_bucket_id.into(),
                0.0..=1023.0,
            );
            self.number("video/augmentation", video.augmentation, 0.0..=10.0);
            if !matches!(video.format.as_str(), "" | "webp" | "webm" | "mp4") {
                self.add("video/format", "must be `webp`, `webm` or `mp4`");
            }
        }
    }

    fn lists(&mut self) {
        let request = self.request;
        let count = request.loras.len();
        if count > MAX_LORAS {
            self.add(
                "loras",
                format!("has {count} entries, at most {MAX_LORAS} are possible"),
            );
        }
        for (i, lora) in request.loras.iter().take(MAX_LORAS).enumerate() {
            self.name(&format!("loras/{i}/name"), &lora.name);
            for (field, weight) in [("weight", lora.weight), ("clip_weight", lora.clip_weight)] {
                let field = format!("loras/{i}/{field}");
                self.number(&field, weight.unwrap_or_default(), -100.0..=100.0);
            }
        }
        let count = request.controls.len();
        if count > MAX_CONTROLS {
            let message = format!("has {count} entries, at most {MAX_CONTROLS} are possible");
            self.add("controls", message);
        }
        for (i, control) in request.controls.iter().take(MAX_CONTROLS).enumerate() {
            let field = |name: &str| format!("controls/{i}/{name}");
            self.name(&field("name"), &control.name);
            self.input(&field("image"), &control.image);
            let (start, end) = (control.start.unwrap_or(0.0), control.end.unwrap_or(1.0));
            self.number(&field("strength"), control.strength.unwrap_or(1.0), 0.0..=10.0);
            self.number(&field("start"), start, 0.0..=1.0);
            self.number(&field("end"), end, 0.0..=1.0);
            if start > end {
                self.add(&field("end"), format!("{end} lies before `start`, {start}"));
            }
        }
        self.text_encoders();
    }

    fn text_encoders(&mut self) {
        let request = self.request;
        let count = request.text_encoders.len();
        if count == 0 {
            return;
        }
        if request.family() != Family::Sd35 {
            self.add("text_encoders", "only checkpoints of the family sd35 take some");
        } else if count != 3 {
            let message = format!("has {count} names; SD 3.5 takes exactly three: CLIP-L, CLIP-G and T5");
            self.add("text_encoders", message);
        }
        for (i, name) in request.text_encoders.iter().take(3).enumerate() {
            self.name(&format!("text_encoders/{i}"), name);
        }
    }
}
