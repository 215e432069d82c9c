//! What happens to a request before it is queued: its workflow is filled in, its defaults are, and the fleet is
//! asked whether anybody could run it.

use proto::{
    Backend,
    comfyui::{Plan, plan},
    failure::FailureCode,
    ids::JobId,
    moment::Millis,
    request::{self, Accepted, Fault},
    v1::{BackendOffer, JobRequest, ValidateResponse, Workflow, job_request::Body},
};
use runtime::clock;

use crate::{
    fitness::{self, Candidate, Judgement, MEMORY},
    jobs::{Jobs, Submitted},
    problem::Problem,
};

/// How many inputs of a request are looked for.
const MAX_INPUTS: usize = 256;

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
    /// What is wrong with a request may be new since its first submission, which then still counts.
    pub(crate) async fn admit(
        &self,
        id: JobId,
        request: JobRequest,
        may_be_repeat: bool,
    ) -> Result<Submitted, Problem> {
        let hash = request::hash(&request);
        let problem = match self.prepare(request).await {
            Ok(Prepared { mut accepted, .. }) => {
                // of what was sent, so that a repeat is known after its workflow has changed
                accepted.hash = hash;
                return self.store(id, &accepted, None).await;
            }
            Err(problem) => problem,
        };
        if may_be_repeat
            && let Some(job) = self.records.load(id).await?
            && job.request_hash == hash
        {
            return Ok(Submitted { job, repeated: true });
        }
        Err(problem)
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
        Ok(ValidateResponse {
            request: Some(accepted.request),
            graph,
            substitutions: accepted.substitutions,
            needs: accepted.needs,
            workers,
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

    /// Looks whether the uploads that a request names are there. A store that does not answer now may do so
    /// when the job runs.
    async fn find_inputs(&self, request: &JobRequest) -> Result<(), Problem> {
        let mut faults = Vec::new();
        for (pointer, asset) in request::assets(request).into_iter().take(MAX_INPUTS) {
            if let Ok(None) = self.store.get_small(&asset.description_key()).await {
                let message = format!("there is no upload {asset}; send the file with POST /api/assets");
                faults.push(Fault { pointer, message });
            }
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::invalid(faults))
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

fn decide(
    request: JobRequest,
    workflow: Option<&Workflow>,
    seed: u64,
    now: Millis,
    candidates: &[Candidate],
) -> Result<Prepared, Problem> {
    let accepted = request::accept(request, seed, now).map_err(Problem::invalid)?;
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
    Ok(Prepared {
        graph: plan.graph.to_string(),
        workers: takers,
        accepted,
    })
}
