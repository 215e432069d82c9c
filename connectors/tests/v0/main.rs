//! The client of v0 against the double: real HTTP, one server a test, both editions of the API.

mod bench;
mod lists;
mod money;
mod refusals;
mod runs;
mod secrets;
mod sites;
mod streams;
