//! Names of models and choices: which input takes which kind, what other programs call them, and which known
//! name was probably meant.

use crate::v1::Substitution;

/// How alike two names must be, 0 to 1, for one to be proposed for the other.
const LIKENESS: f64 = 0.72;
const CLASS_LIKENESS: f64 = 0.9;
/// Longest text for which a likely name is looked for.
const MAX_COMPARED_BYTES: usize = 512;
/// Most of a replaced name that is told; any number of spaces may be in it.
const MAX_TOLD_CHARS: usize = 100;
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
/// What ComfyUI itself calls its samplers, as far as other programs have names for them.
const SAMPLERS: &[&str] = &[
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_sde_gpu",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun",
    "dpmpp_2m_sde_heun_gpu",
    "dpmpp_3m_sde",
    "dpmpp_3m_sde_gpu",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "res_multistep",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
];
/// What ComfyUI itself calls its schedulers.
const SCHEDULERS: &[&str] = &[
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
];
/// What other programs call some of them, in the spelling of [`plain`].
const OTHERS: &[(&str, &str)] = &[
    ("euler_a", "euler_ancestral"),
    ("dpm2", "dpm_2"),
    ("dpm2_a", "dpm_2_ancestral"),
    ("dpm2_ancestral", "dpm_2_ancestral"),
    ("dpm_2_a", "dpm_2_ancestral"),
    ("dpmpp2m", "dpmpp_2m"),
    ("dpmpp2m_sde", "dpmpp_2m_sde"),
    ("dpmpp2s_a", "dpmpp_2s_ancestral"),
    ("dpmpp_2s_a", "dpmpp_2s_ancestral"),
    ("dpmpp3m_sde", "dpmpp_3m_sde"),
    ("dpmppsde", "dpmpp_sde"),
    ("unipc", "uni_pc"),
    ("unipc_bh2", "uni_pc_bh2"),
];
/// The schedule that other programs use with a sampler where their name tells none.
const IMPLIED: &[(&str, &str)] = &[("ddim", "ddim_uniform"), ("lcm", "sgm_uniform")];

/// Sampler and scheduler as ComfyUI calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Empty where none was given.
    pub sampler: String,
    /// Empty where none was given and none follows from the sampler's name.
    pub scheduler: String,
    given: (String, String),
}

impl Names {
    /// What was replaced, with the pointers of the two fields.
    pub fn substitutions(&self, sampler: &str, scheduler: &str) -> Vec<Substitution> {
        let (given_sampler, given_scheduler) = &self.given;
        let short = |name: &str| name.chars().take(MAX_TOLD_CHARS).collect::<String>();
        let one = |pointer: &str, given: &str, used: &str, reason: String| Substitution {
            pointer: pointer.to_owned(),
            given: short(given),
            used: used.to_owned(),
            reason,
        };
        let mut all = Vec::new();
        if self.sampler != *given_sampler {
            let reason = "ComfyUI calls this sampler so".to_owned();
            all.push(one(sampler, given_sampler, &self.sampler, reason));
        }
        if self.scheduler != *given_scheduler {
            let reason = if given_scheduler.is_empty() {
                format!("follows from the sampler's name {:?}", short(given_sampler))
            } else {
                "ComfyUI calls this scheduler so".to_owned()
            };
            all.push(one(scheduler, given_scheduler, &self.scheduler, reason));
        }
        all
    }
}

/// The names of a sampler and a scheduler in ComfyUI. What is not known passes unchanged: extensions of
/// ComfyUI bring names of their own.
///
/// A scheduler that was given wins over the one in the sampler's name, such as `Karras` in
/// `DPM++ 2M Karras`; except `Automatic`, which says that the sampler decides.
pub fn normalise(sampler: &str, scheduler: &str) -> Names {
    let (own, implied) = sampler_of(sampler).unwrap_or((sampler, None));
    let automatic = scheduler.is_empty() || plain(scheduler) == "automatic";
    let schedule = if automatic {
        let otherwise = if scheduler.is_empty() { "" } else { "normal" };
        implied.unwrap_or(otherwise)
    } else {
        scheduler_of(scheduler).unwrap_or(scheduler)
    };
    Names {
        sampler: own.to_owned(),
        scheduler: schedule.to_owned(),
        given: (sampler.to_owned(), scheduler.to_owned()),
    }
}

