//! The artifact store when it is too small, elsewhere, out of order, full, or old.

use std::{fs, path::Path, path::PathBuf, process::Command, time::Duration};

use e2e::{
    System,
    client::sketch,
    patience::{until, within},
};
use proto::{ids::JobId, v1::JobRequest};
use reqwest::StatusCode;
use runtime::{
    bus::{Bus, BusSettings},
    records::Records,
    settings::Reader,
};
use serde_json::{Value, json};

use crate::story::{files, list, output, store};

/// A picture of some hundred KiB.
fn large() -> Value {
    json!({"sketch": {"prompt": "a city", "width": 512, "height": 512, "steps": 2, "seed": "7"}, "max_attempts": 1})
}

const NONE: [PathBuf; 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_is_too_large_fails_clearly() {
    let mut system = System::without_worker(&[("ORCHESTRATOR_ARTIFACTS_MAX_SIZE", "16KiB")]).await;
    // once found by the worker itself, once by the gateway
    for (worker, limit) in [("strict", "16KiB"), ("generous", "2GiB")] {
        system
            .add_worker(worker, &[("ORCHESTRATOR_ARTIFACTS_MAX_SIZE", limit)])
            .await;
        let mut request = large();
        request["max_attempts"] = 3.into();
        let id = system.client.submit(&request).await;
        let job = system.client.until_over(&id, Duration::from_secs(30)).await;
        assert_eq!(
            (
                &job["status"],
                &job["failure"]["code"],
                list(&job, "attempts").len()
            ),
            (&"failed".into(), &"artifact_too_large".into(), 1),
            "{worker}: {job:#}"
        );
        assert_eq!(files(&store(&system)), NONE, "{worker}");
        system.workers.remove(0).stop().await;
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_write_to_the_store_itself() {
    let mut system = System::without_worker(&[]).await;
    let url = store(&system).display().to_string();
    system
        .add_worker("w1", &[("ORCHESTRATOR_WORKER_ARTIFACTS_URL", url.as_str())])
        .await;
    let id = system.client.submit_sketch("a lake").await;
    let direct = system.client.until_status(&id, "succeeded").await;
    let picture = system.client.artifact(output(&direct)).await;
    assert!(picture.starts_with(b"\x89PNG"));
    assert_eq!(files(&store(&system)), [PathBuf::from(format!("jobs/{id}/1/0"))]);
    system.workers.remove(0).stop().await;
    system.add_worker("w2", &[]).await;
    let id = system.client.submit_sketch("a lake").await;
    let through = system.client.until_status(&id, "succeeded").await;
    assert_eq!(
        through["outputs"][0]["sha256"], direct["outputs"][0]["sha256"],
        "both ways, one picture"
    );
    system.stop().await;
}

/// Puts a file where the store's directory was.
fn break_store(dir: &Path) {
    fs::remove_dir_all(dir).expect("removed");
    fs::write(dir, "no directory").expect("written");
}

fn mend_store(dir: &Path) {
    fs::remove_file(dir).expect("removed");
    fs::create_dir(dir).expect("made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_in_time_costs_only_time() {
    let system = System::start().await;
    break_store(&store(&system));
    let id = system.client.submit(&large()).await;
    until("the upload to be tried", || async {
        let job = system.client.job(&id).await;
        assert_eq!(job["failure"], Value::Null, "{job:#}");
        let (_, workers) = system.client.get("/api/workers").await;
        let fraction = workers["workers"][0]["running"][0]["fraction"].as_f64();
        fraction.filter(|fraction| *fraction >= 0.97)
    })
    .await;
    assert_eq!(system.client.job(&id).await["status"], "running");
    mend_store(&store(&system));
    let job = system.client.until_status(&id, "succeeded").await;
    assert_eq!(job["attempt"], 1, "{job:#}");
    system.client.artifact(output(&job)).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_broken_is_named() {
    let mut system = System::without_worker(&[("ORCHESTRATOR_WORKER_UPLOAD_PATIENCE", "1s")]).await;
    let url = store(&system).display().to_string();
    system
        .add_worker("direct", &[("ORCHESTRATOR_WORKER_ARTIFACTS_URL", url.as_str())])
        .await;
    system.add_worker("through", &[]).await;
    break_store(&store(&system));
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(system.client.submit(&large()).await);
    }
    for id in &ids {
        let job = system.client.until_over(id, Duration::from_mins(2)).await;
        assert_eq!(
            (&job["status"], &job["failure"]["code"]),
            (&"failed".into(), &"store_unavailable".into()),
            "{job:#}"
        );
        assert!(job["outputs"].is_null(), "{job:#}");
    }
    mend_store(&store(&system));
    assert_eq!(files(&store(&system)), NONE);
    let (status, again) = system
        .client
        .post(&format!("/api/jobs/{}/retry", ids[0]), &Value::Null)
        .await;
    assert_eq!(status, StatusCode::ACCEPTED, "{again}");
    let again = again["id"].as_str().expect("an id");
    system.client.until_status(again, "succeeded").await;
    system.stop().await;
}

/// A file system of 64 KiB, unmounted when dropped.
struct TinyDisk(PathBuf);

impl TinyDisk {
    /// `None` where this process may not mount.
    fn mount(dir: &Path) -> Option<Self> {
        fs::create_dir_all(dir).ok()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(dir)
            .output();
        mounted.ok()?.status.success().then(|| Self(dir.to_owned()))
    }

    fn grow(&self) {
        let grown = Command::new("mount")
            .args(["-o", "remount,size=64m"])
            .arg(&self.0)
            .status();
        assert!(grown.is_ok_and(|status| status.success()));
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        // a lazy unmount succeeds also while the gateway holds the directory
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_named_and_nothing_half_written_is_shown() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = TinyDisk::mount(&dir.path().join("disk")) else {
        eprintln!("not tested: this process may not mount a file system");
        return;
    };
    let url = disk.0.display().to_string();
    let mut system = System::without_worker(&[("ORCHESTRATOR_ARTIFACTS_URL", url.as_str())]).await;
    for settings in [&[][..], &[("ORCHESTRATOR_WORKER_ARTIFACTS_URL", url.as_str())]] {
        let worker = if settings.is_empty() { "through" } else { "direct" };
        system.add_worker(worker, settings).await;
        let id = system.client.submit(&large()).await;
        let job = system.client.until_over(&id, Duration::from_secs(30)).await;
        assert_eq!(
            (&job["status"], &job["failure"]["code"]),
            (&"failed".into(), &"store_full".into()),
            "{worker}: {job:#}"
        );
        within(Duration::from_secs(5), "nothing to be left", || async {
            files(&disk.0).is_empty().then_some(())
        })
        .await;
        system.workers.remove(0).stop().await;
    }
    let small = reqwest::multipart::Form::new().part(
        "file",
        reqwest::multipart::Part::bytes(vec![7; 200_000]).file_name("a.bin"),
    );
    let request = system.client.request(reqwest::Method::POST, "/api/assets");
    crate::input::refused(request.multipart(small), 507, "store_full").await;

    system.add_worker("later", &[]).await;
    let mut patient = large();
    patient["max_attempts"] = 10.into();
    let id = system.client.submit(&patient).await;
    until("the first failure", || async {
        system.client.job(&id).await["retry_at"].is_string().then_some(())
    })
    .await;
    disk.grow();
    let job = system.client.until_status(&id, "succeeded").await;
    system.client.artifact(output(&job)).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_vanishes_with_its_files() {
    let system = System::start_with(&[("ORCHESTRATOR_JOBS_RETENTION", "1s")]).await;
    let client = &system.client;
    // one whose request lies beside its record as well
    let mut long = sketch(&"long ".repeat(1_500));
    long["hold"] = true.into();
    let held = client.submit(&long).await;
    let id = client.submit_sketch("short-lived").await;
    within(Duration::from_secs(20), "the picture to be stored", || async {
        files(&store(&system))
            .iter()
            .any(|file| file.starts_with(format!("jobs/{id}")))
            .then_some(())
    })
    .await;
    within(Duration::from_secs(20), "the record to vanish", || async {
        (client.get(&format!("/api/jobs/{id}")).await.0 == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    within(Duration::from_secs(20), "the files to vanish", || async {
        files(&store(&system)).is_empty().then_some(())
    })
    .await;
    let (_, page) = client.get("/api/jobs").await;
    let ids: Vec<&Value> = list(&page, "jobs").iter().map(|job| &job["id"]).collect();
    assert_eq!(ids, [held.as_str()], "what is not over stays: {page:#}");
    client.cancel(&held).await;
    within(Duration::from_secs(20), "the cancelled one to vanish", || async {
        (client.get("/api/jobs").await.1["total"] == "0").then_some(())
    })
    .await;
    system.stop().await;
}

/// What a gateway leaves behind that dies between storing a large request and the record.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_job_is_removed() {
    let system = System::without_worker(&[]).await;
    let settings = BusSettings::read(&mut Reader::new(Path::new("."), None, system.environment.clone()));
    let bus = Bus::connect(&settings, "stray").await.expect("a connection");
    let records = Records::new(bus, Duration::from_hours(1));
    let large = "x".repeat(10_000);
    let kept = system.client.submit_sketch(&large).await;
    let stray = JobId::generate();
    records
        .store_request(stray, &JobRequest::default())
        .await
        .expect("stored");
    until("the stray request to be removed", || async {
        let left = records.list_requests().await.expect("listed");
        (!left.contains(&stray)).then_some(left)
    })
    .await;
    let left = records.list_requests().await.expect("listed");
    assert_eq!(
        left.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [kept],
        "that of a job stays"
    );
    system.stop().await;
}
