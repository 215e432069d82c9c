//! Which family of models a file belongs to, guessed from the names and shapes of its tensors.

use std::collections::BTreeMap;

use serde::Serialize;

use super::header::Tensor;

/// What a file looks like. A guess: it helps to name a misplaced file and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Stable Diffusion 1.x.
    Sd15,
    /// Stable Diffusion 2.x.
    Sd20,
    /// Stable Diffusion XL.
    Sdxl,
    /// Stable Diffusion 3.
    Sd3,
    /// Stable Diffusion 3.5.
    Sd35,
    /// FLUX.1 or a relative.
    Flux,
    /// Stable Video Diffusion.
    Svd,
    /// An addition to a model, such as a LoRA.
    Lora,
    /// The part that turns latents to pixels.
    Vae,
    /// A ControlNet or T2I adapter.
    Controlnet,
    /// Makes pictures larger.
    Upscaler,
    /// Reads the prompt.
    TextEncoder,
    /// Looks at pictures.
    ClipVision,
    /// Words of one's own.
    Embedding,
    /// Nothing that we recognise.
    Unknown,
}

type Tensors = BTreeMap<String, Tensor>;

impl Family {
    /// Looks at the tensors.
    pub(super) fn of(tensors: &Tensors) -> Self {
        Self::addition(tensors)
            .or_else(|| Self::control(tensors))
            .or_else(|| Self::diffusion(tensors))
            .or_else(|| Self::part(tensors))
            .unwrap_or(Self::Unknown)
    }

    /// The kinds of folder in which ComfyUI looks for such files; empty where that is open.
    pub const fn belongs_in(self) -> &'static [&'static str] {
        match self {
            Self::Sd15 | Self::Sd20 | Self::Sdxl | Self::Sd3 | Self::Sd35 | Self::Flux | Self::Svd => {
                &["checkpoints", "diffusion_models"]
            }
            Self::Lora => &["loras"],
            Self::Vae => &["vae", "vae_approx"],
            Self::Controlnet => &["controlnet", "model_patches"],
            Self::Upscaler => &["upscale_models"],
            Self::TextEncoder => &["text_encoders"],
            Self::ClipVision => &["clip_vision", "text_encoders"],
            Self::Embedding => &["embeddings"],
            Self::Unknown => &[],
        }
    }

    /// Its name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sd15 => "Stable Diffusion 1.5",
            Self::Sd20 => "Stable Diffusion 2",
            Self::Sdxl => "Stable Diffusion XL",
            Self::Sd3 => "Stable Diffusion 3",
            Self::Sd35 => "Stable Diffusion 3.5",
            Self::Flux => "FLUX",
            Self::Svd => "Stable Video Diffusion",
            Self::Lora => "LoRA",
            Self::Vae => "VAE",
            Self::Controlnet => "ControlNet",
            Self::Upscaler => "upscaler",
            Self::TextEncoder => "text encoder",
            Self::ClipVision => "CLIP vision model",
            Self::Embedding => "embedding",
            Self::Unknown => "unknown",
        }
    }

    fn addition(tensors: &Tensors) -> Option<Self> {
        let lora = |name: &String| {
            [
                ".lora_down.weight",
                ".lora_up.weight",
                ".lora_A.weight",
                ".lora_B.weight",
            ]
            .iter()
            .any(|end| name.ends_with(end))
                || name.contains(".hada_w1_")
                || name.contains(".lokr_w")
        };
        if tensors.keys().any(lora) {
            return Some(Self::Lora);
        }
        let embedding = tensors.len() <= 4
            && (tensors.contains_key("emb_params")
                || tensors.keys().all(|name| name == "clip_l" || name == "clip_g"));
        (embedding && !tensors.is_empty()).then_some(Self::Embedding)
    }

    fn control(tensors: &Tensors) -> Option<Self> {
        let marks = [
            "control_model.",
            "controlnet_",
            "input_hint_block.",
            "zero_convs.",
            "adapter.body.",
            "lllite_unet",
            "pos_embed_input.",
        ];
        marks
            .iter()
            .any(|mark| begins(tensors, mark))
            .then_some(Self::Controlnet)
    }

    fn diffusion(tensors: &Tensors) -> Option<Self> {
        // a whole checkpoint has the prefix, the bare diffusion model has not
        ["model.diffusion_model.", ""]
            .iter()
            .find_map(|prefix| Self::denoiser(tensors, prefix))
    }

    fn denoiser(tensors: &Tensors, prefix: &str) -> Option<Self> {
        let has = |rest: &str| begins(tensors, &format!("{prefix}{rest}"));
        if has("joint_blocks.0.") {
            let normed = has("joint_blocks.0.x_block.attn.ln_q");
            return Some(if normed { Self::Sd35 } else { Self::Sd3 });
        }
        if has("double_blocks.0.img_attn.qkv") && has("single_blocks.0.") {
            // HunyuanVideo is built of the same blocks
            let other = has("txt_in.individual_token_refiner");
            return Some(if other { Self::Unknown } else { Self::Flux });
        }
        if !has("input_blocks.") {
            return None;
        }
        if has("input_blocks.1.1.time_stack.") {
            return Some(Self::Svd);
        }
        let width = ["input_blocks.1.1.", "input_blocks.4.1."]
            .iter()
            .find_map(|block| {
                let name = format!("{prefix}{block}transformer_blocks.0.attn2.to_k.weight");
                tensors.get(&name)?.shape.get(1).copied()
            });
        Some(match width {
            Some(768) => Self::Sd15,
            Some(1024) => Self::Sd20,
            Some(2048) => Self::Sdxl,
            Some(_) | None => Self::Unknown,
        })
    }

    fn part(tensors: &Tensors) -> Option<Self> {
        let has = |start: &str| begins(tensors, start);
        if has("vision_model.") || has("visual.transformer.") {
            return Some(Self::ClipVision);
        }
        let texts = [
            "text_model.encoder.",
            "encoder.block.0.layer.0.SelfAttention",
            "transformer.resblocks.",
        ];
        if texts.iter().any(|start| has(start)) {
            return Some(Self::TextEncoder);
        }
        if has("decoder.conv_in.") || has("first_stage_model.decoder.conv_in.") || has("decoder.conv1.") {
            return Some(Self::Vae);
        }
        // the networks of the ESRGAN, Real-ESRGAN and SwinIR lines
        let upscaler = has("model.1.sub.0.")
            || has("params_ema.")
            || has("conv_first.") && (has("body.") || has("RRDB_trunk.") || has("layers.0."))
            || has("body.0.") && has("upsampler.");
        upscaler.then_some(Self::Upscaler)
    }
}

/// Whether any name begins so; the table is sorted, so this is one step and no walk.
fn begins(tensors: &Tensors, start: &str) -> bool {
    tensors
        .range::<str, _>((std::ops::Bound::Included(start), std::ops::Bound::Unbounded))
        .next()
        .is_some_and(|(name, _)| name.starts_with(start))
}
