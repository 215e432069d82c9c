//! What a caller may ask for: every fault of a request at once, and the request with its defaults filled in.

use crate::{
    Backend,
    ids::AssetId,
    moment::{self, Millis},
    subjects,
    topology::{MAX_INLINE_REQUEST_BYTES, MAX_SPEC_BYTES},
    v1::{ComfyUiRequest, JobRequest, SketchRequest, job_request::Body, rehearsal::Act},
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
}

/// Checks a request and fills in its defaults.
///
/// `seed` is used where the caller chose none; `now` is compared with the deadline.
///
/// # Errors
/// All faults at once, each with a pointer.
pub fn accept(request: JobRequest, seed: u64, now: Millis) -> Result<Accepted, Vec<Fault>> {
    let hash = blake3::hash(&request.encode_to_vec()).to_hex().to_string();
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
    check_frame(&mut request, now, &mut faults);
    let (backend, lane, summary) = match &mut request.body {
        Some(Body::Sketch(sketch)) => {
            check_sketch(sketch, seed, &mut faults);
            (
                Backend::Sketch,
                subjects::ANY_LANE.to_owned(),
                summary(&sketch.prompt),
            )
        }
        Some(Body::Comfyui(comfyui)) => {
            check_comfyui(comfyui, seed, &mut faults);
            let text = if comfyui.graph.is_empty() {
                &comfyui.prompt
            } else {
                "graph"
            };
            (
                Backend::Comfyui,
                subjects::lane_key(&comfyui.checkpoint),
                summary(text),
            )
        }
        None => {
            faults.add(
                "",
                "name a backend: give an object `sketch` or `comfyui`".to_owned(),
            );
            (Backend::Unspecified, String::new(), String::new())
        }
    };
    if faults.0.is_empty() {
        Ok(Accepted {
            request,
            backend,
            lane,
            summary,
            hash,
        })
    } else {
        Err(faults.0)
    }
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
        Some(Body::Comfyui(comfyui)) => {
            cut(&mut comfyui.prompt);
            cut(&mut comfyui.negative_prompt);
            comfyui.graph.clear();
        }
        None => {}
    }
    Some(short)
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

    fn asset(&mut self, pointer: &str, reference: &str) {
        match AssetId::from_reference(reference) {
            Some(Ok(_)) => {}
            Some(Err(error)) => self.add(
                pointer,
                format!("{error}; upload the file and use the id that comes back"),
            ),
            None => self.add(pointer, "must be `asset:<id>` of an uploaded file".to_owned()),
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
        faults.asset("/sketch/palette", &sketch.palette);
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

fn check_comfyui(comfyui: &mut ComfyUiRequest, seed: u64, faults: &mut Faults) {
    faults.text("/comfyui/prompt", &comfyui.prompt, MAX_PROMPT_BYTES);
    faults.text(
        "/comfyui/negative_prompt",
        &comfyui.negative_prompt,
        MAX_PROMPT_BYTES,
    );
    if !comfyui.graph.is_empty() {
        check_graph(&comfyui.graph, faults);
        return;
    }
    for (pointer, value) in [
        ("/comfyui/checkpoint", &comfyui.checkpoint),
        ("/comfyui/sampler", &comfyui.sampler),
    ] {
        faults.text(pointer, value, 512);
    }
    faults.text("/comfyui/scheduler", &comfyui.scheduler, 512);
    if comfyui.checkpoint.is_empty() {
        faults.add(
            "/comfyui/checkpoint",
            "name a checkpoint (GET /api/models lists them), or give a whole `graph`".to_owned(),
        );
    }
    for (pointer, side) in [
        ("/comfyui/width", &mut comfyui.width),
        ("/comfyui/height", &mut comfyui.height),
    ] {
        faults.number(pointer, side, 512, MIN_SIDE..=MAX_SIDE);
        if *side % 8 != 0 {
            faults.add(pointer, format!("{side} is not a multiple of 8"));
        }
    }
    faults.number("/comfyui/steps", &mut comfyui.steps, 20, 1..=MAX_STEPS);
    faults.number("/comfyui/batch_size", &mut comfyui.batch_size, 1, 1..=64);
    if !(0.0..=100.0).contains(comfyui.cfg.get_or_insert(7.0)) {
        faults.add("/comfyui/cfg", "is not within 0 to 100".to_owned());
    }
    comfyui.seed.get_or_insert(seed);
    for (text, default) in [
        (&mut comfyui.sampler, "euler"),
        (&mut comfyui.scheduler, "normal"),
    ] {
        if text.is_empty() {
            default.clone_into(text);
        }
    }
}

fn check_graph(text: &str, faults: &mut Faults) {
    let pointer = "/comfyui/graph";
    let graph = match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(graph)) => graph,
        Ok(_) => return faults.add(pointer, "must be a JSON object of nodes".to_owned()),
        Err(error) => return faults.add(pointer, format!("is not valid JSON: {error}")),
    };
    if graph.get("nodes").is_some_and(serde_json::Value::is_array) {
        return faults.add(
            pointer,
            "is in the format of ComfyUI's editor; export it with \"Export (API)\"".to_owned(),
        );
    }
    if graph.is_empty() {
        faults.add(pointer, "has no nodes".to_owned());
    }
    for (id, node) in &graph {
        let id = id.replace('~', "~0").replace('/', "~1");
        if node
            .get("class_type")
            .and_then(serde_json::Value::as_str)
            .is_none_or(str::is_empty)
        {
            faults.add(
                &format!("{pointer}/{id}/class_type"),
                "every node needs a class_type".to_owned(),
            );
        }
        let Some(inputs) = node.get("inputs").and_then(serde_json::Value::as_object) else {
            faults.add(
                &format!("{pointer}/{id}/inputs"),
                "every node needs an object `inputs`".to_owned(),
            );
            continue;
        };
        for (name, value) in inputs {
            if let Some(Err(error)) = value.as_str().and_then(AssetId::from_reference) {
                faults.add(&format!("{pointer}/{id}/inputs/{name}"), error.to_string());
            }
        }
    }
}

fn summary(prompt: &str) -> String {
    let words: Vec<&str> = prompt.split_whitespace().collect();
    words.join(" ").chars().take(SUMMARY_CHARS).collect()
}

#[cfg(test)]
mod tests;
