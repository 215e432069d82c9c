//! The program as a person or a script uses it: what it prints, what it saves, and its exit codes.

use std::{fs, time::Duration};

use connectors::bfl::double::{Double, Options};
use e2e::{
    System,
    client::slow,
    process::{self, Said},
    system::Environment,
    vendor::{borrowed, flux},
};
use tempfile::TempDir;

use crate::scene::extended;

/// A system in this process, and a place from which the program is called.
struct Desk {
    system: System,
    dir: TempDir,
    environment: Environment,
}

impl Desk {
    async fn new() -> Self {
        Self::of(System::start().await)
    }

    fn of(system: System) -> Self {
        let environment = extended(
            &system.environment,
            &[("ORCHESTRATOR_CLIENT_GATEWAY", system.client.base())],
        );
        Self {
            dir: tempfile::tempdir().expect("a temporary directory"),
            environment,
            system,
        }
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        process::run(self.dir.path(), arguments, &self.environment).await
    }

    /// Runs a command that has to end with this exit code.
    async fn expect(&self, code: i32, arguments: &[&str]) -> Said {
        let said = self.run(arguments).await;
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:#?}");
        said
    }

    /// Submits; gives the id that is printed.
    async fn submit(&self, arguments: &[&str]) -> String {
        let said = self.expect(0, &[&["submit"], arguments].concat()).await;
        said.out.trim().to_owned()
    }
}

