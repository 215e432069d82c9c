//! Files: results of jobs, which workers send, and inputs, which people upload. Knows neither HTTP nor gRPC.

use std::{error::Error, ops::Range};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::GetRange;
use proto::{
    failure::FailureCode,
    ids::{ArtifactId, AssetId},
    request::Fault,
    v1::{Artifact, Asset},
};
use runtime::store::{Content, Store, StoreError, Stored};
use uuid::Uuid;

use crate::{jobs::Jobs, problem::Problem};

/// Where an upload lies until its digest, and so its name, is known.
pub(crate) const LANDING: &str = "uploads";

/// As many bytes as are looked at to tell what a file is.
const HEAD_BYTES: usize = 8 * 1024;
const MAX_NAME_CHARS: usize = 200;
/// What is not recognised, or not safe to be shown as what it is.
const ANY_BYTES: &str = "application/octet-stream";

/// The artifact store as callers see it. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Files {
    store: Store,
    jobs: Jobs,
}

impl Files {
    /// Over this store; the records of jobs say what exists.
    pub const fn new(store: Store, jobs: Jobs) -> Self {
        Self { store, jobs }
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
        let found = job.outputs.into_iter().find(|output| output.id == name);
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

    /// Takes an upload. The same content gives the same id; what it is, is told from its content.
    ///
    /// # Errors
    /// `request_too_large`, `upload_corrupt` where it breaks off, or from the store.
    pub async fn upload<E>(
        &self,
        filename: &str,
        mut content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Asset, Problem>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let head = head(&mut content).await?;
        if head.is_empty() {
            let message = "the file is empty".to_owned();
            return Err(Problem::invalid(vec![Fault {
                pointer: String::new(),
                message,
            }]));
        }
        let media_type = media_type(&head);
        let whole =
            stream::iter([Ok(head)]).chain(content.map_err(Into::<Box<dyn Error + Send + Sync>>::into));
        let landing = format!("{LANDING}/{}", Uuid::new_v4());
        let stored = self.store.put(&landing, None, whole).await?;
        let id = AssetId::from_sha256(&stored.sha256);
        let asset = Asset {
            id: id.to_string(),
            filename: safe_name(filename),
            media_type: media_type.to_owned(),
            size_bytes: stored.size_bytes,
        };
        match self.keep(&id, &landing, asset).await {
            Ok(asset) => Ok(asset),
            Err(problem) => {
                if let Err(error) = self.store.remove(&landing).await {
                    tracing::warn!(key = landing, %error, "what was left of an upload could not be removed");
                }
                Err(problem)
            }
        }
    }

    /// The description comes last, so that nothing half-written is ever shown; the first name stays.
    async fn keep(&self, id: &AssetId, landing: &str, asset: Asset) -> Result<Asset, Problem> {
        self.store.rename(landing, &id.key()).await?;
        match self.asset(id).await {
            Ok(known) => return Ok(known),
            Err(problem) if problem.code == FailureCode::AssetUnknown => {}
            Err(problem) => return Err(problem),
        }
        let text = serde_json::to_vec(&asset)
            .map_err(|error| Problem::new(FailureCode::GatewayFault, error.to_string()))?;
        self.store.put_small(&id.description_key(), text.into()).await?;
        Ok(asset)
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

async fn head<E>(content: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin)) -> Result<Bytes, StoreError>
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let mut head = BytesMut::new();
    while head.len() < HEAD_BYTES {
        match content.next().await {
            Some(bytes) => head.extend_from_slice(&bytes.map_err(|error| StoreError::Cut(error.into()))?),
            None => break,
        }
    }
    Ok(head.freeze())
}

/// What the first bytes say that a file is. Text, programs and mark-up count as plain bytes, because a
/// browser that opens them would act on them.
fn media_type(head: &[u8]) -> &'static str {
    use infer::MatcherType::{App, Archive, Audio, Book, Custom, Doc, Font, Image, Text, Video};
    let Some(found) = infer::get(head) else {
        return ANY_BYTES;
    };
    match found.matcher_type() {
        Image | Video | Audio | Archive | Font | Doc => found.mime_type(),
        App | Book | Custom | Text => ANY_BYTES,
    }
}

/// A file name without directories, control characters or excess length.
fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_NAME_CHARS)
        .collect();
    match clean.trim() {
        "" | "." | ".." => "upload".to_owned(),
        clean => clean.to_owned(),
    }
}

fn asset_unknown(id: &AssetId) -> Problem {
    Problem::new(FailureCode::AssetUnknown, format!("there is no upload {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path() {
        assert_eq!(safe_name("photo.png"), "photo.png");
        assert_eq!(safe_name("../../etc/passwd"), "passwd");
        assert_eq!(safe_name(r"C:\pictures\a b.png"), "a b.png");
        assert_eq!(safe_name("a\r\nb"), "ab");
        assert_eq!(
            [safe_name(""), safe_name(".."), safe_name("x/")],
            ["upload", "upload", "upload"]
        );
    }

    #[test]
    fn content_says_what_it_is() {
        assert_eq!(media_type(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "image/png");
        assert_eq!(media_type(b"\xff\xd8\xff\xe0"), "image/jpeg");
        for bytes in [
            &b"{\"a\":1}"[..],
            b"<!DOCTYPE html><script>",
            b"#!/bin/sh\n",
            b"MZ\x90\0",
            b"\x7fELF",
        ] {
            assert_eq!(media_type(bytes), ANY_BYTES);
        }
    }

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
