//! Uploads a file in pieces, never whole in memory.

use std::{io, path::Path};

use futures::{Stream, stream};
use proto::v1::{Asset, UploadChunk};
use tokio::{fs::File, io::AsyncReadExt as _, sync::oneshot};

use crate::{client::Client, problem::Problem};

/// Bytes a message.
const PIECE: usize = 256 * 1024;

/// Uploads the file at `path`.
pub(super) async fn upload(client: &Client, path: &Path) -> Result<Asset, Problem> {
    let unreadable = |error: &io::Error| Problem::failed(path.display(), error);
    let file = File::open(path).await.map_err(|error| unreadable(&error))?;
    let filename = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let (failed, broken) = oneshot::channel();
    tokio::select! {
        biased;
        Ok(error) = broken => Err(unreadable(&error)),
        answer = client.upload(pieces(file, filename, failed)) => answer,
    }
}

/// The content piece by piece. Where reading fails, the stream does not end, so that half a file is never
/// taken for a whole one: the call is dropped instead.
fn pieces(
    file: File,
    filename: String,
    failed: oneshot::Sender<io::Error>,
) -> impl Stream<Item = UploadChunk> {
    struct Rest {
        file: File,
        filename: Option<String>,
        failed: Option<oneshot::Sender<io::Error>>,
    }
    let rest = Rest {
        file,
        filename: Some(filename),
        failed: Some(failed),
    };
    stream::unfold(rest, |mut rest| async {
        let mut content = Vec::with_capacity(PIECE);
        match (&mut rest.file)
            .take(PIECE as u64)
            .read_to_end(&mut content)
            .await
        {
            Err(error) => {
                if let Some(failed) = rest.failed.take() {
                    failed.send(error).ok();
                }
                std::future::pending().await
            }
            Ok(0) if rest.filename.is_none() => None,
            Ok(_) => {
                let chunk = UploadChunk {
                    filename: rest.filename.take().unwrap_or_default(),
                    content: content.into(),
                };
                Some((chunk, rest))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;

    async fn pieces_of(content: &[u8]) -> Vec<UploadChunk> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("cat.png");
        std::fs::write(&path, content).expect("written");
        let file = File::open(path).await.expect("there");
        pieces(file, "cat.png".into(), oneshot::channel().0)
            .collect()
            .await
    }

    #[tokio::test]
    async fn a_file_is_sent_in_pieces_with_its_name_in_the_first() {
        let content = vec![7; PIECE + 1];
        let pieces = pieces_of(&content).await;
        let names: Vec<&str> = pieces.iter().map(|piece| piece.filename.as_str()).collect();
        assert_eq!(names, ["cat.png", ""]);
        assert_eq!((pieces[0].content.len(), pieces[1].content.len()), (PIECE, 1));
    }

    #[tokio::test]
    async fn an_empty_file_is_one_empty_piece() {
        assert_eq!(pieces_of(b"").await.len(), 1);
    }
}