const SMALL: [&str; 6] = ["--size", "64", "--steps", "4", "--seed", "7"];
const UNKNOWN: &str = "0192f3c4-5d6e-7f80-8a9b-0c1d2e3f4a5b";

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_saved() {
    let desk = Desk::new().await;
    let submit = [&["submit", "a lake"], SMALL.as_slice()].concat();
    desk.expect(
        0,
        &[submit.as_slice(), &["--watch", "--output", "lake.png"]].concat(),
    )
    .await;
    let picture = fs::read(desk.dir.path().join("lake.png")).expect("saved");
    assert!(picture.starts_with(b"\x89PNG"));

    let said = desk.expect(0, &[submit.as_slice(), &["--json"]].concat()).await;
    let told = said.json();
    assert!(told.len() == 1 && told[0]["status"] == "queued", "{said:#?}");
    let id = told[0]["id"].as_str().expect("an id");
    let said = desk
        .expect(0, &["watch", id, "--json", "--output", "files/"])
        .await;
    let last = said.json().pop().expect("updates");
    assert_eq!(last["job"]["status"], "succeeded", "{said:#?}");
    let saved = fs::read_dir(desk.dir.path().join("files")).expect("made").count();
    assert_eq!(saved, 1, "into the directory");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_made_is_downloaded_later() {
    let desk = Desk::new().await;
    let id = desk
        .submit(&[&["a lake", "--watch"], SMALL.as_slice()].concat())
        .await;
    let id = id.lines().next().expect("an id");
    let said = desk.expect(0, &["download", id, "--output", "lake.png"]).await;
    assert_eq!(said.out, "lake.png\n");
    let picture = fs::read(desk.dir.path().join("lake.png")).expect("saved");
    assert!(picture.starts_with(b"\x89PNG"));
    let held = desk.submit(&["x", "--hold"]).await;
    let said = desk.expect(4, &["download", &held]).await;
    assert!(
        said.err.contains("has no result") && said.err.contains("orchestrator watch"),
        "{said:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_options_name_are_uploaded() {
    let desk = Desk::new().await;
    let picture = [&["submit", "a lake", "--output", "lake.png"], SMALL.as_slice()].concat();
    desk.expect(0, &picture).await;
    let submit = [
        "submit",
        "in autumn",
        "--checkpoint",
        "v1-5-pruned-emaonly.safetensors",
        "--image",
        "lake.png",
        "--controlnet",
        "control_v11p_sd15_canny.pth=lake.png:0.8",
        "--lora",
        "ink.safetensors:0.5",
        "--denoise",
        "0.6",
        "--hold",
        "--json",
    ];
    let said = desk.expect(0, &submit).await;
    let comfyui = &said.json()[0]["request"]["comfyui"];
    let image = comfyui["image"].as_str().expect("an image");
    assert_eq!(
        comfyui["controls"][0]["image"], image,
        "the same file is the same asset"
    );
    assert_eq!(comfyui["loras"][0]["weight"], 0.5);
    let id = image.strip_prefix("asset:").expect("an asset");
    let (status, _) = desk.system.client.get(&format!("/api/assets/{id}")).await;
    assert_eq!(status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn money_is_spent_only_where_that_was_said() {
    connectors::install_tls();
    let double = Double::start(Options::default()).await.expect("a double");
    let desk = Desk::of(System::start_with(&borrowed(&flux(&double))).await);
    let submit = ["submit", "a lake", "--model", "flux-2-klein-4b", "--size", "64"];
    let said = desk.expect(6, &submit).await;
    for told in ["nothing was submitted", "cost up to $0.014", "--yes"] {
        assert!(said.err.contains(told), "{told}: {said:#?}");
    }
    let said = desk.expect(0, &[&submit[..], &["--dry-run"]].concat()).await;
    assert!(
        said.out.contains("up to $0.014: 1.4 credits") && said.out.contains("\"prompt\": \"a lake\""),
        "{said:#?}"
    );
    assert!(double.submits().is_empty(), "nobody was asked");
    let lake = [&submit[..], &["--yes", "--output", "lake.jpg"]].concat();
    desk.expect(0, &lake).await;
    assert_eq!(double.submits().len(), 1);
    assert!(fs::read(desk.dir.path().join("lake.jpg")).expect("a file").len() > 100);
    desk.expect(0, &["submit", "a lake", "--size", "64", "--watch"])
        .await;

    let desk = Desk::new().await;
    let said = desk.expect(6, &submit).await;
    assert!(said.err.contains("nothing was submitted"), "{said:#?}");
    let said = desk.expect(6, &[&submit[..], &["--yes"]].concat()).await;
    assert!(said.err.contains("generation_disabled"), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_tells_how_a_job_ended() {
    let desk = Desk::new().await;
    let fail = [
        "submit",
        "x",
        "--param",
        "rehearsal.act=fail",
        "--max-attempts",
        "1",
        "--watch",
    ];
    let said = desk.expect(1, &fail).await;
    assert!(
        said.err.contains("sketch_rehearsed_failure") && said.err.contains('→'),
        "{said:#?}"
    );
    let failed = said.out.lines().next().expect("an id").to_owned();

    let id = desk.system.client.submit(&slow(Duration::from_mins(1))).await;
    desk.system.client.until_status(&id, "running").await;
    let (watch, cancel) = (["watch", &id], ["cancel", &id, "--reason", "enough"]);
    let (_, cancelled) = tokio::join!(desk.expect(3, &watch), desk.expect(0, &cancel));
    assert!(cancelled.out.contains(&id), "{cancelled:#?}");
    desk.expect(0, &["cancel", &id]).await;
    let said = desk.expect(6, &["cancel", &failed]).await;
    assert!(said.err.contains("job_finished"), "{said:#?}");

    let said = desk.expect(4, &["job", UNKNOWN]).await;
    assert!(said.err.contains(UNKNOWN), "{said:#?}");
    let said = desk.expect(4, &["job", UNKNOWN, "--json"]).await;
    let problem: serde_json::Value = serde_json::from_str(&said.err).expect("a problem as JSON");
    assert_eq!(
        (&problem["exit"], &problem["code"]),
        (&4.into(), &"job_unknown".into())
    );
    let away = ["jobs", "--gateway", "http://127.0.0.1:1"];
    let said = desk.expect(5, &away).await;
    assert!(said.err.contains("does not answer"), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_says_what_would_be_right() {
    let desk = Desk::new().await;
    let said = desk.expect(2, &["submit", "x", "--param", "stps=4"]).await;
    assert!(said.err.contains("did you mean steps?"), "{said:#?}");
    let said = desk.expect(2, &["submit", "x", "--size", "100000"]).await;
    assert!(
        said.err.contains("width") && said.err.contains("4096"),
        "{said:#?}"
    );
    desk.expect(2, &["submit"]).await;
    desk.expect(2, &["jobs", "--status", "dancing"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_shown_held_and_repeated() {
    let desk = Desk::new().await;
    let arguments = [&["a held one", "--hold", "--tag", "later"], SMALL.as_slice()].concat();
    let id = desk.submit(&arguments).await;
    let said = desk.expect(0, &["jobs", "--status", "created"]).await;
    assert!(said.out.starts_with("ID ") && said.out.contains(&id), "{said:#?}");
    desk.expect(0, &["run", &id]).await;
    desk.expect(0, &["watch", &id]).await;
    let said = desk.expect(6, &["run", &id]).await;
    assert!(said.err.contains("job_finished"), "{said:#?}");

    let said = desk.expect(0, &["job", &id]).await;
    assert!(
        said.out.contains("succeeded") && said.out.contains("later"),
        "{said:#?}"
    );
    // the address of what it made can be fetched as it stands there
    let url = said
        .out
        .lines()
        .find_map(|line| line.strip_prefix("output  "))
        .expect("an output");
    let path = url
        .trim()
        .strip_prefix(desk.system.client.base())
        .expect("of this gateway");
    let (status, _) = desk.system.client.get(path).await;
    assert_eq!(status, 200);
    let said = desk.expect(0, &["events", &id]).await;
    for happened in ["submitted", "held", "released", "started", "succeeded"] {
        assert!(said.out.contains(happened), "{happened}: {said:#?}");
    }
    let said = desk.expect(0, &["events", &id, "--json"]).await;
    assert_eq!(said.json()[0]["kind"], "submitted");

    let said = desk.expect(0, &["retry", &id, "--watch"]).await;
    let again = said.out.lines().next().expect("an id").to_owned();
    assert_ne!(again, id);
    let said = desk.expect(0, &["job", &again, "--json"]).await;
    assert_eq!(said.json()[0]["retry_of"], id.as_str(), "{said:#?}");
    let said = desk.expect(0, &["jobs", "--json", "--backend", "sketch"]).await;
    assert_eq!(said.json().len(), 2, "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_the_settings_and_the_state_are_shown() {
    let desk = Desk::new().await;
    let said = desk.expect(0, &["workers"]).await;
    assert!(
        said.out.contains("w1") && said.out.contains("sketch 0/2"),
        "{said:#?}"
    );
    assert_eq!(desk.expect(0, &["workers", "--json"]).await.json()[0]["id"], "w1");
    let said = desk.expect(0, &["models"]).await;
    assert!(
        said.out.is_empty() && said.err.contains("no worker offers a model"),
        "{said:#?}"
    );
    let said = desk.expect(0, &["config", "check"]).await;
    let line = said
        .out
        .lines()
        .find(|line| line.starts_with("lease.time"))
        .expect("it");
    assert!(
        line.contains("2s") && line.contains("ORCHESTRATOR_LEASE_TIME"),
        "{line}"
    );
    assert!(desk.expect(0, &["config", "check", "--json"]).await.json().len() > 20);
    let said = desk.expect(0, &["doctor"]).await;
    for check in [
        "✓ settings",
        "✓ store",
        "✓ broker",
        "✓ jetstream",
        "✓ gateway",
        "✓ workers: w1",
    ] {
        assert!(said.out.contains(check), "{check}: {said:#?}");
    }
    assert!(
        desk.expect(0, &["doctor", "--json"])
            .await
            .json()
            .iter()
            .all(|found| found["ok"] == true)
    );
    let said = desk.expect(0, &["completions", "bash"]).await;
    assert!(said.out.contains("_orchestrator()"), "{}", said.out);
    let said = desk.expect(0, &["explain", "worker_lost"]).await;
    assert!(said.out.contains("worker_lost"), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_of_the_settings_are_told_at_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let text = "[lease]\ntime = \"soon\"\n[gateway]\nlisten = \"0.0.0.0:80\"\nlistne = 1\n";
    fs::write(dir.path().join("orchestrator.toml"), text).expect("written");
    let environment = Environment::from([("ORCHESTRATOR_SKETCH_SLOTS".into(), "0".into())]);
    for arguments in [&["gateway"][..], &["worker"], &["up"], &["config", "check"]] {
        let said = process::run(dir.path(), arguments, &environment).await;
        assert_eq!(said.code, Some(64), "{arguments:?}: {said:#?}");
        for fault in ["lease.time", "gateway.listen", "gateway.listne", "sketch.slots"] {
            assert!(said.err.contains(fault), "{arguments:?}, {fault}: {said:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_has_a_remedy_for_what_is_not_there() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let away = "127.0.0.1:1";
    let environment = Environment::from([
        ("ORCHESTRATOR_NATS_URL".into(), format!("nats://{away}")),
        ("ORCHESTRATOR_CLIENT_GATEWAY".into(), format!("http://{away}")),
        ("ORCHESTRATOR_COMFYUI_URL".into(), format!("http://{away}")),
    ]);
    let said = process::run(dir.path(), &["doctor"], &environment).await;
    assert_eq!(said.code, Some(1), "{said:#?}");
    for check in ["broker", "gateway", "comfyui"] {
        let lines: Vec<&str> = said.out.lines().collect();
        let at = lines
            .iter()
            .position(|line| line.starts_with(&format!("✗ {check}")));
        let at = at.unwrap_or_else(|| panic!("{check}: {said:#?}"));
        assert!(lines[at + 1].starts_with("  → "), "{check}: {said:#?}");
    }
}
