//! What a caller may ask for: every fault of a request at once, and the request with its defaults filled in.

mod inputs;

pub use inputs::inputs;

use crate::{
    Backend, comfyui, flux,
    ids::InputId,
    moment::{self, Millis},
    money::Cost,
    subjects,
    topology::{MAX_INLINE_REQUEST_BYTES, MAX_SPEC_BYTES},
    v0,
    v1::{
        ComfyUiRequest, FluxRequest, JobRequest, Model, SketchRequest, Substitution, V0Request,
        job_request::Body, rehearsal::Act,
    },
};
use prost::Message as _;

/// Longest prompt, in bytes.
pub const MAX_PROMPT_BYTES: usize = 16 * 1024;
/// Attempts of a job whose request names no number.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 3;

const MAX_ATTEMPTS: u32 = 10;
const MAX_STEPS: u32 = 1000;
const MAX_SIDE: u32 = 4096;
const MIN_SIDE: u32 = 16;
const MAX_TAGS: usize = 16;
const MAX_TAG_CHARS: usize = 64;
const SUMMARY_CHARS: usize = 200;

/// Something in a request that cannot be, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer into the request.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A request that can be queued.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// With every default filled in, the seed included.
    pub request: JobRequest,
    /// Who can serve it.
    pub backend: Backend,
    /// Routing key of the model.
    pub lane: String,
    /// The prompt's beginning, for lists.
    pub summary: String,
    /// BLAKE3 of the request as it was sent, hex.
    pub hash: String,
    /// Names of other programs that were replaced.
    pub substitutions: Vec<Substitution>,
    /// What a worker must have for it.
    pub needs: Vec<Model>,
    /// Whether it costs money, as far as the request alone tells; graphs may, by the nodes that they have.
    pub cost: Cost,
    /// What a paid service would be sent, as JSON text, with the inputs as they are named in the request.
    pub payload: String,
}

/// What the backend's part of a request comes to.
#[derive(Default)]
struct Part {
    lane: String,
    summary: String,
    substitutions: Vec<Substitution>,
    needs: Vec<Model>,
    cost: Cost,
    payload: String,
}

/// Checks a request and fills in its defaults.
///
/// `seed` is used where the caller chose none; `now` is compared with the deadline.
///
/// # Errors
/// All faults at once, each with a pointer.
pub fn accept(request: JobRequest, seed: u64, now: Millis) -> Result<Accepted, Vec<Fault>> {
    let hash = hash(&request);
    let mut faults = Faults::default();
    if request.encoded_len() > MAX_SPEC_BYTES {
        faults.add(
            "",
            format!(
                "the request has {} bytes, at most {MAX_SPEC_BYTES} are possible",
                request.encoded_len()
            ),
        );
    }
    let mut request = request;
    // a record is made of this, and would else say that it is not one
    request.dry_run = false;
    check_frame(&mut request, now, &mut faults);
    let (backend, part) = match &mut request.body {
        Some(Body::Sketch(sketch)) => {
            check_sketch(sketch, seed, &mut faults);
            let part = Part {
                lane: subjects::ANY_LANE.to_owned(),
                summary: sketch.prompt.clone(),
                ..Part::default()
            };
            (Backend::Sketch, part)
        }
        Some(Body::Comfyui(comfyui)) => (Backend::Comfyui, check_comfyui(comfyui, seed, &mut faults)),
        Some(Body::Flux(request)) => (Backend::Flux, check_flux(request, seed, &mut faults)),
        Some(Body::V0(request)) => (Backend::V0, check_v0(request, &mut faults)),
        None => {
            faults.add(
                "",
                "name a backend: give an object `sketch`, `comfyui`, `flux` or `v0`".to_owned(),
            );
            (Backend::Unspecified, Part::default())
        }
    };
    if faults.0.is_empty() {
        Ok(Accepted {
            request,
            backend,
            lane: part.lane,
            summary: summary(&part.summary),
            hash,
            substitutions: part.substitutions,
            needs: part.needs,
            cost: part.cost,
            payload: part.payload,
        })
    } else {
        Err(faults.0)
    }
}

/// BLAKE3 of a request, hex: whether a repeated submission asks for the same. Where something is filled in
/// before [`accept`] sees it, such as the graph of a workflow, this has to be taken before.
pub fn hash(request: &JobRequest) -> String {
    blake3::hash(&request.encode_to_vec()).to_hex().to_string()
}

/// The request without its large parts, where it is too large to lie in the record.
///
/// `None` where the whole request may lie there.
pub fn abridged(request: &JobRequest) -> Option<JobRequest> {
    if request.encoded_len() <= MAX_INLINE_REQUEST_BYTES {
        return None;
    }
    let mut short = request.clone();
    let cut = |text: &mut String| *text = text.chars().take(SUMMARY_CHARS).collect();
    match &mut short.body {
        Some(Body::Sketch(sketch)) => cut(&mut sketch.prompt),
        Some(Body::Comfyui(comfyui)) => abridge_comfyui(comfyui, cut),
        Some(Body::Flux(flux)) => cut(&mut flux.prompt),
        Some(Body::V0(v0)) => {
            v0.changes.clear();
            [&mut v0.prompt, &mut v0.system].into_iter().for_each(cut);
        }
        None => {}
    }
    Some(short)
}

