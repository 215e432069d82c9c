//! The checks, each on its own: what it looks at, what it finds, what would help.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::fmt::rfc2822;
use runtime::{
    bus::Bus,
    clock,
    settings::{ByteSize, Fault},
    store::StoreSettings,
    telemetry,
};
use sysinfo::Disks;
use url::Url;

use super::{Finding, hosts};
use crate::{client::Client, fleet, settings::Settings};

/// Less free space than this is told as a fault.
const ENOUGH_SPACE: ByteSize = ByteSize(1 << 30);
/// Clocks that differ by more (milliseconds) confuse times, deadlines and leases.
const CLOCK_TOLERANCE: i64 = 2_000;
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// The settings themselves.
pub(super) fn settings(faults: &[Fault]) -> Vec<Finding> {
    if faults.is_empty() {
        return vec![Finding::good("settings", "without fault")];
    }
    let remedy = "Correct it; `orchestrator config check` shows where each value comes from.";
    faults
        .iter()
        .map(|fault| Finding::bad("settings", fault.to_string(), remedy))
        .collect()
}

/// Space where data are kept on this machine.
pub(super) fn disk(settings: &Settings) -> Vec<Finding> {
    let mut places = Vec::new();
    if !settings.is_set("nats.url") {
        places.push(("broker.dir", settings.broker.dir.clone()));
    }
    if let Some(dir) = directory(&settings.store) {
        places.push(("artifacts.url", dir));
    }
    let Ok(disks) = Disks::new_with_refreshed_list() else {
        let remedy = "Look with the means of the system.";
        return vec![Finding::bad("disk", "the disks cannot be listed", remedy)];
    };
    let mounts: Vec<(PathBuf, u64)> = disks
        .iter()
        .map(|disk| (disk.mount_point().to_owned(), disk.available_space()))
        .collect();
    places.iter().map(|(key, dir)| space(key, dir, &mounts)).collect()
}

fn space(key: &str, dir: &Path, mounts: &[(PathBuf, u64)]) -> Finding {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let mount = mounts
        .iter()
        .filter(|(mount, _)| dir.starts_with(mount))
        .max_by_key(|(mount, _)| mount.components().count());
    let Some((_, free)) = mount else {
        let message = format!("{}: its disk is not known to the system", dir.display());
        return Finding::good("disk", message);
    };
    let message = format!("{} free for {} ({key})", ByteSize(*free), dir.display());
    if *free >= ENOUGH_SPACE.0 {
        Finding::good("disk", message)
    } else {
        Finding::bad(
            "disk",
            message,
            format!("Free some space, or set {key} to another disk."),
        )
    }
}

/// The directory of a store that is one.
fn directory(store: &StoreSettings) -> Option<PathBuf> {
    (!store.url.starts_with("s3://"))
        .then(|| PathBuf::from(store.url.strip_prefix("file://").unwrap_or(&store.url)))
}

/// Whether artifacts can be written and read.
pub(super) async fn store(settings: &StoreSettings) -> Finding {
    let remedy = "Check artifacts.url, its permissions and its credentials.";
    let store = match settings.open() {
        Ok(store) => store,
        Err(error) => return Finding::bad("store", telemetry::chain(&error), remedy),
    };
    match tokio::time::timeout(PATIENCE * 2, store.probe()).await {
        Ok(Ok(())) => Finding::good("store", format!("{} can be written and read", settings.url)),
        Ok(Err(error)) => Finding::bad(
            "store",
            format!("{}: {}", settings.url, telemetry::chain(&error)),
            remedy,
        ),
        Err(_) => Finding::bad("store", format!("{} does not answer", settings.url), remedy),
    }
}

/// Whether the broker can be reached, is new enough, and JetStream answers.
pub(super) async fn broker(settings: &Settings) -> Vec<Finding> {
    let mut bus = settings.bus.clone();
    if !settings.is_set("nats.url") {
        bus.url = format!("nats://{}", settings.broker.listen);
    }
    let connected = match Bus::connect(&bus, "doctor").await {
        Ok(connected) => connected,
        Err(error) => {
            let remedy = if settings.is_set("nats.url") {
                "Start nats-server there (2.14.1 or newer, with JetStream), or correct nats.url and its credentials."
            } else {
                "Start everything with `orchestrator up`, or set nats.url to a server that runs elsewhere."
            };
            let message = format!("{}: {}", bus.url, telemetry::chain(&error));
            return vec![Finding::bad("broker", message, remedy)];
        }
    };
    let version = Finding::good(
        "broker",
        format!("nats-server {} on {}", connected.server_version(), bus.url),
    );
    let answer = match connected.probe().await {
        Ok(took) => {
            let millis = took.as_secs_f64() * 1_000.0;
            Finding::good(
                "jetstream",
                format!("answers in {millis:.1} ms; the streams are as they should be"),
            )
        }
        Err(error) => Finding::bad(
            "jetstream",
            telemetry::chain(&error),
            "Start nats-server with JetStream on, and look at its log.",
        ),
    };
    vec![version, answer]
}

