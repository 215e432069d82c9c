//! The models of the double: their paths, the fields that each takes, and what each costs. Data.

/// A model.
#[derive(Debug)]
pub(super) struct Model {
    /// Below `/v1/`.
    pub(super) path: &'static str,
    /// The fields, in groups.
    pub(super) fields: &'static [&'static [Field]],
    pub(super) price: Price,
    /// What it makes if it is not told.
    pub(super) format: &'static str,
}

/// What a task costs, in tenths of a credit (thousands of micro-dollars).
#[derive(Debug, Clone, Copy)]
pub(super) enum Price {
    /// A task.
    Flat(u64),
    /// The first megapixel that comes out, and each further one that comes out or goes in.
    Megapixels(u64, u64),
    /// A second of film, in `hd`; `fhd` is twice that.
    Seconds(u64),
}

/// A field of a request.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) nullable: bool,
}

/// What a field may hold.
#[derive(Debug)]
pub(super) enum Kind {
    Text,
    Flag,
    /// Any whole number.
    Whole,
    /// A whole number between two others, and a multiple of the third.
    Integer(i64, i64, i64),
    Number(f64, f64),
    Choice(&'static [&'static str]),
    /// `W:H` between 21:9 and 9:21.
    Ratio,
    /// Pixels of a FLUX.2 picture: 0 for as large as the input, or at least 64 and a multiple of 16.
    Side,
    /// Bare base64 of a picture, or an https address.
    Picture,
    /// Where to report to.
    Address,
    /// 5 to 20, or `auto`.
    Seconds,
    /// A picture, a list of up to ten, or a list of pairs of second and picture.
    Keyframes,
    /// Base64 or an https address; what is in it is not looked at.
    Clip,
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
        nullable: false,
    }
}

impl Field {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    const fn or_null(mut self) -> Self {
        self.nullable = true;
        self
    }
}

const TWO_FORMATS: Kind = Kind::Choice(&["jpeg", "png"]);
const THREE_FORMATS: Kind = Kind::Choice(&["jpeg", "png", "webp"]);

