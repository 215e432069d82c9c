//! What happens to a request before it is queued: its workflow is filled in, its defaults are, the fleet is asked
//! whether anybody could run it, and what it may cost is set aside.

use proto::{
    Backend,
    comfyui::{Plan, plan},
    failure::FailureCode,
    ids::JobId,
    lifecycle,
    moment::Millis,
    request::{self, Accepted, Fault},
    v1::{BackendOffer, Job, JobRequest, ValidateResponse, Workflow, job_request::Body},
};
use runtime::{bus::BusError, clock, records::Created};

use crate::{
    fitness::{self, Candidate, Judgement, MEMORY},
    jobs::{Jobs, unknown},
    problem::Problem,
    spending::{Bill, Reserved},
};

const MAX_KEY_CHARS: usize = 255;

/// An accepted job.
#[derive(Debug)]
pub struct Submitted {
    /// Its record.
    pub job: Job,
    /// It was there already, from an earlier call with the same idempotency key.
    pub repeated: bool,
}

/// What came of a submission.
#[derive(Debug)]
pub enum Outcome {
    /// There is a job.
    Accepted(Submitted),
    /// It was a dry run: nothing was queued.
    Checked(Box<ValidateResponse>),
}

/// A request that can be queued.
#[derive(Debug)]
struct Prepared {
    accepted: Accepted,
    /// The graph that would run, as JSON text; empty for other backends.
    graph: String,
    /// Ids of the workers whose ComfyUI could serve it, as far as is known; empty for other backends.
    workers: Vec<String>,
}

impl Jobs {
    /// Accepts a job: when this returns, the job is stored durably. A dry run is only checked.
    ///
    /// # Errors
    /// All faults of the request; why it may not cost what it would; `broker_unavailable` where nothing could be
    /// stored.
    pub async fn submit(
        &self,
        request: JobRequest,
        idempotency_key: Option<&str>,
        submitter: &str,
    ) -> Result<Outcome, Problem> {
        let outcome = if request.dry_run {
            let checked = self.validate(request).await;
            checked.map(|checked| Outcome::Checked(Box::new(checked)))
        } else {
            let submitted = self.submit_job(request, idempotency_key, submitter).await;
            submitted.map(|submitted| {
                Outcome::Accepted(Submitted {
                    job: self.shown(submitted.job),
                    ..submitted
                })
            })
        };
        self.metrics.count_submission(&outcome);
        outcome
    }

    async fn submit_job(
        &self,
        request: JobRequest,
        idempotency_key: Option<&str>,
        submitter: &str,
    ) -> Result<Submitted, Problem> {
        let id = match idempotency_key {
            None => JobId::generate(),
            Some(key) if key.is_empty() || key.chars().count() > MAX_KEY_CHARS => {
                let message = format!("the idempotency key must have 1 to {MAX_KEY_CHARS} characters");
                return Err(Problem::invalid(vec![Fault {
                    pointer: String::new(),
                    message,
                }]));
            }
            Some(key) => JobId::from_idempotency_key(submitter, key),
        };
        let may_be_repeat = idempotency_key.is_some();
        let hash = request::hash(&request);
        let problem = match self.prepare(request).await {
            Ok(Prepared { mut accepted, .. }) => {
                // of what was sent, so that a repeat is known after its workflow has changed
                accepted.hash = hash;
                return self.store(id, &accepted, None, may_be_repeat).await;
            }
            Err(problem) => problem,
        };
        // what is wrong with a request may be new since its first submission, which then still counts
        if may_be_repeat
            && let Some(job) = self.records.load(id).await?
            && job.request_hash == hash
        {
            return Ok(Submitted { job, repeated: true });
        }
        Err(problem)
    }

    /// Makes a new job that repeats a finished one.
    ///
    /// # Errors
    /// `job_unfinished`; `outcome_unknown` where somebody has to find out first what became of the old one's paid
    /// call; why it may not cost what it would.
    pub async fn retry(&self, id: JobId) -> Result<Job, Problem> {
        let old = self.records.load(id).await?.ok_or_else(|| unknown(id))?;
        let refused = |code: FailureCode, detail: String, old: Job| Problem {
            job: Some(Box::new(old)),
            ..Problem::new(code, detail)
        };
        if !lifecycle::is_finished(old.status()) {
            let detail = format!("the job is {}", old.status().as_str_name());
            return Err(refused(FailureCode::JobUnfinished, detail, old));
        }
        if self.spending.is_unknown(id) {
            let detail = format!(
                "it is not known whether a paid call of this job went through; look at the vendor's account, then say \
                 so with orchestrator spend resolve {id}"
            );
            return Err(refused(FailureCode::OutcomeUnknown, detail, old));
        }
        let request = self
            .records
            .whole_request(&old)
            .await?
            .ok_or_else(|| unknown(id))?;
        // its times are past, and who retries a job wants it to run
        let request = JobRequest {
            not_before: None,
            deadline: None,
            hold: false,
            ..request
        };
        let accepted = request::accept(request, rand::random(), clock::now()).map_err(Problem::invalid)?;
        let accepted = self.with_cost_of_graph(accepted);
        let submitted = self.store(JobId::generate(), &accepted, Some(id), false).await?;
        Ok(submitted.job)
    }

