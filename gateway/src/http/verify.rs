//! Checks the model files of workers: what each says, file by file, as events or as one answer.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{RawQuery, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response, sse::Event},
};
use futures::{Stream, StreamExt as _, stream};
use proto::v1::{FileReport, HostReply, VerifyCall, host_call::Call, host_reply::Body};
use serde_json::{Value, json};

use super::{
    hosts::{event, failure_of, wants_events},
    query::Query,
    stream::respond,
};
use crate::{front::Front, hosts::problem, problem::Problem};

/// `GET /api/models/verify`
pub(crate) async fn verify(
    State(front): State<Front>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut query = Query::read(query.as_deref(), &["worker", "kind", "name", "sha256"])?;
    let call = VerifyCall {
        sha256: query.flag("sha256")?,
        kind: query.text("kind").unwrap_or_default(),
        name: query.text("name").unwrap_or_default(),
    };
    let workers = front.hosts.with_comfyui(query.text("worker").as_deref())?;
    let mut all = stream::SelectAll::new();
    for worker in workers {
        let replies = front.hosts.call(&worker, Call::Verify(call.clone()))?;
        let mut tally = Tally::new(worker);
        all.push(
            replies
                .flat_map(move |reply| stream::iter(tally.take(reply)))
                .boxed(),
        );
    }
    if wants_events(&headers) {
        let events = all.map(|told| told.event());
        return Ok(respond(&front, events));
    }
    let answer = collected(all).await;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// One thing that a worker said.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    name: &'static str,
    worker: String,
    data: Value,
}

impl Told {
    fn event(&self) -> Event {
        event(self.name, &self.data)
    }
}

/// What one worker has said so far.
#[derive(Debug)]
struct Tally {
    worker: String,
    files: u32,
    damaged: u32,
}

impl Tally {
    const fn new(worker: String) -> Self {
        Self {
            worker,
            files: 0,
            damaged: 0,
        }
    }

    fn take(&mut self, reply: HostReply) -> Vec<Told> {
        let mut told = Vec::new();
        match reply.body {
            Some(Body::Progress(progress)) => told.push(self.tell("progress", json!(progress))),
            Some(Body::File(file)) => {
                self.files += 1;
                self.damaged += u32::from(!file.reason.is_empty());
                told.push(self.tell("file", whole(&file)));
            }
            Some(Body::Failure(failure)) => {
                let data = failure_of(&self.worker, &problem(&failure));
                return vec![self.tell("failed", data)];
            }
            _ => {}
        }
        if reply.last {
            told.push(self.tell("done", json!({"files": self.files, "damaged": self.damaged})));
        }
        told
    }

    fn tell(&self, name: &'static str, mut data: Value) -> Told {
        data["worker"] = self.worker.as_str().into();
        Told {
            name,
            worker: self.worker.clone(),
            data,
        }
    }
}

/// With `reason` also where it is empty: that is what one asks for.
fn whole(file: &FileReport) -> Value {
    let mut told = json!(file);
    told["reason"] = file.reason.as_str().into();
    told
}

async fn collected(mut all: impl Stream<Item = Told> + Unpin) -> Value {
    let mut workers: BTreeMap<String, Value> = BTreeMap::new();
    while let Some(mut told) = all.next().await {
        let entry = workers
            .entry(told.worker.clone())
            .or_insert_with(|| json!({"worker": told.worker, "files": []}));
        if let Value::Object(data) = &mut told.data {
            data.remove("worker");
        }
        match (told.name, &mut entry["files"]) {
            ("file", Value::Array(files)) => files.push(told.data),
            ("done", _) => entry["damaged"] = told.data["damaged"].take(),
            ("failed", _) => entry["failure"] = told.data,
            _ => {}
        }
    }
    json!({"workers": workers.into_values().collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{failure::FailureCode, v1::VerifyProgress};
    use runtime::calls;

    fn file(name: &str, reason: &str) -> Body {
        Body::File(FileReport {
            kind: "checkpoint".into(),
            name: name.into(),
            size_bytes: 7,
            reason: reason.into(),
            ..FileReport::default()
        })
    }

    #[tokio::test]
    async fn each_worker_is_told_with_its_files_and_its_end() {
        let mut sound = Tally::new("w1".into());
        let mut told = Vec::new();
        for reply in [
            calls::more(Body::Progress(VerifyProgress::default())),
            calls::more(file("a", "")),
            HostReply::default(),
            calls::last(file("b", "truncated")),
        ] {
            told.extend(sound.take(reply));
        }
        let mut broken = Tally::new("w2".into());
        told.extend(broken.take(calls::failed(FailureCode::WorkerSilent, "w2 said nothing")));
        let names: Vec<_> = told
            .iter()
            .map(|told| (told.worker.as_str(), told.name))
            .collect();
        assert_eq!(
            names,
            [
                ("w1", "progress"),
                ("w1", "file"),
                ("w1", "file"),
                ("w1", "done"),
                ("w2", "failed")
            ]
        );
        insta::assert_json_snapshot!(collected(stream::iter(told)).await);
    }
}
