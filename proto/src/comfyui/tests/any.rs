//! Any request, with what is asked for more often than chance would have it.

use proptest::prelude::*;

use super::asset;
use crate::{
    comfyui::structure,
    v1::{ComfyUiRequest, ControlNet, Lora, Video},
};

fn any_name() -> impl Strategy<Value = String> {
    "|sdxl|svd|sd3.5|Euler a|DPM\\+\\+ 2M Karras|karras|x\\.safetensors|.{0,9}"
}

fn any_file() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(asset(3)),
        "asset:.{0,3}|artifact:.{0,3}|.{0,3}"
    ]
}

fn any_count() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0_u32), Just(1), 2..70_u32, Just(512), any::<u32>()]
}

fn any_real() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(prop_oneof![0.0..1.0, any::<f64>()])
}

prop_compose! {
    fn any_lora()(name in any_name(), weight in any_real(), clip_weight in any_real()) -> Lora {
        Lora { name, weight, clip_weight }
    }
}

prop_compose! {
    fn any_control()(
        name in any_name(), image in any_file(), strength in any_real(), start in any_real(), end in any_real(),
    ) -> ControlNet {
        ControlNet { name, image, strength, start, end }
    }
}

prop_compose! {
    fn any_video()(
        frames in any_count(), fps in any_count(), motion_bucket_id in any_count(), noise in any_real(),
        format in "|webp|mp4|webm|gif",
    ) -> Video {
        Video { frames, fps, motion_bucket_id, augmentation: noise.unwrap_or_default(), format }
    }
}

prop_compose! {
    /// Names, files and what hangs on them.
    fn any_subject()(
        prompt in any_name(), checkpoint in any_name(), upscaler in any_name(), image in any_file(),
        mask in any_file(), loras in prop::collection::vec(any_lora(), 0..3),
        controls in prop::collection::vec(any_control(), 0..3), video in prop::option::of(any_video()),
        text_encoders in prop::collection::vec(any_name(), 0..4),
        graph in prop::option::of(structure::tests::any_json()),
    ) -> ComfyUiRequest {
        ComfyUiRequest {
            prompt, checkpoint, upscaler, image, mask, loras, controls, video, text_encoders,
            graph: graph.map(|graph| graph.to_string()).unwrap_or_default(),
            ..ComfyUiRequest::default()
        }
    }
}

prop_compose! {
    pub(super) fn any_request()(
        subject in any_subject(), task in 0..8_i32, family in 0..6_i32, sampler in any_name(),
        scheduler in any_name(), sides in (any_count(), any_count()), steps in any_count(),
        batch_size in any_count(), clip_skip in any_count(), reals in (any_real(), any_real()), seed: Option<u64>,
    ) -> ComfyUiRequest {
        ComfyUiRequest {
            task, family, sampler, scheduler, steps, batch_size, clip_skip, seed,
            width: sides.0, height: sides.1, cfg: reals.0, denoise: reals.1,
            ..subject
        }
    }
}
