//! How large the pictures are that reach a node. Pure.

use serde_json::Value;

use super::graph::{class_of, link};

/// The largest side, pixels.
const LARGEST: f64 = 16_384.0;
/// What the double's upscale models multiply by.
const UPSCALE: f64 = 4.0;

/// Width and height in pixels, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Canvas {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) batch: u32,
}

impl Canvas {
    fn new(width: f64, height: f64, batch: u32) -> Self {
        let side = |side: f64| side.round().clamp(1.0, LARGEST) as u32;
        Self {
            width: side(width),
            height: side(height),
            batch,
        }
    }

    /// What a latent can hold: multiples of 8 pixels.
    fn in_latent(self) -> Self {
        let side = |side: u32| (side / 8 * 8).max(8);
        Self {
            width: side(self.width),
            height: side(self.height),
            ..self
        }
    }

    fn scaled(self, by: f64) -> Self {
        Self::new(
            f64::from(self.width) * by,
            f64::from(self.height) * by,
            self.batch,
        )
    }

    /// To another size, of which a side of 0 follows from the other one.
    fn resized(self, width: f64, height: f64) -> Self {
        let (own_width, own_height) = (f64::from(self.width), f64::from(self.height));
        let (width, height) = match (width > 0.0, height > 0.0) {
            (true, true) => (width, height),
            (true, false) => (width, own_height * width / own_width),
            (false, true) => (own_width * height / own_height, height),
            (false, false) => (own_width, own_height),
        };
        Self::new(width, height, self.batch)
    }
}

/// The pictures that a node of a graph without cycles gives on. `loaded` tells the size of a file that a
/// loader names.
pub(super) fn canvas(graph: &Value, id: &str, loaded: &dyn Fn(&str) -> Option<(u32, u32)>) -> Canvas {
    let inputs = &graph[id]["inputs"];
    let number = |name: &str| {
        let value = &inputs[name];
        value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
    };
    let count = |name: &str| number(name).unwrap_or(1.0).clamp(1.0, 64.0) as u32;
    let class = class_of(graph, id);
    let asked = |count| {
        Canvas::new(
            number("width").unwrap_or(64.0),
            number("height").unwrap_or(64.0),
            count,
        )
    };
    // what decides the size comes in by these names; the others (model, vae, text) have none
    let carried = || {
        let names = ["images", "image", "samples", "pixels", "latent_image", "video"];
        let carrier = names.iter().find_map(|name| link(&inputs[*name]));
        let unknown = Canvas::new(64.0, 64.0, 1);
        carrier.map_or(unknown, |(source, _)| canvas(graph, source, loaded))
    };
    match class.as_str() {
        "EmptyImage" => asked(count("batch_size")),
        "EmptyLatentImage" | "EmptySD3LatentImage" => asked(count("batch_size")).in_latent(),
        "SVD_img2vid_Conditioning" => asked(count("video_frames")).in_latent(),
        "LoadImage" | "LoadImageMask" => {
            let size = inputs["image"].as_str().and_then(loaded);
            let (width, height) = size.unwrap_or((64, 64));
            Canvas::new(f64::from(width), f64::from(height), 1)
        }
        "ImageScale" => carried().resized(
            number("width").unwrap_or_default(),
            number("height").unwrap_or_default(),
        ),
        "LatentUpscale" => carried()
            .resized(
                number("width").unwrap_or_default(),
                number("height").unwrap_or_default(),
            )
            .in_latent(),
        "ImageScaleBy" => carried().scaled(number("scale_by").unwrap_or(1.0)),
        "LatentUpscaleBy" => carried().scaled(number("scale_by").unwrap_or(1.5)).in_latent(),
        "ImageUpscaleWithModel" => carried().scaled(UPSCALE),
        "VAEEncode" | "VAEEncodeForInpaint" => carried().in_latent(),
        _ => carried(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(graph: &Value, id: &str) -> (u32, u32, u32) {
        let canvas = canvas(graph, id, &|name| (name == "wide.png").then_some((201, 100)));
        (canvas.width, canvas.height, canvas.batch)
    }

    #[test]
    fn the_size_follows_the_chain() {
        let node = |class: &str, inputs: Value| json!({"class_type": class, "inputs": inputs});
        let graph = json!({
            "1": node("EmptyLatentImage", json!({"width": 100, "height": "64", "batch_size": 3})),
            "2": node("LatentUpscaleBy", json!({"samples": ["1", 0], "scale_by": 1.5})),
            "3": node("KSampler", json!({"latent_image": ["2", 0], "model": ["9", 0]})),
            "4": node("VAEDecode", json!({"samples": ["3", 0], "vae": ["9", 2]})),
            "5": node("ImageUpscaleWithModel", json!({"image": ["4", 0], "upscale_model": ["8", 0]})),
            "6": node("ImageScale", json!({"image": ["5", 0], "width": 288, "height": 0})),
            "7": node("SaveImage", json!({"images": ["6", 0]})),
            "8": node("UpscaleModelLoader", json!({"model_name": "x4"})),
            "9": node("CheckpointLoaderSimple", json!({"ckpt_name": "a"})),
            "10": node("LoadImage", json!({"image": "wide.png"})),
            "11": node("VAEEncode", json!({"pixels": ["10", 0], "vae": ["9", 2]})),
            "12": node("SVD_img2vid_Conditioning", json!({"width": 1024, "height": 576, "video_frames": 14,
                "init_image": ["10", 0]})),
            "13": node("KSampler", json!({"latent_image": ["12", 2]})),
        });
        assert_eq!(of(&graph, "1"), (96, 64, 3));
        assert_eq!(of(&graph, "4"), (144, 96, 3));
        assert_eq!(of(&graph, "5"), (576, 384, 3));
        assert_eq!(of(&graph, "7"), (288, 192, 3), "a side of 0 keeps the ratio");
        assert_eq!(of(&graph, "10"), (201, 100, 1));
        assert_eq!(of(&graph, "11"), (200, 96, 1));
        assert_eq!(of(&graph, "13"), (1024, 576, 14));
    }
}