fn abridge_comfyui(comfyui: &mut ComfyUiRequest, cut: impl Fn(&mut String)) {
    comfyui.graph.clear();
    comfyui.parameters.clear();
    let texts = [
        &mut comfyui.prompt,
        &mut comfyui.negative_prompt,
        &mut comfyui.checkpoint,
        &mut comfyui.vae,
        &mut comfyui.upscaler,
        &mut comfyui.sampler,
        &mut comfyui.scheduler,
    ];
    let loras = comfyui.loras.iter_mut().map(|lora| &mut lora.name);
    let controls = comfyui.controls.iter_mut().map(|control| &mut control.name);
    let names = loras.chain(controls).chain(&mut comfyui.text_encoders);
    texts.into_iter().chain(names).for_each(cut);
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, pointer: &str, message: String) {
        self.0.push(Fault {
            pointer: pointer.to_owned(),
            message,
        });
    }

    fn number(&mut self, pointer: &str, value: &mut u32, default: u32, range: std::ops::RangeInclusive<u32>) {
        if *value == 0 {
            *value = default;
        } else if !range.contains(value) {
            self.add(
                pointer,
                format!("{value} is not within {} to {}", range.start(), range.end()),
            );
        }
    }

    fn text(&mut self, pointer: &str, text: &str, max: usize) {
        if text.len() > max {
            self.add(
                pointer,
                format!("has {} bytes, at most {max} are possible", text.len()),
            );
        }
        if text.contains('\0') {
            self.add(pointer, "must not contain the character U+0000".to_owned());
        }
    }

    fn input(&mut self, pointer: &str, reference: &str) {
        if let Err(error) = reference.parse::<InputId>() {
            self.add(pointer, error.to_string());
        }
    }
}

fn check_frame(request: &mut JobRequest, now: Millis, faults: &mut Faults) {
    faults.number(
        "/max_attempts",
        &mut request.max_attempts,
        DEFAULT_MAX_ATTEMPTS,
        1..=MAX_ATTEMPTS,
    );
    if crate::Priority::try_from(request.priority).is_err() {
        faults.add("/priority", "must be `high`, `normal` or `low`".to_owned());
    }
    let deadline = moment::maybe_millis(request.deadline.as_ref());
    if deadline.is_some_and(|deadline| deadline <= now) {
        faults.add("/deadline", "has passed already".to_owned());
    }
    let not_before = moment::maybe_millis(request.not_before.as_ref());
    if let (Some(deadline), Some(not_before)) = (deadline, not_before)
        && deadline <= not_before
    {
        faults.add("/deadline", "must be later than `not_before`".to_owned());
    }
    if request.tags.len() > MAX_TAGS {
        faults.add(
            "/tags",
            format!(
                "{} tags are given, at most {MAX_TAGS} are possible",
                request.tags.len()
            ),
        );
    }
    for (i, tag) in request.tags.iter().enumerate() {
        if tag.is_empty() || tag.chars().count() > MAX_TAG_CHARS || tag.chars().any(char::is_control) {
            faults.add(
                &format!("/tags/{i}"),
                format!("must have 1 to {MAX_TAG_CHARS} characters, none of them a control character"),
            );
        }
    }
}

fn check_sketch(sketch: &mut SketchRequest, seed: u64, faults: &mut Faults) {
    faults.text("/sketch/prompt", &sketch.prompt, MAX_PROMPT_BYTES);
    faults.number("/sketch/width", &mut sketch.width, 512, MIN_SIDE..=MAX_SIDE);
    faults.number("/sketch/height", &mut sketch.height, 512, MIN_SIDE..=MAX_SIDE);
    faults.number("/sketch/steps", &mut sketch.steps, 20, 1..=MAX_STEPS);
    sketch.seed.get_or_insert(seed);
    if !sketch.palette.is_empty() {
        faults.input("/sketch/palette", &sketch.palette);
    }
    if let Some(rehearsal) = &sketch.rehearsal {
        if Act::try_from(rehearsal.act).is_err() {
            faults.add("/sketch/rehearsal/act", "is not a known act".to_owned());
        }
        if rehearsal.step_milliseconds > 60_000 {
            faults.add(
                "/sketch/rehearsal/step_milliseconds",
                "must be at most 60000".to_owned(),
            );
        }
    }
}

fn check_comfyui(comfyui: &mut ComfyUiRequest, seed: u64, faults: &mut Faults) -> Part {
    let substitutions = comfyui::fill(comfyui, seed);
    match comfyui::plan(comfyui) {
        Ok(plan) => Part {
            lane: subjects::lane_key(plan.checkpoint.as_deref().unwrap_or_default()),
            summary: comfyui::summary(comfyui, &plan),
            substitutions,
            needs: plan.needs,
            ..Part::default()
        },
        Err(found) => {
            faults.0.extend(found);
            Part::default()
        }
    }
}

fn check_flux(request: &mut FluxRequest, seed: u64, faults: &mut Faults) -> Part {
    flux::fill(request, seed);
    match flux::plan(request) {
        Ok(plan) => Part {
            lane: subjects::ANY_LANE.to_owned(),
            summary: flux::summary(request),
            payload: plan.payload.to_string(),
            cost: plan.price.map_or_else(
                || Cost::Unpriced {
                    model: request.model.clone(),
                },
                Cost::Priced,
            ),
            ..Part::default()
        },
        Err(found) => {
            faults.0.extend(found);
            Part::default()
        }
    }
}

fn check_v0(request: &mut V0Request, faults: &mut Faults) -> Part {
    match v0::plan(request) {
        Ok(plan) => Part {
            lane: subjects::ANY_LANE.to_owned(),
            summary: plan.summary,
            payload: plan.payload.to_string(),
            cost: plan.price.map_or(Cost::Free, Cost::Priced),
            ..Part::default()
        },
        Err(found) => {
            faults.0.extend(found);
            Part::default()
        }
    }
}

fn summary(prompt: &str) -> String {
    let words: Vec<&str> = prompt.split_whitespace().collect();
    words.join(" ").chars().take(SUMMARY_CHARS).collect()
}

#[cfg(test)]
mod tests;
