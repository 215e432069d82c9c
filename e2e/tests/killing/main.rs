//! What holds when things are killed: real processes, SIGKILL and SIGSTOP, one question a module.

mod broker;
mod chaos;
mod cli;
mod comfyui;
mod gateway;
mod pause;
mod scene;
mod up;
mod worker;
