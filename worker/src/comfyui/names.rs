//! Names of models and choices: which input takes which kind, and which known name was probably meant. Pure.

use connectors::comfyui::NodeFault;

/// How alike two names must be, 0 to 1, for one to be proposed for the other.
const LIKENESS: f64 = 0.72;
const MODEL_EXTENSIONS: &[&str] = &[
    "safetensors",
    "sft",
    "ckpt",
    "pt",
    "pt2",
    "pth",
    "bin",
    "gguf",
    "onnx",
];

/// The kind of model or choice that an input of this name takes, as workers announce it.
pub(super) fn kind_of(input: &str) -> Option<&'static str> {
    Some(match input {
        "ckpt_name" => "checkpoint",
        "lora_name" => "lora",
        "vae_name" => "vae",
        "control_net_name" => "controlnet",
        "model_name" => "upscaler",
        "sampler_name" | "sampler" => "sampler",
        "scheduler" => "scheduler",
        _ => return None,
    })
}

/// Whether a refused value is the name of a model file.
pub(super) fn is_model(fault: &NodeFault) -> bool {
    let input = fault.input.as_deref().unwrap_or_default();
    if matches!(kind_of(input), Some("sampler" | "scheduler")) {
        return false;
    }
    let value = fault
        .received
        .as_ref()
        .and_then(|value| value.as_str())
        .unwrap_or_default();
    let extension = value
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    let loads = fault
        .class_type
        .as_deref()
        .is_some_and(|class| class.contains("Loader"));
    extension.is_some_and(|extension| MODEL_EXTENSIONS.contains(&extension.as_str()))
        || kind_of(input).is_some()
        || (loads && input.contains("_name"))
}

/// The name that was probably meant; `None` where nothing is like it.
pub(super) fn nearest<'a>(wanted: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let wanted = normal(wanted);
    let likeness = |name: &str| strsim::jaro_winkler(&wanted, &normal(name));
    let best = allowed
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= LIKENESS).then_some(*best)
}

/// One spelling for what other programs and other systems spell differently.
fn normal(name: &str) -> String {
    let name = name
        .to_lowercase()
        .replace('\\', "/")
        .replace("++", "pp")
        .replace([' ', '-'], "_");
    let name = name.strip_prefix("k_").unwrap_or(&name);
    // or all files would be alike
    let name = match name.rsplit_once('.') {
        Some((stem, extension)) if MODEL_EXTENSIONS.contains(&extension) => stem,
        _ => name,
    };
    match name.strip_suffix("_a") {
        // "Euler a", "DPM2 a", "DPM++ 2S a"
        Some(sampler) => {
            format!("{}_ancestral", sampler.replace("dpm2", "dpm_2"))
        }
        _ => name.strip_suffix("_karras").unwrap_or(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_other_programs_are_understood() {
        let samplers = [
            "euler",
            "euler_cfg_pp",
            "euler_ancestral",
            "dpm_2_ancestral",
            "dpmpp_2s_ancestral",
            "dpmpp_2m",
            "dpmpp_2m_sde",
            "ddim",
            "uni_pc",
            "lms",
        ];
        for (wanted, meant) in [
            ("euler_a", "euler_ancestral"),
            ("Euler a", "euler_ancestral"),
            ("DPM++ 2M Karras", "dpmpp_2m"),
            ("DPM++ 2S a", "dpmpp_2s_ancestral"),
            ("DPM2 a", "dpm_2_ancestral"),
            ("DDIM", "ddim"),
            ("UniPC", "uni_pc"),
            ("k_lms", "lms"),
        ] {
            assert_eq!(nearest(wanted, &samplers), Some(meant), "{wanted}");
        }
    }

    #[test]
    fn a_file_is_found_by_what_is_like_it() {
        let files = [
            "SDXL\\sd_xl_base_1.0.safetensors",
            "v1-5-pruned-emaonly.safetensors",
        ];
        assert_eq!(nearest("v1-5-pruned.safetensors", &files), Some(files[1]));
        assert_eq!(nearest("SDXL/sd_xl_base_1.0.safetensors", &files), Some(files[0]));
        assert_eq!(nearest("v1-5-pruned-emaonly.ckpt", &files), Some(files[1]));
        assert_eq!(nearest("nope.safetensors", &files), None);
        assert_eq!(nearest("x", &[]), None);
        assert_eq!(nearest("qqqqq", &["dreamlike"]), None);
    }
}
