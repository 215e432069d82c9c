//! A double of ComfyUI, a store, and attempts on them.

use std::{sync::Arc, time::Duration};

use connectors::comfyui::{
    Client, Options,
    double::{Double, DoubleOptions},
};
use futures::FutureExt as _;
use proto::{
    failure::FailureCode,
    ids::{ArtifactId, AssetId, ClaimId, JobId},
    v1::{Artifact, ComfyUiRequest, Failure, Upstream},
};
use runtime::{
    settings::{ByteSize, Reader},
    store::{Store, StoreSettings},
    tasks::Stop,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    comfyui::{
        ComfyuiSettings,
        offer::Showcase,
        pace::Paces,
        recipe::Origin,
        run::{Errand, Knowledge, Record, Run},
        shelf::{Alternates, Shelf},
        vitals::Vitals,
    },
    host::HostSettings,
    report::{Report, Reporter, Reports, channel},
    uploads::{Depot, Uploads},
    work::Outcome,
};

pub(super) const CHECKPOINT: &str = "v1-5-pruned-emaonly.safetensors";

/// The files of an attempt.
pub(super) type Files = Result<Vec<Artifact>, Failure>;

/// Attempts of one job.
pub(super) struct Bench {
    pub(super) double: Double,
    pub(super) client: Client,
    pub(super) settings: ComfyuiSettings,
    pub(super) store: Store,
    pub(super) job: JobId,
    pub(super) showcase: Showcase,
    pub(super) shelf: Arc<Shelf>,
    paces: Paces,
    vitals: Vitals,
    _dir: TempDir,
}

/// One attempt.
pub(super) struct Attempt {
    pub(super) claim: ClaimId,
    pub(super) cancel: Stop,
    pub(super) reports: Reports,
    /// Whether the record still shows the claim when it is asked.
    pub(super) holds: bool,
    reporter: Reporter,
    number: u32,
}

impl Bench {
    pub(super) async fn new() -> Self {
        Self::with(DoubleOptions::default(), Options::default()).await
    }

    pub(super) async fn with(double: DoubleOptions, options: Options) -> Self {
        connectors::install_tls();
        let double = Double::start(double).await.expect("a double");
        let client = Client::new(double.url(), options).expect("a client");
        let dir = tempfile::tempdir().expect("a directory");
        let store = StoreSettings {
            url: dir.path().to_string_lossy().into_owned(),
            max_size: ByteSize(64 << 20),
            s3_endpoint: None,
            s3_region: String::new(),
            s3_access_key: None,
            s3_secret_key: None,
        };
        Self {
            settings: ComfyuiSettings {
                url: double.url(),
                slots: 1,
                poll: Duration::from_millis(20),
                patience: Duration::from_millis(300),
                lost_after: Duration::from_millis(200),
                load_timeout: Duration::from_mins(1),
                hung_after: Duration::from_secs(1),
                fallback: Alternates::default(),
                models: None,
                host: unmanaged(),
                refresh: Duration::from_millis(50),
                previews: true,
            },
            client,
            double,
            store: store.open().expect("a store"),
            job: JobId::generate(),
            showcase: Showcase::new(1),
            shelf: Arc::new(Shelf::default()),
            paces: Paces::default(),
            vitals: Vitals::new(Duration::from_secs(1)),
            _dir: dir,
        }
    }

    /// Runs an attempt to its end, within a deadline; its files.
    pub(super) async fn run(
        &self,
        attempt: &Attempt,
        request: &ComfyUiRequest,
        earlier: Option<&Upstream>,
    ) -> Files {
        let product = self.make(attempt, request, earlier).await?;
        Ok(product.outputs)
    }

    /// As [`Bench::run`]; all that came of it.
    pub(super) async fn make(
        &self,
        attempt: &Attempt,
        request: &ComfyUiRequest,
        earlier: Option<&Upstream>,
    ) -> Outcome {
        let uploads = self.uploads(attempt);
        let run = Run {
            client: &self.client,
            settings: &self.settings,
            errand: Errand {
                is_paid: false,
                request,
                tag: format!("{}-{}", self.job, attempt.number),
                prompt: attempt.claim.uuid(),
                earlier,
                origin: Origin::default(),
                reporter: &attempt.reporter,
                uploads: &uploads,
                cancel: &attempt.cancel,
            },
            knowledge: Knowledge {
                showcase: &self.showcase,
                shelf: &self.shelf,
                paces: &self.paces,
                vitals: &self.vitals,
            },
            record: self.record(attempt),
        };
        soon(Box::pin(run.run())).await
    }

