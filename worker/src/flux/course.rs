//! The way of a task: submitted, followed, fetched.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use connectors::bfl::{Poll, PollError, Sample, SampleError, Status};
use futures::{StreamExt as _, TryStreamExt as _};
use proto::{
    failure::FailureCode,
    flux::{self, Plan},
    ids::InputId,
    ledger::Limit,
    lifecycle::Product,
    money::MicroDollars,
    v1::{Failure, FluxRequest, Upstream},
};
use runtime::media;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{Flux, recipe, recorded, refusals};
use crate::{
    backend::stopped,
    paid::{Answer, Payment, Terms},
    report::Step,
    spool::Spool,
    work::{Outcome, Work},
};

/// How long the answer to a question about a task may take.
pub(super) const POLL_TIMEOUT: Duration = Duration::from_secs(30);
/// The part of the progress that is left for fetching and storing.
const MAKING_SHARE: f64 = 0.9;
const FETCH_PAUSE: Duration = Duration::from_secs(1);

impl Flux {
    /// Submits the task: once.
    pub(super) async fn submit(
        &self,
        request: &FluxRequest,
        payment: &Payment,
        work: &Work,
    ) -> Result<Upstream, Failure> {
        let plan = flux::plan(request).map_err(|faults| refusals::of_faults(&faults))?;
        let payload = inlined(&plan, work).await?;
        let terms = Terms {
            account: &self.settings.account,
            limits: self.limits(&plan),
            patience: self.settings.patience,
            reporter: &work.reporter,
            cancel: &work.cancel,
        };
        let place = &self.settings.url;
        let intent = || recorded("", "", None, place.as_str());
        let call = || {
            let (client, place) = (self.client.clone(), place.clone());
            let (path, payload) = (plan.path.clone(), payload.clone());
            async move {
                match client.submit(&path, &payload).await {
                    Ok(task) => {
                        let cost = task.cost_cents.and_then(MicroDollars::from_cents);
                        Answer::Taken(recorded(&task.id, &task.polling_url, cost, place.as_str()))
                    }
                    Err(error) => refusals::of_submission(&error, &place),
                }
            }
        };
        let submitted = payment.submit(&terms, intent, call).await;
        if let Err(failure) = &submitted
            && refusals::is_final(failure)
        {
            payment.release(&failure.message).await?;
        }
        submitted
    }

    fn limits(&self, plan: &Plan) -> Vec<Limit> {
        let of_account = Limit {
            models: Vec::new(),
            calls: self.settings.max_tasks,
        };
        let of_group = plan.limit.as_ref().map(|limit| Limit {
            models: limit.models.clone(),
            calls: limit.at_once,
        });
        std::iter::once(of_account).chain(of_group).collect()
    }

    /// Follows the task to its end, and stores what it made.
    pub(super) async fn follow(
        &self,
        request: &FluxRequest,
        upstream: Upstream,
        payment: &Payment,
        work: &Work,
    ) -> Outcome {
        let mut doubts = Doubts::default();
        loop {
            let polled = tokio::select! {
                biased;
                // the task goes on at the service, and what it costs is cleared up without the attempt
                () = work.cancel.cancelled() => return Err(stopped()),
                polled = self.poll(&upstream) => polled,
            };
            match self.weigh(polled, &upstream, &mut doubts) {
                Turn::On { progress, message } => work.reporter.step(Step {
                    phase: "generating",
                    fraction: progress.unwrap_or_default() * MAKING_SHARE,
                    message,
                    ..Step::default()
                }),
                Turn::Ready(sample, cost) => {
                    let cost = cost.or(upstream.cost_microdollars.map(MicroDollars));
                    return self.fetch(request, sample, cost, &upstream, payment, work).await;
                }
                Turn::Free(failure) => {
                    payment.release(&failure.message).await?;
                    return Err(failure);
                }
                Turn::Again(failure) => {
                    payment.end_task(upstream, &failure.message).await?;
                    return Err(failure);
                }
                Turn::Doubt(failure) => {
                    payment.doubt(&failure.message).await;
                    return Err(failure);
                }
                Turn::Later(failure) => return Err(failure),
            }
            pause(self.settings.poll, work).await?;
        }
    }

    /// What follows from an answer about the task.
    fn weigh(&self, polled: Result<Poll, PollError>, upstream: &Upstream, doubts: &mut Doubts) -> Turn {
        let poll = match polled {
            Ok(poll) => poll,
            Err(error) => {
                let failure = refusals::of_poll(&error);
                return if matches!(error, PollError::AddressRefused(_)) {
                    Turn::Doubt(failure)
                } else if lasts(&mut doubts.trouble) < self.settings.patience {
                    Turn::on(None, failure.message)
                } else {
                    Turn::Later(failure)
                };
            }
        };
        doubts.trouble = None;
        match poll.status {
            Status::Pending => Turn::on(poll.progress, "queued at the service"),
            Status::InProgress(name) => Turn::on(poll.progress, name),
            Status::NotFound if lasts(&mut doubts.unknown) < self.settings.lost_after => {
                Turn::on(None, "the service does not know the task yet")
            }
            Status::NotFound => Turn::Doubt(refusals::lost(upstream)),
            Status::Ready(sample) => Turn::Ready(sample, poll.cost_cents.and_then(MicroDollars::from_cents)),
            Status::RequestModerated(reasons) => Turn::Free(refusals::moderated(
                FailureCode::FluxRequestModerated,
                "the request",
                &reasons,
            )),
            Status::ContentModerated(reasons) => Turn::Free(refusals::moderated(
                FailureCode::FluxContentModerated,
                "the result",
                &reasons,
            )),
            Status::Failed(words) => Turn::Again(refusals::task_failed(&words)),
        }
    }

