//! The ledger: what was set aside, spent and given back, one line after the other, for ever.
//!
//! Each line names the place after which it is to stand, so that two processes cannot both take the last dollar.
//! What the lines come to, and which line an act adds, is decided in `proto::ledger`.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::jetstream::message::PublishMessage;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use prost::Message as _;
use proto::{
    ids::JobId,
    ledger::{Act, Book, Denial},
    subjects, topology,
    v1::LedgerEntry,
};
use tokio::{
    sync::{Mutex as Turn, watch},
    time::timeout,
};

use crate::{
    bus::{Bus, BusError, Follower, Last, Listener, Told},
    clock,
    tasks::Stop,
};

/// How often an act is tried anew because somebody else wrote in between.
const MAX_ROUNDS: u32 = 64;
/// How long to wait for lines that the broker has and this process has not.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many lines are read at the same time.
const READS: usize = 16;

/// Reads and writes the ledger. Cloning gives another handle.
#[derive(Debug, Clone)]
pub struct Ledger {
    bus: Bus,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    book: Mutex<Book>,
    /// The newest line that is in the book; `None` until all that was there at the start has been read.
    read: watch::Sender<Option<u64>>,
    /// One act at a time, so that those of one process do not get in each other's way.
    turn: Turn<()>,
}

/// Why an act was not done.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The ledger does not allow it.
    #[error("the ledger does not allow it")]
    Denied(#[from] Denial),
    /// Others kept writing.
    #[error("the ledger was written by others too often")]
    Contended,
    /// The broker.
    #[error("the ledger could not be written")]
    Bus(#[from] BusError),
}

impl Ledger {
    /// Over this connection; [`Ledger::keep`] has to run for it to know anything.
    pub fn new(bus: Bus) -> Self {
        let shared = Shared {
            book: Mutex::default(),
            read: watch::channel(None).0,
            turn: Turn::default(),
        };
        Self {
            bus,
            shared: Arc::new(shared),
        }
    }

    /// Reads the ledger and then follows it, until `stop`.
    pub async fn keep(self, stop: Stop) {
        Follower::of_all(self.bus, topology::LEDGER, subjects::LEDGER)
            .run(Reader(self.shared), stop)
            .await;
    }

    /// Whether all that was there at the start has been read.
    pub fn is_read(&self) -> bool {
        self.shared.read.borrow().is_some()
    }

    /// Looks into the book as far as it is known here.
    pub fn with<T>(&self, look: impl FnOnce(&Book) -> T) -> T {
        self.shared.with(|book| look(book))
    }

    /// Changes whenever a line was added.
    pub fn changes(&self) -> watch::Receiver<Option<u64>> {
        self.shared.read.subscribe()
    }

    /// Writes down what is to be done, unless that has been done already; whether a line was added.
    ///
    /// # Errors
    /// [`LedgerError::Denied`] where it is not possible, as the broker has the ledger now; from the broker, then it
    /// is not known whether it was written, and it may be tried again.
    pub async fn act(&self, act: &Act) -> Result<bool, LedgerError> {
        let _turn = self.shared.turn.lock().await;
        self.read_up_to(0).await?;
        let mut is_current = false;
        for _ in 0..MAX_ROUNDS {
            let (decision, last) = self.with(|book| (book.decide(act, clock::now()), book.last()));
            let entry = match decision {
                Ok(Some(entry)) => entry,
                // what is known here may be old
                Ok(None) | Err(_) if !is_current => {
                    self.read_up_to(self.newest().await?).await?;
                    is_current = true;
                    continue;
                }
                Ok(None) => return Ok(false),
                Err(denial) => return Err(denial.into()),
            };
            match self.add(&entry, last).await {
                Ok(number) => {
                    self.shared.take(&LedgerEntry { number, ..entry });
                    return Ok(true);
                }
                Err(BusError::Conflict) => self.read_up_to(last + 1).await?,
                Err(error @ BusError::Unavailable { .. }) => {
                    // it may have been written: what comes next is decided with it in the book
                    self.bus.must_be_up("write the ledger").map_err(|_| error)?;
                    self.read_up_to(self.newest().await?).await?;
                }
                Err(error) => return Err(error.into()),
            }
            is_current = false;
        }
        Err(LedgerError::Contended)
    }

    /// Lines with a number below `before` (0: all), the newest first, at most `limit`; of one job, or of all.
    ///
    /// # Errors
    /// From the broker.
    pub async fn lines(
        &self,
        job: Option<JobId>,
        before: u64,
        limit: usize,
    ) -> Result<Vec<LedgerEntry>, BusError> {
        let below = |number: u64| before == 0 || number < before;
        let mut lines = Vec::new();
        if let Some(job) = job {
            let subject = subjects::ledger(&job.to_string());
            for message in self.bus.all(topology::LEDGER, &subject).await? {
                lines.push(read(&message)?);
            }
            lines.reverse();
            lines.retain(|line| below(line.number));
            lines.truncate(limit);
        } else {
            let newest = self.newest().await?;
            let last = if before == 0 {
                newest
            } else {
                newest.min(before - 1)
            };
            let reads = stream::iter((1..=last).rev().take(limit));
            let mut reads = reads
                .map(|number| self.bus.at(topology::LEDGER, number))
                .buffered(READS);
            while let Some(message) = reads.try_next().await? {
                lines.push(read(&message)?);
            }
        }
        Ok(lines)
    }

    /// The number of the newest line, as the stream's leader has it.
    async fn newest(&self) -> Result<u64, BusError> {
        const DOING: &str = "read the ledger";
        let stream = self.bus.stream(topology::LEDGER).await?;
        let info = self.bus.answered(DOING, stream.get_info()).await?;
        info.map(|info| info.state.last_sequence)
            .map_err(|error| BusError::unavailable(DOING, error))
    }

    /// Waits until the line of this number is in the book.
    async fn read_up_to(&self, number: u64) -> Result<(), BusError> {
        let mut read = self.shared.read.subscribe();
        let there = read.wait_for(|read| read.is_some_and(|last| last >= number));
        match timeout(PATIENCE, there).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(BusError::Unavailable {
                doing: "read the ledger",
                source: None,
            }),
        }
    }

    async fn add(&self, entry: &LedgerEntry, last: u64) -> Result<u64, BusError> {
        let message = PublishMessage::build()
            .payload(entry.encode_to_vec().into())
            .expected_last_sequence(last);
        let subject = subjects::ledger(&entry.job);
        let written = async {
            let ack = self.bus.context().send_publish(subject, message).await?;
            ack.await
        };
        let ack = self.bus.answered("write the ledger", written).await?;
        ack.map(|ack| ack.sequence).map_err(BusError::of_publish)
    }
}