/// ComfyUI's name of a sampler that another program names so, and the schedule that belongs to that name.
fn sampler_of(given: &str) -> Option<(&'static str, Option<&'static str>)> {
    if SAMPLERS.contains(&given) {
        return None;
    }
    let plain = plain(given);
    let mut name = plain.as_str();
    let mut schedule = None;
    for scheduler in SCHEDULERS {
        let stem = name
            .strip_suffix(scheduler)
            .and_then(|stem| stem.strip_suffix('_'));
        if let Some(stem) = stem {
            (name, schedule) = (stem, Some(*scheduler));
            break;
        }
    }
    let by_other = OTHERS.iter().find(|(other, _)| *other == name);
    let own = match by_other {
        Some((_, own)) => *own,
        None => SAMPLERS.iter().find(|own| **own == name)?,
    };
    let implied = IMPLIED.iter().find(|(sampler, _)| *sampler == own);
    let schedule = schedule.or(implied.map(|(_, schedule)| *schedule));
    Some((own, Some(schedule.unwrap_or("normal"))))
}

fn scheduler_of(given: &str) -> Option<&'static str> {
    let plain = plain(given);
    let name = match plain.as_str() {
        "ddim" => "ddim_uniform",
        name => name,
    };
    SCHEDULERS.iter().find(|own| **own == name).copied()
}

/// One spelling for what is spelled with other cases, spaces and signs.
fn plain(name: &str) -> String {
    let name = name.trim().to_lowercase().replace("++", "pp").replace('+', "p");
    let words: Vec<&str> = name
        .split([' ', '-', '_'])
        .filter(|word| !word.is_empty())
        .collect();
    let name = words.join("_");
    name.strip_prefix("k_")
        .or_else(|| name.strip_prefix("sample_"))
        .unwrap_or(&name)
        .to_owned()
}

/// The kind of model or choice that an input of this name takes, as workers announce it.
pub fn kind_of(input: &str) -> Option<&'static str> {
    Some(match input {
        "ckpt_name" => "checkpoint",
        "lora_name" => "lora",
        "vae_name" => "vae",
        "control_net_name" => "controlnet",
        "model_name" => "upscaler",
        "unet_name" => "diffusion_model",
        "clip_name1" | "clip_name2" | "clip_name3" | "clip_name4" => "text_encoder",
        "sampler_name" | "sampler" => "sampler",
        "scheduler" => "scheduler",
        _ => return None,
    })
}

/// Whether the value of an input is the name of a model file.
pub fn is_model(class: Option<&str>, input: &str, value: &str) -> bool {
    if matches!(kind_of(input), Some("sampler" | "scheduler")) {
        return false;
    }
    let extension = value
        .rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase());
    let loads = class.is_some_and(|class| class.contains("Loader"));
    extension.is_some_and(|extension| MODEL_EXTENSIONS.contains(&extension.as_str()))
        || kind_of(input).is_some()
        || (loads && input.contains("_name"))
}

/// The name that was probably meant; `None` where nothing is like it.
pub fn nearest<'a>(wanted: &str, allowed: &[&'a str]) -> Option<&'a str> {
    most_alike(wanted, allowed, LIKENESS)
}

/// The class of nodes that was probably meant. Many are called alike and do other things.
pub(super) fn nearest_class<'a>(wanted: &str, allowed: &[&'a str]) -> Option<&'a str> {
    most_alike(wanted, allowed, CLASS_LIKENESS)
}

