//! A client beside a double of its own, and what the tests ask of them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connectors::Key;
use connectors::bfl::double::{Double, Options};
use connectors::bfl::{Client, Poll, Settings, Status, SubmitError, Task};
use serde_json::{Value, json};
use url::Url;

pub(crate) const MODEL: &str = "flux-2-pro";

pub(crate) struct Bench {
    pub(crate) double: Double,
    pub(crate) client: Client,
}

impl Bench {
    pub(crate) async fn new(options: Options) -> Self {
        connectors::install_tls();
        let double = Double::start(options).await.expect("a double");
        let client = client(&double.base(), double.key());
        Self { double, client }
    }

    pub(crate) async fn plain() -> Self {
        Self::new(Options::default()).await
    }

    pub(crate) async fn submit(&self, prompt: &str) -> Result<Task, SubmitError> {
        soon(self.client.submit(MODEL, &json!({"prompt": prompt}))).await
    }

    pub(crate) async fn task(&self, prompt: &str) -> Task {
        self.submit(prompt).await.expect("a task")
    }

    pub(crate) async fn refused(&self, path: &str, body: &Value) -> (u16, connectors::bfl::Detail) {
        match soon(self.client.submit(path, body)).await {
            Err(SubmitError::Refused { status, detail, .. }) => (status, detail),
            other => panic!("{path} {body}: {other:?} is no refusal"),
        }
    }

    /// Everything that a task is told as, until it is over.
    pub(crate) async fn course(&self, task: &Task) -> Vec<Poll> {
        let mut seen: Vec<Poll> = Vec::new();
        soon(async {
            loop {
                let poll = self.client.poll(&task.polling_url).await.expect("a poll");
                if seen.last() != Some(&poll) {
                    seen.push(poll.clone());
                }
                if !matches!(poll.status, Status::Pending | Status::InProgress(_)) {
                    return;
                }
            }
        })
        .await;
        seen
    }

    pub(crate) async fn ending(&self, task: &Task) -> Status {
        self.course(task).await.pop().expect("an end").status
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.double.violations(), Vec::<String>::new());
        }
    }
}

pub(crate) fn client(base: &Url, key: &str) -> Client {
    patient(base, key, Duration::from_secs(10))
}

pub(crate) fn patient(base: &Url, key: &str, patience: Duration) -> Client {
    connectors::install_tls();
    Client::new(Settings {
        base: base.clone(),
        key: Key::new(key),
        submit_timeout: patience,
        poll_timeout: patience,
    })
    .expect("a client")
}

/// With a deadline, so that a test that waits in vain fails and does not hang.
pub(crate) async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("in time")
}

/// A PNG as a request carries it.
pub(crate) fn picture(width: u32, height: u32) -> String {
    let mut file = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(width, height)
        .write_to(&mut file, image::ImageFormat::Png)
        .expect("a picture");
    STANDARD.encode(file.into_inner())
}

/// An error with all that it says of its causes.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error:?} {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text} {error:?} {error}");
        cause = error.source();
    }
    text
}
