//! What can be asked about jobs. Knows neither HTTP nor gRPC.

use futures::Stream;
use proto::{
    Backend, Status,
    failure::FailureCode,
    ids::JobId,
    lifecycle::{Change, Refusal},
    request::Fault,
    v1::{Job, ListRequest, ListResponse, ModelPlace, Preview, Update, Worker},
};
use runtime::{
    calls, clock, live,
    queue::Queue,
    records::{ChangeError, Records},
    store::Store,
    tasks::Stop,
};

use crate::{
    catalogs::Catalogs,
    index::{Cursor, Filter},
    metrics::Metrics,
    picture::Picture,
    problem::Problem,
    spending::Spending,
    watching,
    workflows::Workflows,
};

const DEFAULT_PAGE: u32 = 50;
const MAX_PAGE: u32 = 500;

/// What can be asked about jobs. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Jobs {
    /// The records.
    pub records: Records,
    /// The queue.
    pub queue: Queue,
    /// What is known.
    pub picture: Picture,
    /// What is counted.
    pub metrics: Metrics,
    /// Workflows that a request may name.
    pub workflows: Workflows,
    /// What each ComfyUI of the fleet can run.
    pub catalogs: Catalogs,
    /// Where uploads are.
    pub store: Store,
    /// Who may spend money, and what was spent.
    pub spending: Spending,
    /// Ends the watching.
    pub stop: Stop,
}

impl Jobs {
    /// The job as it is.
    ///
    /// # Errors
    /// `job_unknown`, or from the broker.
    pub async fn get(&self, id: JobId) -> Result<Job, Problem> {
        match self.records.load(id).await? {
            Some(job) => Ok(self.shown(job)),
            None => Err(unknown(id)),
        }
    }

    /// The job with what is worked out for the reader: why it waits, what it came to.
    pub(crate) fn shown(&self, job: Job) -> Job {
        self.spending.informed(self.picture.explained(job))
    }

    /// One page of jobs, newest first.
    ///
    /// # Errors
    /// If the page cannot be: a bad limit or cursor.
    pub fn list(&self, request: &ListRequest) -> Result<ListResponse, Problem> {
        let mut faults = Vec::new();
        let mut fault = |pointer: &str, message: String| {
            faults.push(Fault {
                pointer: pointer.to_owned(),
                message,
            });
        };
        if request.limit > MAX_PAGE {
            fault("/limit", format!("{} is more than {MAX_PAGE}", request.limit));
        }
        let cursor = match request.cursor.as_str() {
            "" => None,
            text => text
                .parse::<Cursor>()
                .map_err(|message| fault("/cursor", message.to_owned()))
                .ok(),
        };
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let filter = Filter {
            status: request
                .status()
                .filter(|status| *status != Status::Unspecified)
                .collect(),
            backend: request
                .backend()
                .filter(|backend| *backend != Backend::Unspecified)
                .collect(),
        };
        let limit = if request.limit == 0 {
            DEFAULT_PAGE
        } else {
            request.limit
        };
        let page = self
            .picture
            .with_index(|index| index.page(&filter, cursor, limit as usize));
        Ok(ListResponse {
            jobs: page.jobs.into_iter().map(|job| self.shown(job)).collect(),
            next_cursor: page.next.map(|cursor| cursor.to_string()).unwrap_or_default(),
            total: page.total,
        })
    }

    /// Cancels a job. One that runs is over within the lease time; one that is cancelled stays so.
    ///
    /// # Errors
    /// `job_finished` where it ended otherwise.
    pub async fn cancel(&self, id: JobId, by: &str, reason: &str) -> Result<Job, Problem> {
        let change = Change::RequestCancel {
            by: by.to_owned(),
            reason: reason.to_owned(),
        };
        let job = match self.change(id, &change, FailureCode::JobFinished).await {
            Ok(job) => job,
            Err(Refused::AsWished(job)) => return Ok(*job),
            Err(Refused::No(problem)) => return Err(problem),
        };
        if job.status() == Status::Cancelled {
            if let Err(error) = self.queue.remove(&job).await {
                tracing::debug!(job.id = %id, %error, "the token of a cancelled job stays for the sweep");
            }
        } else if let Some(incarnation) = job
            .claim
            .as_ref()
            .and_then(|claim| claim.incarnation.parse().ok())
        {
            calls::nudge(self.records.bus(), incarnation, id).await;
        }
        tracing::info!(job.id = %id, by, "cancellation requested");
        Ok(job)
    }

