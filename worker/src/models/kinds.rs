//! The kinds of model that ComfyUI knows, and where it looks for each of them by itself.

/// Which files of a folder count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Files of weights, by their extension.
    Weights,
    /// Files with this extension.
    Extension(&'static str),
    /// Every file.
    Any,
    /// No file: entries are whole folders, or no models at all.
    Nothing,
}

/// Extensions of files of weights.
const WEIGHTS: &[&str] = &["ckpt", "pt", "pt2", "bin", "pth", "safetensors", "pkl", "sft"];

impl Filter {
    /// Whether a file of this name counts.
    pub fn takes(self, name: &str) -> bool {
        let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
        // a leading dot begins a name, no extension
        let extension = file
            .trim_start_matches('.')
            .rsplit_once('.')
            .map_or_else(String::new, |(_, extension)| extension.to_ascii_lowercase());
        match self {
            Self::Weights => WEIGHTS.contains(&extension.as_str()),
            Self::Extension(wanted) => extension == wanted,
            Self::Any => true,
            Self::Nothing => false,
        }
    }
}

/// A kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// As ComfyUI calls it.
    pub name: &'static str,
    /// Its folders, under the folder of models unless they begin with `../`, in search order.
    pub folders: &'static [&'static str],
    /// Which files count.
    pub filter: Filter,
}

const fn weights(name: &'static str, folders: &'static [&'static str]) -> Kind {
    Kind {
        name,
        folders,
        filter: Filter::Weights,
    }
}

/// All kinds, in ComfyUI's order.
pub const KINDS: &[Kind] = &[
    weights("checkpoints", &["checkpoints"]),
    Kind {
        name: "configs",
        folders: &["configs"],
        filter: Filter::Extension("yaml"),
    },
    weights("loras", &["loras"]),
    weights("vae", &["vae"]),
    weights("text_encoders", &["text_encoders", "clip"]),
    weights("diffusion_models", &["unet", "diffusion_models"]),
    weights("clip_vision", &["clip_vision"]),
    weights("style_models", &["style_models"]),
    weights("embeddings", &["embeddings"]),
    Kind {
        name: "diffusers",
        folders: &["diffusers"],
        filter: Filter::Nothing,
    },
    weights("vae_approx", &["vae_approx"]),
    weights("controlnet", &["controlnet", "t2i_adapter"]),
    weights("gligen", &["gligen"]),
    weights("upscale_models", &["upscale_models"]),
    weights("latent_upscale_models", &["latent_upscale_models"]),
    Kind {
        name: "custom_nodes",
        folders: &["../custom_nodes"],
        filter: Filter::Nothing,
    },
    Kind {
        name: "datasets",
        folders: &["datasets"],
        filter: Filter::Nothing,
    },
    weights("hypernetworks", &["hypernetworks"]),
    weights("photomaker", &["photomaker"]),
    Kind {
        name: "classifiers",
        folders: &["classifiers"],
        filter: Filter::Extension(""),
    },
    weights("model_patches", &["model_patches"]),
    weights("audio_encoders", &["audio_encoders"]),
    weights("background_removal", &["background_removal"]),
    weights("frame_interpolation", &["frame_interpolation"]),
    weights("geometry_estimation", &["geometry_estimation"]),
    weights("optical_flow", &["optical_flow"]),
    weights("detection", &["detection"]),
];

/// Names of old, and what the kind is called now.
const FORMER_NAMES: &[(&str, &str)] = &[("unet", "diffusion_models"), ("clip", "text_encoders")];

/// The present name of a kind.
pub fn present_name(kind: &str) -> &str {
    FORMER_NAMES
        .iter()
        .find(|(former, _)| *former == kind)
        .map_or(kind, |(_, present)| present)
}

/// The kind of this name, present or former.
pub fn find(kind: &str) -> Option<&'static Kind> {
    let name = present_name(kind);
    KINDS.iter().find(|kind| kind.name == name)
}

/// The known name that is most like this one, if any is like it.
pub fn nearest(kind: &str) -> Option<&'static str> {
    let wanted = kind.to_lowercase();
    KINDS
        .iter()
        .map(|known| known.name)
        .chain(FORMER_NAMES.iter().map(|(former, _)| *former))
        .map(|name| (strsim::normalized_damerau_levenshtein(name, &wanted), name))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_by_their_extension() {
        assert!(Filter::Weights.takes("sub/A.SafeTensors"));
        assert!(!Filter::Weights.takes("put_checkpoints_here"));
        assert!(!Filter::Weights.takes("a.safetensors/readme"));
        assert!(Filter::Extension("").takes("sub.d/plain") && !Filter::Extension("").takes("a.bin"));
        assert!(Filter::Extension("").takes(".hidden"));
    }

    #[test]
    fn names_of_old_and_slips_of_the_pen_are_known() {
        assert_eq!(find("unet").map(|kind| kind.name), Some("diffusion_models"));
        assert_eq!(find("clip").map(|kind| kind.name), Some("text_encoders"));
        assert!(find("lora").is_none());
        assert_eq!(nearest("lora"), Some("loras"));
        assert_eq!(nearest("Checkpoint"), Some("checkpoints"));
        assert_eq!(nearest("controlnets"), Some("controlnet"));
        assert_eq!(nearest("ultralytics_bbox"), None);
    }
}
