//! What holds when things are killed: real processes, SIGKILL and SIGSTOP, one question a module.

mod broker;
mod chaos;
mod cli;
mod comfyui;
mod dice;
mod gateway;
mod hung;
mod operated;
mod pause;
mod rounds;
mod scene;
mod supervised;
mod up;
mod worker;
