//! Hands uploads and results of earlier jobs on to ComfyUI.

use std::collections::HashMap;

use connectors::comfyui::{Client, Error, Upload};
use proto::{failure::FailureCode, ids::InputId, v1::Failure};
use runtime::telemetry::chain;
use serde_json::Value;

use super::{faults::trouble, media, patience::Patience, settings::ComfyuiSettings};
use crate::{
    report::{Reporter, Step},
    spool::Spool,
    uploads::Uploads,
};

/// What surrounds a file in the body of its upload, at most.
const MULTIPART_BYTES: u64 = 4096;

/// Hands all of them on; what ComfyUI calls each.
pub(super) async fn deliver(
    client: &Client,
    settings: &ComfyuiSettings,
    inputs: &[InputId],
    uploads: &Uploads,
    reporter: &Reporter,
) -> Result<HashMap<InputId, String>, Failure> {
    let limit = upload_limit(client, settings).await?;
    let mut names = HashMap::new();
    for (input, number) in inputs.iter().zip(1..) {
        reporter.step(Step {
            phase: "preparing",
            step: number,
            steps: inputs.len() as u32,
            message: format!("sending input {number} of {} to ComfyUI", inputs.len()),
            ..Step::default()
        });
        // the length has to be known before the first byte is sent on
        let content = uploads.open_input(input).await?;
        let spool = Spool::take(content, u64::MAX, |failure| failure).await?;
        if spool.size_bytes > limit {
            return Err(too_large(
                input,
                spool.size_bytes,
                &format!("{limit} bytes at most"),
            ));
        }
        names.insert(input.clone(), send(client, settings, input, &spool).await?);
    }
    Ok(names)
}

async fn send(
    client: &Client,
    settings: &ComfyuiSettings,
    input: &InputId,
    spool: &Spool,
) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| {
        FailureCode::StoreUnavailable.failure(format!("the input could not be read again: {}", chain(&error)))
    };
    let head = media::head(spool).await.map_err(unreadable)?;
    // named by its content: sending it again finds the same file there
    let name = format!(
        "{}.{}",
        spool.sha256,
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
            }) => return Err(too_large(input, spool.size_bytes, &words)),
            Err(error @ Error::Status { .. }) => return Err(trouble(&error)),
            Err(error) => patience.endure(&error).await?,
        }
    }
}

/// The most that an upload may have, in bytes. Asked beforehand: a server that refuses an upload in the
/// middle of it may break the connection before its answer is read.
async fn upload_limit(client: &Client, settings: &ComfyuiSettings) -> Result<u64, Failure> {
    let mut patience = Patience::new(settings.patience);
    loop {
        match client.features().await {
            Ok(features) => return Ok(limit_in(&features)),
            Err(error) => patience.endure(&error).await?,
        }
    }
}

/// The limit is on the whole body, in which there is a little more than the file.
fn limit_in(features: &Value) -> u64 {
    let limit = features.get("max_upload_size").and_then(Value::as_u64);
    limit.map_or(u64::MAX, |limit| limit.saturating_sub(MULTIPART_BYTES))
}

fn too_large(input: &InputId, size_bytes: u64, words: &str) -> Failure {
    let message = format!(
        "the file {input} has {size_bytes} bytes, which is more than ComfyUI takes ({words}); \
         its option --max-upload-size sets the limit"
    );
    FailureCode::InputMissing.failure(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_limit_of_an_upload_is_what_comfyui_says() {
        assert_eq!(
            limit_in(&json!({"max_upload_size": 104_857_600})),
            104_857_600 - MULTIPART_BYTES
        );
        assert_eq!(limit_in(&json!({})), u64::MAX);
    }
}
