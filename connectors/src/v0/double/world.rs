//! What the double knows, and the one way to wait for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::asked::No;
use super::chat::{ChatState, Line, Run};
use super::options::{Charge, DoubleOptions, Fault, Received};
use crate::v0::{Finish, Version};

/// How many requests are kept.
const REQUESTS: usize = 2000;

/// The state, behind one lock.
#[derive(Debug)]
pub(super) struct World {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// What the double knows.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: DoubleOptions,
    /// In the order in which they were made.
    pub(super) chats: Vec<ChatState>,
    pub(super) bill: Vec<Charge>,
    pub(super) received: VecDeque<Received>,
    /// By the beginning of the line of the request.
    pub(super) faults: Vec<(String, Fault)>,
    /// How the next runs end.
    pub(super) finishes: VecDeque<Finish>,
    /// What is left; without bound where absent.
    pub(super) credits: Option<f64>,
    pub(super) forbidden: bool,
    /// No run ends.
    pub(super) held: bool,
    pub(super) session: u64,
    ticks: u64,
    numbers: u64,
    dice: u64,
}

/// A run that is asked for.
pub(super) struct Wanted<'a> {
    pub(super) version: Version,
    pub(super) message: &'a str,
    pub(super) model: &'a str,
    /// It is over at once, and told as events.
    pub(super) streams: bool,
}

impl World {
    pub(super) fn new(options: DoubleOptions) -> Self {
        let dice = options.chaos.map_or(0, |chaos| chaos.seed);
        let state = State {
            options,
            chats: Vec::new(),
            bill: Vec::new(),
            received: VecDeque::new(),
            faults: Vec::new(),
            finishes: VecDeque::new(),
            credits: None,
            forbidden: false,
            held: false,
            session: 0,
            ticks: 0,
            numbers: 0,
            dice,
        };
        Self {
            state: Mutex::new(state),
            changed: watch::channel(()).0,
        }
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn edit<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_replace(());
        changed
    }

    pub(super) async fn until<T>(&self, wanted: impl Fn(&State) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(found) = self.read(&wanted) {
                return found;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl State {
    pub(super) fn note(&mut self, received: Received) {
        self.received.truncate(REQUESTS - 1);
        self.received.push_front(received);
    }

    /// The fault of this request: one that was planned, or one by chance.
    pub(super) fn fault(&mut self, line: &str) -> Option<Fault> {
        let mut planned = self.faults.iter();
        if let Some(place) = planned.position(|(start, _)| line.starts_with(start.as_str())) {
            return Some(self.faults.remove(place).1);
        }
        let chaos = self.options.chaos?;
        let roll = self.roll();
        if roll as f64 / u64::MAX as f64 >= chaos.rate {
            return None;
        }
        Some(match self.roll() % 8 {
            0 => Fault::Busy(Some(1)),
            1 => Fault::Refusal(500, "Something went wrong".to_owned()),
            2 => Fault::Refusal(503, "Service unavailable".to_owned()),
            3 => Fault::BadGateway,
            4 => Fault::CutBefore,
            5 => Fault::CutAfter,
            6 => Fault::CutAnswer,
            _ => Fault::Page,
        })
    }

    /// The next of a sequence that looks random.
    fn roll(&mut self) -> u64 {
        self.dice = self.dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.dice;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A time later than all before, RFC 3339.
    pub(super) fn tick(&mut self) -> String {
        self.ticks += 1;
        let (hours, minutes, seconds) = (self.ticks / 3600 % 24, self.ticks / 60 % 60, self.ticks % 60);
        let day = 1 + self.ticks / 86_400 % 28;
        format!("2026-08-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.000Z")
    }

    /// A name that nothing else has.
    pub(super) fn name(&mut self, kind: &str) -> String {
        self.numbers += 1;
        format!("{kind}{:05}", self.numbers)
    }

    pub(super) fn chat(&mut self, id: &str) -> Result<&mut ChatState, No> {
        let found = self.chats.iter_mut().find(|chat| chat.id == id);
        found.ok_or_else(|| No::unknown("Chat"))
    }

    /// A chat without messages; its place in the list.
    pub(super) fn open(&mut self, privacy: &str, metadata: BTreeMap<String, String>) -> String {
        let (id, created) = (self.name("chat"), self.tick());
        self.chats.push(ChatState {
            id: id.clone(),
            title: String::new(),
            privacy: privacy.to_owned(),
            metadata,
            updated: created.clone(),
            created,
            lines: Vec::new(),
            files: BTreeMap::new(),
            version: None,
            preview_questions: 0,
        });
        id
    }

    /// Whether a run may begin at all.
    pub(super) fn may_run(&self) -> Result<(), No> {
        let price = self.options.price;
        if self.credits.is_some_and(|left| left < price) {
            let words = "You are out of credits. Add more or enable Auto-topup at https://v0.app/chat/settings/billing";
            return Err(No::new(402, words));
        }
        Ok(())
    }

    /// Begins a run in a chat: the id of the answer, and the number of its charge.
    pub(super) fn begin(
        &mut self,
        chat: &str,
        wanted: &Wanted<'_>,
        creates: bool,
    ) -> Result<(String, usize), No> {
        self.may_run()?;
        let question = Line {
            id: self.name("msg"),
            content: wanted.message.to_owned(),
            created: self.tick(),
            run: None,
            is_answer: false,
        };
        let (id, number) = (self.name("msg"), self.bill.len() + 1);
        let finish = self.finishes.pop_front().unwrap_or(Finish::Stop);
        let answer = Line {
            id: id.clone(),
            content: String::new(),
            created: self.tick(),
            is_answer: true,
            run: Some(Run {
                began: Instant::now(),
                questions: 0,
                finish,
                ended: None,
                charge: number,
                version: self.name("b_"),
                credits: 0.0,
            }),
        };
        self.bill.push(Charge {
            number,
            version: wanted.version,
            creates,
            chat: chat.to_owned(),
            message: id.clone(),
            model: wanted.model.to_owned(),
            credits: 0.0,
            answered: true,
        });
        let found = self.chat(chat)?;
        found.lines.extend([question, answer]);
        if wanted.streams {
            self.end(chat, finish);
        } else {
            self.look(chat, false);
        }
        Ok((id, number))
    }

    /// Somebody asks after the run of a chat: it may be over by now.
    pub(super) fn look(&mut self, chat: &str, counts: bool) {
        let (pending, run_time, held) = (self.options.pending, self.options.run_time, self.held);
        let Ok(found) = self.chat(chat) else { return };
        let Some(run) = found.running() else { return };
        let is_over = !held && run.questions >= pending && run.began.elapsed() >= run_time;
        if counts {
            run.questions += 1;
        }
        let finish = run.finish;
        if is_over && counts {
            self.end(chat, finish);
        }
    }

    /// Ends the run of a chat.
    pub(super) fn end(&mut self, chat: &str, finish: Finish) {
        let (at, price, more) = (self.tick(), self.options.price, self.options.files);
        let Ok(found) = self.chat(chat) else { return };
        let Some((charge, credits)) = found.end(&at, finish, price, more) else {
            return;
        };
        if let Some(charge) = self.bill.get_mut(charge - 1) {
            charge.credits = credits;
        }
        if let Some(left) = &mut self.credits {
            *left -= credits;
        }
    }
}
