//! Brings everything up, and tells each step. What to do about a ComfyUI is decided without I/O, in `decision`.

mod decision;

use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _, future, stream};
use proto::{
    Backend,
    v1::{
        BackendOffer, ControlCall, Host, IgniteStep, control_call::Action, host::State, host_call::Call,
        host_reply::Body, ignite_step::State as Step,
    },
};
use runtime::{bus::Bus, store::Store};
use tokio::{
    sync::mpsc,
    time::{Instant, interval},
};

use crate::hosts::{Hosts, problem};
pub use decision::{Deed, count_models, decide, sum_up};
use decision::{or, software};

/// How often the announcements are looked at while something is awaited.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Models may be announced a little later than the ComfyUI that has them.
const MODELS_PATIENCE: Duration = Duration::from_secs(15);
/// Steps that may wait for a slow listener.
const BACKLOG: usize = 16;

const SEE_BROKER: &str = "reach the broker";
const SEE_STORE: &str = "reach the artifact store";
const SEE_WORKER: &str = "find the worker";
const SEE_STATUS: &str = "ask for the state of ComfyUI";
const START: &str = "start ComfyUI";
const WAIT: &str = "wait for ComfyUI";
const SEE_MODELS: &str = "find models";

/// Brings the system up. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Ignition {
    bus: Bus,
    store: Store,
    hosts: Hosts,
    patience: Duration,
}

/// Where steps are told.
#[derive(Debug, Clone)]
struct Teller {
    steps: mpsc::Sender<IgniteStep>,
    worker: String,
}

impl Teller {
    async fn tell(&self, name: &str, state: Step, message: impl Into<String>) {
        let step = IgniteStep {
            worker: self.worker.clone(),
            name: name.to_owned(),
            state: state.into(),
            message: message.into(),
        };
        // who listened has left, and with it this work is dropped
        self.steps.send(step).await.ok();
    }
}

impl Ignition {
    /// Over these; `patience` is how long a ComfyUI may take until it serves.
    pub fn new(bus: &Bus, store: &Store, hosts: Hosts, patience: Duration) -> Self {
        Self {
            bus: bus.clone(),
            store: store.clone(),
            hosts,
            patience,
        }
    }

    /// Brings up the named workers' ComfyUI, or those of all who are there. Ends when it is done; dropping the
    /// stream ends it early. What was started stays so.
    pub fn run(self, workers: Vec<String>) -> impl Stream<Item = IgniteStep> + Send {
        let (steps, told) = mpsc::channel(BACKLOG);
        let teller = Teller {
            steps,
            worker: String::new(),
        };
        let work = async move { self.work(workers, teller).await }.into_stream();
        let told = tokio_stream::wrappers::ReceiverStream::new(told);
        stream::select(told.map(Some), work.map(|()| None)).filter_map(future::ready)
    }

    async fn work(&self, named: Vec<String>, teller: Teller) {
        match self.bus.probe().await {
            Ok(took) => {
                let message = format!(
                    "nats-server {}, {} ms",
                    self.bus.server_version(),
                    took.as_millis()
                );
                teller.tell(SEE_BROKER, Step::Done, message).await;
            }
            Err(error) => {
                let message = runtime::telemetry::chain(&error);
                return teller.tell(SEE_BROKER, Step::Failed, message).await;
            }
        }
        match self.store.probe().await {
            Ok(()) => teller.tell(SEE_STORE, Step::Done, "it answers").await,
            Err(error) => {
                let message = runtime::telemetry::chain(&error);
                teller.tell(SEE_STORE, Step::Failed, message).await;
            }
        }
        let workers = if named.is_empty() {
            self.hosts.present()
        } else {
            named
        };
        if workers.is_empty() {
            let message = "no worker is here: start one with `orchestrator worker`, or everything with `orchestrator up`";
            return teller.tell(SEE_WORKER, Step::Failed, message).await;
        }
        future::join_all(workers.into_iter().map(|worker| {
            self.bring_up(Teller {
                worker,
                ..teller.clone()
            })
        }))
        .await;
    }

    fn offer(&self, id: &str) -> Option<BackendOffer> {
        let offers = self.hosts.heard(id)?.backends;
        offers
            .into_iter()
            .find(|offer| offer.backend() == Backend::Comfyui)
    }

