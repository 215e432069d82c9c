//! What can be asked, what is sent for it, what it costs; and that the table makes sense.

mod any;

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn asset(digit: char) -> String {
    format!("asset:{}", digit.to_string().repeat(64))
}

const RESULT: &str = "artifact:0198f3a2-0000-7000-8000-000000000001-1-0";

fn request(model: &str) -> FluxRequest {
    FluxRequest {
        model: model.to_owned(),
        prompt: "a lighthouse in a storm".to_owned(),
        ..FluxRequest::default()
    }
}

fn faults(request: &FluxRequest) -> Vec<String> {
    let faults = plan(request).expect_err("faulty").into_iter();
    faults
        .map(|fault| format!("{} {}", fault.pointer, fault.message))
        .collect()
}

fn pointers(request: &FluxRequest) -> Vec<String> {
    let faults = plan(request).expect_err("faulty").into_iter();
    faults.map(|fault| fault.pointer).collect()
}

fn amount(request: &FluxRequest) -> String {
    plan(request)
        .expect("good")
        .price
        .expect("a price")
        .amount
        .to_string()
}

/// A request that gives a model all that it takes.
fn full(model: &Model) -> FluxRequest {
    let mut request = FluxRequest {
        model: model.name.clone(),
        ..FluxRequest::default()
    };
    for field in model.fields.keys() {
        match field {
            Field::Prompt => request.prompt = "a lighthouse".to_owned(),
            Field::Width => request.width = Some(1024),
            Field::Height => request.height = Some(512),
            Field::AspectRatio => request.aspect_ratio = "16:9".to_owned(),
            Field::SafetyTolerance => request.safety_tolerance = Some(3),
            Field::PromptUpsampling => request.prompt_upsampling = Some(true),
            Field::DisablePup => request.disable_pup = Some(true),
            Field::Raw => request.raw = Some(true),
            Field::Steps => request.steps = Some(20),
            Field::Guidance => request.guidance = Some(4.5),
            Field::Mask => request.mask = asset('f'),
            Field::DilatePixels => request.dilate_pixels = Some(5),
            Field::ImagePromptStrength => request.image_prompt_strength = Some(0.25),
            Field::Top => request.top = Some(256),
            Field::FinetuneId => request.finetune_id = "my-style".to_owned(),
            Field::FinetuneStrength => request.finetune_strength = Some(1.0),
            Field::CannyLowThreshold => request.canny_low_threshold = Some(40),
            Field::CannyHighThreshold => request.canny_high_threshold = Some(180),
            Field::Preprocessed => request.preprocessed = Some(true),
            Field::Mode => request.mode = "fast".to_owned(),
            Field::AutoCrop => request.auto_crop = Some(true),
            Field::ReferenceOffsetX => request.reference_offset_x = Some(100),
            Field::ReferenceOffsetY => request.reference_offset_y = Some(0),
            Field::Resolution => request.resolution = "fhd".to_owned(),
            // filled in, or left to the vendor
            Field::Seed | Field::OutputFormat | Field::Bottom | Field::Left | Field::Right => {}
        }
    }
    let images = model.images.fields.iter().take(2).enumerate();
    request.images = images
        .map(|(place, _)| if place == 0 { asset('1') } else { RESULT.to_owned() })
        .collect();
    request
}

#[test]
fn a_prompt_alone_is_enough() {
    let mut request = request("");
    fill(&mut request, 1 << 40 | 7);
    assert_eq!((request.model.as_str(), request.seed), ("flux-2-pro", Some(7)));
    let plan = plan(&request).expect("good");
    assert_eq!(plan.path, "flux-2-pro");
    assert_eq!(
        plan.payload,
        json!({"prompt": "a lighthouse in a storm", "seed": 7, "output_format": "jpeg"})
    );
    assert_eq!((plan.inputs, plan.limit), (vec![], None));
}

#[test]
fn what_the_caller_chose_is_kept_and_a_film_has_no_seed() {
    let mut chosen = request("flux-kontext-pro");
    chosen.seed = Some(3);
    chosen.output_format = "jpeg".to_owned();
    fill(&mut chosen, 7);
    assert_eq!((chosen.seed, chosen.output_format.as_str()), (Some(3), "jpeg"));
    let mut film = request("flux-3-video");
    fill(&mut film, 7);
    assert_eq!(film.seed, None);
    assert_eq!(plan(&film).expect("good").payload["mode"], "t2v");
}

#[test]
fn each_model_is_sent_what_it_takes_and_nothing_else() {
    let mut sent = Vec::new();
    for model in models() {
        let mut request = full(model);
        fill(&mut request, 7);
        let plan = plan(&request).unwrap_or_else(|faults| panic!("{}: {faults:?}", model.name));
        let price = plan.price.map_or_else(
            || "unknown price".to_owned(),
            |price| format!("{}: {}", price.amount, price.basis),
        );
        sent.push(json!({"path": plan.path, "payload": plan.payload, "price": price}));
    }
    insta::assert_json_snapshot!(sent);
}

