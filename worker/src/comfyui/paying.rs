//! Graphs that call a service for money: run only where that is allowed and paid for, and once.

use std::time::Duration;

use proto::{
    comfyui::plan,
    failure::FailureCode,
    v1::{ComfyUiRequest, Failure},
};
use serde_json::Value;

use super::Comfyui;
use crate::{
    paid::Terms,
    work::{Outcome, Work},
};

/// ComfyUI's own account with whoever its nodes call; it has no limits that we know of.
const ACCOUNT: &str = "comfyui";

/// The node classes of the request's graph that call a service for money.
pub(super) fn paid_classes(request: &ComfyUiRequest, paid: &[String]) -> Vec<String> {
    let Ok(plan) = plan(request) else {
        return Vec::new();
    };
    let nodes = plan.graph.as_object().into_iter().flatten();
    let classes = nodes.filter_map(|(_, node)| node.get("class_type").and_then(Value::as_str));
    let mut found: Vec<String> = classes
        .filter(|class| paid.iter().any(|paid| paid == class))
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

impl Comfyui {
    /// Runs an attempt that costs money. ComfyUI tells no figures, so what was set aside counts as spent.
    pub(super) async fn pay(&self, classes: &[String], request: &ComfyUiRequest, work: &Work) -> Outcome {
        let named = classes.join(", ");
        let Some(cashier) = &self.cashier else {
            let message =
                format!("the graph calls a paid service ({named}), which is switched off on this worker");
            return Err(FailureCode::GenerationDisabled.failure(message));
        };
        if work.spend.is_none() {
            let message =
                format!("the graph calls a paid service ({named}), and nothing was set aside for it");
            return Err(FailureCode::SpendUnreserved.failure(message));
        }
        let payment = cashier.payment(work);
        let terms = Terms {
            account: ACCOUNT,
            limits: Vec::new(),
            patience: Duration::ZERO,
            reporter: &work.reporter,
            cancel: &work.cancel,
        };
        payment.start(&terms).await?;
        let mut outcome = self.attempt(request, work, true).await;
        match &mut outcome {
            Ok(product) => {
                let prompt = product.recipe.as_ref().map(|recipe| recipe.id.clone());
                let charge = payment.settle(None, &prompt.unwrap_or_default()).await?;
                product.charge = Some(charge);
            }
            // the next attempt, or a gateway, knows by the record whether it was posted
            Err(_) if work.cancel.is_cancelled() => {}
            Err(failure) if payment.is_asked().await => {
                payment.doubt(&failure.message).await;
                *failure = Failure {
                    retryable: false,
                    ..failure.clone()
                };
            }
            Err(failure) => payment.withdraw(&failure.message).await?,
        }
        outcome
    }
}
