//! The recipe of a result: all that made it, as a file beside it.

use bytes::Bytes;
use proto::{
    lifecycle::Charge,
    moment::timestamp,
    v0,
    v1::{Artifact, Failure, Site, Upstream, V0Request},
};
use runtime::clock;
use serde_json::json;

use crate::{spool::Spool, work::Work};

const FILENAME: &str = "recipe.json";

/// What is told of how it came about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) request: &'a V0Request,
    /// What was asked of v0, where a model ran.
    pub(super) upstream: Option<&'a Upstream>,
    pub(super) charge: Option<Charge>,
}

/// Stores the recipe after the results.
///
/// # Errors
/// As [`crate::uploads::Uploads::store`].
pub(super) async fn store(
    told: &Told<'_>,
    site: &Site,
    outputs: &[Artifact],
    work: &Work,
) -> Result<Artifact, Failure> {
    let mut request = told.request.clone();
    let payload = v0::plan(&mut request)
        .map(|plan| plan.payload)
        .unwrap_or_default();
    let recipe = json!({
        "job": work.id.to_string(),
        "attempt": work.attempt,
        "backend": "v0",
        "model": request.model,
        "task": told.upstream.map(|upstream| &upstream.task_id),
        "submitted_at": told.upstream.map(|upstream| upstream.at),
        "made_at": timestamp(clock::now()),
        "orchestrator": env!("CARGO_PKG_VERSION"),
        "request": request,
        "payload": payload,
        "charged_microdollars": told.charge.map(|charge| charge.amount.0),
        "charge_is_estimated": told.charge.map(|charge| charge.estimated),
        "site": site,
        "outputs": outputs,
    });
    let spool = Spool::of_bytes(Bytes::from(format!("{recipe:#}")), u64::MAX).await?;
    work.uploads
        .store(outputs.len() as u32, FILENAME, "application/json", &spool)
        .await
}
