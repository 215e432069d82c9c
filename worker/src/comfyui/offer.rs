//! What this ComfyUI offers now: looked at regularly, shown at any time.

use std::time::Duration;

use connectors::comfyui::{Client, Error};
use proto::{
    Backend as Kind, subjects,
    v1::{BackendOffer, Device, Model},
};
use runtime::telemetry::chain;
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

/// Longest time for a look at everything.
const LOOK_LIMIT: Duration = Duration::from_secs(20);
/// How often a ComfyUI that does not answer is tried.
const RETRY: Duration = Duration::from_secs(2);
/// The kinds of model files, with the folder of each.
const FOLDERS: &[(&str, &str)] = &[
    ("checkpoint", "checkpoints"),
    ("lora", "loras"),
    ("vae", "vae"),
    ("controlnet", "controlnet"),
    ("upscaler", "upscale_models"),
];
/// The kinds of choices, with the input of `KSampler` that lists each.
const CHOICES: &[(&str, &str)] = &[("sampler", "sampler_name"), ("scheduler", "scheduler")];

/// The offer with what keeps it up to date.
#[derive(Debug)]
pub(super) struct Showcase {
    offer: watch::Sender<BackendOffer>,
    recheck: Notify,
}

/// What a look at ComfyUI shows.
#[derive(Debug)]
struct Look {
    software: String,
    devices: Vec<Device>,
    models: Vec<Model>,
}

impl Showcase {
    /// Nothing is offered before the first look.
    pub(super) fn new(slots: usize) -> Self {
        let offer = BackendOffer {
            backend: Kind::Comfyui.into(),
            slots: u32::try_from(slots).unwrap_or(u32::MAX),
            problem: "ComfyUI was not asked yet".to_owned(),
            ..BackendOffer::default()
        };
        Self {
            offer: watch::Sender::new(offer),
            recheck: Notify::new(),
        }
    }

    /// The newest offer.
    pub(super) fn offer(&self) -> BackendOffer {
        self.offer.borrow().clone()
    }

    /// The names that are offered.
    pub(super) fn models(&self) -> Vec<Model> {
        self.offer.borrow().models.clone()
    }

    /// There is reason to look at once.
    pub(super) fn doubt(&self) {
        self.recheck.notify_one();
    }

    /// Looks again and again; does not end.
    pub(super) async fn keep(&self, client: &Client, every: Duration) {
        loop {
            let look = match timeout(LOOK_LIMIT, look(client)).await {
                Ok(look) => look.map_err(|error| chain(&error)),
                Err(_) => Err(format!(
                    "ComfyUI took longer than {} s to describe itself",
                    LOOK_LIMIT.as_secs()
                )),
            };
            let wait = if look.is_ok() { every } else { every.min(RETRY) };
            self.show(look);
            tokio::select! {
                () = self.recheck.notified() => {}
                () = sleep(wait) => {}
            }
        }
    }

    fn show(&self, look: Result<Look, String>) {
        let before = self.offer.borrow().healthy;
        match &look {
            Ok(look) if !before => tracing::info!(models = look.models.len(), "{} is there", look.software),
            Err(problem) if before || self.offer.borrow().problem != *problem => {
                tracing::warn!(problem, "comfyui takes no jobs");
            }
            Ok(_) | Err(_) => {}
        }
        self.offer.send_modify(|offer| match look {
            Ok(look) => {
                offer.healthy = true;
                offer.problem.clear();
                offer.lanes = lanes(&look.models);
                offer.software = look.software;
                offer.devices = look.devices;
                offer.models = look.models;
            }
            // what it had is most likely still there, and says what the worker will be able to do
            Err(problem) => {
                offer.healthy = false;
                offer.problem = problem;
            }
        });
    }
}

async fn look(client: &Client) -> Result<Look, Error> {
    let stats = client.system_stats().await?;
    let mut models = Vec::new();
    let mut add = |kind: &str, names: Vec<String>| {
        models.extend(names.into_iter().map(|name| Model {
            kind: kind.to_owned(),
            name,
            ..Model::default()
        }));
    };
    for (kind, folder) in FOLDERS {
        add(kind, client.models(folder).await?.unwrap_or_default());
    }
    if let Some(sampler) = client.node_class("KSampler").await? {
        for (kind, input) in CHOICES {
            add(kind, sampler.options(input).unwrap_or_default());
        }
    }
    let version = stats.comfyui_version;
    Ok(Look {
        software: version.map_or_else(|| "ComfyUI".to_owned(), |version| format!("ComfyUI {version}")),
        devices: stats
            .devices
            .into_iter()
            .map(|device| Device {
                name: device.name,
                memory_total_bytes: device.vram_total.unwrap_or_default(),
                memory_free_bytes: device.vram_free.unwrap_or_default(),
            })
            .collect(),
        models,
    })
}

/// The lanes of jobs that can be served: those for any model, and one for each checkpoint.
fn lanes(models: &[Model]) -> Vec<String> {
    let checkpoints = models.iter().filter(|model| model.kind == "checkpoint");
    let keys = checkpoints.map(|model| subjects::lane_key(&model.name));
    std::iter::once(subjects::ANY_LANE.to_owned())
        .chain(keys)
        .collect()
}

#[cfg(test)]
mod tests {
    use connectors::comfyui::{
        Options,
        double::{Double, DoubleOptions},
    };

    use super::*;

    async fn shows(showcase: &Showcase, wanted: impl FnMut(&BackendOffer) -> bool) -> BackendOffer {
        let mut offers = showcase.offer.subscribe();
        let offer = timeout(Duration::from_secs(20), offers.wait_for(wanted)).await;
        offer.expect("in time").expect("a showcase").clone()
    }

    #[tokio::test]
    async fn the_offer_follows_what_comfyui_is() {
        connectors::install_tls();
        let double = Double::start(DoubleOptions::default()).await.expect("a double");
        let client = Client::new(double.url(), Options::default()).expect("a client");
        let showcase = Showcase::new(2);
        let offer = showcase.offer();
        assert!(!offer.healthy && !offer.problem.is_empty() && offer.slots == 2);
        let script = async {
            let offer = shows(&showcase, |offer| offer.healthy).await;
            assert_eq!(
                (offer.software.as_str(), offer.problem.as_str()),
                ("ComfyUI 0.33.0", "")
            );
            assert_eq!(offer.devices[0].memory_total_bytes, 8 << 30);
            let has = |kind: &str| offer.models.iter().any(|model| model.kind == kind);
            for kind in ["checkpoint", "lora", "vae", "upscaler", "sampler", "scheduler"] {
                assert!(has(kind), "{kind}: {:?}", offer.models);
            }
            let lane = subjects::lane_key("v1-5-pruned-emaonly.safetensors");
            assert_eq!(offer.lanes, ["_", lane.as_str()]);

            double.set_checkpoints(&["a.safetensors", "b.safetensors"]);
            shows(&showcase, |offer| offer.lanes.len() == 3).await;
            double.kill().await;
            showcase.doubt();
            let offer = shows(&showcase, |offer| !offer.healthy).await;
            assert!(offer.problem.contains("no connection"), "{}", offer.problem);
            assert_eq!(offer.lanes.len(), 3, "what it had is still known");
            double.revive().await.expect("alive again");
            shows(&showcase, |offer| offer.healthy && offer.problem.is_empty()).await;
        };
        tokio::select! {
            () = showcase.keep(&client, Duration::from_millis(50)) => {}
            () = script => {}
        }
    }
}