const WEBHOOK: &[Field] = &[
    field("webhook_url", Kind::Address).or_null(),
    field("webhook_secret", Kind::Text).or_null(),
];
const TAIL: &[Field] = &[
    field("seed", Kind::Whole).or_null(),
    field("safety_tolerance", Kind::Integer(0, 6, 1)),
    field("output_format", TWO_FORMATS).or_null(),
    field("prompt_upsampling", Kind::Flag),
];
const TAIL_2: &[Field] = &[
    field("seed", Kind::Whole).or_null(),
    field("safety_tolerance", Kind::Integer(0, 5, 1)),
    field("output_format", THREE_FORMATS).or_null(),
];
const PROMPT: &[Field] = &[field("prompt", Kind::Text).or_null()];
const MUST_PROMPT: &[Field] = &[field("prompt", Kind::Text).required()];
const RATIO: &[Field] = &[field("aspect_ratio", Kind::Ratio).or_null()];
const SIZE: &[Field] = &[
    field("width", Kind::Integer(256, 1440, 32)),
    field("height", Kind::Integer(256, 1440, 32)),
];
const SIZE_2: &[Field] = &[
    field("width", Kind::Side).or_null(),
    field("height", Kind::Side).or_null(),
];
const REMIX: &[Field] = &[field("image_prompt", Kind::Picture).or_null()];
const ULTRA: &[Field] = &[
    field("raw", Kind::Flag),
    field("image_prompt_strength", Kind::Number(0.0, 1.0)),
];
const DEV: &[Field] = &[
    field("steps", Kind::Integer(1, 50, 1)).or_null(),
    field("guidance", Kind::Number(1.5, 5.0)).or_null(),
];
const FLEX: &[Field] = &[
    field("prompt_upsampling", Kind::Flag).or_null(),
    field("steps", Kind::Integer(1, 50, 1)),
    field("guidance", Kind::Number(1.5, 10.0)),
    field("input_image_blob_path", Kind::Text).or_null(),
];
const PRO: &[Field] = &[
    field("steps", Kind::Integer(15, 50, 1)).or_null(),
    field("guidance", Kind::Number(1.5, 100.0)).or_null(),
];
const CONTROL: &[Field] = &[
    field("control_image", Kind::Picture).or_null(),
    field("preprocessed_image", Kind::Picture).or_null(),
    field("steps", Kind::Integer(15, 50, 1)).or_null(),
    field("guidance", Kind::Number(1.0, 100.0)).or_null(),
];
const CANNY: &[Field] = &[
    field("canny_low_threshold", Kind::Integer(0, 500, 1)).or_null(),
    field("canny_high_threshold", Kind::Integer(0, 500, 1)).or_null(),
];
const IMAGE: &[Field] = &[field("image", Kind::Picture).required()];
const MASK: &[Field] = &[field("mask", Kind::Picture).or_null()];
const MUST_MASK: &[Field] = &[
    field("mask", Kind::Picture).required(),
    field("dilate_pixels", Kind::Integer(0, 25, 1)),
];
const EDGES: &[Field] = &[
    field("top", Kind::Integer(0, 2048, 1)).or_null(),
    field("bottom", Kind::Integer(0, 2048, 1)).or_null(),
    field("left", Kind::Integer(0, 2048, 1)).or_null(),
    field("right", Kind::Integer(0, 2048, 1)).or_null(),
];
const FOUR_INPUTS: &[Field] = &[
    field("input_image", Kind::Picture).or_null(),
    field("input_image_2", Kind::Picture).or_null(),
    field("input_image_3", Kind::Picture).or_null(),
    field("input_image_4", Kind::Picture).or_null(),
];
const FURTHER_INPUTS: &[Field] = &[
    field("input_image_5", Kind::Picture).or_null(),
    field("input_image_6", Kind::Picture).or_null(),
    field("input_image_7", Kind::Picture).or_null(),
    field("input_image_8", Kind::Picture).or_null(),
];
const UNTOUCHED: &[Field] = &[field("disable_pup", Kind::Flag)];
const FINETUNE: &[Field] = &[
    field("finetune_id", Kind::Text).required(),
    field("finetune_strength", Kind::Number(0.0, 2.0)),
];
const OUTPAINTING: &[Field] = &[
    field("input_image", Kind::Picture).required(),
    field("width", Kind::Integer(64, 65_536, 1)).required(),
    field("height", Kind::Integer(64, 65_536, 1)).required(),
    field("reference_offset_x", Kind::Whole).or_null(),
    field("reference_offset_y", Kind::Whole).or_null(),
    field("auto_crop", Kind::Flag),
    field("mode", Kind::Choice(&["high", "fast"])),
];
const TRY_ON: &[Field] = &[
    field("person", Kind::Picture).required(),
    field("garment", Kind::Picture).required(),
];
const FILM: &[Field] = &[
    field("mode", Kind::Choice(&["t2v", "i2v", "v2v"])).required(),
    field(
        "aspect_ratio",
        Kind::Choice(&["auto", "21:9", "2:1", "16:9", "4:3", "1:1", "3:4", "9:16"]),
    ),
    field("duration", Kind::Seconds),
    field("resolution", Kind::Choice(&["hd", "fhd"])),
    field("generate_audio", Kind::Flag),
    field("draft", Kind::Flag),
    field("safety_tolerance", Kind::Integer(0, 4, 1)),
    field("keyframes", Kind::Keyframes),
    field("start_video", Kind::Clip),
];

const FLUX_2: &[&[Field]] = &[
    MUST_PROMPT,
    FOUR_INPUTS,
    FURTHER_INPUTS,
    SIZE_2,
    UNTOUCHED,
    TAIL_2,
    WEBHOOK,
];
const KLEIN: &[&[Field]] = &[MUST_PROMPT, FOUR_INPUTS, SIZE_2, TAIL_2, WEBHOOK];
const KONTEXT: &[&[Field]] = &[MUST_PROMPT, FOUR_INPUTS, RATIO, TAIL, WEBHOOK];
const VTO: &[&[Field]] = &[MUST_PROMPT, TRY_ON, TAIL_2, WEBHOOK];

const fn model(
    path: &'static str,
    price: Price,
    format: &'static str,
    fields: &'static [&'static [Field]],
) -> Model {
    Model {
        path,
        fields,
        price,
        format,
    }
}

