//! What ComfyUI can run, as everybody is told: its node classes distilled from `/object_info`. Pure.

use std::io;

use connectors::comfyui::{NodeClass, NodeInput, ObjectInfo, Presence};
use prost::Message as _;
use proto::v1::{self, Catalog};
use serde_json::Number;

/// How the types of inputs begin that stand for others.
const DYNAMIC: &str = "COMFY_";

/// A catalog, ready to be given away.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Catalogued {
    /// BLAKE3 of the encoded catalog, hex.
    pub(super) hash: String,
    /// Encoded and compressed.
    pub(super) packed: Vec<u8>,
    /// The names of all node classes.
    pub(super) classes: Vec<String>,
    /// Those of them that call a service for money.
    pub(super) paid: Vec<String>,
    /// What `KSampler` offers.
    pub(super) samplers: Vec<String>,
    /// The same, of schedulers.
    pub(super) schedulers: Vec<String>,
}

impl Catalogued {
    /// Distils what a server says of itself.
    pub(super) fn of(info: &ObjectInfo) -> io::Result<Self> {
        let catalog = Catalog {
            classes: info.classes().map(|(name, class)| distil(name, class)).collect(),
        };
        let encoded = catalog.encode_to_vec();
        let choices = |input| info.options("KSampler", input).unwrap_or_default();
        Ok(Self {
            hash: blake3::hash(&encoded).to_hex().to_string(),
            packed: zstd::encode_all(encoded.as_slice(), zstd::DEFAULT_COMPRESSION_LEVEL)?,
            classes: info.classes().map(|(name, _)| name.to_owned()).collect(),
            paid: info
                .classes()
                .filter(|(_, class)| class.api_node)
                .map(|(name, _)| name.to_owned())
                .collect(),
            samplers: choices("sampler_name"),
            schedulers: choices("scheduler"),
        })
    }
}

fn distil(name: &str, class: &NodeClass) -> v1::NodeClass {
    let inputs = class
        .inputs
        .iter()
        .filter(|input| input.presence != Presence::Hidden);
    v1::NodeClass {
        name: name.to_owned(),
        inputs: inputs.map(|input| distil_input(name, class, input)).collect(),
        outputs: class.outputs.clone(),
        output_node: class.output_node,
        api_node: class.api_node,
    }
}

fn distil_input(name: &str, class: &NodeClass, input: &NodeInput) -> v1::NodeInput {
    let open = is_open(name, class, input);
    let number = |limit: &Option<Number>| limit.as_ref().and_then(Number::as_f64).filter(|_| !open);
    v1::NodeInput {
        name: input.name.clone(),
        r#type: if input.options.is_some() && !input.kind.starts_with(DYNAMIC) {
            "COMBO".to_owned()
        } else {
            input.kind.clone()
        },
        required: input.presence == Presence::Required,
        options: input.options.clone().filter(|_| !open).unwrap_or_default(),
        open,
        min: number(&input.min),
        max: number(&input.max),
    }
}

/// Whether the class may take other values than it declares: what is chosen among uploads changes under our
/// hands, a dynamic input decides which others there are, and a node of an extension may check its values
/// itself, which switches ComfyUI's own checks off.
fn is_open(name: &str, class: &NodeClass, input: &NodeInput) -> bool {
    let foreign = class
        .python_module
        .as_ref()
        .is_some_and(|module| module.starts_with("custom_nodes"));
    let uploaded = input.options.is_some() && name.starts_with("Load") && !input.name.ends_with("_name");
    foreign || uploaded || input.kind.starts_with(DYNAMIC)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_a_choice_and_the_limits_are_kept() {
        let info = ObjectInfo::parse(&json!({
            "LoadOld": {"input": {"required": {"ckpt_name": [["a", "b"], {}], "steps": ["INT", {"min": 1, "max": 9}]},
                "optional": {"image": [["x.png"], {"image_upload": true}]}}, "output": ["MODEL"]},
            "New": {"input": {"required": {"codec": ["COMBO", {"options": ["vp9"]}]}, "hidden": {"prompt": "PROMPT"}},
                "output": [], "output_node": true, "api_node": true},
            "Own": {"input": {"required": {"ckpt_name": [["a"], {}], "steps": ["INT", {"min": 1}]}}, "output": [],
                "python_module": "custom_nodes.pack"},
        }))
        .expect("an object");
        let catalogued = Catalogued::of(&info).expect("packed");
        let unpacked = zstd::decode_all(catalogued.packed.as_slice()).expect("unpacked");
        assert_eq!(catalogued.hash, blake3::hash(&unpacked).to_hex().to_string());
        let catalog = Catalog::decode(unpacked.as_slice()).expect("a catalog");
        let input = |class: &str, name: &str| {
            let class = catalog
                .classes
                .iter()
                .find(|known| known.name == class)
                .expect("a class");
            let mut inputs = class.inputs.iter();
            inputs.find(|input| input.name == name).expect("an input").clone()
        };
        assert_eq!(input("LoadOld", "ckpt_name").options, ["a", "b"]);
        let steps = input("LoadOld", "steps");
        assert_eq!((steps.min, steps.max, steps.open), (Some(1.0), Some(9.0), false));
        let image = input("LoadOld", "image");
        assert!(
            image.open && !image.required && image.options.is_empty(),
            "uploads come and go"
        );
        let codec = input("New", "codec");
        assert_eq!((codec.r#type.as_str(), codec.options.len()), ("COMBO", 1));
        let new = catalog
            .classes
            .iter()
            .find(|class| class.name == "New")
            .expect("a class");
        assert!(new.output_node && new.api_node && new.inputs.len() == 1);
        let own = input("Own", "steps");
        assert!(
            own.open && own.min.is_none(),
            "an extension may check its values itself"
        );
    }
}
