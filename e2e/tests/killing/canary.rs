//! Keys that sing: whatever happens, at the most talkative log level, no key and no signed address is stored, logged,
//! published or answered.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use connectors::bfl::double::{AnswerFault, Double, FORBIDDEN_INPUT, FORBIDDEN_OUTPUT, Fault, Options};
use e2e::{
    Client,
    patience::{LONG, until},
    process,
    vendor::{self, borrowed, picture},
};
use futures::StreamExt as _;
use serde_json::json;

use crate::scene::{Scene, extended};

const FLUX_KEY: &str = "bfl_CANARY-4f1d0f6b9a7c4e3d";
const V0_KEY: &str = "v1:CANARY:c2b1a0f9e8d7";
/// How the permission to fetch a result begins, in the addresses that the double gives out.
const SIGNATURE: &str = "?sig=";

/// Everything that was heard.
#[derive(Default, Clone)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn add(&self, bytes: &[u8]) {
        let mut all = self.0.lock().expect("nobody panicked");
        all.extend_from_slice(bytes);
        all.push(b'\n');
    }

    fn find(&self, secret: &str) -> Option<String> {
        let all = self.0.lock().expect("nobody panicked");
        let at = position(&all, secret.as_bytes())?;
        let from = at.saturating_sub(300);
        Some(String::from_utf8_lossy(&all[from..(at + 100).min(all.len())]).into_owned())
    }

    fn len(&self) -> usize {
        self.0.lock().expect("nobody panicked").len()
    }
}

fn position(all: &[u8], part: &[u8]) -> Option<usize> {
    all.windows(part.len()).position(|window| window == part)
}

/// Listens to everything that goes over the broker.
async fn wiretap(scene: &Scene, heard: Heard) -> tokio::task::AbortHandle {
    let client = async_nats::connect(scene.broker.url())
        .await
        .expect("a connection");
    let mut all = client.subscribe(">").await.expect("a subscription");
    client.flush().await.expect("the broker is there");
    let listening = async move {
        while let Some(message) = all.next().await {
            heard.add(&message.payload);
            heard.add(format!("{:?} {:?}", message.subject, message.headers).as_bytes());
        }
    };
    let mut tasks = tokio::task::JoinSet::new();
    let handle = tasks.spawn(listening);
    tasks.detach_all();
    handle
}

/// Every byte of every file below a directory.
fn files(dir: &Path, heard: &Heard) {
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, heard);
        } else if path.file_name().is_none_or(|name| name != ".env.local") {
            // a file that was removed meanwhile holds nothing
            heard.add(&std::fs::read(&path).unwrap_or_default());
        }
    }
}

async fn answers(client: &Client, jobs: &[String], heard: &Heard) {
    let mut paths: Vec<String> = [
        "/api/jobs?limit=500",
        "/api/workers",
        "/api/models",
        "/api/health",
        "/api/spend",
        "/api/spend/ledger",
        "/metrics",
        "/readyz",
        "/api/v0/chats",
    ]
    .map(str::to_owned)
    .to_vec();
    for id in jobs {
        for part in ["", "/events"] {
            paths.push(format!("/api/jobs/{id}{part}"));
        }
        paths.push(format!("/api/spend/{id}"));
    }
    for path in paths {
        let answer = client
            .request(reqwest::Method::GET, &path)
            .send()
            .await
            .expect("an answer");
        heard.add(format!("{:?}", answer.headers()).as_bytes());
        heard.add(&answer.bytes().await.expect("a body"));
    }
}

async fn provoke(double: &Double, client: &Client) -> Vec<String> {
    let mut jobs = Vec::new();
    let mut dry = picture("a dry run");
    dry["dry_run"] = true.into();
    client.post("/api/jobs", &dry).await;
    for fault in [
        None,
        Some(Fault::Busy),
        Some(Fault::Status(402)),
        Some(Fault::Status(403)),
        Some(Fault::Status(422)),
        Some(Fault::Status(500)),
        Some(Fault::CutBefore),
        Some(Fault::CutWithin),
        Some(Fault::Html { taken: true }),
        Some(Fault::BadGateway { taken: false }),
        Some(Fault::Redirect),
        Some(Fault::NoPollingUrl),
    ] {
        if let Some(fault) = fault {
            double.fault_next_submit(fault);
        }
        jobs.push(client.submit(&picture("a canary")).await);
        client.until_over(jobs.last().expect("one"), LONG).await;
    }
    for fault in [
        AnswerFault::Cut,
        AnswerFault::Html,
        AnswerFault::Status(403),
        AnswerFault::Status(503),
    ] {
        double.fault_next_poll(fault);
        double.fault_next_sample(fault);
        jobs.push(client.submit(&picture("a canary in a cage")).await);
        client.until_over(jobs.last().expect("one"), LONG).await;
    }
    for prompt in [FORBIDDEN_INPUT, FORBIDDEN_OUTPUT] {
        jobs.push(client.submit(&picture(prompt)).await);
        client.until_over(jobs.last().expect("one"), LONG).await;
    }
    jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_is_stored_logged_published_or_answered() {
    connectors::install_tls();
    let options = Options {
        key: FLUX_KEY.to_owned(),
        late: true,
        reasoning: true,
        ..Options::default()
    };
    let double = Double::start(options).await.expect("a double");
    let mut scene = Scene::with(&[("RUST_LOG", "debug")]).await;
    let heard = Heard::default();
    let tap = wiretap(&scene, heard.clone()).await;
    let mut settings = vendor::flux(&double);
    settings.retain(|(name, _)| *name != "BFL_API_KEY");
    scene.environment = extended(&scene.environment, &borrowed(&settings));
    let keys =
        format!("BFL_API_KEY={FLUX_KEY}\nV0_API_KEY={V0_KEY}\nORCHESTRATOR_V0_URL=http://127.0.0.1:9\n");
    std::fs::write(scene.dir.path().join(".env.local"), keys).expect("written");
    let (mut gateway, client) = scene.gateway().await;
    let mut worker = scene.worker("w1", &[], &client).await;
    let _monitor = process::Process::start(scene.dir.path(), &["monitor"], &scene.environment);

    let jobs = provoke(&double, &client).await;
    let killed = client.submit(&picture("a canary that is shot")).await;
    worker.kill().await;
    worker = scene.worker("w1", &[], &client).await;
    client.until_over(&killed, LONG).await;
    client.post("/api/v0/chats", &json!({"prompt": "a nest"})).await;
    answers(&client, &jobs, &heard).await;
    for arguments in [
        &["config", "check"][..],
        &["config", "check", "--markdown"],
        &["doctor"],
        &["spend"],
        &["jobs"],
        &["workers"],
    ] {
        let mut environment = scene.environment.clone();
        environment.insert("ORCHESTRATOR_CLIENT_GATEWAY".to_owned(), client.base().to_owned());
        let said = process::run(scene.dir.path(), arguments, &environment).await;
        heard.add(said.out.as_bytes());
        heard.add(said.err.as_bytes());
    }
    until("the wiretap to have heard something", || async {
        (heard.len() > 10_000).then_some(())
    })
    .await;
    worker.stop().await;
    gateway.stop().await;
    tap.abort();
    files(scene.dir.path(), &heard);
    files(scene.broker.dir(), &heard);
    for secret in [FLUX_KEY, V0_KEY, SIGNATURE] {
        if let Some(place) = heard.find(secret) {
            panic!("{secret} sings in: {place}");
        }
    }
    let logged = position(&heard.0.lock().expect("nobody panicked"), b"outcome_unknown");
    assert!(logged.is_some(), "something was heard at all");
}