#[test]
fn files_are_named_with_their_place_in_the_payload() {
    let mut edit = request("flux-2-max");
    edit.images = vec![asset('1'), RESULT.to_owned()];
    let made = plan(&edit).expect("good");
    let input = |field: &str, reference: &str| Input {
        field: field.to_owned(),
        reference: reference.to_owned(),
    };
    assert_eq!(
        made.inputs,
        [input("input_image", &asset('1')), input("input_image_2", RESULT)]
    );
    assert_eq!(made.payload["input_image_2"], RESULT);

    let mut fill = request("flux-pro-1.0-fill");
    (fill.images, fill.mask) = (vec![RESULT.to_owned()], asset('2'));
    let made = plan(&fill).expect("good");
    assert_eq!(made.inputs, [input("mask", &asset('2')), input("image", RESULT)]);

    let mut depth = request("flux-pro-1.0-depth");
    (depth.images, depth.preprocessed) = (vec![RESULT.to_owned()], Some(true));
    assert_eq!(
        plan(&depth).expect("good").inputs,
        [input("preprocessed_image", RESULT)]
    );
}

#[test]
fn few_may_use_the_largest_editor_at_once() {
    let limit = plan(&request("flux-kontext-max")).expect("good").limit;
    let expected = Limit {
        models: vec!["flux-kontext-max".to_owned()],
        at_once: 6,
    };
    assert_eq!(limit, Some(expected));
}

#[test]
fn all_faults_are_told_at_once() {
    let faulty = FluxRequest {
        prompt: " ".to_owned(),
        width: Some(1000),
        height: Some(1472),
        safety_tolerance: Some(7),
        output_format: "gif".to_owned(),
        raw: Some(true),
        images: vec!["photo.png".to_owned(), asset('1')],
        ..request("flux-pro-1.1")
    };
    insta::assert_snapshot!(faults(&faulty).join("\n"));
}

#[test]
fn a_large_picture_has_its_limits() {
    let size = |model: &str, width, height| FluxRequest {
        width: Some(width),
        height: Some(height),
        ..request(model)
    };
    for (width, height) in [(64, 64), (2048, 2048), (4096, 1024), (1440, 816)] {
        assert!(
            plan(&size("flux-2-pro", width, height)).is_ok(),
            "{width} × {height}"
        );
    }
    assert_eq!(
        faults(&size("flux-2-pro", 2064, 2048)),
        ["/flux/width 2064 × 2048 are 4227072 pixels, flux-2-pro makes at most 4194304, such as 2048 × 2048"]
    );
    assert_eq!(
        faults(&size("flux-2-flex", 48, 1000)),
        [
            "/flux/width 48 is not at least 64, the least of flux-2-flex",
            "/flux/height 1000 is no multiple of 16; 992 and 1008 are"
        ]
    );
    assert_eq!(
        pointers(&size("flux-2-max", u32::MAX, u32::MAX)),
        ["/flux/width", "/flux/height", "/flux/width"]
    );
}

#[test]
fn a_ratio_is_between_the_widest_and_the_tallest() {
    let ratio = |text: &str| FluxRequest {
        aspect_ratio: text.to_owned(),
        ..request("flux-pro-1.1-ultra")
    };
    for text in ["21:9", "9:21", "1:1", "1920:1080", "7:3"] {
        assert!(plan(&ratio(text)).is_ok(), "{text}");
    }
    for text in [
        "22:9",
        "9:22",
        "0:1",
        "1:0",
        "16/9",
        "16:9:1",
        "-16:9",
        "+16:9",
        "auto",
        "9999999:1",
    ] {
        assert_eq!(pointers(&ratio(text)), ["/flux/aspect_ratio"], "{text}");
    }
    let film = |text: &str| FluxRequest {
        aspect_ratio: text.to_owned(),
        ..request("flux-3-video")
    };
    assert!(plan(&film("auto")).is_ok());
    assert!(faults(&film("3:2"))[0].contains("auto, 21:9, 2:1"));
}

#[test]
fn what_is_missing_is_named() {
    let bare = |model: &str| FluxRequest {
        model: model.to_owned(),
        ..FluxRequest::default()
    };
    assert_eq!(faults(&bare("")), ["/flux/prompt flux-2-pro needs `prompt`"]);
    assert_eq!(
        faults(&bare("flux-pro-1.1-ultra")),
        ["/flux/prompt flux-pro-1.1-ultra needs `prompt`, or an image"]
    );
    assert_eq!(pointers(&bare("flux-erase-v1")), ["/flux/mask", "/flux/images"]);
    assert!(
        faults(&bare("flux-vto-v2"))[1].contains("2 images in this order (person, garment)"),
        "{:?}",
        faults(&bare("flux-vto-v2"))
    );
    assert_eq!(
        pointers(&bare("flux-outpainting-v1")),
        ["/flux/width", "/flux/height", "/flux/images"]
    );
    let mut expand = bare("flux-pro-1.0-expand");
    expand.images = vec![asset('1')];
    assert_eq!(
        faults(&expand),
        ["/flux/top flux-pro-1.0-expand needs at least one of top, bottom, left, right"]
    );
    assert_eq!(
        faults(&bare("flux-2-prp"))[0].split(" There").next(),
        Some("/flux/model \"flux-2-prp\" is no model of FLUX; the nearest is flux-2-pro.")
    );
}

