//! The nodes that a request adds to a template. Each takes over the role of what it changes.

use serde_json::{Value, json};

use super::{compose::Draft, template::Link};
use crate::{Family, Task};

/// The numbers of added nodes; those of the templates lie below.
const TEXT_ENCODERS: &str = "30";
const VAE: &str = "31";
const CLIP_SKIP: &str = "32";
const SOURCE: &str = "33";
const SOURCE_SCALE: &str = "34";
const ENCODE: &str = "35";
const REPEAT: &str = "36";
const MASK: &str = "37";
const MASK_PICTURE: &str = "38";
const MASK_SCALE: &str = "39";
const MASK_SCALED: &str = "40";
const NOISE_MASK: &str = "41";
const UPSCALER: &str = "42";
const UPSCALED: &str = "43";
const RESULT_SCALE: &str = "44";
const VIDEO: &str = "45";
const FIRST_LORA: usize = 50;
const FIRST_CONTROL: usize = 70;

/// How far a mask is grown where what is under it is painted from nothing, in pixels.
const GROW_MASK: u32 = 6;

/// All that the request asks for, in the order in which one builds on the other.
pub(super) fn all(draft: &mut Draft<'_>) {
    text_encoders(draft);
    vae(draft);
    loras(draft);
    clip_skip(draft);
    match draft.request.task() {
        Task::ImageToImage | Task::Inpaint => start_image(draft),
        Task::Unspecified | Task::TextToImage | Task::ImageToVideo | Task::Upscale | Task::Graph => {}
    }
    controls(draft);
    upscaler(draft);
    result_size(draft);
    video_format(draft);
}

fn link(id: &str, slot: u64) -> Link {
    (id.to_owned(), slot)
}

fn text_encoders(draft: &mut Draft<'_>) {
    let [one, two, three] = draft.request.text_encoders.as_slice() else {
        return;
    };
    let Some(clip) = draft.roles.clip.clone() else {
        return;
    };
    let inputs = json!({"clip_name1": one, "clip_name2": two, "clip_name3": three});
    draft.add(
        TEXT_ENCODERS,
        "TripleCLIPLoader",
        &inputs,
        "/comfyui/text_encoders",
    );
    for i in 0..3 {
        let pointer = format!("/comfyui/text_encoders/{i}");
        draft
            .origins
            .of_input(TEXT_ENCODERS, &format!("clip_name{}", i + 1), pointer);
    }
    let to = link(TEXT_ENCODERS, 0);
    draft.rewire(&clip, &to, &[]);
    draft.roles.clip = Some(to);
}

fn vae(draft: &mut Draft<'_>) {
    let name = &draft.request.vae;
    let Some(vae) = draft.roles.vae.clone().filter(|_| !name.is_empty()) else {
        return;
    };
    draft.add(VAE, "VAELoader", &json!({"vae_name": name}), "/comfyui/vae");
    let to = link(VAE, 0);
    draft.rewire(&vae, &to, &[]);
    draft.roles.vae = Some(to);
}

fn loras(draft: &mut Draft<'_>) {
    for (i, lora) in draft.request.loras.iter().enumerate() {
        let (Some(model), Some(clip)) = (draft.roles.model.clone(), draft.roles.clip.clone()) else {
            return;
        };
        let id = (FIRST_LORA + i).to_string();
        let at = format!("/comfyui/loras/{i}");
        let weight = lora.weight.unwrap_or(1.0);
        let inputs = json!({
            "model": model, "clip": clip, "lora_name": lora.name,
            "strength_model": weight, "strength_clip": lora.clip_weight.unwrap_or(weight),
        });
        draft.add(&id, "LoraLoader", &inputs, &at);
        for (input, field) in [
            ("lora_name", "name"),
            ("strength_model", "weight"),
            ("strength_clip", "clip_weight"),
        ] {
            draft.origins.of_input(&id, input, format!("{at}/{field}"));
        }
        let (to_model, to_clip) = (link(&id, 0), link(&id, 1));
        draft.rewire(&model, &to_model, &[&id]);
        draft.rewire(&clip, &to_clip, &[&id]);
        draft.roles.model = Some(to_model);
        draft.roles.clip = Some(to_clip);
    }
}

