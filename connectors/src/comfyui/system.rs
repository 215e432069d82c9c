//! What the server says about itself: version, memory, devices; and the request to give memory back.

use serde_json::{Value, json};

use super::client::Client;
use super::error::Error;

/// The answer of `/system_stats`, with what the server leaves out as `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct SystemStats {
    /// ComfyUI's version, such as `0.33.0`.
    pub comfyui_version: Option<String>,
    /// Python's version line.
    pub python_version: Option<String>,
    /// The version of `PyTorch` with its build, such as `2.9.1+cu128`.
    pub pytorch_version: Option<String>,
    /// Operating system, such as `linux` or `nt`.
    pub os: Option<String>,
    /// Main memory, bytes.
    pub ram_total: Option<u64>,
    /// Free main memory, bytes.
    pub ram_free: Option<u64>,
    /// The command line that the server was started with.
    pub arguments: Vec<String>,
    /// Its devices; the first is the one that computes.
    pub devices: Vec<Device>,
}

/// One device of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its name, such as `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync` or `cpu`.
    pub name: String,
    /// `cuda`, `mps`, `cpu`, …
    pub kind: String,
    /// Its index among those of its kind.
    pub index: Option<u64>,
    /// Its memory, bytes.
    pub vram_total: Option<u64>,
    /// Its free memory, bytes.
    pub vram_free: Option<u64>,
    /// What `PyTorch` has reserved of it, bytes.
    pub torch_vram_total: Option<u64>,
    /// The free part of that, bytes.
    pub torch_vram_free: Option<u64>,
}

impl Client {
    /// Version, memory and devices. The cheapest proof that a ComfyUI server answers.
    pub async fn system_stats(&self) -> Result<SystemStats, Error> {
        let answer = self.get(&["system_stats"]).answer().await?.success()?;
        let value = answer.json()?;
        SystemStats::parse(&value).ok_or_else(|| answer.unparseable("there is no `system` in it".to_owned()))
    }

    /// The server's feature flags as it sends them. Servers that have no such route answer an empty object.
    pub async fn features(&self) -> Result<Value, Error> {
        let answer = self.get(&["features"]).answer().await?;
        if answer.status == reqwest::StatusCode::NOT_FOUND {
            return Ok(json!({}));
        }
        answer.success()?.json()
    }

    /// Asks the server to unload its models and to drop its cache once it is idle. Returns at once.
    pub async fn free(&self, unload_models: bool, free_memory: bool) -> Result<(), Error> {
        let body = json!({ "unload_models": unload_models, "free_memory": free_memory });
        self.post(&["free"], &body).done().await
    }
}

impl SystemStats {
    /// Reads the answer of `/system_stats`; `None` if it is not one.
    pub fn parse(value: &Value) -> Option<Self> {
        let system = value.get("system")?.as_object()?;
        let text = |key: &str| system.get(key).and_then(Value::as_str).map(str::to_owned);
        let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
        Some(Self {
            comfyui_version: text("comfyui_version"),
            python_version: text("python_version"),
            pytorch_version: text("pytorch_version"),
            os: text("os"),
            ram_total: system.get("ram_total").and_then(Value::as_u64),
            ram_free: system.get("ram_free").and_then(Value::as_u64),
            arguments: list(system.get("argv"))
                .iter()
                .filter_map(|argument| Some(argument.as_str()?.to_owned()))
                .collect(),
            devices: list(value.get("devices")).iter().map(Device::parse).collect(),
        })
    }
}

impl Device {
    fn parse(value: &Value) -> Self {
        let text = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let number = |key: &str| value.get(key).and_then(Value::as_u64);
        Self {
            name: text("name"),
            kind: text("type"),
            index: number("index"),
            vram_total: number("vram_total"),
            vram_free: number("vram_free"),
            torch_vram_total: number("torch_vram_total"),
            torch_vram_free: number("torch_vram_free"),
        }
    }
}
