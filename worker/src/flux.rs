//! The FLUX backend: pictures and films by Black Forest Labs, for money.
//!
//! A task is submitted once, under the protocol of [`crate::paid`], then followed at the address that the service
//! named, by this attempt or by a later one; its result is fetched at once, since it can be fetched for minutes only.

mod course;
mod recipe;
mod refusals;
mod settings;

use std::{sync::Arc, time::Duration};

use connectors::{
    bfl::{self, Client, Status},
    key::Key,
};
use proto::{
    Backend as Kind,
    failure::FailureCode,
    flux,
    moment::{maybe_millis, timestamp},
    money::MicroDollars,
    subjects,
    v1::{BackendOffer, Model, Upstream, job_request::Body},
};
use runtime::{clock, tasks::Stop};

pub use settings::FluxSettings;

use crate::{
    paid::{Cashier, Fate, Standing, Vendor},
    work::{Outcome, Work},
};

/// The FLUX backend.
#[derive(Debug)]
pub struct Flux {
    settings: FluxSettings,
    client: Client,
    cashier: Arc<Cashier>,
}

impl Flux {
    /// A backend with these settings and this key.
    ///
    /// # Errors
    /// If the HTTP client cannot be made.
    pub fn new(settings: FluxSettings, key: &str, cashier: Cashier) -> Result<Self, reqwest::Error> {
        let client = Client::new(bfl::Settings {
            base: settings.url.clone(),
            key: Key::new(key),
            submit_timeout: settings.submit_timeout,
            poll_timeout: course::POLL_TIMEOUT,
        })?;
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
        let model = |name: &str| Model {
            kind: "flux".to_owned(),
            name: name.to_owned(),
            ..Model::default()
        };
        BackendOffer {
            backend: Kind::Flux.into(),
            slots: u32::try_from(self.settings.slots).unwrap_or(u32::MAX),
            lanes: vec![subjects::ANY_LANE.to_owned()],
            healthy: true,
            software: format!("FLUX API at {}", self.settings.url.host_str().unwrap_or_default()),
            models: flux::models().iter().map(|found| model(&found.name)).collect(),
            ..BackendOffer::default()
        }
    }

    /// Makes the paid calls, and clears up what tasks cost whose jobs are over; until `stop`.
    pub async fn keep(&self, stop: Stop) {
        self.cashier.keep(self, stop).await;
    }

    /// Runs one attempt.
    ///
    /// # Errors
    /// Why the attempt failed.
    pub async fn run(&self, work: Work) -> Outcome {
        let Some(Body::Flux(request)) = work.request.body.as_ref() else {
            return Err(FailureCode::WorkerRefused.failure("the job is not for the flux backend"));
        };
        let payment = self.cashier.payment(&work);
        let upstream = match payment.standing(work.upstream.as_ref()) {
            Standing::Fresh => self.submit(request, &payment, &work).await?,
            Standing::Submitted(upstream) => {
                if work.upstream.as_ref() != Some(&upstream) {
                    payment.adopt(upstream.clone()).await?;
                }
                upstream
            }
            Standing::InDoubt(_) => {
                let why = "the worker that made it was gone before it could write down the answer";
                return Err(payment.give_up(why).await);
            }
        };
        self.follow(request, upstream, &payment, &work).await
    }

    async fn poll(&self, upstream: &Upstream) -> Result<bfl::Poll, bfl::PollError> {
        self.client.poll(&upstream.address).await
    }

    /// How long ago the task was submitted.
    fn age(upstream: &Upstream) -> Duration {
        let at = maybe_millis(upstream.at.as_ref()).unwrap_or_default();
        Duration::from_millis(u64::try_from(clock::now() - at).unwrap_or_default())
    }
}

impl Vendor for Flux {
    fn kind(&self) -> Kind {
        Kind::Flux
    }

    fn account(&self) -> &str {
        &self.settings.account
    }

    async fn fate(&self, upstream: &Upstream) -> Fate {
        match self
            .poll(upstream)
            .await
            .map(|poll| (poll.status, poll.cost_cents))
        {
            Ok((Status::Ready(_), cost)) => Fate::Made(cost.and_then(MicroDollars::from_cents)),
            Ok((Status::RequestModerated(_) | Status::ContentModerated(_), _)) => {
                Fate::Free("moderated".to_owned())
            }
            Ok((Status::Failed(_), _)) => Fate::Free("the service failed to make it".to_owned()),
            Ok((Status::NotFound, _)) if Self::age(upstream) > self.settings.lost_after => {
                Fate::Lost("the service does not know the task any more".to_owned())
            }
            Err(bfl::PollError::AddressRefused(why)) => Fate::Lost(why.to_string()),
            Ok((Status::Pending | Status::InProgress(_) | Status::NotFound, _)) | Err(_) => Fate::Open,
        }
    }
}

/// What the record says about a task.
fn recorded(id: &str, address: &str, cost: Option<MicroDollars>, place: &str) -> Upstream {
    Upstream {
        task_id: id.to_owned(),
        place: place.to_owned(),
        at: Some(timestamp(clock::now())),
        address: address.to_owned(),
        cost_microdollars: cost.map(|cost| cost.0),
        ..Upstream::default()
    }
}