fn clip_skip(draft: &mut Draft<'_>) {
    let skip = i64::from(draft.request.clip_skip);
    let Some(clip) = draft.roles.clip.clone().filter(|_| skip > 1) else {
        return;
    };
    let inputs = json!({"clip": clip, "stop_at_clip_layer": -skip});
    draft.add(CLIP_SKIP, "CLIPSetLastLayer", &inputs, "/comfyui/clip_skip");
    let to = link(CLIP_SKIP, 0);
    draft.rewire(&clip, &to, &[CLIP_SKIP]);
    draft.roles.clip = Some(to);
}

/// Sampling begins with the image instead of with nothing.
fn start_image(draft: &mut Draft<'_>) {
    let request = draft.request;
    let (Some(empty), Some(vae)) = (draft.roles.latent.clone(), draft.roles.vae.clone()) else {
        return;
    };
    draft.graph.remove(&empty.0);
    draft.add(
        SOURCE,
        "LoadImage",
        &json!({"image": request.image}),
        "/comfyui/image",
    );
    let pixels = scaled(draft, link(SOURCE, 0), SOURCE_SCALE, "lanczos");
    let denoise = request.denoise.unwrap_or(1.0);
    let mut latent = link(ENCODE, 0);
    let is_inpaint = request.task() == Task::Inpaint;
    let mask = if is_inpaint { Some(mask(draft)) } else { None };
    match mask {
        Some(mask) if denoise >= 1.0 => {
            let inputs = json!({"pixels": pixels, "vae": vae, "mask": mask, "grow_mask_by": GROW_MASK});
            draft.add(ENCODE, "VAEEncodeForInpaint", &inputs, "/comfyui/image");
        }
        Some(mask) => {
            encode(draft, &pixels, &vae);
            let inputs = json!({"samples": latent, "mask": mask});
            draft.add(NOISE_MASK, "SetLatentNoiseMask", &inputs, "/comfyui/mask");
            latent = link(NOISE_MASK, 0);
        }
        None => encode(draft, &pixels, &vae),
    }
    if request.batch_size > 1 {
        let inputs = json!({"samples": latent, "amount": request.batch_size});
        draft.add(REPEAT, "RepeatLatentBatch", &inputs, "/comfyui/batch_size");
        latent = link(REPEAT, 0);
    }
    draft.feed_sampler("latent_image", &latent);
    if let Some(sampler) = draft.roles.sampler.clone() {
        draft.set(&sampler, "denoise", json!(denoise));
        draft.origins.of_input(&sampler, "denoise", "/comfyui/denoise");
    }
    draft.roles.latent = Some(latent);
}

fn encode(draft: &mut Draft<'_>, pixels: &Link, vae: &Link) {
    let inputs = json!({"pixels": pixels, "vae": vae});
    draft.add(ENCODE, "VAEEncode", &inputs, "/comfyui/image");
}

/// The picture in the size that the request names; itself where it names none. A side of 0 follows from
/// the other.
fn scaled(draft: &mut Draft<'_>, picture: Link, id: &str, method: &str) -> Link {
    let (width, height) = (draft.request.width, draft.request.height);
    if width == 0 && height == 0 {
        return picture;
    }
    let crop = if width > 0 && height > 0 {
        "center"
    } else {
        "disabled"
    };
    let inputs = json!({
        "image": picture, "upscale_method": method, "width": width, "height": height, "crop": crop,
    });
    draft.add(id, "ImageScale", &inputs, "/comfyui/width");
    draft.origins.of_input(id, "height", "/comfyui/height");
    link(id, 0)
}

/// What is white in it is painted anew. It is cut as the image is.
fn mask(draft: &mut Draft<'_>) -> Link {
    let request = draft.request;
    let (mask, field) = if request.mask.is_empty() {
        (link(SOURCE, 1), "/comfyui/image")
    } else {
        let inputs = json!({"image": request.mask, "channel": "red"});
        draft.add(MASK, "LoadImageMask", &inputs, "/comfyui/mask");
        (link(MASK, 0), "/comfyui/mask")
    };
    // without a cut, ComfyUI brings the mask to the size of the image by itself
    if request.width == 0 || request.height == 0 {
        return mask;
    }
    draft.add(MASK_PICTURE, "MaskToImage", &json!({"mask": mask}), field);
    let picture = scaled(draft, link(MASK_PICTURE, 0), MASK_SCALE, "bilinear");
    let inputs = json!({"image": picture, "channel": "red"});
    draft.add(MASK_SCALED, "ImageToMask", &inputs, field);
    link(MASK_SCALED, 0)
}