/// Every model. Prices that the vendor does not publish are made up.
#[rustfmt::skip]
pub(super) const MODELS: &[Model] = &[
    model("flux-2-pro", Price::Megapixels(30, 15), "jpeg", FLUX_2),
    model("flux-2-pro-preview", Price::Megapixels(30, 15), "jpeg", FLUX_2),
    model("flux-2-max", Price::Megapixels(70, 30), "jpeg", FLUX_2),
    model("flux-2-flex", Price::Megapixels(50, 50), "jpeg",
        &[MUST_PROMPT, FOUR_INPUTS, FURTHER_INPUTS, SIZE_2, UNTOUCHED, FLEX, TAIL_2, WEBHOOK]),
    model("flux-2-klein-4b", Price::Megapixels(14, 1), "jpeg", KLEIN),
    model("flux-2-klein-9b", Price::Megapixels(15, 2), "jpeg", KLEIN),
    model("flux-2-klein-9b-preview", Price::Megapixels(15, 2), "jpeg", KLEIN),
    model("flux-kontext-pro", Price::Flat(40), "png", KONTEXT),
    model("flux-kontext-max", Price::Flat(80), "png", KONTEXT),
    model("flux-pro-1.1", Price::Flat(40), "jpeg", &[PROMPT, REMIX, SIZE, TAIL, WEBHOOK]),
    model("flux-pro-1.1-ultra", Price::Flat(60), "jpeg", &[PROMPT, RATIO, REMIX, ULTRA, TAIL, WEBHOOK]),
    model("flux-pro", Price::Flat(50), "jpeg", &[PROMPT, REMIX, SIZE, DEV, TAIL, WEBHOOK]),
    model("flux-dev", Price::Flat(25), "jpeg", &[PROMPT, REMIX, SIZE, DEV, TAIL, WEBHOOK]),
    model("flux-pro-1.0-fill", Price::Flat(50), "jpeg", &[IMAGE, MASK, PROMPT, PRO, TAIL, WEBHOOK]),
    model("flux-pro-1.0-expand", Price::Flat(50), "jpeg", &[IMAGE, EDGES, PROMPT, PRO, TAIL, WEBHOOK]),
    model("flux-pro-1.0-canny", Price::Flat(50), "jpeg", &[MUST_PROMPT, CONTROL, CANNY, TAIL, WEBHOOK]),
    model("flux-pro-1.0-depth", Price::Flat(50), "jpeg", &[MUST_PROMPT, CONTROL, TAIL, WEBHOOK]),
    model("flux-pro-1.1-ultra-finetuned", Price::Flat(70), "jpeg",
        &[FINETUNE, PROMPT, RATIO, REMIX, ULTRA, TAIL, WEBHOOK]),
    model("flux-pro-finetuned", Price::Flat(60), "jpeg", &[FINETUNE, PROMPT, REMIX, SIZE, DEV, TAIL, WEBHOOK]),
    model("flux-pro-1.0-fill-finetuned", Price::Flat(60), "jpeg",
        &[FINETUNE, IMAGE, MASK, PROMPT, PRO, TAIL, WEBHOOK]),
    model("flux-pro-1.0-canny-finetuned", Price::Flat(60), "jpeg",
        &[FINETUNE, MUST_PROMPT, CONTROL, CANNY, TAIL, WEBHOOK]),
    model("flux-pro-1.0-depth-finetuned", Price::Flat(60), "jpeg",
        &[FINETUNE, MUST_PROMPT, CONTROL, TAIL, WEBHOOK]),
    model("flux-tools/erase-v1", Price::Flat(50), "png", &[IMAGE, MUST_MASK, TAIL_2, WEBHOOK]),
    model("flux-tools/deblur-v1", Price::Flat(50), "png", &[IMAGE, TAIL_2, WEBHOOK]),
    model("flux-tools/outpainting-v1", Price::Flat(50), "png", &[OUTPAINTING, PROMPT, UNTOUCHED, TAIL_2, WEBHOOK]),
    model("flux-tools/vto-v1", Price::Flat(50), "jpeg", VTO),
    model("flux-tools/vto-v2", Price::Flat(50), "jpeg", VTO),
    model("flux-3-video", Price::Seconds(100), "mp4", &[MUST_PROMPT, FILM, WEBHOOK]),
];

impl Model {
    /// The model at a path below `/v1/`.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.path == path)
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.fields.iter().copied().flatten()
    }
}