#[test]
fn a_field_of_other_models_is_refused() {
    let mut steps = request("flux-2-pro");
    steps.steps = Some(20);
    let told = faults(&steps);
    assert!(
        told[0].starts_with("/flux/steps flux-2-pro takes no `steps`, but prompt, seed, width, height,"),
        "{told:?}"
    );
    assert!(
        told[0].contains("models that do: flux-2-flex, flux-pro, flux-dev"),
        "{told:?}"
    );
    let mut five = request("flux-2-klein-4b");
    five.images = vec![asset('1'); 5];
    assert_eq!(
        faults(&five),
        ["/flux/images 5 images are given, flux-2-klein-4b takes at most 4"]
    );
    let mut seed = request("flux-2-pro");
    seed.seed = Some(MAX_SEED + 1);
    assert_eq!(pointers(&seed), ["/flux/seed"]);
    let mut guidance = request("flux-2-flex");
    guidance.guidance = Some(f64::NAN);
    assert_eq!(pointers(&guidance), ["/flux/guidance"]);
}

#[test]
fn a_price_is_the_most_that_it_should_come_to() {
    let size = |width, height, images: usize| FluxRequest {
        width: Some(width),
        height: Some(height),
        images: vec![asset('1'); images],
        ..request("flux-2-pro")
    };
    assert_eq!(amount(&request("flux-pro-1.1")), "$0.04");
    assert_eq!(amount(&request("flux-dev")), "$0.025");
    // without a size as many megapixels as there may be: 3 + 3 × 1.5
    assert_eq!(amount(&request("flux-2-pro")), "$0.075");
    assert_eq!(amount(&size(1024, 976, 0)), "$0.03");
    assert_eq!(amount(&size(1024, 1024, 0)), "$0.045");
    assert_eq!(amount(&size(2048, 2048, 0)), "$0.075");
    // an image counts four megapixels, all of them together eight
    assert_eq!(amount(&size(512, 512, 1)), "$0.09");
    assert_eq!(amount(&size(512, 512, 2)), "$0.15");
    assert_eq!(amount(&size(512, 512, 8)), "$0.15");
    let basis = plan(&size(2048, 2048, 1))
        .expect("good")
        .price
        .expect("a price")
        .basis;
    assert_eq!(
        basis,
        "3 credits for the first megapixel, 1.5 for each of 3 more, 1.5 for each of at most 4 that go in \
         (price table of 2026-08-22)"
    );
    assert_eq!(plan(&request("flux-3-video")).expect("good").price, None);
}

#[test]
fn an_endpoint_is_understood_as_a_name() {
    let mut deblur = request("flux-tools/deblur-v1");
    (deblur.images, deblur.prompt) = (vec![RESULT.to_owned()], String::new());
    fill(&mut deblur, 7);
    assert_eq!(deblur.model, "flux-deblur-v1");
    assert_eq!(summary(&deblur), "flux-deblur-v1");
    assert_eq!(plan(&deblur).expect("good").path, "flux-tools/deblur-v1");
}

#[test]
fn the_table_makes_sense() {
    for field in Field::ALL {
        let read: Field = serde_json::from_value(json!(field.name())).expect("a field");
        assert_eq!(read, *field);
    }
    let names: BTreeSet<&str> = models().iter().map(|model| model.name.as_str()).collect();
    let paths: BTreeSet<&str> = models().iter().map(Model::path).collect();
    assert_eq!((names.len(), paths.len()), (models().len(), models().len()));
    assert!(names.contains(TABLE.default.as_str()));
    for model in models() {
        let name = &model.name;
        for field in &model.one_of {
            assert!(model.fields.contains_key(field), "{name}: {field:?}");
        }
        if let Some(group) = &model.group {
            assert!(TABLE.groups.contains_key(group), "{name}: {group}");
        }
        assert!(model.images.needed <= model.images.fields.len(), "{name}");
        let preprocessed = model.fields.contains_key(&Field::Preprocessed);
        assert_eq!(preprocessed, model.images.preprocessed.is_some(), "{name}");
        for (field, rule) in &model.fields {
            let (min, max) = (rule.min.unwrap_or(f64::MIN), rule.max.unwrap_or(f64::MAX));
            assert!(min <= max, "{name}: {field:?}");
            assert_eq!(
                field.kind() == Kind::Choice
                    || (field.kind() == Kind::Ratio && rule.default == Some("auto".into())),
                !rule.options.is_empty(),
                "{name}: {field:?}"
            );
            match &rule.default {
                None => {}
                Some(Value::Number(number)) => {
                    let number = number.as_f64().expect("a number");
                    assert!((min..=max).contains(&number), "{name}: {field:?}");
                }
                Some(Value::String(text)) => {
                    let is_option = rule.options.is_empty() || rule.options.contains(text);
                    assert!(is_option, "{name}: {field:?}");
                }
                Some(other) => assert!(
                    other.is_boolean() && field.kind() == Kind::Flag,
                    "{name}: {field:?}"
                ),
            }
        }
    }
}