    /// Lets a held job go.
    ///
    /// # Errors
    /// `job_not_held`.
    pub async fn run(&self, id: JobId) -> Result<Job, Problem> {
        match self.change(id, &Change::Release, FailureCode::JobNotHeld).await {
            Ok(job) => {
                self.enqueue(&job).await;
                Ok(self.picture.explained(job))
            }
            Err(Refused::AsWished(job)) => Ok(*job),
            Err(Refused::No(problem)) => Err(problem),
        }
    }

    /// Everything that happens to a job: its timeline after event number `after`, its progress, and its
    /// record whenever that changes. Ends with the record of the finished job.
    ///
    /// # Errors
    /// `job_unknown`.
    pub async fn watch(
        &self,
        id: JobId,
        after: u32,
    ) -> Result<impl Stream<Item = Update> + Send + use<>, Problem> {
        let listener = self.picture.listen(id);
        let job = self.get(id).await?;
        let progress = if job.status() == Status::Running {
            live::last_progress(self.records.bus(), id)
                .await
                .unwrap_or_default()
        } else {
            None
        };
        let source = watching::Source {
            records: self.records.clone(),
            picture: self.picture.clone(),
        };
        Ok(watching::one(
            source,
            id,
            job,
            progress,
            after,
            listener,
            self.stop.clone(),
        ))
    }

    /// Changes of all jobs after `after_revision` (0: from now on), and their progress, without end.
    pub fn watch_all(&self, after_revision: u64) -> impl Stream<Item = Update> + Send + use<> {
        watching::all(self.picture.clone(), after_revision, self.stop.clone())
    }

    /// The workers that are there.
    pub fn workers(&self) -> Vec<Worker> {
        self.picture
            .with_fleet(|fleet| fleet.present(clock::now()).cloned().collect())
    }

    /// The models that they have.
    pub fn models(&self) -> Vec<ModelPlace> {
        self.picture.with_fleet(|fleet| fleet.models(clock::now()))
    }

    /// The newest preview of a running job.
    ///
    /// # Errors
    /// `preview_unknown`.
    pub async fn preview(&self, id: JobId) -> Result<Preview, Problem> {
        let preview = live::last_preview(self.records.bus(), id).await?;
        preview.ok_or_else(|| {
            Problem::new(
                FailureCode::PreviewUnknown,
                format!("job {id} shows no preview now"),
            )
        })
    }

    /// Jobs by state and backend.
    pub fn counts(&self) -> Vec<(Status, Backend, u64)> {
        self.picture.with_index(|index| {
            index
                .counts()
                .iter()
                .map(|((status, backend), count)| (*status, *backend, *count))
                .collect()
        })
    }

    /// A token that could not be put is put by the keeper's next sweep; the job is accepted all the same.
    pub(crate) async fn enqueue(&self, job: &Job) {
        if job.status() == Status::Queued
            && let Err(error) = self.queue.put(job, clock::now()).await
        {
            tracing::warn!(job.id = job.id, %error, "the job's token waits for the next sweep");
        }
    }

    async fn change(&self, id: JobId, change: &Change, of_status: FailureCode) -> Result<Job, Refused> {
        match self.records.change(id, None, change).await {
            Ok(job) => {
                self.picture.take_record(job.clone());
                Ok(job)
            }
            Err(ChangeError::Refused { refusal, current }) => {
                let cancelled = Refusal::Finished(Status::Cancelled);
                if refusal == Refusal::NothingToDo
                    || (refusal == cancelled && matches!(change, Change::RequestCancel { .. }))
                {
                    return Err(Refused::AsWished(current));
                }
                Err(Refused::No(Problem::refused(&refusal, *current, of_status)))
            }
            Err(error) => Err(Refused::No(error.into())),
        }
    }
}

/// Why a change was not made.
enum Refused {
    /// The job is as the caller wants it.
    AsWished(Box<Job>),
    No(Problem),
}

pub(crate) fn unknown(id: JobId) -> Problem {
    Problem::new(FailureCode::JobUnknown, format!("there is no job {id}"))
}