fn controls(draft: &mut Draft<'_>) {
    for (i, control) in draft.request.controls.iter().enumerate() {
        let (Some(positive), Some(negative)) = (draft.roles.positive.clone(), draft.roles.negative.clone())
        else {
            return;
        };
        let at = format!("/comfyui/controls/{i}");
        let number = FIRST_CONTROL + 3 * i;
        let [net, picture, apply] = [number, number + 1, number + 2].map(|number| number.to_string());
        let inputs = json!({"control_net_name": control.name});
        draft.add(&net, "ControlNetLoader", &inputs, &format!("{at}/name"));
        let inputs = json!({"image": control.image});
        draft.add(&picture, "LoadImage", &inputs, &format!("{at}/image"));
        let mut inputs = json!({
            "positive": positive, "negative": negative,
            "control_net": link(&net, 0), "image": link(&picture, 0),
            "strength": control.strength.unwrap_or(1.0),
            "start_percent": control.start.unwrap_or(0.0),
            "end_percent": control.end.unwrap_or(1.0),
        });
        if draft.request.family() == Family::Sd35 {
            inputs["vae"] = json!(draft.roles.vae);
        }
        draft.add(&apply, "ControlNetApplyAdvanced", &inputs, &at);
        for (input, field) in [
            ("strength", "strength"),
            ("start_percent", "start"),
            ("end_percent", "end"),
        ] {
            draft.origins.of_input(&apply, input, format!("{at}/{field}"));
        }
        let (to_positive, to_negative) = (link(&apply, 0), link(&apply, 1));
        draft.feed_sampler("positive", &to_positive);
        draft.feed_sampler("negative", &to_negative);
        draft.roles.positive = Some(to_positive);
        draft.roles.negative = Some(to_negative);
    }
}

fn upscaler(draft: &mut Draft<'_>) {
    let name = &draft.request.upscaler;
    // the template of that task has it already
    if name.is_empty() || draft.request.task() == Task::Upscale {
        return;
    }
    let Some(image) = draft.roles.image.clone() else {
        return;
    };
    let pointer = "/comfyui/upscaler";
    draft.add(
        UPSCALER,
        "UpscaleModelLoader",
        &json!({"model_name": name}),
        pointer,
    );
    let inputs = json!({"upscale_model": link(UPSCALER, 0), "image": image});
    draft.add(UPSCALED, "ImageUpscaleWithModel", &inputs, pointer);
    replace_image(draft, &image, UPSCALED);
}

/// An upscaled picture has the size that its model gives it, unless the request names one.
fn result_size(draft: &mut Draft<'_>) {
    let Some(image) = draft.roles.image.clone() else {
        return;
    };
    if draft.request.task() == Task::Upscale {
        let to = scaled(draft, image.clone(), RESULT_SCALE, "lanczos");
        if to != image {
            replace_image(draft, &image, RESULT_SCALE);
        }
    }
}

fn replace_image(draft: &mut Draft<'_>, image: &Link, by: &str) {
    let to = link(by, 0);
    draft.rewire(image, &to, &[by]);
    draft.roles.image = Some(to);
}

fn video_format(draft: &mut Draft<'_>) {
    let (Some(video), Some(image)) = (&draft.request.video, draft.roles.image.clone()) else {
        return;
    };
    let save = draft.roles.save.clone();
    let fps = f64::from(video.fps);
    let prefix = json!("orchestrator");
    let (class, inputs): (&str, Value) = match video.format.as_str() {
        "webm" => (
            "SaveWEBM",
            json!({"images": image, "filename_prefix": prefix, "codec": "vp9", "fps": fps, "crf": 32}),
        ),
        "mp4" => {
            let inputs = json!({"images": image, "fps": fps});
            draft.add(VIDEO, "CreateVideo", &inputs, "/comfyui/video/format");
            draft.origins.of_input(VIDEO, "fps", "/comfyui/video/fps");
            (
                "SaveVideo",
                json!({
                    "video": link(VIDEO, 0), "filename_prefix": prefix, "format": "auto", "codec": "auto",
                }),
            )
        }
        _ => return,
    };
    draft.graph.remove(&save);
    draft.add(&save, class, &inputs, "/comfyui/video/format");
}
