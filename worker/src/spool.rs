//! A result on its way to the artifact store: in a temporary file, with its length and digest known.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use proto::failure::FailureCode;
use proto::ids::hex;
use proto::v1::Failure;
use runtime::telemetry::chain;
use sha2::{Digest as _, Sha256};
use tempfile::TempPath;
use tokio::{fs::File, io::AsyncWriteExt as _};
use tokio_util::io::ReaderStream;

/// A file that can be read as often as an upload is repeated. It is removed when dropped.
#[derive(Debug)]
pub struct Spool {
    path: TempPath,
    /// Length of the content.
    pub size_bytes: u64,
    /// Digest of the content, hex.
    pub sha256: String,
    /// Pixels, where the content is a picture that we can read.
    pub dimensions: Option<(u32, u32)>,
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
        let dimensions = image::ImageReader::open(&path)
            .and_then(image::ImageReader::with_guessed_format)
            .ok()
            .and_then(|reader| reader.into_dimensions().ok());
        Ok(Self {
            path,
            size_bytes,
            sha256: hex(&digest.finalize()),
            dimensions,
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
