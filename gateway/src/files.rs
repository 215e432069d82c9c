//! Files: results of jobs, which workers send, and inputs, which people upload. Knows neither HTTP nor gRPC.

mod upload;

use std::{error::Error, ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, stream};
use object_store::GetRange;
use proto::{
    failure::FailureCode,
    ids::{ArtifactId, AssetId},
    v1::{Artifact, Asset},
};
use runtime::store::{Content, Store, StoreError, Stored};
use tokio::sync::Semaphore;

use crate::{jobs::Jobs, problem::Problem};

/// Where an upload lies until its digest, and so its name, is known.
pub(crate) const LANDING: &str = "uploads";

/// The artifact store as callers see it. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Files {
    store: Store,
    jobs: Jobs,
    /// A place for each upload that is looked at, because a picture is decoded into memory.
    looks: Arc<Semaphore>,
}

impl Files {
    /// Over this store; the records of jobs say what exists.
    pub fn new(store: Store, jobs: Jobs) -> Self {
        let looks = Arc::new(Semaphore::new(upload::LOOKS));
        Self { store, jobs, looks }
    }

    /// The largest file that is taken, in bytes.
    pub const fn max_bytes(&self) -> u64 {
        self.store.max_bytes()
    }

    /// What is known about a result. Only what its job's record names exists, so a file of an attempt that
    /// lost its claim is never shown.
    ///
    /// # Errors
    /// `artifact_unknown`.
    pub async fn artifact(&self, id: ArtifactId) -> Result<Artifact, Problem> {
        let unknown = || Problem::new(FailureCode::ArtifactUnknown, format!("there is no artifact {id}"));
        let job = match self.jobs.get(id.job).await {
            Err(problem) if problem.code == FailureCode::JobUnknown => return Err(unknown()),
            looked => looked?,
        };
        let name = id.to_string();
        let mut files = job.outputs.into_iter().chain(job.recipe);
        let found = files.find(|file| file.id == name);
        found.ok_or_else(unknown)
    }

    /// Opens a result, or the bytes of it from `range`.
    ///
    /// # Errors
    /// `artifact_unknown` where its file is gone, `range_unsatisfiable`, or from the store.
    pub async fn open_artifact(
        &self,
        artifact: &Artifact,
        range: Option<Range<u64>>,
    ) -> Result<Content, Problem> {
        Ok(self
            .store
            .get(&artifact.key, range.map(GetRange::Bounded))
            .await?)
    }

    /// Takes a result from a worker; `announced` is its SHA-256 in hex. A repeat overwrites itself.
    ///
    /// # Errors
    /// `artifact_too_large`, `upload_corrupt`, or from the store.
    pub async fn receive_artifact<E>(
        &self,
        id: ArtifactId,
        announced: Option<&str>,
        content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Stored, Problem>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        match self.store.put(&id.key(), announced, content).await {
            Ok(stored) => Ok(stored),
            Err(error @ StoreError::TooLarge(_)) => {
                Err(Problem::new(FailureCode::ArtifactTooLarge, error.to_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What is known about an upload.
    ///
    /// # Errors
    /// `asset_unknown`, or from the store.
    pub async fn asset(&self, id: &AssetId) -> Result<Asset, Problem> {
        let Some(text) = self.store.get_small(&id.description_key()).await? else {
            return Err(asset_unknown(id));
        };
        serde_json::from_slice(&text).map_err(|error| {
            tracing::error!(asset.id = %id, %error, "the description of an upload is damaged");
            Problem::new(
                FailureCode::GatewayFault,
                format!("the description of {id} is damaged: {error}"),
            )
        })
    }

    /// Opens an upload, or the bytes of it from `range`.
    ///
    /// # Errors
    /// `asset_unknown`, `range_unsatisfiable`, or from the store.
    pub async fn open_asset(&self, id: &AssetId, range: Option<Range<u64>>) -> Result<Content, Problem> {
        match self.store.get(&id.key(), range.map(GetRange::Bounded)).await {
            Ok(content) => Ok(content),
            Err(StoreError::Missing(_)) => Err(asset_unknown(id)),
            Err(error) => Err(error.into()),
        }
    }
}

/// The same bytes in pieces of `size` bytes, the last one smaller.
pub(crate) fn in_pieces<E>(
    content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    size: usize,
) -> impl Stream<Item = Result<Bytes, E>> {
    stream::try_unfold(
        (content, BytesMut::new()),
        move |(mut content, mut held)| async move {
            while held.len() < size {
                match content.next().await {
                    Some(bytes) => held.extend_from_slice(&bytes?),
                    None => break,
                }
            }
            let piece = held.split_to(held.len().min(size)).freeze();
            Ok((!piece.is_empty()).then_some((piece, (content, held))))
        },
    )
}

fn asset_unknown(id: &AssetId) -> Problem {
    Problem::new(FailureCode::AssetUnknown, format!("there is no upload {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt as _;

    #[tokio::test]
    async fn pieces_are_of_one_size() {
        let parts =
            ["abc", "defghij", "", "k"].map(|part| Ok::<_, StoreError>(Bytes::from_static(part.as_bytes())));
        let pieces: Vec<Bytes> = in_pieces(stream::iter(parts), 4)
            .try_collect()
            .await
            .expect("no failure");
        assert_eq!(pieces, ["abcd", "efgh", "ijk"]);
    }
}
