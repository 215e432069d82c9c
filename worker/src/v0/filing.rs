//! Files of a chat without any model: written as they are given, or taken over as they are. Costs nothing, and may be
//! done again.

use std::collections::BTreeMap;

use bytes::Bytes;
use connectors::v0::{Delivery, Edit, Version};
use proto::{
    failure::FailureCode,
    v1::{Failure, V0Request},
};
use tokio::time::Instant;

use super::{V0, pause, recipe::Told, refusals};
use crate::work::{Outcome, Work};

impl V0 {
    /// Takes the files of a chat over.
    pub(super) async fn import(&self, request: &V0Request, work: &Work) -> Outcome {
        let told = Told {
            request,
            upstream: None,
            charge: None,
        };
        self.deliver(&request.chat, "", told, work).await
    }

    /// Writes files of a chat, and takes all of them over.
    pub(super) async fn apply(&self, request: &V0Request, work: &Work) -> Outcome {
        work.reporter
            .phase("applying", format!("changes {} files", request.changes.len()));
        let version = self.change(request, work).await?;
        let told = Told {
            request,
            upstream: None,
            charge: None,
        };
        self.deliver(&request.chat, &version, told, work).await
    }

    /// Makes the changes that are not there yet, until all are; the id of what the last of them made.
    async fn change(&self, request: &V0Request, work: &Work) -> Result<String, Failure> {
        // v2 writes into the demo, and so it has to run
        if self.client.version() == Version::V2 {
            self.demo(&request.chat, work).await?;
        }
        let began = Instant::now();
        let mut version = String::new();
        loop {
            let (_, files) = self.files(&request.chat, work).await?;
            let edits = missing(request, &files);
            if edits.is_empty() {
                return Ok(version);
            }
            let failure = match self.client.apply(&request.chat, &edits).await {
                Ok(made) => {
                    version = made.unwrap_or_default();
                    FailureCode::V0Busy.failure("v0 does not show the changes yet")
                }
                Err(error) => {
                    let failure = refusals::of(&error);
                    if error.delivery() == Delivery::Refused && !failure.retryable {
                        return Err(failure);
                    }
                    failure
                }
            };
            if began.elapsed() > self.settings.patience {
                return Err(failure);
            }
            work.reporter.phase("applying", failure.message);
            pause(self.settings.poll, work).await?;
        }
    }
}

/// The changes that the files do not show.
fn missing(request: &V0Request, files: &BTreeMap<String, Bytes>) -> Vec<Edit> {
    let changes = request.changes.iter().filter(|change| {
        let there = files.get(&change.path);
        let wanted = change.content.as_deref().map(str::as_bytes);
        there.map(Bytes::as_ref) != wanted
    });
    changes
        .map(|change| Edit {
            path: change.path.clone(),
            content: change.content.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proto::v1::FileChange;

    use super::*;

    #[test]
    fn only_what_is_not_there_yet_is_changed() {
        let change = |path: &str, content: Option<&str>| FileChange {
            path: path.to_owned(),
            content: content.map(str::to_owned),
        };
        let request = V0Request {
            changes: vec![
                change("same", Some("x")),
                change("other", Some("x")),
                change("new", Some("")),
                change("gone", None),
                change("there", None),
            ],
            ..V0Request::default()
        };
        let files = [("same", "x"), ("other", "y"), ("there", "z")];
        let files = files.map(|(name, content)| (name.to_owned(), Bytes::from(content)));
        let edits = missing(&request, &BTreeMap::from(files));
        let paths: Vec<&str> = edits.iter().map(|edit| edit.path.as_str()).collect();
        assert_eq!(paths, ["other", "new", "there"]);
    }
}
