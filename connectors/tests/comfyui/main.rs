//! The client against the double: real HTTP and WebSocket, one server a test.

mod bench;
mod faults;
mod files;
mod life;
mod server;
mod sockets;
