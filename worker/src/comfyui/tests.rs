//! Attempts against a double of ComfyUI: real HTTP and WebSocket, a real store on disk.

mod bench;
mod caring;
mod failing;
mod following;
mod starting;
