//! What this ComfyUI offers now: looked at regularly, shown at any time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use connectors::comfyui::{Client, Error, Queue};
use proto::{
    Backend as Kind, subjects,
    v1::{BackendOffer, Device, Host, Model},
};
use runtime::telemetry::chain;
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    catalog::Catalogued,
    hosting,
    shelf::{FOLDERS, Shelf},
    vitals::Vitals,
};
use crate::gpu::Gpus;

/// Longest time for a look at everything.
const LOOK_LIMIT: Duration = Duration::from_secs(20);
/// How often a ComfyUI that does not answer is tried.
const RETRY: Duration = Duration::from_secs(2);
/// How old what is known of the node classes may get. They change when ComfyUI restarts, which shows, and
/// their choices when files come and go, which mostly shows.
const CATALOG_AGE: Duration = Duration::from_mins(10);
/// The offer with what keeps it up to date.
#[derive(Debug)]
pub(super) struct Showcase {
    offer: watch::Sender<BackendOffer>,
    catalog: watch::Sender<Arc<Catalogued>>,
    gpus: Gpus,
    recheck: Notify,
    /// How many full looks were asked for, and how many of these were done.
    rescans: watch::Sender<(u64, u64)>,
    /// The checkpoint that was used last.
    loaded: Mutex<Option<String>>,
    /// Versions of what is installed.
    versions: Mutex<BTreeMap<String, String>>,
}

/// What a look at ComfyUI shows.
#[derive(Debug)]
struct Look {
    software: String,
    versions: BTreeMap<String, String>,
    devices: Vec<Device>,
    models: Vec<Model>,
    queue: Queue,
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
            catalog: watch::Sender::default(),
            gpus: Gpus::find(),
            recheck: Notify::new(),
            rescans: watch::Sender::new((0, 0)),
            loaded: Mutex::default(),
            versions: Mutex::default(),
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

    /// The newest catalog; empty before the first look.
    pub(super) fn catalog(&self) -> Arc<Catalogued> {
        self.catalog.borrow().clone()
    }

    /// There is reason to look at once.
    pub(super) fn doubt(&self) {
        self.recheck.notify_one();
    }

    /// Takes no further job until the next look says otherwise.
    pub(super) fn withdraw(&self, problem: &str) {
        tracing::warn!(problem, "comfyui takes no jobs");
        self.offer.send_modify(|offer| {
            offer.healthy = false;
            problem.clone_into(&mut offer.problem);
        });
    }

    /// Shows another state of the process behind it.
    pub(super) fn show_host(&self, host: Host) {
        self.offer.send_modify(|offer| {
            if !offer.healthy
                && let Some(why) = hosting::why_away(Some(&host))
            {
                offer.problem = why;
            }
            offer.host = Some(host);
        });
    }

    /// A run has used this checkpoint.
    pub(super) fn note_loaded(&self, checkpoint: Option<&str>) {
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = checkpoint.map(str::to_owned);
    }

    /// The checkpoint in memory, as far as that is known.
    pub(super) fn loaded(&self) -> Option<String> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Versions of what is installed, by name.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        self.versions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Looks at everything anew; the offer after that.
    pub(super) async fn rescan(&self) -> BackendOffer {
        let mut number = 0;
        self.rescans.send_modify(|(asked, _)| {
            *asked += 1;
            number = *asked;
        });
        self.recheck.notify_one();
        let mut done = self.rescans.subscribe();
        // the sender is ours, so that it cannot be gone
        drop(done.wait_for(|(_, done)| *done >= number).await);
        self.offer()
    }

    /// Looks again and again; does not end.
    pub(super) async fn keep(&self, client: &Client, shelf: &Arc<Shelf>, vitals: &Vitals, every: Duration) {
        let mut described: Option<(Instant, Vec<Model>)> = None;
        loop {
            let asked = self.rescans.borrow().0;
            let full = asked > self.rescans.borrow().1;
            let looking = async {
                let look = look(client).await?;
                let stale = full
                    || !self.offer.borrow().healthy
                    || described
                        .as_ref()
                        .is_none_or(|(at, models)| at.elapsed() > CATALOG_AGE || *models != look.models);
                if stale {
                    self.describe(client).await?;
                    described = Some((Instant::now(), look.models.clone()));
                }
                Ok::<_, Error>(look)
            };
            let look = match timeout(LOOK_LIMIT, looking).await {
                Ok(Ok(look)) => match vitals.judge(&look.queue) {
                    None => Ok(look),
                    Some(problem) => Err(problem),
                },
                Ok(Err(error)) => Err(chain(&error)),
                Err(_) => Err(format!(
                    "ComfyUI took longer than {} s to describe itself",
                    LOOK_LIMIT.as_secs()
                )),
            };
            let wait = if look.is_ok() { every } else { every.min(RETRY) };
            shelf.review().await;
            self.show(look, shelf);
            self.rescans.send_modify(|(_, done)| *done = asked.max(*done));
            tokio::select! {
                () = self.recheck.notified() => {}
                () = sleep(wait) => {}
            }
        }
    }

