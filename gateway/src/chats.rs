//! Chats at v0: what a worker that has a key for it tells of them, and what jobs made of them. Knows neither HTTP nor
//! gRPC.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use proto::{
    Backend, Status,
    failure::FailureCode,
    v1::{Job, V0Call, Worker, host_call::Call, host_reply::Body},
};
use runtime::clock;

use crate::{
    hosts::{Hosts, problem, strange},
    index::Filter,
    jobs::Jobs,
    problem::Problem,
};

impl Hosts {
    /// What a worker that offers v0 says, as JSON of at most so many bytes. Costs nothing.
    ///
    /// # Errors
    /// `v0_unoffered` where no such worker is there, `v0_garbled` where it says more; what v0 says.
    pub async fn ask_v0(&self, call: V0Call, max_bytes: u64) -> Result<Bytes, Problem> {
        let mut refusal = None;
        for worker in self.with_v0()? {
            match self.tell_v0(&worker, call.clone(), max_bytes).await {
                // it did not get the question, so another may be asked
                Err(missed)
                    if matches!(
                        missed.code,
                        FailureCode::WorkerUnreachable | FailureCode::HostBusy | FailureCode::V0Unoffered
                    ) =>
                {
                    refusal = Some(missed);
                }
                told => return told,
            }
        }
        Err(refusal.unwrap_or_else(|| Problem::new(FailureCode::V0Unoffered, "no worker offers v0")))
    }

    async fn tell_v0(&self, worker: &str, call: V0Call, max_bytes: u64) -> Result<Bytes, Problem> {
        let mut replies = pin!(self.call(worker, Call::V0(call))?);
        let mut told = BytesMut::new();
        while let Some(reply) = replies.next().await {
            match reply.body {
                Some(Body::Failure(failure)) => return Err(problem(&failure)),
                Some(Body::Piece(piece)) => told.extend_from_slice(&piece.content),
                Some(_) | None => {}
            }
            if told.len() as u64 > max_bytes {
                let detail = format!("what v0 says has more than {max_bytes} bytes");
                return Err(Problem::new(FailureCode::V0Garbled, detail));
            }
            if reply.last {
                return Ok(told.freeze());
            }
        }
        Err(strange(worker))
    }

    /// The present workers that offer v0.
    fn with_v0(&self) -> Result<Vec<String>, Problem> {
        let (offering, reasons) = self.with_present(|present: Vec<&Worker>| {
            let offers = |worker: &&&Worker| {
                let mut offers = worker.backends.iter();
                offers.any(|offer| offer.backend() == Backend::V0)
            };
            let offering: Vec<String> = present
                .iter()
                .filter(offers)
                .map(|worker| worker.id.clone())
                .collect();
            let reasons: Vec<String> = present.iter().filter_map(|worker| why_not(worker)).collect();
            (offering, reasons)
        });
        if !offering.is_empty() {
            return Ok(offering);
        }
        let detail = if reasons.is_empty() {
            "no worker that offers v0 is here".to_owned()
        } else {
            reasons.join("; ")
        };
        Err(Problem::new(FailureCode::V0Unoffered, detail))
    }

    fn with_present<T>(&self, look: impl FnOnce(Vec<&Worker>) -> T) -> T {
        self.picture()
            .with_fleet(|fleet| look(fleet.present(clock::now()).collect()))
    }
}

/// What a worker lacks to offer v0.
fn why_not(worker: &Worker) -> Option<String> {
    let mut missing = worker.not_offered.iter();
    let missing = missing.find(|missing| missing.backend() == Backend::V0)?;
    Some(format!("worker {}: {}", worker.id, missing.reason))
}

impl Jobs {
    /// The newest job that succeeded in a chat.
    ///
    /// # Errors
    /// `artifact_unknown` where there is none.
    pub fn newest_of_chat(&self, chat: &str) -> Result<Job, Problem> {
        let filter = Filter {
            status: vec![Status::Succeeded],
            backend: vec![Backend::V0],
        };
        let is_its = |job: &Job| job.site.as_ref().is_some_and(|site| site.chat == chat);
        let found = self.picture.with_index(|index| index.newest(&filter, is_its));
        found.map(|job| self.shown(job)).ok_or_else(|| {
            let detail =
                format!("no job has made files of chat {chat}; POST /api/v0/chats/{chat}/import does");
            Problem::new(FailureCode::ArtifactUnknown, detail)
        })
    }
}
