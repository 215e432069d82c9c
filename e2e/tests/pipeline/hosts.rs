//! Calls to one worker: who answers, who has left, who is silent.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use e2e::{TestBroker, patience::until, system::bus_of};
use futures::{Stream, StreamExt as _, stream};
use proto::{
    ids::WorkerId,
    v1::{HostCall, HostLog, HostReply, LogCall, StatusCall, host_call::Call, host_reply::Body},
};
use runtime::{
    calls::{self, answer_host, ask_host, ask_host_within},
    tasks::{Stop, Tasks},
};

type Replies = Pin<Box<dyn Stream<Item = HostReply> + Send>>;

fn name(text: &str) -> WorkerId {
    text.parse().expect("a name")
}

fn call(lines: u32) -> HostCall {
    HostCall {
        call: Some(Call::Log(LogCall { lines })),
    }
}

fn line(text: &str) -> Body {
    Body::Log(HostLog {
        lines: vec![text.to_owned()],
    })
}

fn code(reply: &HostReply) -> &str {
    match &reply.body {
        Some(Body::Failure(failure)) => &failure.code,
        other => panic!("a failure, not {other:?}"),
    }
}

/// A worker that answers calls by a function, and the bus that it is asked over.
struct Scene {
    broker: TestBroker,
    asker: runtime::bus::Bus,
    tasks: Tasks,
    stop: Stop,
}

impl Scene {
    async fn with(handler: impl Fn(HostCall) -> Replies + Send + Sync + 'static) -> Self {
        let broker = TestBroker::start().await;
        let asker = bus_of(&broker, "asker").await;
        let bus = bus_of(&broker, "worker").await;
        let stop = Stop::new();
        let mut tasks = Tasks::new(stop.clone());
        let ending = stop.clone();
        tasks.start("host", async move {
            answer_host(bus, &name("w1"), ending, handler).await;
        });
        let scene = Self {
            broker,
            asker,
            tasks,
            stop,
        };
        let status = HostCall {
            call: Some(Call::Status(StatusCall {})),
        };
        until("the worker to listen", || async {
            let replies: Vec<HostReply> = ask_host(&scene.asker, &name("w1"), &status).collect().await;
            let there = replies.last().is_some_and(|reply| {
                !matches!(&reply.body, Some(Body::Failure(failure)) if failure.code == "worker_unreachable")
            });
            there.then_some(())
        })
        .await;
        scene
    }

    async fn end(mut self) {
        self.stop.cancel();
        self.tasks
            .run(Duration::from_secs(5))
            .await
            .expect("it ends in order");
        self.broker.kill().await;
    }
}