    async fn describe(&self, client: &Client) -> Result<(), Error> {
        let info = client.object_info().await?;
        match Catalogued::of(&info) {
            Ok(catalog) => drop(self.catalog.send_replace(Arc::new(catalog))),
            Err(error) => tracing::warn!(%error, "the node classes cannot be packed"),
        }
        Ok(())
    }

    fn show(&self, look: Result<Look, String>, shelf: &Shelf) {
        // what happened to the process says more than a failed connection
        let look = look.map_err(|problem| {
            let told = hosting::why_away(self.offer.borrow().host.as_ref());
            told.unwrap_or(problem)
        });
        let before = self.offer.borrow().healthy;
        match &look {
            Ok(look) if !before => tracing::info!(models = look.models.len(), "{} is there", look.software),
            Err(problem) if before || self.offer.borrow().problem != *problem => {
                tracing::warn!(problem, "comfyui takes no jobs");
            }
            Ok(_) | Err(_) => {}
        }
        let catalog = self.catalog();
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match &look {
            Ok(look) => {
                let runs = look
                    .queue
                    .running
                    .iter()
                    .find_map(|queued| checkpoint_of(&queued.graph));
                if runs.is_some() {
                    *loaded = runs;
                }
                self.versions
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone_from(&look.versions);
            }
            // it most likely restarts, and has nothing in memory then
            Err(_) => *loaded = None,
        }
        self.offer.send_modify(|offer| match look {
            Ok(look) => {
                offer.healthy = true;
                offer.problem.clear();
                offer.queue_length = (look.queue.running.len() + look.queue.pending.len()) as u32;
                offer.software = look.software;
                offer.devices = look.devices;
                self.gpus.complete(&mut offer.devices);
                offer.models = look.models;
                offer.node_classes.clone_from(&catalog.classes);
                offer.catalog.clone_from(&catalog.hash);
                offer.models.extend(choices("sampler", &catalog.samplers));
                offer.models.extend(choices("scheduler", &catalog.schedulers));
                for model in &mut offer.models {
                    model.loaded = model.kind == "checkpoint" && Some(&model.name) == loaded.as_ref();
                }
                shelf.mark(&mut offer.models);
                offer.lanes = lanes(&offer.models);
            }
            // what it had is most likely still there, and says what the worker will be able to do
            Err(problem) => {
                offer.healthy = false;
                offer.problem = problem;
                offer.queue_length = 0;
                for model in &mut offer.models {
                    model.loaded = false;
                }
                shelf.mark(&mut offer.models);
                offer.lanes = lanes(&offer.models);
            }
        });
    }
}

async fn look(client: &Client) -> Result<Look, Error> {
    let stats = client.system_stats().await?;
    let mut models = Vec::new();
    for (kind, folder) in FOLDERS {
        models.extend(choices(kind, &client.models(folder).await?.unwrap_or_default()));
    }
    models.extend(choices("embedding", &client.embeddings().await?));
    let versions = [
        ("comfyui", stats.comfyui_version.clone()),
        ("python", stats.python_version),
        ("pytorch", stats.pytorch_version),
        ("os", stats.os),
    ];
    let version = stats.comfyui_version;
    Ok(Look {
        versions: versions
            .into_iter()
            .filter_map(|(name, version)| Some((name.to_owned(), version?)))
            .collect(),
        software: version.map_or_else(|| "ComfyUI".to_owned(), |version| format!("ComfyUI {version}")),
        devices: stats
            .devices
            .into_iter()
            .map(|device| Device {
                name: device.name,
                memory_total_bytes: device.vram_total.unwrap_or_default(),
                memory_free_bytes: device.vram_free.unwrap_or_default(),
                ..Device::default()
            })
            .collect(),
        models,
        queue: client.queue().await?,
    })
}

fn choices(kind: &str, names: &[String]) -> Vec<Model> {
    let model = |name: &String| Model {
        kind: kind.to_owned(),
        name: name.clone(),
        ..Model::default()
    };
    names.iter().map(model).collect()
}

/// The checkpoint that a graph loads.
fn checkpoint_of(graph: &Value) -> Option<String> {
    let mut nodes = graph.as_object()?.values();
    nodes.find_map(|node| Some(node.pointer("/inputs/ckpt_name")?.as_str()?.to_owned()))
}

/// The lanes of jobs that can be served: those for any model, and one for each checkpoint that is sound or
/// has an alternate.
fn lanes(models: &[Model]) -> Vec<String> {
    let usable = |model: &&Model| {
        model.kind == "checkpoint" && (model.problem.is_empty() || !model.fallback.is_empty())
    };
    let keys = models
        .iter()
        .filter(usable)
        .map(|model| subjects::lane_key(&model.name));
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
        let shelf = Arc::new(Shelf::default());
        let vitals = Vitals::new(Duration::from_mins(1));
        let offer = showcase.offer();
        assert!(!offer.healthy && !offer.problem.is_empty() && offer.slots == 2);
        let script = async {
            let offer = shows(&showcase, |offer| offer.healthy).await;
            assert_eq!(
                (offer.software.as_str(), offer.problem.as_str()),
                ("ComfyUI 0.33.0", "")
            );
            assert!(offer.devices[0].memory_total_bytes > 0);
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
            () = showcase.keep(&client, &shelf, &vitals, Duration::from_millis(50)) => {}
            () = script => {}
        }
    }
}
