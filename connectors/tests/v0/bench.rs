//! A client beside a double of its own, and what the tests ask of them.

use std::collections::BTreeMap;
use std::time::Duration;

use connectors::Key;
use connectors::v0::double::{Double, DoubleOptions};
use connectors::v0::{Begun, Client, Ended, Error, NewChat, Options, Prompt, Standing, Version};

pub(crate) const BOTH: [Version; 2] = [Version::V1, Version::V2];

pub(crate) struct Bench {
    pub(crate) double: Double,
    pub(crate) client: Client,
}

impl Bench {
    pub(crate) async fn new(version: Version) -> Self {
        Self::with(version, DoubleOptions::default()).await
    }

    pub(crate) async fn with(version: Version, options: DoubleOptions) -> Self {
        let double = Double::start(options).await.expect("a double");
        let client = client(&double, version, "v0-test-key");
        Self { double, client }
    }

    pub(crate) async fn create(&self, message: &str) -> Begun {
        self.client.create(&chat(message)).await.expect("a chat")
    }

    pub(crate) async fn made(&self, message: &str) -> Begun {
        let begun = self.create(message).await;
        self.ended(&begun).await;
        begun
    }

    /// Asks until the run is over.
    pub(crate) async fn ended(&self, begun: &Begun) -> Ended {
        for _ in 0..20 {
            let standing = self.client.standing(&begun.chat, begun.message.as_deref()).await;
            if let Standing::Ended(ended) = standing.expect("a standing") {
                return ended;
            }
        }
        panic!("the run does not end");
    }

    /// The requests that the double got, with the version taken out.
    pub(crate) fn lines(&self) -> Vec<String> {
        let received = self.double.received();
        let lines = received
            .iter()
            .map(|received| received.line.replacen("/v1", "", 1).replacen("/v2", "", 1));
        lines.collect()
    }

    pub(crate) fn posts(&self) -> usize {
        let lines = self.lines();
        lines.iter().filter(|line| line.starts_with("POST")).count()
    }
}

pub(crate) fn client(double: &Double, version: Version, key: &str) -> Client {
    limited(double, version, key, |_| {})
}

pub(crate) fn limited(
    double: &Double,
    version: Version,
    key: &str,
    change: impl FnOnce(&mut Options),
) -> Client {
    connectors::install_tls();
    let mut options = Options {
        base: double.url(),
        version,
        ..Options::default()
    };
    change(&mut options);
    Client::new(Key::new(key), options).expect("a client")
}

pub(crate) fn prompt(message: &str) -> Prompt {
    Prompt {
        message: message.to_owned(),
        ..Prompt::default()
    }
}

pub(crate) fn chat(message: &str) -> NewChat {
    NewChat {
        prompt: prompt(message),
        privacy: Some("private".to_owned()),
        metadata: BTreeMap::from([("orchestrator-job".to_owned(), message.to_owned())]),
    }
}

/// The status and the words of a refusal.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> (u16, String) {
    let error = result.expect_err("a refusal");
    let refusal = error
        .refusal()
        .unwrap_or_else(|| panic!("{error:?} is no refusal"));
    (refusal.status, refusal.words.clone())
}

/// With a deadline, so that a test that waits in vain fails and does not hang.
pub(crate) async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), wait)
        .await
        .expect("in time")
}
