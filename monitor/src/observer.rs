//! The one task that owns the picture: takes in what is told and shows what follows from it.

use std::time::Duration;

use proto::{
    moment::Millis,
    v1::{Job, Progress, Worker},
};
use runtime::{admin::Readiness, bus::Bus, clock, records::FeedEvent, tasks::Stop};
use tokio::{
    sync::mpsc::Receiver,
    time::{MissedTickBehavior, interval},
};

use crate::{metrics::Metrics, picture::Picture, transition};

/// How often the numbers are shown anew.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// Where the news come from.
pub(crate) struct Feeds {
    pub(crate) records: Receiver<FeedEvent>,
    pub(crate) progress: Receiver<Progress>,
    pub(crate) workers: Receiver<Worker>,
}

/// Owns the picture.
pub(crate) struct Observer {
    bus: Bus,
    picture: Picture,
    metrics: Metrics,
    readiness: Readiness,
    /// Whether the past has been told; only what comes after it is counted and logged.
    live: bool,
    shown_at: Millis,
}

enum News {
    Record(FeedEvent),
    Progress(Progress),
    Worker(Worker),
    Tick,
}

impl Observer {
    pub(crate) fn new(bus: Bus, metrics: Metrics, readiness: Readiness) -> Self {
        let mut observer = Self {
            bus,
            picture: Picture::default(),
            metrics,
            readiness,
            live: false,
            shown_at: clock::now(),
        };
        observer.show(clock::now());
        observer
    }

    /// Runs until `stop`.
    pub(crate) async fn run(mut self, mut feeds: Feeds, stop: Stop) {
        let mut ticks = interval(SHOW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let news = tokio::select! {
                biased;
                () = stop.cancelled() => None,
                _ = ticks.tick() => Some(News::Tick),
                event = feeds.records.recv() => event.map(News::Record),
                worker = feeds.workers.recv() => worker.map(News::Worker),
                progress = feeds.progress.recv() => progress.map(News::Progress),
            };
            let Some(news) = news else { return };
            self.take(news, clock::now());
        }
    }

    fn take(&mut self, news: News, now: Millis) {
        match news {
            News::Record(FeedEvent::Record(job)) => self.take_record(&job, now),
            News::Record(FeedEvent::Gone(id, _)) => self.picture.remove(id),
            News::Record(FeedEvent::Reset) => {
                self.picture.forget_jobs();
                self.live = false;
                tracing::warn!("the records were made anew, reading them again");
            }
            News::Record(FeedEvent::CaughtUp) => {
                self.live = true;
                self.show(now);
            }
            News::Progress(progress) => {
                if let Some(backend) = self.picture.hear_progress(&progress, now) {
                    self.metrics.count_progress(backend);
                }
            }
            News::Worker(worker) => {
                let id = worker.id.clone();
                transition::log_arrival(&id, self.picture.hear_worker(worker, now));
            }
            News::Tick => self.tick(now),
        }
    }

    fn take_record(&mut self, job: &Job, now: Millis) {
        let events = self.picture.observe(job, now);
        if self.live {
            for event in events {
                self.metrics.count(job, event);
                transition::log(job, event);
            }
        }
    }

    fn tick(&mut self, now: Millis) {
        for worker in self.picture.fell_silent(self.shown_at, now) {
            transition::log_silence(worker);
        }
        self.picture.forget_long_silent(now);
        self.show(now);
    }

    fn show(&mut self, now: Millis) {
        let connected = self.bus.is_up();
        self.metrics.show(&self.picture.numbers(now), connected);
        let broker = if connected {
            Ok(())
        } else {
            Err("the broker does not answer".to_owned())
        };
        let records = if self.live {
            Ok(())
        } else {
            Err("the records are still being read".to_owned())
        };
        self.readiness.set("broker", broker);
        self.readiness.set("records", records);
        self.shown_at = now;
    }
}