/// Whether the gateway answers over HTTP and gRPC, whether its clock agrees, and whether a worker is here.
pub(super) async fn gateway(url: &Url) -> Vec<Finding> {
    let mut findings = over_http(url).await;
    let client = match Client::connect(url).await {
        Ok(client) => client,
        Err(problem) => {
            let remedy = problem.remedy.unwrap_or_default();
            findings.push(Finding::bad("gateway", problem.detail, remedy));
            return findings;
        }
    };
    let workers = client.workers().await;
    let hosts = workers.as_deref().map(hosts::of_fleet).unwrap_or_default();
    findings.push(match workers {
        Ok(workers) if workers.is_empty() => Finding::bad(
            "workers",
            "no worker is here, so that no job can start",
            "Start one with `orchestrator worker` on a host with ComfyUI, or everything with `orchestrator up`.",
        ),
        Ok(workers) => {
            let told = workers.iter().map(|worker| {
                let offers: Vec<String> = worker.backends.iter().map(fleet::offer).collect();
                format!("{} ({})", worker.id, offers.join(", "))
            });
            Finding::good("workers", told.collect::<Vec<_>>().join(", "))
        }
        Err(problem) => Finding::bad(
            "gateway",
            problem.detail,
            problem.remedy.unwrap_or_else(|| "Look at the gateway's log.".to_owned()),
        ),
    });
    findings.extend(hosts);
    findings
}

async fn over_http(url: &Url) -> Vec<Finding> {
    let ready = format!("{}/readyz", url.as_str().trim_end_matches('/'));
    let http = reqwest::Client::builder().timeout(PATIENCE).build();
    let sent = match http {
        Ok(http) => {
            let asked_at = clock::now();
            http.get(&ready).send().await.map(|answer| (answer, asked_at))
        }
        Err(error) => Err(error),
    };
    let (answer, asked_at) = match sent {
        Ok(sent) => sent,
        Err(error) => {
            let message = format!("{url}: {}", telemetry::chain(&error));
            let remedy = "Start it with `orchestrator up` or `orchestrator gateway`, or set client.gateway.";
            return vec![Finding::bad("gateway", message, remedy)];
        }
    };
    let date = answer.headers().get(reqwest::header::DATE);
    let date = date.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = answer.status();
    let said = answer.text().await.unwrap_or_default();
    let mut findings = vec![if status.is_success() {
        Finding::good("gateway", format!("{url} is ready"))
    } else {
        let message = format!("{url} is not ready ({status}): {}", said.trim());
        Finding::bad(
            "gateway",
            message,
            "Look at the part that it names, and at its log.",
        )
    }];
    findings.extend(date.and_then(|date| clock_finding(&date, asked_at, clock::now())));
    findings
}

/// Compares the `Date` of an answer with our own time when it was asked and answered; `None` where the date
/// cannot be read.
fn clock_finding(date: &str, asked_at: i64, answered_at: i64) -> Option<Finding> {
    let theirs = rfc2822::parse(date).ok()?.timestamp().as_millisecond();
    // the header has whole seconds: the true time lies within the second that it names
    let ahead = (theirs - answered_at).max(0);
    let behind = (asked_at - (theirs + 999)).max(0);
    let apart = ahead.max(behind);
    Some(if apart <= CLOCK_TOLERANCE {
        Finding::good("clock", "agrees with the gateway's")
    } else {
        let message = format!("differs from the gateway's by {:.0} s", apart as f64 / 1_000.0);
        Finding::bad("clock", message, "Let both machines take their time from NTP.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_a_little() {
        // 12:00:00 is 1_767_268_800_000
        let date = "Thu, 01 Jan 2026 12:00:00 GMT";
        let ok = |asked: i64, answered: i64| {
            clock_finding(date, 1_767_268_800_000 + asked, 1_767_268_800_000 + answered)
                .map(|finding| finding.ok)
        };
        assert_eq!(ok(900, 950), Some(true));
        assert_eq!(ok(-100, 1_900), Some(true));
        assert_eq!(ok(10_000, 10_010), Some(false));
        assert_eq!(ok(-10_000, -9_990), Some(false));
        assert_eq!(clock_finding("yesterday", 0, 0), None);
    }

    #[test]
    fn space_is_that_of_the_nearest_mount() {
        let here = std::path::absolute("data").expect("a directory");
        let root = here.ancestors().last().expect("a root").to_owned();
        let parent = here.parent().expect("a parent").to_owned();
        let mounts = [(root, 5 << 30), (parent, 1 << 20)];
        let finding = space("broker.dir", Path::new("data"), &mounts);
        assert!(
            !finding.ok && finding.message.starts_with("1.0 MiB free"),
            "{finding:?}"
        );
        assert!(space("broker.dir", Path::new("data"), &mounts[..1]).ok);
    }

    #[test]
    fn every_fault_of_the_settings_is_a_finding() {
        let fault = Fault {
            key: "nats.url".into(),
            origin: "orchestrator.toml".into(),
            message: "is wrong".into(),
        };
        assert!(settings(&[])[0].ok);
        assert_eq!(settings(&[fault.clone(), fault]).len(), 2);
    }
}
