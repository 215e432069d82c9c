//! Hands uploaded files on to ComfyUI.

use std::collections::HashMap;

use connectors::comfyui::{Client, Error, Upload};
use proto::{failure::FailureCode, ids::AssetId, v1::Failure};
use runtime::telemetry::chain;

use super::{faults::trouble, media, patience::Patience, settings::ComfyuiSettings};
use crate::{
    report::{Reporter, Step},
    spool::Spool,
    uploads::Uploads,
};

/// Hands all of them on; what ComfyUI calls each.
pub(super) async fn deliver(
    client: &Client,
    settings: &ComfyuiSettings,
    assets: &[AssetId],
    uploads: &Uploads,
    reporter: &Reporter,
) -> Result<HashMap<AssetId, String>, Failure> {
    let mut names = HashMap::new();
    for (asset, number) in assets.iter().zip(1..) {
        reporter.step(Step {
            phase: "preparing",
            step: number,
            steps: assets.len() as u32,
            message: format!("sending input {number} of {} to ComfyUI", assets.len()),
            ..Step::default()
        });
        // the length has to be known before the first byte is sent on
        let content = uploads.open_input(asset).await?;
        let spool = Spool::take(content, u64::MAX, |failure| failure).await?;
        names.insert(asset.clone(), send(client, settings, asset, &spool).await?);
    }
    Ok(names)
}

async fn send(
    client: &Client,
    settings: &ComfyuiSettings,
    asset: &AssetId,
    spool: &Spool,
) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| {
        FailureCode::StoreUnavailable.failure(format!("the input could not be read again: {}", chain(&error)))
    };
    let head = media::head(spool).await.map_err(unreadable)?;
    // named by its content: sending it again finds the same file there
    let name = format!(
        "{asset}.{}",
        media::of_content(&head).map_or("bin", media::extension)
    );
    let mut patience = Patience::new(settings.patience);
    loop {
        let content = spool.open().await.map_err(unreadable)?;
        match client
            .upload_image(Upload::streamed(&name, spool.size_bytes, content))
            .await
        {
            Ok(uploaded) => return Ok(uploaded.reference()),
            Err(Error::Status {
                status: 413, words, ..
            }) => {
                let message = format!(
                    "the uploaded file {asset} has {} bytes, which is more than ComfyUI takes: {words}",
                    spool.size_bytes
                );
                return Err(FailureCode::InputMissing.failure(message));
            }
            Err(error @ Error::Status { .. }) => return Err(trouble(&error)),
            Err(error) => patience.endure(&error).await?,
        }
    }
}
