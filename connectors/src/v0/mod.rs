//! A client of Vercel's v0, which writes small web sites: its Platform API in the editions v2 and v1.
//!
//! What to know before using it:
//! - [`Client::create`] and [`Client::send`] cost money, and v0 knows no idempotency keys: posting twice runs and
//!   charges twice. Each is one request on the wire. After a failure, [`Error::delivery`] says whether v0 may have
//!   done it; a new chat is found again by its metadata ([`Client::chats`]).
//! - Both return as soon as v0 has begun; [`Client::standing`] says how far it is. The events of a stream are a hint
//!   only: a stream that breaks says nothing about the run.
//! - A run that ended may have ended with a question ([`Finish::ToolCalls`]).
//! - The key goes to the configured origin and nowhere else; redirects are not followed. The token of a preview is
//!   a secret too.
//!
//! Reading order: `client` (key, limits) and `address`, `version`, `error`, `run` (what costs money) and
//! `standing`, `chat`, `message`, `site` (files and previews), `spending`, then `frames` and `stream` (live events).
//! `double` is a strict local stand-in for tests.

mod address;
mod chat;
mod client;
#[cfg(feature = "double")]
pub mod double;
mod error;
mod frames;
mod message;
mod run;
mod site;
mod spending;
mod standing;
mod stream;
mod version;

pub use address::check_address;
pub use chat::{Chat, Latest, Page};
pub use client::{ADDRESS, Client, Options};
pub use error::{Delivery, Error, Refusal};
pub use frames::{Frame, Frames, Overlong};
pub use message::{Finish, Message, Part, Usage};
pub use run::{Begun, NewChat, Prompt};
pub use site::{Edit, File, Files, Preview};
pub use standing::{Activity, Ended, Standing};
pub use stream::{Event, Events};
pub use version::{UnknownVersion, Version};
