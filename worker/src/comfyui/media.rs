//! What kind of file a result is.

use std::io;

use bytes::Bytes;
use futures::StreamExt as _;
pub(super) use runtime::media::{extension, of_content, of_file};

use crate::spool::Spool;

/// The first bytes of a file.
pub(super) async fn head(spool: &Spool) -> io::Result<Bytes> {
    Ok(spool.open().await?.next().await.transpose()?.unwrap_or_default())
}