    async fn bring_up(&self, teller: Teller) {
        let Some(worker) = self.hosts.heard(&teller.worker) else {
            let message = "it does not announce itself: start it, and look into its log";
            return teller.tell(SEE_WORKER, Step::Failed, message).await;
        };
        if worker.draining {
            let message = "it is about to stop and takes no jobs: start it again";
            return teller.tell(SEE_WORKER, Step::Failed, message).await;
        }
        let message = format!("version {} on {}", worker.version, worker.host);
        teller.tell(SEE_WORKER, Step::Done, message).await;
        let Some(offer) = self.offer(&teller.worker) else {
            return;
        };
        let host = match self
            .hosts
            .last(&teller.worker, Call::Status(proto::v1::StatusCall {}))
            .await
        {
            Ok(Body::Host(host)) => host,
            Ok(_) => Host::default(),
            Err(problem) => return teller.tell(SEE_STATUS, Step::Failed, problem.detail).await,
        };
        let up = match decide(&host, &offer) {
            Deed::Nothing(message) => {
                teller.tell(START, Step::Skipped, message).await;
                true
            }
            Deed::GiveUp(message) => {
                teller.tell(START, Step::Failed, message).await;
                false
            }
            Deed::Wait(message) => {
                teller.tell(START, Step::Skipped, message).await;
                self.wait(&teller).await
            }
            Deed::Start => self.start(&teller).await && self.wait(&teller).await,
        };
        if up {
            self.see_models(&teller).await;
        }
    }

    async fn start(&self, teller: &Teller) -> bool {
        teller.tell(START, Step::Started, "it is started").await;
        let call = Call::Control(ControlCall {
            action: Action::Start.into(),
        });
        let replies = match self.hosts.call(&teller.worker, call) {
            Ok(replies) => replies,
            Err(problem) => {
                teller.tell(START, Step::Failed, problem.detail).await;
                return false;
            }
        };
        let mut replies = std::pin::pin!(replies);
        let mut last = Host::default();
        while let Some(reply) = replies.next().await {
            match reply.body {
                Some(Body::Host(host)) => last = host,
                Some(Body::Failure(failure)) => {
                    teller.tell(START, Step::Failed, problem(&failure).detail).await;
                    return false;
                }
                _ => {}
            }
        }
        if last.state() == State::Failed {
            let why = or(&last.message, "its log says why");
            teller.tell(START, Step::Failed, why).await;
            return false;
        }
        teller
            .tell(START, Step::Done, format!("process {}", last.pid))
            .await;
        true
    }

    async fn wait(&self, teller: &Teller) -> bool {
        teller.tell(WAIT, Step::Started, "until it serves").await;
        let healthy = self
            .until(self.patience, || {
                self.offer(&teller.worker).filter(|offer| offer.healthy)
            })
            .await;
        if let Some(offer) = healthy {
            teller
                .tell(WAIT, Step::Done, format!("{} serves", software(&offer)))
                .await;
            return true;
        }
        let problem = self
            .offer(&teller.worker)
            .map(|offer| offer.problem)
            .unwrap_or_default();
        let message = format!(
            "it does not serve after {} s: {}; look at its log",
            self.patience.as_secs(),
            or(&problem, "the worker is silent")
        );
        teller.tell(WAIT, Step::Failed, message).await;
        false
    }

    async fn see_models(&self, teller: &Teller) {
        let patience = MODELS_PATIENCE.min(self.patience);
        let found = self
            .until(patience, || count_models(&self.offer(&teller.worker)?))
            .await;
        let state = if found.is_some() { Step::Done } else { Step::Failed };
        let message = found.unwrap_or_else(|| {
            "ComfyUI lists no model: put a checkpoint into its models/checkpoints directory".to_owned()
        });
        teller.tell(SEE_MODELS, state, message).await;
    }

    /// Looks again and again until there is something, or the time is over.
    async fn until<T>(&self, patience: Duration, look: impl Fn() -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut looks = interval(LOOK_EVERY);
        loop {
            looks.tick().await;
            let found = look();
            if found.is_some() || Instant::now() >= deadline {
                return found;
            }
        }
    }
}
