//! The model files on the double's disk, which of them are broken, and which checkpoints are in memory.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::options::Corruption;

/// What one checkpoint takes of the device's memory, bytes.
const CHECKPOINT_SIZE: u64 = 2 << 30;

/// A kind of model file, with a folder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ModelKind {
    /// Whole checkpoints.
    Checkpoints,
    /// `LoRAs`.
    Loras,
    /// Decoders.
    Vae,
    /// Text encoders.
    TextEncoders,
    /// Diffusion models without encoder and decoder.
    DiffusionModels,
    /// Encoders of pictures.
    ClipVision,
    /// Textual inversions.
    Embeddings,
    /// Control nets.
    Controlnet,
    /// Upscalers.
    UpscaleModels,
}

impl ModelKind {
    /// All of them, as `/models` lists them.
    pub(super) const ALL: [Self; 9] = [
        Self::Checkpoints,
        Self::Loras,
        Self::Vae,
        Self::TextEncoders,
        Self::DiffusionModels,
        Self::ClipVision,
        Self::Embeddings,
        Self::Controlnet,
        Self::UpscaleModels,
    ];

    /// The folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Checkpoints => "checkpoints",
            Self::Loras => "loras",
            Self::Vae => "vae",
            Self::TextEncoders => "text_encoders",
            Self::DiffusionModels => "diffusion_models",
            Self::ClipVision => "clip_vision",
            Self::Embeddings => "embeddings",
            Self::Controlnet => "controlnet",
            Self::UpscaleModels => "upscale_models",
        }
    }

    /// The kind of model that an input of a class names.
    pub(super) fn named_by(class: &str, input: &str) -> Option<Self> {
        match (class, input) {
            ("CheckpointLoaderSimple" | "ImageOnlyCheckpointLoader", "ckpt_name") => Some(Self::Checkpoints),
            ("LoraLoader" | "LoraLoaderModelOnly", "lora_name") => Some(Self::Loras),
            ("VAELoader", "vae_name") => Some(Self::Vae),
            ("CLIPLoader", "clip_name")
            | ("DualCLIPLoader" | "TripleCLIPLoader", "clip_name1" | "clip_name2")
            | ("TripleCLIPLoader", "clip_name3") => Some(Self::TextEncoders),
            ("UNETLoader", "unet_name") => Some(Self::DiffusionModels),
            ("CLIPVisionLoader", "clip_name") => Some(Self::ClipVision),
            ("ControlNetLoader", "control_net_name") => Some(Self::Controlnet),
            ("UpscaleModelLoader", "model_name") => Some(Self::UpscaleModels),
            _ => None,
        }
    }

    /// Whether it is what takes long to load.
    fn is_large(self) -> bool {
        matches!(self, Self::Checkpoints | Self::DiffusionModels)
    }
}

/// The files and what is in memory.
#[derive(Debug, Default)]
pub(super) struct Models {
    files: BTreeMap<ModelKind, Vec<String>>,
    corrupt: BTreeMap<String, Corruption>,
    loaded: BTreeSet<String>,
}

impl Models {
    pub(super) fn new(checkpoints: &[String]) -> Self {
        let one = |kind, name: &str| (kind, vec![name.to_owned()]);
        let files = BTreeMap::from([
            (ModelKind::Checkpoints, checkpoints.to_vec()),
            one(ModelKind::Loras, "tiny.safetensors"),
            one(ModelKind::Vae, "random_sd15_vae.safetensors"),
            one(ModelKind::UpscaleModels, "RealESRGAN_x4plus.safetensors"),
        ]);
        Self {
            files,
            ..Self::default()
        }
    }

    pub(super) fn set(&mut self, kind: ModelKind, names: Vec<String>) {
        self.files.insert(kind, names);
    }

    pub(super) fn set_corrupt(&mut self, name: &str, corruption: Option<Corruption>) {
        match corruption {
            Some(corruption) => self.corrupt.insert(name.to_owned(), corruption),
            None => self.corrupt.remove(name),
        };
        self.loaded.remove(name);
    }

    pub(super) fn files(&self, kind: ModelKind) -> &[String] {
        self.files.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    /// Puts the files into the descriptions of the classes, whichever form their choices have.
    pub(super) fn fill(&self, info: &mut Value) {
        for (class, description) in info.as_object_mut().into_iter().flatten() {
            for group in ["required", "optional"] {
                let inputs = description["input"].get_mut(group).and_then(Value::as_object_mut);
                for (input, declared) in inputs.into_iter().flatten() {
                    if let Some(kind) = ModelKind::named_by(class, input) {
                        let mut options = self.files(kind).to_vec();
                        if kind == ModelKind::Vae {
                            options.push("pixel_space".to_owned());
                        }
                        if declared[0].is_string() {
                            declared[1]["options"] = json!(options);
                        } else {
                            declared[0] = json!(options);
                        }
                    }
                }
            }
        }
    }

    /// What a node that reads model files runs into.
    pub(super) fn corruption_of(&self, class: &str, inputs: &Value) -> Option<Corruption> {
        named(class, inputs).find_map(|(_, name)| self.corrupt.get(name).copied())
    }

    /// The large file that a node has to load, if it is not in memory.
    pub(super) fn to_load(&self, class: &str, inputs: &Value) -> Option<String> {
        let large = named(class, inputs).find(|(kind, _)| kind.is_large());
        large
            .filter(|(_, name)| !self.loaded.contains(*name))
            .map(|(_, name)| name.to_owned())
    }

    /// A file has been loaded; what the graph does not name makes room for it.
    pub(super) fn loaded(&mut self, name: &str, graph: &Value) {
        let nodes: Vec<&Value> = graph.as_object().into_iter().flatten().map(|(_, n)| n).collect();
        let wanted = |name: &String| {
            nodes.iter().any(|node| {
                let class = node["class_type"].as_str().unwrap_or_default();
                named(class, &node["inputs"]).any(|(_, named)| named == name)
            })
        };
        self.loaded.retain(wanted);
        self.loaded.insert(name.to_owned());
    }

    pub(super) fn unload(&mut self) {
        self.loaded.clear();
    }

    /// The device's memory that loaded models take, bytes.
    pub(super) fn memory(&self) -> u64 {
        self.loaded.len() as u64 * CHECKPOINT_SIZE
    }
}

/// The model files that the inputs of a node name.
fn named<'a>(class: &'a str, inputs: &'a Value) -> impl Iterator<Item = (ModelKind, &'a str)> {
    let inputs = inputs.as_object().into_iter().flatten();
    inputs.filter_map(move |(input, value)| Some((ModelKind::named_by(class, input)?, value.as_str()?)))
}
