//! Takes tokens from lanes, in the order of their priority, as many as there are free slots.
//!
//! Pull requests are written by hand. The library's `fetch` can wait for ever after a lost request, and
//! one pull a lane has to stay open so that an idle worker starts a job without asking first.
//!
//! A pull that stays open can deliver more than there are slots, when several lanes wake at once. What
//! arrives without a free slot is given back and goes to whoever asks next.

use std::{collections::BTreeMap, time::Duration};

use async_nats::{Client, StatusCode, Subject, Subscriber};
use futures::StreamExt as _;
use proto::{Backend, Priority, topology};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{Delivery, Queue};
use crate::bus::BusError;

/// How long a pull stays open.
const OPEN_FOR: Duration = Duration::from_secs(20);
/// After this time without an answer a pull counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(25);
/// Every so many scans the least urgent lane is asked first, so that it always moves.
const LOW_FIRST_EVERY: u32 = 10;

/// One lane of one priority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneKey {
    /// 0 is asked first.
    pub rank: u8,
    /// The routing key.
    pub lane: String,
}

impl LaneKey {
    /// The lanes of a routing key, one for each priority.
    pub fn all(lane: &str) -> impl Iterator<Item = (Self, Priority)> {
        [Priority::High, Priority::Normal, Priority::Low]
            .into_iter()
            .zip(0..)
            .map({
                let lane = lane.to_owned();
                move |(priority, rank)| {
                    (
                        Self {
                            rank,
                            lane: lane.clone(),
                        },
                        priority,
                    )
                }
            })
    }
}

/// What the intake came up with.
#[derive(Debug)]
pub enum Taken {
    /// A token.
    Token(Box<Delivery>),
    /// Nothing yet; look at the lanes and the free slots again.
    Nothing,
}

#[derive(Debug)]
struct LaneState {
    consumer: String,
    /// Tokens that the open pull may still deliver.
    open: usize,
    opened: Instant,
    /// Whether the last pull found the lane empty.
    empty: bool,
}

/// The lanes of one backend.
#[derive(Debug)]
pub struct Intake {
    queue: Queue,
    client: Client,
    backend: Backend,
    lanes: BTreeMap<LaneKey, LaneState>,
    inbox: String,
    answers: Subscriber,
    dropped: mpsc::UnboundedReceiver<Subject>,
    drop_sender: mpsc::UnboundedSender<Subject>,
    scans: u32,
    connections: watch::Receiver<u64>,
}

impl Intake {
    /// An intake without lanes.
    ///
    /// # Errors
    /// From the broker.
    pub async fn open(queue: Queue, backend: Backend) -> Result<Self, BusError> {
        let client = queue.bus().client().clone();
        let inbox = client.new_inbox();
        let answers = client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(|error| BusError::unavailable("subscribe to the intake", error))?;
        let (drop_sender, dropped) = mpsc::unbounded_channel();
        let connections = queue.bus().connections();
        Ok(Self {
            queue,
            client,
            backend,
            lanes: BTreeMap::new(),
            inbox,
            answers,
            dropped,
            drop_sender,
            scans: 0,
            connections,
        })
    }

    /// Pulls from the lanes of exactly these routing keys from now on.
    ///
    /// # Errors
    /// From the broker; call it again then.
    pub async fn set_lanes(&mut self, keys: &[String]) -> Result<(), BusError> {
        self.lanes.retain(|key, _| keys.contains(&key.lane));
        for (key, priority) in keys.iter().flat_map(|lane| LaneKey::all(lane)) {
            if !self.lanes.contains_key(&key) {
                let consumer = self.queue.open_lane(self.backend, priority, &key.lane).await?;
                let opened = Instant::now();
                self.lanes.insert(
                    key,
                    LaneState {
                        consumer,
                        open: 0,
                        opened,
                        empty: false,
                    },
                );
            }
        }
        Ok(())
    }

    /// Waits for the next token, with `free` slots to fill. Cancel safe.
    pub async fn next(&mut self, free: usize) -> Taken {
        if free > 0 {
            self.ask(free).await;
        }
        tokio::select! {
            biased;
            Some(ack) = self.dropped.recv() => {
                self.give_back(ack).await;
                Taken::Nothing
            }
            Ok(()) = self.connections.changed() => {
                self.forget_pulls();
                Taken::Nothing
            }
            answer = self.answers.next() => match answer {
                Some(message) => self.take(message, free).await,
                None => std::future::pending().await,
            },
            () = tokio::time::sleep(Duration::from_secs(5)) => {
                self.forget_lost_pulls();
                Taken::Nothing
            }
        }
    }

