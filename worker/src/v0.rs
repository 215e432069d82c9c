//! The v0 backend: small web sites by Vercel's v0, for money.
//!
//! A message is sent once, under the protocol of [`crate::paid`], then followed by this attempt or by a later one;
//! the files that come of it are the result. A new chat carries the id of its job, so that it is found again where
//! nobody knows whether it was made. Files are written and taken over without any model, and cost nothing.

mod answers;
mod archive;
mod course;
mod delivery;
mod filing;
mod message;
mod recipe;
mod refusals;
mod settings;

use std::{sync::Arc, time::Duration};

use connectors::{
    key::Key,
    v0::{self as api, Client, Options},
};
use proto::{
    Backend as Kind,
    failure::FailureCode,
    moment::{maybe_millis, timestamp},
    money::MicroDollars,
    subjects,
    v0::{self, Action},
    v1::{BackendOffer, Failure, Model, Upstream, V0Request, job_request::Body},
};
use runtime::{clock, tasks::Stop};
use tokio::time::sleep;

pub use answers::answer;
pub use settings::V0Settings;

use crate::{
    backend::stopped,
    paid::{Cashier, Fate, Standing, Vendor},
    work::{Outcome, Work},
};

/// The v0 backend.
#[derive(Debug)]
pub struct V0 {
    settings: V0Settings,
    client: Client,
    cashier: Arc<Cashier>,
}

impl V0 {
    /// A backend with these settings and this key.
    ///
    /// # Errors
    /// If the key or the address cannot be used.
    pub fn new(settings: V0Settings, key: &str, cashier: Cashier) -> Result<Self, api::Error> {
        connectors::install_tls();
        let options = Options {
            base: settings.url.clone(),
            version: settings.version,
            submit_timeout: settings.submit_timeout,
            ..Options::default()
        };
        let client = Client::new(Key::new(key), options)?;
        Ok(Self {
            settings,
            client,
            cashier: Arc::new(cashier),
        })
    }

    /// How many jobs it runs at the same time.
    pub const fn slots(&self) -> usize {
        self.settings.slots
    }

    /// What it can do.
    pub fn offer(&self) -> BackendOffer {
        let model = |model: &v0::Model| Model {
            kind: "v0".to_owned(),
            name: model.name.clone(),
            ..Model::default()
        };
        let host = self.settings.url.host_str().unwrap_or_default();
        BackendOffer {
            backend: Kind::V0.into(),
            slots: u32::try_from(self.settings.slots).unwrap_or(u32::MAX),
            lanes: vec![subjects::ANY_LANE.to_owned()],
            healthy: true,
            software: format!("v0 API {} at {host}", self.settings.version),
            models: v0::models().iter().map(model).collect(),
            ..BackendOffer::default()
        }
    }

    /// Makes the paid calls, and clears up what messages cost whose jobs are over; until `stop`.
    pub async fn keep(&self, stop: Stop) {
        self.cashier.keep(self, stop).await;
    }

    /// Runs one attempt.
    ///
    /// # Errors
    /// Why the attempt failed.
    pub async fn run(&self, work: Work) -> Outcome {
        let Some(Body::V0(request)) = work.request.body.as_ref() else {
            return Err(FailureCode::WorkerRefused.failure("the job is not for the v0 backend"));
        };
        match request.action() {
            Action::Create | Action::Continue => Box::pin(self.say(request, &work)).await,
            Action::Apply => Box::pin(self.apply(request, &work)).await,
            Action::Import => Box::pin(self.import(request, &work)).await,
            Action::Unspecified => Err(FailureCode::WorkerRefused
                .failure("the job asks for something that this worker does not know")),
        }
    }

    /// Says something, or goes on with what an earlier attempt has said.
    async fn say(&self, request: &V0Request, work: &Work) -> Outcome {
        let payment = self.cashier.payment(work);
        let creates = request.action() == Action::Create;
        let upstream = match payment.standing(work.upstream.as_ref()) {
            Standing::Fresh => self.submit(request, &payment, work).await?,
            Standing::Submitted(upstream) => {
                payment.adopt(upstream.clone()).await?;
                upstream
            }
            Standing::InDoubt(_) => {
                work.reporter
                    .phase("looking", "looks for the chat that may have been made");
                let found = if creates {
                    self.find_patiently(work).await?
                } else {
                    // a message carries no name by which it could be found
                    None
                };
                let Some(upstream) = found else {
                    let why = "the worker that asked was gone before it could write down the answer";
                    return Err(payment.give_up(why).await);
                };
                payment.adopt(upstream.clone()).await?;
                upstream
            }
        };
        self.follow(request, upstream, &payment, work).await
    }

    /// How long ago the message was sent.
    fn age(upstream: &Upstream) -> Duration {
        let at = maybe_millis(upstream.at.as_ref()).unwrap_or_default();
        Duration::from_millis(u64::try_from(clock::now() - at).unwrap_or_default())
    }
}

impl Vendor for V0 {
    fn kind(&self) -> Kind {
        Kind::V0
    }

    fn account(&self) -> &str {
        &self.settings.account
    }

    async fn fate(&self, upstream: &Upstream) -> Fate {
        let Some(place) = Place::of(upstream) else {
            return Fate::Lost("the record does not name the chat".to_owned());
        };
        match self.client.standing(&place.chat, place.message.as_deref()).await {
            Ok(api::Standing::Ended(ended)) => Fate::Made(self.cost(&place.chat, &ended).await),
            Err(error) if error.is_refused_with(404) && Self::age(upstream) > self.settings.lost_after => {
                let message = place.message.unwrap_or_default();
                match self.client.charged(&place.chat, &message).await {
                    Ok(Some(credits)) => Fate::Made(dollars(credits)),
                    Ok(None) => Fate::Lost("v0 does not know the chat any more".to_owned()),
                    Err(_) => Fate::Open,
                }
            }
            Ok(api::Standing::Running(_)) | Err(_) => Fate::Open,
        }
    }
}

/// What a record says about a run: the chat, and the message that is being made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    chat: String,
    message: Option<String>,
}

impl Place {
    fn of(upstream: &Upstream) -> Option<Self> {
        let (chat, message) = match upstream.task_id.split_once('/') {
            Some((chat, message)) => (chat, Some(message.to_owned())),
            None => (upstream.task_id.as_str(), None),
        };
        (!chat.is_empty()).then(|| Self {
            chat: chat.to_owned(),
            message,
        })
    }

    /// As it stands in a record.
    fn name(&self) -> String {
        match &self.message {
            Some(message) => format!("{}/{message}", self.chat),
            None => self.chat.clone(),
        }
    }
}

/// What the record says about a run; `None` while it is being asked for.
fn recorded(place: Option<&Place>, origin: &str) -> Upstream {
    Upstream {
        task_id: place.map(Place::name).unwrap_or_default(),
        place: origin.to_owned(),
        at: Some(timestamp(clock::now())),
        ..Upstream::default()
    }
}

/// v0 counts its credits in dollars.
fn dollars(credits: f64) -> Option<MicroDollars> {
    MicroDollars::from_cents(credits * 100.0)
}

/// Waits, unless the attempt is told to stop.
async fn pause(length: Duration, work: &Work) -> Result<(), Failure> {
    tokio::select! {
        biased;
        () = work.cancel.cancelled() => Err(stopped()),
        () = sleep(length) => Ok(()),
    }
}