fn most_alike<'a>(wanted: &str, allowed: &[&'a str], least: f64) -> Option<&'a str> {
    // comparing takes as long as both are long, and nothing is called so
    if wanted.len() > MAX_COMPARED_BYTES {
        return None;
    }
    let wanted = normal(wanted);
    let mut best: Option<(f64, &'a str)> = None;
    for name in allowed {
        let likeness = strsim::jaro_winkler(&wanted, &normal(name));
        if best.is_none_or(|(most, _)| likeness >= most) {
            best = Some((likeness, name));
        }
    }
    best.and_then(|(likeness, name)| (likeness >= least).then_some(name))
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
    fn names_of_other_programs_become_those_of_comfyui() {
        for (sampler, scheduler, used) in [
            ("Euler a", "", ("euler_ancestral", "normal")),
            ("euler_a", "", ("euler_ancestral", "normal")),
            ("Euler", "", ("euler", "normal")),
            ("DPM++ 2M", "", ("dpmpp_2m", "normal")),
            ("DPM++ 2M Karras", "", ("dpmpp_2m", "karras")),
            ("DPM++ 2M Karras", "Automatic", ("dpmpp_2m", "karras")),
            ("DPM++ 2M Karras", "beta", ("dpmpp_2m", "beta")),
            ("DPM++ SDE Karras", "", ("dpmpp_sde", "karras")),
            ("DPM++ 2M SDE Exponential", "", ("dpmpp_2m_sde", "exponential")),
            ("DPM++ 3M SDE", "Karras", ("dpmpp_3m_sde", "karras")),
            ("DPM++ 2S a", "", ("dpmpp_2s_ancestral", "normal")),
            ("DPM2", "", ("dpm_2", "normal")),
            ("DPM2 a Karras", "", ("dpm_2_ancestral", "karras")),
            ("LMS", "", ("lms", "normal")),
            ("k_lms", "", ("lms", "normal")),
            ("DPM fast", "", ("dpm_fast", "normal")),
            ("DDIM", "", ("ddim", "ddim_uniform")),
            ("UniPC", "", ("uni_pc", "normal")),
            ("LCM", "", ("lcm", "sgm_uniform")),
            ("euler", "Automatic", ("euler", "normal")),
            ("euler", "SGM Uniform", ("euler", "sgm_uniform")),
            // its own, and what it may have got from an extension
            ("euler", "", ("euler", "")),
            ("ddim", "", ("ddim", "")),
            ("Res_2m", "Bong Tangent", ("Res_2m", "Bong Tangent")),
            ("", "Karras", ("", "karras")),
            ("", "", ("", "")),
        ] {
            let names = normalise(sampler, scheduler);
            assert_eq!(
                (names.sampler.as_str(), names.scheduler.as_str()),
                used,
                "{sampler} / {scheduler}"
            );
            let again = normalise(&names.sampler, &names.scheduler);
            assert!(again.substitutions("", "").is_empty(), "{again:?}");
        }
    }

    #[test]
    fn what_was_replaced_is_told() {
        let told = |sampler: &str, scheduler: &str| -> Vec<String> {
            let replaced = normalise(sampler, scheduler).substitutions("/a", "/b");
            replaced
                .into_iter()
                .map(|one| format!("{} {:?} {} ({})", one.pointer, one.given, one.used, one.reason))
                .collect()
        };
        assert_eq!(
            told("DPM++ 2M Karras", ""),
            [
                "/a \"DPM++ 2M Karras\" dpmpp_2m (ComfyUI calls this sampler so)",
                "/b \"\" karras (follows from the sampler's name \"DPM++ 2M Karras\")",
            ]
        );
        assert_eq!(
            told("euler", "Karras"),
            ["/b \"Karras\" karras (ComfyUI calls this scheduler so)"]
        );
        assert!(told("dpmpp_2m", "karras").is_empty());
    }

    #[test]
    fn a_wrong_name_finds_its_neighbour() {
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
        let long = "v1-5-".repeat(1_000);
        assert_eq!(nearest(&long, &[long.as_str()]), None);
    }
}
