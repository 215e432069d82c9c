//! Live events: without a gap, with one end, however often the connection is cut.

use std::{collections::BTreeMap, time::Duration};

use e2e::{
    Client, System,
    client::{is_over, rehearsal, slow},
    patience::{LONG, until, within},
    sse::{Frame, Listener},
};
use futures::{StreamExt as _, stream};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use crate::story::{list, output};

/// What a client keeps of one job's stream over all of its connections.
#[derive(Debug, Default)]
struct Heard {
    frames: Vec<Frame>,
    seen: Option<String>,
    connections: u32,
}

impl Heard {
    fn take(&mut self, frame: Frame) {
        if frame.id.is_some() {
            self.seen.clone_from(&frame.id);
        }
        self.frames.push(frame);
    }

    fn of(&self, event: &str) -> Vec<Value> {
        let frames = self.frames.iter().filter(|frame| frame.event == event);
        frames.map(Frame::json).collect()
    }

    fn is_over(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.event == "end")
    }

    /// Listens for some time; gives back whether the stream ended by itself.
    async fn listen(&mut self, client: &Client, id: &str, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let path = format!("/api/jobs/{id}/stream");
        let Ok(Some(mut listener)) = Listener::open(client, &path, self.seen.as_deref()).await else {
            return false;
        };
        self.connections += 1;
        loop {
            match timeout_at(deadline, listener.next()).await {
                Ok(Some(frame)) => self.take(frame),
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// The numbers of the transitions are 1, 2, 3 … and the last one is the only end.
    fn check(&self, job: &Value) {
        let transitions = self.of("transition");
        let numbers: Vec<u64> = transitions
            .iter()
            .filter_map(|event| event["number"].as_u64())
            .collect();
        let expected: Vec<u64> = (1..=list(job, "timeline").len() as u64).collect();
        assert_eq!(
            numbers, expected,
            "over {} connections: {:#?}",
            self.connections, self.frames
        );
        let ends = transitions
            .iter()
            .filter(|event| event["kind"].as_str().is_some_and(is_over));
        assert_eq!(ends.count(), 1, "{transitions:#?}");
        assert_eq!(transitions.last().expect("some")["kind"], job["status"]);
        assert_eq!(self.of("end").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_is_told_from_its_beginning_to_its_end() {
    let system = System::start().await;
    let client = &system.client;
    let id = client.submit(&slow(Duration::from_secs(2))).await;
    let mut heard = Heard::default();
    assert!(heard.listen(client, &id, LONG).await, "the stream ends by itself");
    assert!(heard.is_over(), "{:#?}", heard.frames);
    let job = client.until_status(&id, "succeeded").await;
    heard.check(&job);
    let records = heard.of("job");
    assert_eq!(records.last(), Some(&job), "the last record is the newest");
    assert!(
        records.iter().any(|record| record["status"] == "running"),
        "{records:#?}"
    );

    // a second look at what is over, from its beginning
    let mut late = Heard::default();
    assert!(late.listen(client, &id, LONG).await);
    late.check(&job);
    // a browser that comes back after the end is told to stay away
    let path = format!("/api/jobs/{id}/stream");
    let after_end = Listener::open(client, &path, heard.seen.as_deref()).await;
    assert!(matches!(after_end, Ok(None)), "{after_end:?}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_and_previews_appear() {
    let system = System::start().await;
    let client = &system.client;
    let id = client.submit(&slow(Duration::from_secs(4))).await;
    let path = format!("/api/jobs/{id}/stream");
    let mut listener = Listener::open(client, &path, None)
        .await
        .expect("an answer")
        .expect("a stream");
    let mut fractions: Vec<f64> = Vec::new();
    let mut previews = 0;
    while let Some(frame) = listener.next().await {
        let told = frame.json();
        if frame.event != "progress" {
            continue;
        }
        assert_eq!(told["job"], id.as_str());
        fractions.push(told["fraction"].as_f64().unwrap_or_default());
        let Some(url) = told["preview_url"].as_str() else {
            continue;
        };
        if previews == 0 {
            let preview = client.request(Method::GET, url).send().await.expect("an answer");
            assert_eq!(
                (preview.status(), &preview.headers()["content-type"]),
                (StatusCode::OK, &"image/jpeg".parse().expect("a value"))
            );
            let content = preview.bytes().await.expect("a picture");
            assert!(content.starts_with(b"\xff\xd8"), "a JPEG");
        }
        previews += 1;
    }
    assert!(fractions.len() >= 5 && previews >= 3, "{fractions:?}, {previews}");
    assert!(
        fractions.is_sorted() && *fractions.last().expect("some") > 0.5,
        "{fractions:?}"
    );
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_again_and_again_misses_nothing() {
    let system = System::start().await;
    let client = &system.client;
    // it fails once, so that there are transitions in the middle as well
    let mut request = slow(Duration::from_secs(4));
    request["sketch"]["rehearsal"]["act"] = "fail".into();
    request["sketch"]["rehearsal"]["until_attempt"] = 1.into();
    let failing = client.submit(&request).await;
    let slow = client.submit(&slow(Duration::from_secs(4))).await;
    for (id, connections) in [(failing, 1), (slow, 8)] {
        let mut heard = Heard::default();
        let mut cuts = [100, 170, 230, 300].iter().cycle();
        let deadline = Instant::now() + LONG;
        while !heard.is_over() {
            let time = Duration::from_millis(*cuts.next().expect("endless"));
            heard.listen(client, &id, time).await;
            assert!(Instant::now() < deadline, "{heard:#?}");
        }
        let job = client.until_status(&id, "succeeded").await;
        heard.check(&job);
        assert!(heard.connections >= connections, "{heard:#?}");
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_gateway_goes_on_where_the_first_one_stopped() {
    let mut system = System::start().await;
    let id = system.client.submit(&slow(Duration::from_secs(6))).await;
    let mut heard = Heard::default();
    for _ in 0..2 {
        heard
            .listen(&system.client, &id, Duration::from_millis(700))
            .await;
        system.replace_gateway().await;
    }
    assert!(!heard.is_over(), "replaced in the middle: {heard:#?}");
    assert!(heard.listen(&system.client, &id, LONG).await);
    assert_eq!(heard.connections, 3);
    let job = system.client.until_status(&id, "succeeded").await;
    heard.check(&job);
    assert_eq!(job["attempt"], 1, "the job did not notice the gateways: {job:#}");
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_ends_its_streams_without_an_end() {
    let mut system = System::start().await;
    let id = system.client.submit(&slow(Duration::from_secs(20))).await;
    system.client.until_status(&id, "running").await;
    let client = system.client.clone();
    let mut heard = Heard::default();
    let gateway = system.gateway.take().expect("it runs");
    let (ended, ()) = futures::join!(heard.listen(&client, &id, LONG), async {
        // only once it is connected
        until("the gateway to stream", || async {
            client.job(&id).await["status"].is_string().then_some(())
        })
        .await;
        gateway.stop().await;
    });
    assert!(
        !heard.is_over() && (ended || heard.connections == 0),
        "{heard:#?}"
    );
    system.replace_gateway().await;
    system.client.cancel(&id).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_all_jobs_is_resumed_where_it_was_left() {
    let system = System::start().await;
    let client = &system.client;
    let open = async |seen: Option<&str>| {
        let opened = Listener::open(client, "/api/jobs/stream", seen).await;
        opened.expect("an answer").expect("a stream")
    };
    let before = client.submit_sketch("before").await;
    client.until_status(&before, "succeeded").await;

    let mut listener = open(None).await;
    let first = client.submit_sketch("heard").await;
    let mut seen = None;
    let over = async {
        while let Some(frame) = listener.next().await {
            if frame.event != "job" {
                continue;
            }
            let job = frame.json();
            assert_eq!(job["id"], first.as_str(), "only what comes from now on");
            seen = frame.id;
            if job["status"] == "succeeded" {
                break;
            }
        }
    };
    timeout(LONG, over).await.expect("the end of the first job");
    drop(listener);

    let mut missed = Vec::new();
    for prompt in ["missed", "as well", "and this"] {
        missed.push(client.submit_sketch(prompt).await);
    }
    for id in &missed {
        client.until_status(id, "succeeded").await;
    }
    let mut listener = open(seen.as_deref()).await;
    let mut told = BTreeMap::new();
    let all = async {
        while told.values().filter(|status| *status == "succeeded").count() < missed.len() {
            let frame = listener.next().await.expect("it has no end");
            let job = frame.json();
            if frame.event == "job" {
                let text = |name: &str| job[name].as_str().expect("text").to_owned();
                told.insert(text("id"), text("status"));
            }
        }
    };
    timeout(LONG, all).await.expect("all that was missed");
    missed.sort();
    assert_eq!(
        told.into_keys().collect::<Vec<_>>(),
        missed,
        "and nothing that was seen before"
    );
    system.stop().await;
}

/// Workers and the gateway write at the same time, so the gateway knows of its own writes before it hears
/// of the others'.
#[tokio::test(flavor = "multi_thread")]
async fn the_stream_of_all_jobs_leaves_nothing_out_in_a_crowd() {
    let system = System::start_with(&[("ORCHESTRATOR_SKETCH_SLOTS", "16")]).await;
    let client = &system.client;
    let mut listener = Listener::open(client, "/api/jobs/stream", None)
        .await
        .expect("an answer")
        .expect("a stream");
    let jobs = stream::iter(0..400).map(|number| async move {
        let id = client.submit(&rehearsal("noop")).await;
        if number % 2 == 0 {
            client.cancel(&id).await;
        }
        id
    });
    let (ids, told) = futures::join!(jobs.buffer_unordered(32).collect::<Vec<_>>(), async {
        let mut told: BTreeMap<String, String> = BTreeMap::new();
        // ends when nothing more comes
        while let Ok(Some(frame)) = timeout(Duration::from_secs(5), listener.next()).await {
            if frame.event == "job" {
                let job = frame.json();
                let text = |name: &str| job[name].as_str().expect("text").to_owned();
                told.insert(text("id"), text("status"));
            }
        }
        told
    });
    let open: Vec<_> = ids
        .iter()
        .map(|id| (id, told.get(id).map_or("never heard of", String::as_str)))
        .filter(|(_, status)| !is_over(status))
        .collect();
    assert_eq!(open, [], "of {} jobs", ids.len());
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_marks_of_what_was_seen_do_no_harm() {
    let system = System::start().await;
    let client = &system.client;
    let id = client.submit_sketch("done").await;
    let job = client.until_status(&id, "succeeded").await;
    assert!(!output(&job).is_empty());
    for odd in ["", "nonsense", "7", "-1-2", "99999999999999999999-1"] {
        let mut heard = Heard {
            seen: Some(odd.to_owned()),
            ..Heard::default()
        };
        assert!(heard.listen(client, &id, LONG).await, "{odd}");
        heard.check(&job);
    }
    let gone = client
        .get("/api/jobs/018f0000-0000-7000-8000-000000000000/stream")
        .await;
    assert_eq!(
        (gone.0, &gone.1["code"]),
        (StatusCode::NOT_FOUND, &"job_unknown".into())
    );
    within(LONG, "the gateway to be well", || async {
        (client.get("/readyz").await.0 == StatusCode::OK).then_some(())
    })
    .await;
    system.stop().await;
}
