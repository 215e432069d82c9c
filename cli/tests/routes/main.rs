//! The program against a gateway that answers as the contract says: what it asks, what it prints, its exit codes.

mod hosts;
mod models;
mod spend;
mod stand_in;
mod submitting;
mod workflows;
