//! Whether a ComfyUI answers.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::time::{sleep, timeout};
use url::Url;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(250);

/// Asks whether ComfyUI answers.
#[derive(Clone)]
pub struct Probe(Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>);

impl Probe {
    /// A question of the caller's.
    pub fn new<F, A>(ask: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
        A: Future<Output = bool> + Send + 'static,
    {
        Self(Arc::new(move || ask().boxed()))
    }

    /// `GET /system_stats` below ComfyUI's address.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn system_stats(base: &Url) -> Result<Self, reqwest::Error> {
        runtime::tls::install();
        let http = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let url = format!("{}/system_stats", base.as_str().trim_end_matches('/'));
        Ok(Self::new(move || {
            let request = http.get(&url);
            async move {
                let answer = request.send().await;
                answer.is_ok_and(|answer| answer.status().is_success())
            }
        }))
    }

    /// Whether it answers now.
    pub(super) async fn answers(&self) -> bool {
        timeout(PATIENCE, (self.0)()).await.unwrap_or(false)
    }

    /// Completes when it answers.
    pub(super) fn until_answer(&self) -> BoxFuture<'static, ()> {
        let probe = self.clone();
        async move {
            while !probe.answers().await {
                sleep(PAUSE).await;
            }
        }
        .boxed()
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}