    /// Fetches the result, which can be fetched for minutes only; then writes down what it cost, and stores it.
    async fn fetch(
        &self,
        request: &FluxRequest,
        sample: Sample,
        cost: Option<MicroDollars>,
        upstream: &Upstream,
        payment: &Payment,
        work: &Work,
    ) -> Outcome {
        work.reporter.step(Step {
            phase: "fetching",
            fraction: MAKING_SHARE,
            ..Step::default()
        });
        let fetched = self.download(sample, upstream, work).await;
        // it was made, so it costs, whether it could be fetched or not
        let charge = settle(payment, cost, upstream, work).await?;
        let spool = fetched?;
        let media_type = spool.facts.media_type;
        if media_type == media::UNKNOWN {
            return Err(refusals::no_result());
        }
        work.reporter.step(Step {
            phase: "uploading",
            fraction: 0.97,
            message: "storing".to_owned(),
            ..Step::default()
        });
        let name = format!("flux-{}.{}", work.id, media::extension(media_type));
        let output = work.uploads.store(0, &name, media_type, &spool).await?;
        let outputs = vec![output];
        let recipe = recipe::store(request, upstream, charge, &outputs, work).await?;
        Ok(Product {
            outputs,
            recipe: Some(recipe),
            charge: Some(charge),
            ..Product::default()
        })
    }

    async fn download(&self, sample: Sample, upstream: &Upstream, work: &Work) -> Result<Spool, Failure> {
        let mut url = sample.url;
        let began = Instant::now();
        let mut renewed = false;
        loop {
            let failure = match self.take(&url, work).await {
                Ok(spool) => return Ok(spool),
                Err(Missed::Expired) if !renewed => {
                    renewed = true;
                    let Ok(poll) = self.poll(upstream).await else {
                        continue;
                    };
                    if let Status::Ready(again) = poll.status {
                        url = again.url;
                    }
                    continue;
                }
                Err(Missed::Expired) => return Err(refusals::expired(upstream)),
                Err(Missed::Failed(failure)) => failure,
            };
            if !failure.retryable || began.elapsed() > self.settings.patience {
                return Err(failure);
            }
            work.reporter.alive();
            pause(FETCH_PAUSE, work).await?;
        }
    }

    async fn take(&self, url: &str, work: &Work) -> Result<Spool, Missed> {
        let download = match self.client.sample(url).await {
            Ok(download) => download,
            Err(SampleError::Expired { .. }) => return Err(Missed::Expired),
            Err(error) => return Err(Missed::Failed(refusals::of_sample(&error))),
        };
        let pieces = download
            .into_stream()
            .inspect_ok(|_| work.reporter.alive())
            .boxed();
        let taken = Spool::take(pieces, work.uploads.max_bytes(), |error| {
            refusals::of_sample(&error)
        });
        taken.await.map_err(Missed::Failed)
    }
}

/// What follows from an answer about a task.
enum Turn {
    /// It goes on.
    On { progress: Option<f64>, message: String },
    /// It is made, and costs this where the service says so.
    Ready(Sample, Option<MicroDollars>),
    /// It comes to nothing and costs nothing; asking anew would end the same way.
    Free(Failure),
    /// It came to nothing and costs nothing; asking anew may help.
    Again(Failure),
    /// Nobody knows what it costs.
    Doubt(Failure),
    /// It cannot be asked about now.
    Later(Failure),
}

impl Turn {
    fn on(progress: Option<f64>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::On { progress, message }
    }
}

/// Since when something is odd.
#[derive(Default)]
struct Doubts {
    /// The service does not answer.
    trouble: Option<Instant>,
    /// It does not know the task.
    unknown: Option<Instant>,
}

fn lasts(since: &mut Option<Instant>) -> Duration {
    since.get_or_insert_with(Instant::now).elapsed()
}

/// Why a result was not fetched.
enum Missed {
    Expired,
    Failed(Failure),
}

/// Writes down what it cost, however long the broker is away.
async fn settle(
    payment: &Payment,
    cost: Option<MicroDollars>,
    upstream: &Upstream,
    work: &Work,
) -> Result<proto::lifecycle::Charge, Failure> {
    loop {
        match payment.settle(cost, &upstream.task_id).await {
            Err(failure) if failure.retryable => {
                work.reporter.alive();
                pause(FETCH_PAUSE, work).await?;
            }
            settled => return settled,
        }
    }
}

/// The payload with the files that it names in place of their names.
async fn inlined(plan: &Plan, work: &Work) -> Result<Value, Failure> {
    let mut payload = plan.payload.clone();
    for input in &plan.inputs {
        let id = match InputId::from_reference(&input.reference) {
            Some(Ok(id)) => id,
            Some(Err(error)) => return Err(FailureCode::InputMissing.failure(error.to_string())),
            None => return Err(FailureCode::InputMissing.failure("an input is no reference")),
        };
        work.reporter
            .phase("loading", format!("fetching {}", input.reference));
        let content = work.uploads.read_input(&id).await?;
        payload[&input.field] = BASE64_STANDARD.encode(content).into();
    }
    Ok(payload)
}

async fn pause(length: Duration, work: &Work) -> Result<(), Failure> {
    tokio::select! {
        biased;
        () = work.cancel.cancelled() => Err(stopped()),
        () = sleep(length) => Ok(()),
    }
}
