//! A worker with ComfyUI as the gateway sees one: it announces itself and answers calls, and runs nothing.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use e2e::{System, system::bus_of};
use futures::{Stream, stream};
use prost::Message as _;
use proto::{
    Backend,
    failure::FailureCode,
    ids::{Incarnation, WorkerId},
    moment::timestamp,
    v1::{
        BackendOffer, Catalog, CatalogPiece, FetchHead, FetchPiece, FileReport, Host, HostCall, HostLog,
        HostReply, Model, NodeClass, NodeInput, VerifyProgress, Worker, control_call::Action, host::State,
        host_call::Call, host_reply::Body,
    },
};
use runtime::{
    calls::{answer_host, failed, last, more},
    clock, live,
    tasks::{Stop, Tasks},
};

/// The checkpoint that it has.
pub(crate) const CHECKPOINT: &str = "sd15.safetensors";

/// What it is like at the moment.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) state: State,
    pub(crate) healthy: bool,
    pub(crate) models: Vec<Model>,
    pub(crate) starts: u32,
}

/// A stand-in for a worker.
pub(crate) struct StandIn {
    pub(crate) condition: Arc<Mutex<Condition>>,
    tasks: Tasks,
    stop: Stop,
}

pub(crate) fn model(kind: &str, name: &str) -> Model {
    Model {
        kind: kind.into(),
        name: name.into(),
        ..Model::default()
    }
}

/// As much of a catalog as a text-to-image graph needs.
pub(crate) fn catalog() -> Catalog {
    let input = |name: &str, of_type: &str, options: &[&str]| NodeInput {
        name: name.into(),
        r#type: of_type.into(),
        required: true,
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..NodeInput::default()
    };
    let class = |name: &str, inputs: Vec<NodeInput>, outputs: &[&str]| NodeClass {
        name: name.into(),
        inputs,
        outputs: outputs.iter().map(|output| (*output).to_owned()).collect(),
        output_node: name == "SaveImage",
        ..NodeClass::default()
    };
    let sampler = vec![
        input("model", "MODEL", &[]),
        input("seed", "INT", &[]),
        input("steps", "INT", &[]),
        input("cfg", "FLOAT", &[]),
        input("sampler_name", "COMBO", &["euler", "dpmpp_2m"]),
        input("scheduler", "COMBO", &["normal", "karras"]),
        input("positive", "CONDITIONING", &[]),
        input("negative", "CONDITIONING", &[]),
        input("latent_image", "LATENT", &[]),
        input("denoise", "FLOAT", &[]),
    ];
    // calls a service that costs money
    let paid = NodeClass {
        api_node: true,
        ..class("PaidImage", vec![input("prompt", "STRING", &[])], &["IMAGE"])
    };
    Catalog {
        classes: vec![
            paid,
            class(
                "CLIPTextEncode",
                vec![input("text", "STRING", &[]), input("clip", "CLIP", &[])],
                &["CONDITIONING"],
            ),
            class(
                "CheckpointLoaderSimple",
                vec![input("ckpt_name", "COMBO", &[CHECKPOINT])],
                &["MODEL", "CLIP", "VAE"],
            ),
            class(
                "EmptyImage",
                vec![input("width", "INT", &[]), input("color", "INT", &[])],
                &["IMAGE"],
            ),
            class(
                "EmptyLatentImage",
                vec![
                    input("width", "INT", &[]),
                    input("height", "INT", &[]),
                    input("batch_size", "INT", &[]),
                ],
                &["LATENT"],
            ),
            class("KSampler", sampler, &["LATENT"]),
            class("SaveImage", vec![input("images", "IMAGE", &[])], &[]),
            class(
                "VAEDecode",
                vec![input("samples", "LATENT", &[]), input("vae", "VAE", &[])],
                &["IMAGE"],
            ),
        ],
    }
}

