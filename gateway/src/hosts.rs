//! What is asked of single workers about themselves, their ComfyUI and their files. Knows neither HTTP nor gRPC.

use futures::{Stream, StreamExt as _};
use proto::{
    Backend,
    failure::FailureCode,
    ids::WorkerId,
    v1::{Failure, HostCall, HostReply, Worker, host_call::Call, host_reply::Body},
};
use runtime::{bus::Bus, calls, clock};

use crate::{picture::Picture, problem::Problem};

/// Asks workers. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Hosts {
    bus: Bus,
    picture: Picture,
}

impl Hosts {
    /// Over this connection; the picture says who there is.
    pub const fn new(bus: Bus, picture: Picture) -> Self {
        Self { bus, picture }
    }

    /// The last announcement of a worker.
    ///
    /// # Errors
    /// `worker_unknown`.
    pub fn worker(&self, id: &str) -> Result<Worker, Problem> {
        let found = self.picture.with_fleet(|fleet| fleet.worker(id).cloned());
        found.ok_or_else(|| {
            let id: String = id.chars().take(80).collect();
            Problem::new(FailureCode::WorkerUnknown, format!("there is no worker {id:?}"))
        })
    }

    /// What is known.
    pub(crate) const fn picture(&self) -> &Picture {
        &self.picture
    }

    /// The ids of all who are there.
    pub(crate) fn present(&self) -> Vec<String> {
        self.picture.with_fleet(|fleet| {
            let present = fleet.present(clock::now());
            present.map(|worker| worker.id.clone()).collect()
        })
    }

    /// A worker as it announces itself now, if it is there.
    pub(crate) fn heard(&self, id: &str) -> Option<Worker> {
        self.picture.with_fleet(|fleet| {
            fleet
                .present(clock::now())
                .find(|worker| worker.id == id)
                .cloned()
        })
    }

    /// The present workers that have a ComfyUI, or the one that is named.
    ///
    /// # Errors
    /// `worker_unknown`, `host_refused` where the named one has none.
    pub fn with_comfyui(&self, named: Option<&str>) -> Result<Vec<String>, Problem> {
        let Some(named) = named else {
            return Ok(self.picture.with_fleet(|fleet| {
                let present = fleet.present(clock::now()).filter(|worker| has_comfyui(worker));
                present.map(|worker| worker.id.clone()).collect()
            }));
        };
        if has_comfyui(&self.worker(named)?) {
            Ok(vec![named.to_owned()])
        } else {
            let detail = format!("worker {named} has no ComfyUI");
            Err(Problem::new(FailureCode::HostRefused, detail))
        }
    }

    /// Asks a worker; the last of the replies says so, and may be a failure.
    ///
    /// # Errors
    /// `worker_unknown`.
    pub fn call(
        &self,
        id: &str,
        call: Call,
    ) -> Result<impl Stream<Item = HostReply> + Send + use<>, Problem> {
        let worker = self.worker(id)?;
        let worker = WorkerId::from_any(&worker.id);
        let call = HostCall { call: Some(call) };
        Ok(calls::ask_host(&self.bus, &worker, &call))
    }

    /// Asks a worker and waits for the last thing that it says.
    ///
    /// # Errors
    /// `worker_unknown`, and what the worker says.
    pub async fn last(&self, id: &str, call: Call) -> Result<Body, Problem> {
        let mut replies = std::pin::pin!(self.call(id, call)?);
        let mut last = None;
        while let Some(reply) = replies.next().await {
            match reply.body {
                Some(Body::Failure(failure)) => return Err(problem(&failure)),
                Some(body) => last = Some(body),
                None => {}
            }
        }
        last.ok_or_else(|| strange(id))
    }
}

fn has_comfyui(worker: &Worker) -> bool {
    worker
        .backends
        .iter()
        .any(|offer| offer.backend() == Backend::Comfyui)
}

/// A worker's failure as a problem; one of a newer version counts as a refusal.
pub(crate) fn problem(failure: &Failure) -> Problem {
    let code = FailureCode::parse(&failure.code).unwrap_or(FailureCode::HostRefused);
    let mut detail = failure.message.clone();
    for more in [&failure.detail, &failure.remedy] {
        if !more.is_empty() && more != code.remedy() {
            detail = format!("{detail}: {more}");
        }
    }
    Problem::new(code, detail)
}

/// An answer that is none to what was asked.
pub(crate) fn strange(id: &str) -> Problem {
    Problem::new(
        FailureCode::HostRefused,
        format!("worker {id} gave another answer than was asked for"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_keeps_its_code_and_tells_what_is_particular() {
        let failure = FailureCode::WorkerSilent.failure("w1 said nothing");
        let told = problem(&failure);
        assert_eq!(
            (told.code, told.detail.as_str()),
            (FailureCode::WorkerSilent, "w1 said nothing")
        );
        let newer = Failure {
            code: "host_on_fire".into(),
            message: "it burns".into(),
            remedy: "Call somebody.".into(),
            ..Failure::default()
        };
        let told = problem(&newer);
        assert_eq!(
            (told.code, told.detail.as_str()),
            (FailureCode::HostRefused, "it burns: Call somebody.")
        );
    }
}