    /// Sets aside what the job may cost, and stores it. A job that is there already is neither refused nor paid
    /// for again.
    async fn store(
        &self,
        id: JobId,
        accepted: &Accepted,
        retry_of: Option<JobId>,
        may_be_repeat: bool,
    ) -> Result<Submitted, Problem> {
        let (backend, spender) = (accepted.backend, self.spending.anybody());
        let bill = self.spending.bill(backend, &accepted.cost);
        if may_be_repeat
            && bill != Bill::Nothing
            && let Some(job) = self.records.load(id).await?
        {
            return repeated(job, accepted);
        }
        let Reserved { spend, is_new } = self.spending.reserve(id, &bill, backend, &spender).await?;
        let job = Job {
            spend,
            ..lifecycle::submitted(id, accepted, retry_of, clock::now())
        };
        match self.create(id, &job, &accepted.request).await {
            Ok(Created::New(job)) => {
                self.picture.take_record(job.clone());
                self.enqueue(&job).await;
                Ok(Submitted { job, repeated: false })
            }
            Ok(Created::Existing(job)) => {
                // what was set aside belongs to that job, if it costs money
                if is_new && job.spend.is_none() {
                    self.spending.give_back(id).await;
                }
                repeated(job, accepted)
            }
            Err(error) => {
                // without an answer, the record may be there, or come yet
                if is_new && !matches!(error, BusError::Unavailable { .. }) {
                    self.spending.give_back(id).await;
                }
                Err(error.into())
            }
        }
    }

    async fn create(&self, id: JobId, job: &Job, request: &JobRequest) -> Result<Created, BusError> {
        if job.request_is_abridged
            && let Err(error) = self.records.store_request(id, request).await
            && !matches!(error, BusError::Conflict)
        {
            return Err(error);
        }
        self.records.create(id, job).await
    }

    /// Checks a request as [`Jobs::submit`] does, and queues nothing.
    ///
    /// # Errors
    /// All faults of the request.
    pub async fn validate(&self, request: JobRequest) -> Result<ValidateResponse, Problem> {
        let Prepared {
            accepted,
            graph,
            mut workers,
        } = self.prepare(request).await?;
        if accepted.backend != Backend::Comfyui {
            workers = self.offering(accepted.backend);
        }
        let (backend, spender) = (accepted.backend, self.spending.anybody());
        let bill = self.spending.bill(backend, &accepted.cost);
        Ok(ValidateResponse {
            request: Some(accepted.request),
            graph,
            substitutions: accepted.substitutions,
            needs: accepted.needs,
            workers,
            payload: accepted.payload,
            estimate: self.spending.estimate(&bill, backend, &spender),
        })
    }

    async fn prepare(&self, request: JobRequest) -> Result<Prepared, Problem> {
        let seed = rand::random();
        let (request, workflow) = self.workflows.resolve(request, seed).await?;
        let now = clock::now();
        let prepared = if matches!(request.body, Some(Body::Comfyui(_))) {
            let candidates = self.candidates();
            // a large graph against many catalogs takes milliseconds, in which others should not wait
            tokio::task::spawn_blocking(move || decide(request, workflow.as_ref(), seed, now, &candidates))
                .await
                .map_err(|error| Problem::new(FailureCode::GatewayFault, error.to_string()))??
        } else {
            decide(request, workflow.as_ref(), seed, now, &[])?
        };
        self.find_inputs(&prepared.accepted.request).await?;
        Ok(prepared)
    }

    /// A graph costs money if it has a node that does.
    fn with_cost_of_graph(&self, accepted: Accepted) -> Accepted {
        let Some(Body::Comfyui(comfyui)) = &accepted.request.body else {
            return accepted;
        };
        let cost = plan(comfyui).map(|plan| fitness::cost(&plan, &self.candidates()));
        Accepted {
            cost: cost.unwrap_or_default(),
            ..accepted
        }
    }

    /// The workers of the last hour that have ComfyUI.
    fn candidates(&self) -> Vec<Candidate> {
        let offers: Vec<(String, BackendOffer)> = self.picture.with_fleet(|fleet| {
            let heard = fleet.heard_within(clock::now(), MEMORY);
            let offers = heard.flat_map(|worker| {
                let offers = worker.backends.iter();
                offers.map(|offer| (worker.id.clone(), offer.clone()))
            });
            offers
                .filter(|(_, offer)| offer.backend() == Backend::Comfyui)
                .collect()
        });
        let candidate = |(worker, offer): (String, BackendOffer)| Candidate {
            catalog: self.catalogs.get(&offer.catalog),
            worker,
            offer,
        };
        offers.into_iter().map(candidate).collect()
    }

    fn offering(&self, backend: Backend) -> Vec<String> {
        self.picture.with_fleet(|fleet| {
            let present = fleet.present(clock::now());
            let offering =
                present.filter(|worker| worker.backends.iter().any(|offer| offer.backend() == backend));
            offering.map(|worker| worker.id.clone()).collect()
        })
    }
}

/// The job that is there already, if it is what was asked for.
fn repeated(job: Job, accepted: &Accepted) -> Result<Submitted, Problem> {
    if job.request_hash == accepted.hash {
        return Ok(Submitted { job, repeated: true });
    }
    let detail = format!("the idempotency key belongs to job {} of another request", job.id);
    Err(Problem::new(FailureCode::IdempotencyKeyReused, detail))
}

fn decide(
    request: JobRequest,
    workflow: Option<&Workflow>,
    seed: u64,
    now: Millis,
    candidates: &[Candidate],
) -> Result<Prepared, Problem> {
    let mut accepted = request::accept(request, seed, now).map_err(Problem::invalid)?;
    let Some(Body::Comfyui(comfyui)) = &accepted.request.body else {
        return Ok(Prepared {
            accepted,
            graph: String::new(),
            workers: Vec::new(),
        });
    };
    let mut plan: Plan = plan(comfyui).map_err(Problem::invalid)?;
    if let Some(workflow) = workflow {
        plan = plan.of_workflow(workflow);
    }
    let Judgement { takers, faults } = fitness::judge(&plan, comfyui.allow_fallback, candidates);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    accepted.cost = fitness::cost(&plan, candidates);
    Ok(Prepared {
        graph: plan.graph.to_string(),
        workers: takers,
        accepted,
    })
}