impl StandIn {
    /// Starts it, and waits until the gateway knows it.
    pub(crate) async fn start(system: &System, id: &str, condition: Condition) -> Self {
        let worker: WorkerId = id.parse().expect("a name");
        let bus = bus_of(&system.broker, id).await;
        let stop = Stop::new();
        let mut tasks = Tasks::new(stop.clone());
        let condition = Arc::new(Mutex::new(condition));
        let (asked, named, ending) = (Arc::clone(&condition), worker.clone(), stop.clone());
        let answering = bus.clone();
        tasks.start("calls", async move {
            let answer = move |call: HostCall| answer(&asked, call);
            answer_host(answering, &named, ending, answer).await;
        });
        let (told, ending) = (Arc::clone(&condition), stop.clone());
        let incarnation = Incarnation::generate();
        tasks.start("announcements", async move {
            let mut beats = tokio::time::interval(Duration::from_millis(150));
            loop {
                tokio::select! {
                    () = ending.cancelled() => return,
                    _ = beats.tick() => {}
                }
                let offer = offer(&condition_of(&told));
                let announcement = Worker {
                    id: worker.to_string(),
                    incarnation: incarnation.to_string(),
                    host: "stand-in".into(),
                    version: "0".into(),
                    at: Some(timestamp(clock::now())),
                    backends: vec![offer],
                    ..Worker::default()
                };
                live::announce(&bus, &worker, &announcement).await;
            }
        });
        system.client.until_worker(id).await;
        Self {
            condition,
            tasks,
            stop,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks
            .run(Duration::from_secs(5))
            .await
            .expect("it ends in order");
    }
}

/// One that runs and serves.
pub(crate) fn serving() -> Condition {
    Condition {
        state: State::Running,
        healthy: true,
        models: vec![model("checkpoint", CHECKPOINT), model("sampler", "euler")],
        starts: 0,
    }
}

pub(crate) fn condition_of(condition: &Mutex<Condition>) -> Condition {
    condition.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn offer(condition: &Condition) -> BackendOffer {
    BackendOffer {
        backend: Backend::Comfyui.into(),
        slots: 1,
        lanes: vec!["_".into()],
        models: condition.models.clone(),
        healthy: condition.healthy,
        problem: if condition.healthy {
            String::new()
        } else {
            "ComfyUI does not answer".into()
        },
        software: "ComfyUI 0".into(),
        node_classes: catalog().classes.into_iter().map(|class| class.name).collect(),
        catalog: blake3::hash(&catalog().encode_to_vec()).to_hex().to_string(),
        host: Some(host(condition.state)),
        ..BackendOffer::default()
    }
}

fn host(state: State) -> Host {
    Host {
        state: state.into(),
        pid: 7,
        ..Host::default()
    }
}

type Replies = Pin<Box<dyn Stream<Item = HostReply> + Send>>;

fn answer(condition: &Mutex<Condition>, call: HostCall) -> Replies {
    let mut now = condition.lock().unwrap_or_else(PoisonError::into_inner);
    let replies = match call.call {
        Some(Call::Catalog(_)) => {
            let packed = zstd::encode_all(catalog().encode_to_vec().as_slice(), 3).expect("compressed");
            let (first, second) = packed.split_at(packed.len() / 2);
            let piece = |content: &[u8]| {
                Body::Catalog(CatalogPiece {
                    content: Bytes::copy_from_slice(content),
                })
            };
            vec![more(piece(first)), last(piece(second))]
        }
        Some(Call::Rescan(_)) => vec![last(Body::Offer(offer(&now)))],
        Some(Call::Control(control)) => change(&mut now, control.action()),
        Some(Call::Status(_)) => vec![last(Body::Host(host(now.state)))],
        Some(Call::Log(log)) => {
            let lines = (1..=log.lines.max(1)).map(|number| format!("line {number}"));
            vec![last(Body::Log(HostLog {
                lines: lines.collect(),
            }))]
        }
        Some(Call::Verify(_)) => reports(),
        Some(Call::Fetch(fetch)) => {
            let content = format!("{}?{}", fetch.path, fetch.query);
            let size_bytes = if fetch.path.ends_with("queue") {
                1 << 40
            } else {
                content.len() as u64
            };
            vec![
                more(Body::Head(FetchHead {
                    status: 200,
                    content_type: "text/html".into(),
                    size_bytes,
                })),
                last(Body::Piece(FetchPiece {
                    content: content.into(),
                })),
            ]
        }
        Some(Call::V0(_)) | None => vec![failed(FailureCode::HostRefused, "nothing was asked")],
    };
    Box::pin(stream::iter(replies))
}

fn change(now: &mut Condition, action: Action) -> Vec<HostReply> {
    if now.state == State::Unmanaged {
        return vec![failed(FailureCode::HostRefused, "somebody else starts it")];
    }
    let stop = action == Action::Stop;
    now.healthy = !stop;
    now.starts += u32::from(!stop);
    let (first, then) = if stop {
        (State::Stopping, State::Stopped)
    } else {
        (State::Starting, State::Running)
    };
    now.state = then;
    vec![more(Body::Host(host(first))), last(Body::Host(host(then)))]
}

fn reports() -> Vec<HostReply> {
    let report = |kind: &str, name: &str, reason: &str| {
        Body::File(FileReport {
            kind: kind.into(),
            name: name.into(),
            reason: reason.into(),
            ..FileReport::default()
        })
    };
    vec![
        more(Body::Progress(VerifyProgress {
            files: 2,
            ..VerifyProgress::default()
        })),
        HostReply::default(),
        more(report("checkpoint", CHECKPOINT, "")),
        last(report("lora", "cut.safetensors", "truncated")),
    ]
}
