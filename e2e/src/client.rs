//! A client that sees what a user of the HTTP surface sees: JSON.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::patience::{until, within};

/// A client of one gateway. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    http: reqwest::Client,
}

impl Client {
    /// A client of the gateway at `base`.
    ///
    /// # Panics
    /// If no HTTP client can be made.
    pub fn new(base: &str) -> Self {
        runtime::tls::install();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("an HTTP client");
        Self {
            base: base.to_owned(),
            http,
        }
    }

    /// The gateway's address.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A request to a path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a request; gives the status and the body as JSON (`null` where it is none).
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<(StatusCode, Value), reqwest::Error> {
        let response = request.send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
    }

    /// As [`Client::try_send`].
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn send(&self, request: RequestBuilder) -> (StatusCode, Value) {
        self.try_send(request).await.expect("an answer")
    }

    /// GET as JSON.
    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Submits a job; gives its id.
    ///
    /// # Panics
    /// If it is not accepted.
    pub async fn submit(&self, body: &Value) -> String {
        let (status, job) = self.post("/api/jobs", body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{job}");
        job["id"].as_str().expect("an id").to_owned()
    }

    /// Submits a small sketch; gives its id.
    pub async fn submit_sketch(&self, prompt: &str) -> String {
        self.submit(&sketch(prompt)).await
    }

    /// A job as it is.
    ///
    /// # Panics
    /// If it is not there.
    pub async fn job(&self, id: &str) -> Value {
        let (status, job) = self.get(&format!("/api/jobs/{id}")).await;
        assert_eq!(status, StatusCode::OK, "{job}");
        job
    }

    /// Cancels a job; gives the answer.
    pub async fn cancel(&self, id: &str) -> (StatusCode, Value) {
        self.post(&format!("/api/jobs/{id}/cancel"), &json!({ "reason": "a test" }))
            .await
    }

    /// Waits until a job is in a state.
    ///
    /// # Panics
    /// If it ends in another state, or takes longer than a minute.
    pub async fn until_status(&self, id: &str, wanted: &str) -> Value {
        until(&format!("job {id} to be {wanted}"), || async {
            let (status, job) = self
                .try_send(self.request(Method::GET, &format!("/api/jobs/{id}")))
                .await
                .ok()?;
            if status != StatusCode::OK {
                return None;
            }
            let found = job["status"].as_str().unwrap_or_default();
            assert!(
                found == wanted || !is_over(found),
                "job {id} is {found} instead of {wanted}: {job:#}"
            );
            (found == wanted).then_some(job)
        })
        .await
    }

    /// Waits until a job is over, however.
    pub async fn until_over(&self, id: &str, limit: Duration) -> Value {
        within(limit, &format!("job {id} to be over"), || async {
            let (status, job) = self
                .try_send(self.request(Method::GET, &format!("/api/jobs/{id}")))
                .await
                .ok()?;
            (status == StatusCode::OK && is_over(job["status"].as_str()?)).then_some(job)
        })
        .await
    }

    /// Waits until the gateway is ready.
    pub async fn until_ready(&self) {
        until("the gateway to be ready", || async {
            let sent = self.try_send(self.request(Method::GET, "/readyz")).await;
            matches!(sent, Ok((StatusCode::OK, _))).then_some(())
        })
        .await;
    }

    /// Waits until a worker is known.
    pub async fn until_worker(&self, id: &str) {
        until(&format!("worker {id}"), || self.incarnation(id)).await;
    }

    /// Which life of a worker the gateway knows.
    pub async fn incarnation(&self, id: &str) -> Option<String> {
        let (_, body) = self
            .try_send(self.request(Method::GET, "/api/workers"))
            .await
            .ok()?;
        let worker = body["workers"]
            .as_array()?
            .iter()
            .find(|worker| worker["id"] == id)?
            .clone();
        worker["incarnation"].as_str().map(str::to_owned)
    }

    /// The bytes of an artifact.
    ///
    /// # Panics
    /// If it is not there.
    pub async fn artifact(&self, id: &str) -> bytes::Bytes {
        let response = self
            .request(Method::GET, &format!("/api/artifacts/{id}/content"))
            .send()
            .await;
        let response = response
            .expect("an answer")
            .error_for_status()
            .expect("the artifact");
        response.bytes().await.expect("its content")
    }
}

/// Whether nothing more happens to a job in this state.
pub fn is_over(status: &str) -> bool {
    matches!(status, "succeeded" | "failed" | "cancelled")
}

/// A small sketch.
pub fn sketch(prompt: &str) -> Value {
    json!({ "sketch": { "prompt": prompt, "width": 64, "height": 64, "steps": 4, "seed": "7" } })
}

/// A sketch that misbehaves.
pub fn rehearsal(act: &str) -> Value {
    json!({ "sketch": { "prompt": act, "width": 64, "height": 64, "steps": 4, "rehearsal": { "act": act } } })
}

/// A sketch that takes about this long.
pub fn slow(total: Duration) -> Value {
    let each = u32::try_from(total.as_millis() / 20).expect("a short time");
    json!({ "sketch": {
        "prompt": "slow", "width": 64, "height": 64, "steps": 20,
        "rehearsal": { "act": "slow", "step_milliseconds": each },
    } })
}
