//! Uploads: stored under a name of our own, and kept only where the content can be an input.

use std::{error::Error, io::Seek as _};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use proto::{failure::FailureCode, ids::AssetId, request::Fault, v1::Asset};
use runtime::{
    media::{self, Facts, Unusable},
    store::StoreError,
};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use super::{Files, LANDING};
use crate::problem::Problem;

/// Uploads that are looked at at the same time; each may hold a decoded picture.
pub(super) const LOOKS: usize = 2;
const MAX_NAME_CHARS: usize = 200;

type Broken = Box<dyn Error + Send + Sync>;

impl Files {
    /// Takes an upload. The same content gives the same id; what it is, is told from its content.
    ///
    /// # Errors
    /// `asset_unusable` where no job could use it, `request_too_large`, `upload_corrupt` where it breaks off,
    /// or from the store.
    pub async fn upload<E>(
        &self,
        filename: &str,
        content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Asset, Problem>
    where
        E: Into<Broken>,
    {
        let landing = format!("{LANDING}/{}", Uuid::new_v4());
        let kept = self.land(&landing, filename, content).await;
        if kept.is_err()
            && let Err(error) = self.store.remove(&landing).await
            && !matches!(error, StoreError::Missing(_))
        {
            tracing::warn!(key = landing, %error, "what was left of an upload could not be removed");
        }
        kept
    }

    async fn land<E>(
        &self,
        landing: &str,
        filename: &str,
        content: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Asset, Problem>
    where
        E: Into<Broken>,
    {
        // the decoder has to go to and fro in it, which the store does not allow
        let copy = tempfile::tempfile().map_err(|error| no_copy(&error))?;
        let (stored, copy) = {
            let mut copy = tokio::fs::File::from_std(copy);
            let both = stream::try_unfold((content, &mut copy), async |(mut content, copy)| {
                let Some(bytes) = content.next().await else {
                    return Ok(None);
                };
                let bytes = bytes.map_err(Into::<Broken>::into)?;
                copy.write_all(&bytes).await?;
                Ok::<_, Broken>(Some((bytes, (content, copy))))
            });
            let stored = self.store.put(landing, None, std::pin::pin!(both)).await?;
            copy.flush().await.map_err(|error| no_copy(&error))?;
            (stored, copy.into_std().await)
        };
        if stored.size_bytes == 0 {
            return Err(Problem::invalid(vec![Fault {
                pointer: String::new(),
                message: "the file is empty".to_owned(),
            }]));
        }
        let facts = self.look(copy).await?;
        let id = AssetId::from_sha256(&stored.sha256);
        let asset = Asset {
            id: id.to_string(),
            filename: safe_name(filename),
            media_type: facts.media_type.to_owned(),
            size_bytes: stored.size_bytes,
        };
        self.keep(&id, landing, asset).await
    }

    async fn look(&self, mut copy: std::fs::File) -> Result<Facts, Problem> {
        let fault =
            |error: &dyn std::fmt::Display| Problem::new(FailureCode::GatewayFault, error.to_string());
        let place = self.looks.acquire().await.map_err(|error| fault(&error))?;
        let looked = tokio::task::spawn_blocking(move || -> Result<Facts, Unusable> {
            copy.rewind().map_err(|error| Unusable::Unreadable {
                detail: error.to_string(),
            })?;
            media::inspect(std::io::BufReader::new(copy))
        });
        let looked = looked.await;
        drop(place);
        match looked {
            Ok(Ok(facts)) => Ok(facts),
            Ok(Err(unusable)) => Err(Problem::new(FailureCode::AssetUnusable, unusable.to_string())),
            // a decoder that panics does so because of the file
            Err(error) => {
                tracing::error!(%error, "looking at an upload crashed");
                Err(Problem::new(
                    FailureCode::AssetUnusable,
                    "the file makes our decoder crash",
                ))
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

fn no_copy(error: &std::io::Error) -> Problem {
    Problem::new(
        FailureCode::StoreUnavailable,
        format!("the upload cannot be written to the gateway's temporary directory: {error}"),
    )
}

/// A file name without directories, control characters or excess length. It is shown, never used as a path.
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
}
