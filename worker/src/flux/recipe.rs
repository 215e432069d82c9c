//! The recipe of a result: all that made it, as a file beside it.

use bytes::Bytes;
use proto::{
    flux,
    lifecycle::Charge,
    moment::timestamp,
    v1::{Artifact, Failure, FluxRequest, Upstream},
};
use runtime::clock;
use serde_json::json;

use crate::{spool::Spool, work::Work};

const FILENAME: &str = "recipe.json";

/// Stores the recipe after the results.
///
/// # Errors
/// As [`crate::uploads::Uploads::store`].
pub(super) async fn store(
    request: &FluxRequest,
    upstream: &Upstream,
    charge: Charge,
    outputs: &[Artifact],
    work: &Work,
) -> Result<Artifact, Failure> {
    let payload = flux::plan(request).map(|plan| plan.payload).unwrap_or_default();
    let recipe = json!({
        "job": work.id.to_string(),
        "attempt": work.attempt,
        "backend": "flux",
        "model": request.model,
        "task": upstream.task_id,
        "submitted_at": upstream.at,
        "made_at": timestamp(clock::now()),
        "orchestrator": env!("CARGO_PKG_VERSION"),
        "request": request,
        "payload": payload,
        "seed": request.seed,
        "charged_microdollars": charge.amount.0,
        "charge_is_estimated": charge.estimated,
        "outputs": outputs,
    });
    let spool = Spool::of_bytes(Bytes::from(format!("{recipe:#}")), u64::MAX).await?;
    work.uploads
        .store(outputs.len() as u32, FILENAME, "application/json", &spool)
        .await
}
