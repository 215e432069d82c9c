//! A system whose workers have doubles of ComfyUI, and the requests for them.

use connectors::comfyui::double::{Double, DoubleOptions};
use e2e::{Client, System, patience::until};
use reqwest::{
    Method, StatusCode,
    multipart::{Form, Part},
};
use serde_json::{Value, json};

/// The checkpoint that a double has if nothing else is said.
pub(crate) const SD15: &str = "v1-5-pruned-emaonly.safetensors";

/// A system with a gateway and, at first, no worker.
pub(crate) struct Studio {
    pub(crate) system: System,
}

/// A double with these checkpoints.
pub(crate) async fn double(checkpoints: &[&str]) -> Double {
    connectors::install_tls();
    let options = DoubleOptions {
        checkpoints: checkpoints.iter().map(|&name| name.to_owned()).collect(),
        ..DoubleOptions::default()
    };
    Double::start(options).await.expect("a double")
}

impl Studio {
    pub(crate) async fn empty() -> Self {
        Self {
            system: System::without_worker(&[]).await,
        }
    }

    /// With one worker `gpu1` on this double.
    pub(crate) async fn on(double: &Double) -> Self {
        let mut studio = Self::empty().await;
        studio.add("gpu1", double, &[]).await;
        studio
    }

    pub(crate) fn client(&self) -> &Client {
        &self.system.client
    }

    /// Starts a worker on a double and waits until the gateway knows all that its ComfyUI can do.
    pub(crate) async fn add(&mut self, worker: &str, double: &Double, further: &[(&str, &str)]) {
        let url = double.url().to_string();
        let settings = [
            ("ORCHESTRATOR_SKETCH_ENABLED", "false"),
            ("ORCHESTRATOR_COMFYUI_URL", url.as_str()),
            ("ORCHESTRATOR_COMFYUI_POLL", "50ms"),
            ("ORCHESTRATOR_COMFYUI_REFRESH", "100ms"),
            ("ORCHESTRATOR_COMFYUI_LOST_AFTER", "500ms"),
        ];
        let settings = [settings.as_slice(), further].concat();
        self.system.add_worker(worker, &settings).await;
        self.offer(worker, |offer| offer["healthy"] == true).await;
        until("the catalog to be known", || async {
            let (_, found) = self
                .client()
                .post("/api/jobs/validate", &colour("EmptyImage", 64.into()))
                .await;
            found["workers"]
                .as_array()?
                .contains(&worker.into())
                .then_some(())
        })
        .await;
    }

    /// Waits until a worker's offer is as wanted.
    pub(crate) async fn offer(&self, worker: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until(&format!("the offer of {worker}"), || async {
            let (_, worker) = self.client().get(&format!("/api/workers/{worker}")).await;
            let offer = worker["backends"].get(0)?.clone();
            wanted(&offer).then_some(offer)
        })
        .await
    }

    /// Submits a job and waits until it has succeeded.
    pub(crate) async fn made(&self, request: &Value) -> Value {
        let id = self.client().submit(request).await;
        self.client().until_status(&id, "succeeded").await
    }

    /// Uploads a file; what a request calls it.
    pub(crate) async fn upload(&self, name: &str, content: Vec<u8>) -> String {
        let form = Form::new().part("file", Part::bytes(content).file_name(name.to_owned()));
        let post = self.client().request(Method::POST, "/api/assets").multipart(form);
        let (status, asset) = self.client().send(post).await;
        assert_eq!(status, StatusCode::CREATED, "{asset}");
        format!("asset:{}", asset["id"].as_str().expect("an id"))
    }

    pub(crate) async fn stop(self) {
        self.system.stop().await;
    }
}

/// A small picture by text, with further fields of the request.
pub(crate) fn picture(checkpoint: &str, further: Value) -> Value {
    let mut fields = json!({
        "prompt": "a lighthouse", "checkpoint": checkpoint,
        "seed": "7", "width": 64, "height": 64, "steps": 2,
    });
    let Value::Object(further) = further else {
        panic!("fields")
    };
    fields.as_object_mut().expect("an object").extend(further);
    json!({ "comfyui": fields })
}

/// A graph of one picture without a model, of this class and width.
pub(crate) fn colour(class: &str, width: Value) -> Value {
    let mut graph = json!({
        "1": {"class_type": class, "inputs": {"height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    });
    graph["1"]["inputs"]["width"] = width;
    json!({"comfyui": {"graph": graph}})
}

/// A real PNG of one colour.
pub(crate) fn png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    let pixels = colour.repeat((width * height) as usize);
    writer.write_image_data(&pixels).expect("pixels");
    writer.finish().expect("an end");
    bytes
}