fn read(message: &Last) -> Result<LedgerEntry, BusError> {
    match LedgerEntry::decode(message.payload.clone()) {
        Ok(entry) => Ok(LedgerEntry {
            number: message.revision,
            ..entry
        }),
        Err(source) => Err(BusError::Garbled {
            subject: format!("{} at {}", topology::LEDGER, message.revision),
            source,
        }),
    }
}

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut Book) -> T) -> T {
        look(&mut self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self, entry: &LedgerEntry) {
        let last = self.with(|book| {
            book.take(entry);
            book.last()
        });
        self.read.send_if_modified(|read| match read {
            Some(known) if *known < last => {
                *known = last;
                true
            }
            Some(_) | None => false,
        });
    }
}

struct Reader(Arc<Shared>);

impl Listener for Reader {
    async fn hear(&mut self, told: Told<'_>) -> bool {
        let shared = &self.0;
        match told {
            Told::Reset => {
                shared.with(|book| *book = Book::default());
                shared.read.send_replace(None);
            }
            Told::Message(number, message) => match LedgerEntry::decode(message.payload.clone()) {
                Ok(entry) => shared.take(&LedgerEntry { number, ..entry }),
                Err(error) => {
                    tracing::error!(number, %error, "a line of the ledger cannot be read");
                    // it says nothing, but what is written next has to stand after it
                    shared.take(&LedgerEntry {
                        number,
                        ..LedgerEntry::default()
                    });
                }
            },
            Told::CaughtUp => {
                let last = shared.with(|book| book.last());
                shared.read.send_replace(Some(last));
            }
        }
        true
    }
}