    fn record<'a>(&'a self, attempt: &'a Attempt) -> Record<'a> {
        Record {
            note: Box::new(|prompt, _| {
                let posted = self
                    .double
                    .received()
                    .iter()
                    .any(|received| received.prompt_id == Some(prompt.to_string()));
                assert!(!posted, "noted before it is posted");
                async { Ok(()) }.boxed()
            }),
            ours: Box::new(|| async { attempt.holds }.boxed()),
        }
    }

    /// A first attempt that has nothing special about it.
    pub(super) async fn once(&self, request: &ComfyUiRequest) -> Files {
        self.run(&Attempt::new(1), request, None).await
    }

    /// Where an attempt's files go.
    pub(super) fn uploads(&self, attempt: &Attempt) -> Uploads {
        Uploads {
            patience: Duration::from_secs(5),
            reporter: channel().0,
            depot: Depot::Store(self.store.clone()),
            job: self.job,
            attempt: attempt.number,
            claim: attempt.claim,
        }
    }

    /// As an earlier attempt noted it.
    pub(super) fn upstream(&self, prompt: Uuid) -> Upstream {
        Upstream {
            task_id: prompt.to_string(),
            place: self.client.origin(),
            at: None,
            ..Upstream::default()
        }
    }

    /// How many prompts were posted.
    pub(super) fn posts(&self) -> usize {
        self.double.received().len()
    }

    /// Waits until it runs, and how many steps it has done.
    pub(super) async fn runs(&self, prompt: Uuid, steps: u64) {
        let id = prompt.to_string();
        soon(
            self.double
                .until(|seen| seen.running.as_ref() == Some(&id) && seen.steps >= steps),
        )
        .await;
    }

    /// Puts a file where uploaded inputs lie.
    pub(super) async fn upload(&self, content: &'static [u8]) -> AssetId {
        let spool = crate::spool::Spool::of_bytes(content.into(), u64::MAX)
            .await
            .expect("a spool");
        let asset: AssetId = spool.sha256.parse().expect("an id");
        let content = spool.open().await.expect("content");
        self.store.put(&asset.key(), None, content).await.expect("stored");
        asset
    }

    /// What was stored of a result.
    pub(super) async fn stored(&self, artifact: &Artifact) -> u64 {
        let id: ArtifactId = artifact.id.parse().expect("an id");
        assert_eq!(id.key(), artifact.key);
        self.store
            .get(&artifact.key, None)
            .await
            .expect("a file")
            .size_bytes
    }
}

impl Attempt {
    /// The job's attempt of this number, with a claim of its own.
    pub(super) fn new(number: u32) -> Self {
        let (reporter, reports) = channel();
        Self {
            claim: ClaimId::generate(),
            cancel: Stop::new(),
            reports,
            holds: true,
            reporter,
            number,
        }
    }

    /// Waits until what is reported is as wanted.
    pub(super) async fn until(&self, wanted: impl FnMut(&Report) -> bool) -> Report {
        let mut reports = self.reports.clone();
        soon(reports.wait_for(wanted)).await.expect("a reporter").clone()
    }

    pub(super) fn phases(&self) -> Vec<String> {
        self.reports
            .borrow()
            .phases()
            .into_iter()
            .map(|phase| phase.name)
            .collect()
    }
}

/// Nobody looks after ComfyUI's process.
fn unmanaged() -> HostSettings {
    let nowhere = tempfile::tempdir().expect("a directory");
    let mut reader = Reader::new(nowhere.path(), None, []);
    HostSettings::read(&mut reader)
}

/// With a deadline, so that a test that waits in vain fails and does not hang.
pub(super) async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .expect("in time")
}

/// Text to image as the gateway hands it on.
pub(super) fn template() -> ComfyUiRequest {
    ComfyUiRequest {
        prompt: "a lighthouse".to_owned(),
        negative_prompt: "fog".to_owned(),
        checkpoint: CHECKPOINT.to_owned(),
        seed: Some(7),
        width: 96,
        height: 64,
        steps: 4,
        cfg: Some(7.0),
        sampler: "euler".to_owned(),
        scheduler: "normal".to_owned(),
        batch_size: 1,
        ..ComfyUiRequest::default()
    }
}

pub(super) fn of_graph(graph: &Value) -> ComfyUiRequest {
    ComfyUiRequest {
        graph: graph.to_string(),
        ..ComfyUiRequest::default()
    }
}

/// A picture of one colour.
pub(super) fn plain() -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 32, "height": 16, "batch_size": 2, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "sub/plain"}},
    })
}

pub(super) fn fails<T: std::fmt::Debug>(outcome: Result<T, Failure>, code: FailureCode) -> Failure {
    let failure = outcome.expect_err("a failure");
    assert_eq!(failure.code, code.as_str(), "{failure:?}");
    failure
}
