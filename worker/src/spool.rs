//! A result on its way to the artifact store: in a temporary file, with its length and digest known.

use std::{io, path::Path};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use proto::failure::FailureCode;
use proto::ids::hex;
use proto::v1::Failure;
use runtime::{
    media::{self, Facts},
    telemetry::chain,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::{fs::File, io::AsyncWriteExt as _, task::spawn_blocking};
use tokio_util::io::ReaderStream;

/// A file that can be read as often as an upload is repeated. It is removed when dropped.
#[derive(Debug)]
pub struct Spool {
    path: TempPath,
    /// Length of the content.
    pub size_bytes: u64,
    /// Digest of the content, hex.
    pub sha256: String,
    /// What the content is, as far as its headers say.
    pub facts: Facts,
}

impl Spool {
    /// Takes a stream to its end, at most `max_bytes` of it.
    ///
    /// # Errors
    /// `artifact_too_large`, `store_full` for a full temporary directory, or what `broken` makes of an
    /// error of the stream.
    pub async fn take<E>(
        mut content: impl Stream<Item = Result<Bytes, E>> + Unpin,
        max_bytes: u64,
        broken: impl Fn(E) -> Failure,
    ) -> Result<Self, Failure> {
        let path = tempfile::NamedTempFile::new()
            .map_err(|error| unwritable(&error))?
            .into_temp_path();
        let mut file = File::create(&path).await.map_err(|error| unwritable(&error))?;
        let mut digest = Sha256::new();
        let mut size_bytes = 0_u64;
        while let Some(chunk) = content.next().await {
            let chunk = chunk.map_err(&broken)?;
            size_bytes += chunk.len() as u64;
            if size_bytes > max_bytes {
                let message = format!("a result is larger than artifacts.max_size, {max_bytes} bytes");
                return Err(FailureCode::ArtifactTooLarge.failure(message));
            }
            digest.update(&chunk);
            file.write_all(&chunk).await.map_err(|error| unwritable(&error))?;
        }
        file.flush().await.map_err(|error| unwritable(&error))?;
        let facts = probe(&path).await;
        Ok(Self {
            path,
            size_bytes,
            sha256: hex(&digest.finalize()),
            facts,
        })
    }

    /// Takes what is in memory already.
    ///
    /// # Errors
    /// As [`Spool::take`].
    pub async fn of_bytes(content: Bytes, max_bytes: u64) -> Result<Self, Failure> {
        let chunks = futures::stream::iter([Ok::<_, std::convert::Infallible>(content)]);
        Self::take(chunks, max_bytes, |never| match never {}).await
    }

    /// Reads the content from its beginning.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub async fn open(&self) -> io::Result<ReaderStream<File>> {
        Ok(ReaderStream::with_capacity(
            File::open(&self.path).await?,
            128 * 1024,
        ))
    }
}

/// A result that cannot be understood is stored all the same.
async fn probe(path: &Path) -> Facts {
    let path = path.to_owned();
    let probed = spawn_blocking(move || std::fs::File::open(path).map(media::probe)).await;
    match probed {
        Ok(Ok(facts)) => facts,
        Ok(Err(_)) | Err(_) => Facts::of(media::UNKNOWN),
    }
}

fn unwritable(error: &io::Error) -> Failure {
    let full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    let code = if full {
        FailureCode::StoreFull
    } else {
        FailureCode::StoreUnavailable
    };
    code.failure(format!(
        "the worker's temporary directory cannot be written: {}",
        chain(error)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_picture_is_measured_and_anything_else_is_taken_as_it_is() {
        let mut png = io::Cursor::new(Vec::new());
        image::RgbImage::new(7, 5)
            .write_to(&mut png, image::ImageFormat::Png)
            .expect("a picture");
        let png = png.into_inner();
        let cut = png.iter().take(40).copied().collect::<Vec<u8>>();
        for content in [png, cut] {
            let spool = Spool::of_bytes(content.into(), 1000).await.expect("taken");
            assert_eq!(
                (spool.facts.media_type, spool.facts.dimensions()),
                ("image/png", Some((7, 5)))
            );
        }
        let spool = Spool::of_bytes("words".into(), 1000).await.expect("taken");
        assert_eq!(spool.facts, Facts::of(media::UNKNOWN));
    }
}
