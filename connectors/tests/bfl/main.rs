//! The client of the FLUX service against its double, and against servers that speak badly.

mod addresses;
mod bench;
mod chance;
mod money;
mod polls;
mod raw;
mod results;
mod secrets;
mod strictness;
mod submissions;