fn of_log(call: &HostCall) -> Option<u32> {
    match &call.call {
        Some(Call::Log(log)) => Some(log.lines),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_come_in_order_and_end_with_the_last() {
    let scene = Scene::with(|call| {
        let count = of_log(&call).unwrap_or(1);
        let replies = (1..=count).map(move |number| HostReply {
            last: number == count,
            body: Some(line(&number.to_string())),
        });
        // what follows the last reply is never asked for
        Box::pin(stream::iter(replies).chain(stream::pending()))
    })
    .await;
    let replies: Vec<HostReply> = ask_host(&scene.asker, &name("w1"), &call(2_000)).collect().await;
    let texts: Vec<String> = replies
        .iter()
        .map(|reply| match &reply.body {
            Some(Body::Log(log)) => log.lines[0].clone(),
            other => panic!("a line, not {other:?}"),
        })
        .collect();
    assert_eq!(
        texts,
        (1..=2_000).map(|number| number.to_string()).collect::<Vec<_>>()
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_told_at_once() {
    let mut broker = TestBroker::start().await;
    let bus = bus_of(&broker, "asker").await;
    let asked = std::time::Instant::now();
    let replies: Vec<HostReply> = ask_host(&bus, &name("nobody"), &call(1)).collect().await;
    assert_eq!((replies.len(), code(&replies[0])), (1, "worker_unreachable"));
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    broker.kill().await;
    until("the loss to be noticed", || async {
        let replies: Vec<HostReply> =
            ask_host_within(&bus, &name("nobody"), &call(1), Duration::from_secs(1))
                .collect()
                .await;
        (code(&replies[0]) == "broker_unavailable").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_a_call_and_a_word_without_content_prolongs_it() {
    let scene = Scene::with(|call| match of_log(&call) {
        Some(1) => Box::pin(stream::iter([calls::more(line("one"))]).chain(stream::pending())),
        Some(_) => {
            let alive = tokio_stream::StreamExt::throttle(
                stream::repeat(HostReply::default()),
                Duration::from_millis(200),
            );
            Box::pin(alive.take(6).chain(stream::iter([calls::last(line("done"))])))
        }
        None => Box::pin(stream::iter([calls::last(line("here"))])),
    })
    .await;
    let silence = Duration::from_millis(700);
    let replies: Vec<HostReply> = ask_host_within(&scene.asker, &name("w1"), &call(1), silence)
        .collect()
        .await;
    assert_eq!(replies.len(), 2, "{replies:?}");
    assert_eq!((code(&replies[1]), replies[1].last), ("worker_silent", true));
    let replies: Vec<HostReply> = ask_host_within(&scene.asker, &name("w1"), &call(2), silence)
        .collect()
        .await;
    let last = replies.last().expect("a reply");
    assert_eq!(last.body, Some(line("done")), "{replies:?}");
    scene.end().await;
}

/// Counts how many of it are alive.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers calls for a log with keep-alives without end.
fn endless(count: &Arc<AtomicUsize>) -> impl Fn(HostCall) -> Replies + Send + Sync + 'static {
    let count = Arc::clone(count);
    move |call| {
        if of_log(&call).is_none() {
            return Box::pin(stream::iter([calls::last(line("here"))]));
        }
        let alive = Alive::new(&count);
        let replies = tokio_stream::StreamExt::throttle(
            stream::repeat(HostReply::default()),
            Duration::from_millis(50),
        );
        Box::pin(replies.inspect(move |_| assert!(alive.0.load(Ordering::SeqCst) > 0)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_on_for_who_has_left() {
    let count = Arc::new(AtomicUsize::new(0));
    let scene = Scene::with(endless(&count)).await;
    let mut replies = Box::pin(ask_host(&scene.asker, &name("w1"), &call(1)));
    replies.next().await.expect("a first reply");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    drop(replies);
    until("the answer to be dropped", || async {
        (count.load(Ordering::SeqCst) == 0).then_some(())
    })
    .await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_calls_at_once_and_no_more() {
    let count = Arc::new(AtomicUsize::new(0));
    let scene = Scene::with(endless(&count)).await;
    let mut open = Vec::new();
    for _ in 0..16 {
        let mut replies = Box::pin(ask_host(&scene.asker, &name("w1"), &call(1)));
        assert!(!replies.next().await.expect("a first reply").last);
        open.push(replies);
    }
    let refused: Vec<HostReply> = ask_host(&scene.asker, &name("w1"), &call(1)).collect().await;
    assert_eq!((refused.len(), code(&refused[0])), (1, "host_busy"));
    open.pop();
    until("a place to be free", || async {
        let mut replies = Box::pin(ask_host(&scene.asker, &name("w1"), &call(1)));
        (!replies.next().await?.last).then_some(())
    })
    .await;
    scene.stop.cancel();
    let mut replies = open.pop().expect("an open call");
    let last = loop {
        let reply = replies.next().await.expect("a last reply");
        if reply.last {
            break reply;
        }
    };
    assert_eq!(code(&last), "worker_unreachable", "who stops says so");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_crashes_or_breaks_off_is_told() {
    let scene = Scene::with(|call| match of_log(&call) {
        Some(1) => Box::pin(stream::once(async { panic!("fell over") })),
        Some(2) => Box::pin(stream::empty()),
        Some(_) => {
            let huge = line(&"x".repeat(4 * 1024 * 1024));
            Box::pin(stream::iter([calls::last(huge)]))
        }
        None => Box::pin(stream::iter([calls::last(line("here"))])),
    })
    .await;
    for lines in 1..=3 {
        let asked = std::time::Instant::now();
        let replies: Vec<HostReply> = ask_host(&scene.asker, &name("w1"), &call(lines)).collect().await;
        assert_eq!(
            (replies.len(), code(&replies[0])),
            (1, "worker_panicked"),
            "{lines}"
        );
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{lines}: {:?}",
            asked.elapsed()
        );
    }
    scene.end().await;
}