    /// Leaves a pull open on every lane that was found empty, and asks the most urgent one of the others.
    async fn ask(&mut self, free: usize) {
        self.scans = self.scans.wrapping_add(1);
        let empty: Vec<LaneKey> = self
            .lanes
            .iter()
            .filter(|(_, lane)| lane.empty && lane.open == 0)
            .map(|(key, _)| key.clone())
            .collect();
        for key in empty {
            self.pull(&key, free, Some(OPEN_FOR)).await;
        }
        let outstanding: usize = self
            .lanes
            .values()
            .filter(|lane| !lane.empty)
            .map(|lane| lane.open)
            .sum();
        if outstanding >= free {
            return;
        }
        let mut askable = self
            .lanes
            .iter()
            .filter(|(_, lane)| !lane.empty && lane.open == 0)
            .map(|(key, _)| key);
        let low_first = self.scans.is_multiple_of(LOW_FIRST_EVERY);
        let chosen = if low_first {
            askable.next_back()
        } else {
            askable.next()
        };
        if let Some(key) = chosen.cloned() {
            self.pull(&key, free - outstanding, None).await;
        }
    }

    async fn pull(&mut self, key: &LaneKey, batch: usize, open_for: Option<Duration>) {
        let Some(place) = self.lanes.keys().position(|other| other == key) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", topology::QUEUE, lane.consumer);
        let request = match open_for {
            Some(time) => format!("{{\"batch\":{batch},\"expires\":{}}}", time.as_nanos()),
            None => format!("{{\"batch\":{batch},\"no_wait\":true}}"),
        };
        let reply = format!("{}.{place}", self.inbox);
        if let Err(error) = self
            .client
            .publish_with_reply(subject, reply, request.into())
            .await
        {
            return tracing::debug!(%error, "a pull could not be sent");
        }
        lane.open = batch;
        lane.opened = Instant::now();
    }

    async fn take(&mut self, message: async_nats::Message, free: usize) -> Taken {
        if let Some(status) = message.status {
            self.note_status(status, &message);
            return Taken::Nothing;
        }
        if let Some(lane) = self.lane_of(&message) {
            lane.open = lane.open.saturating_sub(1);
            lane.empty = false;
        }
        if free == 0 {
            if let Some(ack) = message.reply {
                self.give_back(ack).await;
            }
            return Taken::Nothing;
        }
        Delivery::read(message, self.client.clone(), self.drop_sender.clone())
            .map_or(Taken::Nothing, |delivery| Taken::Token(Box::new(delivery)))
    }

    /// 404 and 408 end a pull without (further) tokens; a 503 means that nobody serves the consumer now.
    fn note_status(&mut self, status: StatusCode, message: &async_nats::Message) {
        let description = message.description.clone().unwrap_or_default();
        let place = place_of(&message.subject);
        let Some((_, lane)) = place.and_then(|place| self.lanes.iter_mut().nth(place)) else {
            return;
        };
        lane.open = 0;
        lane.empty = matches!(status, StatusCode::NOT_FOUND | StatusCode::TIMEOUT);
        if !lane.empty {
            tracing::debug!(%status, description, consumer = lane.consumer, "a pull ended");
        }
    }

    fn lane_of(&mut self, message: &async_nats::Message) -> Option<&mut LaneState> {
        let mut parts = message.subject.split('.').skip(2);
        let (backend, priority, lane) = (parts.next()?, parts.next()?, parts.next()?);
        debug_assert_eq!(
            backend,
            self.backend.as_str_name(),
            "a consumer of this backend delivered it"
        );
        self.lanes.iter_mut().find_map(|(key, state)| {
            let own = Priority::from_str_name(priority).is_some_and(|priority| rank(priority) == key.rank);
            (own && key.lane == lane).then_some(state)
        })
    }

    async fn give_back(&self, ack: Subject) {
        if let Err(error) = self.client.publish(ack, "-NAK".into()).await {
            tracing::debug!(%error, "a token could not be given back");
        }
    }

    /// A new connection knows nothing of the pulls of the one before.
    fn forget_pulls(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.open = 0;
            lane.empty = false;
        }
    }

    fn forget_lost_pulls(&mut self) {
        for lane in self.lanes.values_mut() {
            if lane.open > 0 && lane.opened.elapsed() > LOST_AFTER {
                lane.open = 0;
                lane.empty = false;
            }
        }
    }
}

const fn rank(priority: Priority) -> u8 {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

fn place_of(subject: &str) -> Option<usize> {
    subject.rsplit_once('.')?.1.parse().ok()
}
