//! The artifact store: files by key, streamed both ways, never whole in memory, never half shown.

mod settings;

use std::{
    error::Error as StdError,
    io,
    ops::Range,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream::BoxStream};
use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload, WriteMultipart,
    path::Path,
};
use proto::ids::hex;
use sha2::{Digest as _, Sha256};

pub use settings::{OpenError, StoreSettings};

/// Parts that may be on their way to the store at the same time.
const PARTS_UNDER_WAY: usize = 4;

/// A place for files.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    max_bytes: u64,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Length of the content.
    pub size_bytes: u64,
    /// Digest of the content.
    pub sha256: [u8; 32],
}

impl Stored {
    /// The digest in hex.
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }
}

/// A file on its way out.
pub struct Content {
    /// Length of the whole file.
    pub size_bytes: u64,
    /// Which part of it this is.
    pub range: Range<u64>,
    /// The bytes.
    pub stream: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content")
            .field("size_bytes", &self.size_bytes)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// What can go wrong with files.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No file has this key.
    #[error("there is no file {0}")]
    Missing(String),
    /// The content is larger than the configured limit, in bytes.
    #[error("the content is larger than {0} bytes")]
    TooLarge(u64),
    /// There is no room.
    #[error("the artifact store is full")]
    Full(#[source] object_store::Error),
    /// What arrived has another digest than was announced.
    #[error("the content is damaged: announced {announced}, arrived {arrived}")]
    Corrupt {
        /// SHA-256 that the sender gave, hex.
        announced: String,
        /// SHA-256 of what arrived, hex.
        arrived: String,
    },
    /// The sender broke off.
    #[error("the content broke off")]
    Cut(#[source] Box<dyn StdError + Send + Sync>),
    /// The asked range lies outside the file of this many bytes.
    #[error("the range lies outside the {0} bytes")]
    Range(u64),
    /// The store itself.
    #[error("the artifact store failed")]
    Failed(#[source] object_store::Error),
}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> Self {
        if let object_store::Error::NotFound { path, .. } = error {
            return Self::Missing(path);
        }
        if is_full(&error) {
            Self::Full(error)
        } else {
            Self::Failed(error)
        }
    }
}

impl Store {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, max_bytes: u64) -> Self {
        Self { inner, max_bytes }
    }

    /// Stores a file under a key. It becomes visible whole or not at all; a repeat replaces it.
    ///
    /// # Errors
    /// If the content is cut, too large, or not the one whose SHA-256 (hex) was announced.
    pub async fn put<E>(
        &self,
        key: &str,
        announced: Option<&str>,
        mut content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Stored, StoreError>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut upload = WriteMultipart::new(self.inner.put_multipart(&Path::from(key)).await?);
        match self.write(&mut upload, announced, &mut content).await {
            Ok(stored) => {
                upload.finish().await?;
                Ok(stored)
            }
            Err(error) => {
                if let Err(error) = upload.abort().await {
                    tracing::warn!(key, %error, "what was left of an upload could not be removed");
                }
                Err(error)
            }
        }
    }

    async fn write<E>(
        &self,
        upload: &mut WriteMultipart,
        announced: Option<&str>,
        content: &mut (impl Stream<Item = Result<Bytes, E>> + Unpin),
    ) -> Result<Stored, StoreError>
    where
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let mut digest = Sha256::new();
        let mut size_bytes = 0;
        while let Some(chunk) = content.next().await {
            let chunk = chunk.map_err(|error| StoreError::Cut(error.into()))?;
            size_bytes += chunk.len() as u64;
            if size_bytes > self.max_bytes {
                return Err(StoreError::TooLarge(self.max_bytes));
            }
            digest.update(&chunk);
            upload.wait_for_capacity(PARTS_UNDER_WAY).await?;
            upload.put(chunk);
        }
        let sha256: [u8; 32] = digest.finalize().into();
        match announced {
            Some(announced) if !announced.eq_ignore_ascii_case(&hex(&sha256)) => Err(StoreError::Corrupt {
                announced: announced.to_owned(),
                arrived: hex(&sha256),
            }),
            _ => Ok(Stored { size_bytes, sha256 }),
        }
    }

    /// Opens a file, or a part of it.
    ///
    /// # Errors
    /// If it is not there, or the range lies outside it.
    pub async fn get(&self, key: &str, range: Option<GetRange>) -> Result<Content, StoreError> {
        let path = Path::from(key);
        if let Some(range) = &range {
            let size = self.inner.head(&path).await?.size;
            range.as_range(size).map_err(|_| StoreError::Range(size))?;
        }
        let result = self
            .inner
            .get_opts(
                &path,
                GetOptions {
                    range,
                    ..GetOptions::default()
                },
            )
            .await?;
        Ok(Content {
            size_bytes: result.meta.size,
            range: result.range.clone(),
            stream: result.into_stream().map_err(StoreError::from).boxed(),
        })
    }

    /// Stores a small file in one piece.
    ///
    /// # Errors
    /// From the store.
    pub async fn put_small(&self, key: &str, content: Bytes) -> Result<(), StoreError> {
        self.inner
            .put(&Path::from(key), PutPayload::from_bytes(content))
            .await?;
        Ok(())
    }

    /// A small file in one piece; `None` where it is not there.
    ///
    /// # Errors
    /// From the store.
    pub async fn get_small(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        match self.inner.get(&Path::from(key)).await {
            Ok(result) => Ok(Some(result.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Moves a file to another key, replacing what was there.
    ///
    /// # Errors
    /// From the store.
    pub async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        Ok(self.inner.rename(&Path::from(from), &Path::from(to)).await?)
    }

    /// Removes one file; one that is not there is no error.
    ///
    /// # Errors
    /// From the store.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        match self.inner.delete(&Path::from(key)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes all files whose keys begin with `prefix/`; gives their number.
    ///
    /// # Errors
    /// From the store.
    pub async fn remove_all(&self, prefix: &str) -> Result<usize, StoreError> {
        let locations = self
            .inner
            .list(Some(&Path::from(prefix)))
            .map_ok(|meta| meta.location)
            .boxed();
        let removed: Vec<Path> = self.inner.delete_stream(locations).try_collect().await?;
        Ok(removed.len())
    }

    /// Removes the files whose keys begin with `prefix/` and that were not touched for `age`; gives their
    /// number.
    ///
    /// # Errors
    /// From the store.
    pub async fn remove_old(&self, prefix: &str, age: Duration) -> Result<usize, StoreError> {
        let is_old = move |meta: &ObjectMeta| {
            std::future::ready(
                SystemTime::from(meta.last_modified)
                    .elapsed()
                    .is_ok_and(|elapsed| elapsed >= age),
            )
        };
        let locations = self.inner.list(Some(&Path::from(prefix))).try_filter(is_old);
        let removed = self
            .inner
            .delete_stream(locations.map_ok(|meta| meta.location).boxed());
        Ok(removed.try_collect::<Vec<Path>>().await?.len())
    }

    /// Writes, reads and removes a small file, to see that the store works.
    ///
    /// # Errors
    /// From the store.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let key = format!("probe/{}", proto::ids::ClaimId::generate());
        self.put_small(&key, Bytes::from_static(b"probe")).await?;
        self.get_small(&key).await?;
        self.remove(&key).await
    }

    /// The largest file that is taken, in bytes.
    pub const fn max_bytes(&self) -> u64 {
        self.max_bytes
    }
}

fn is_full(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && matches!(
                io.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            )
        {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests;
