//! Requests of any kind: none panics, and what is accepted is within the table.

use proptest::{collection, option, prelude::*, sample};
use serde_json::Value;

use super::{RESULT, asset, full};
use crate::{
    flux::{Field, Model, fill, models, plan, table},
    v1::FluxRequest,
};

/// Any request, often nearly one that makes sense.
fn any_request() -> BoxedStrategy<FluxRequest> {
    let names: Vec<String> = models().iter().map(|model| model.name.clone()).collect();
    let model = prop_oneof![4 => sample::select(names), 1 => ".{0,12}"];
    let file = || prop_oneof![Just(asset('1')), Just(RESULT.to_owned()), ".{0,6}"];
    let number = || option::weighted(0.2, prop_oneof![0..3000_u32, Just(1024), any::<u32>()]).boxed();
    let real = || option::weighted(0.2, prop_oneof![0.0..110.0, any::<f64>()]).boxed();
    let flag = || option::weighted(0.2, any::<bool>()).boxed();
    let word = || {
        prop_oneof![
            6 => Just(String::new()),
            1 => "png|webp|high|fast|hd|[0-9]{1,2}:[0-9]{1,2}|.{0,4}"
        ]
        .boxed()
    };
    let texts = (model, ".{0,20}", word(), word(), word(), word(), word()).boxed();
    let sizes = (
        number(),
        number(),
        number(),
        number(),
        number(),
        number(),
        number(),
    )
        .boxed();
    let others = (number(), number(), number(), number(), real(), real(), real()).boxed();
    let flags = (flag(), flag(), flag(), flag(), flag()).boxed();
    let files = (collection::vec(file(), 0..4), option::weighted(0.3, file())).boxed();
    let seed = option::weighted(0.5, any::<u64>());
    let parts = (texts, sizes, others, flags, files, seed).boxed();
    let made = parts.prop_map(|(texts, sizes, others, flags, files, seed)| FluxRequest {
        model: texts.0,
        prompt: texts.1,
        aspect_ratio: texts.2,
        output_format: texts.3,
        mode: texts.4,
        resolution: texts.5,
        finetune_id: texts.6,
        width: sizes.0,
        height: sizes.1,
        safety_tolerance: sizes.2.map(|value| value % 9),
        steps: sizes.3.map(|value| value % 70),
        top: sizes.4,
        bottom: sizes.5,
        left: sizes.6,
        right: others.0,
        dilate_pixels: others.1,
        canny_low_threshold: others.2,
        reference_offset_x: others.3,
        guidance: others.4,
        image_prompt_strength: others.5,
        finetune_strength: others.6,
        prompt_upsampling: flags.0,
        raw: flags.1,
        preprocessed: flags.2,
        disable_pup: flags.3,
        auto_crop: flags.4,
        images: files.0,
        mask: files.1.unwrap_or_default(),
        seed,
        ..FluxRequest::default()
    });
    made.boxed()
}

/// As [`any_request`], but only with what the model takes.
fn likely_request() -> BoxedStrategy<FluxRequest> {
    let likely = any_request().prop_map(|mut request| {
        if let Some(model) = table::find(&request.model) {
            let all = full(model);
            request.prompt.insert(0, 'a');
            request.images = all.images.clone();
            request.mask = all.mask;
            request.finetune_id = all.finetune_id;
            request.top = all.top;
            (request.mode, request.resolution) = (all.mode, all.resolution);
            (request.width, request.height) = (
                request.width.filter(|_| all.width.is_some()).or(all.width),
                request.height.filter(|_| all.height.is_some()).or(all.height),
            );
            for field in Field::ALL {
                if !model.fields.contains_key(field) {
                    clear(&mut request, *field);
                }
            }
        }
        request
    });
    likely.boxed()
}

fn clear(request: &mut FluxRequest, field: Field) {
    match field {
        Field::Prompt => request.prompt.clear(),
        Field::Seed => request.seed = None,
        Field::Width => request.width = None,
        Field::Height => request.height = None,
        Field::AspectRatio => request.aspect_ratio.clear(),
        Field::OutputFormat => request.output_format.clear(),
        Field::SafetyTolerance => request.safety_tolerance = None,
        Field::PromptUpsampling => request.prompt_upsampling = None,
        Field::DisablePup => request.disable_pup = None,
        Field::Raw => request.raw = None,
        Field::Steps => request.steps = None,
        Field::Guidance => request.guidance = None,
        Field::Mask => request.mask.clear(),
        Field::DilatePixels => request.dilate_pixels = None,
        Field::ImagePromptStrength => request.image_prompt_strength = None,
        Field::Top => request.top = None,
        Field::Bottom => request.bottom = None,
        Field::Left => request.left = None,
        Field::Right => request.right = None,
        Field::FinetuneId => request.finetune_id.clear(),
        Field::FinetuneStrength => request.finetune_strength = None,
        Field::CannyLowThreshold => request.canny_low_threshold = None,
        Field::CannyHighThreshold => request.canny_high_threshold = None,
        Field::Preprocessed => request.preprocessed = None,
        Field::Mode => request.mode.clear(),
        Field::AutoCrop => request.auto_crop = None,
        Field::ReferenceOffsetX => request.reference_offset_x = None,
        Field::ReferenceOffsetY => request.reference_offset_y = None,
        Field::Resolution => request.resolution.clear(),
    }
}

/// What a payload holds, measured with the table and not with the code that made it.
fn satisfies(model: &Model, payload: &Value) -> Result<(), TestCaseError> {
    for (name, value) in payload.as_object().expect("an object") {
        let rule = model.fields.iter().find(|(field, _)| field.name() == name);
        let Some((_, rule)) = rule else {
            let is_image = model.images.fields.contains(name)
                || model.images.preprocessed.as_ref() == Some(name)
                || model.fixed.contains_key(name);
            prop_assert!(is_image, "{}: {name}", model.name);
            continue;
        };
        if let Some(number) = value.as_f64() {
            prop_assert!(rule.min.is_none_or(|min| number >= min), "{name}: {number}");
            prop_assert!(rule.max.is_none_or(|max| number <= max), "{name}: {number}");
            let multiple = rule.multiple.unwrap_or(1) as f64;
            prop_assert!(
                rule.multiple.is_none() || number % multiple == 0.0,
                "{name}: {number}"
            );
        }
        if let (Some(text), false) = (value.as_str(), rule.options.is_empty()) {
            prop_assert!(rule.options.iter().any(|option| option == text), "{name}: {text}");
        }
    }
    let side = |name: &str| payload[name].as_u64();
    if let (Some(most), Some(width), Some(height)) = (model.max_pixels, side("width"), side("height")) {
        prop_assert!(width * height <= most);
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_request_panics_and_what_is_accepted_is_within_the_table(
        request in prop_oneof![any_request(), likely_request()],
        seed: u64,
    ) {
        let mut filled = request.clone();
        fill(&mut filled, seed);
        match plan(&filled) {
            Ok(made) => {
                let model = table::find(&filled.model).expect("a model");
                satisfies(model, &made.payload)?;
                prop_assert_eq!(made.inputs.len(), filled.images.len() + usize::from(!filled.mask.is_empty()));
                for input in &made.inputs {
                    prop_assert_eq!(&made.payload[&input.field], &input.reference);
                }
                // what was filled in is not filled in again
                let mut again = filled.clone();
                fill(&mut again, seed.wrapping_add(1));
                prop_assert_eq!(again, filled);
            }
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    prop_assert!(fault.pointer.starts_with("/flux/") && !fault.message.is_empty());
                }
            }
        }
    }
}
