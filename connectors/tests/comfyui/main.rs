//! The client against the double: real HTTP and WebSocket, one server a test.

mod bench;
mod duplicates;
mod faults;
mod files;
mod graphs;
mod life;
mod loading;
mod old;
mod races;
mod server;
mod sockets;
