//! What holds when things are killed: real processes, SIGKILL and SIGSTOP, one question a module.

mod broker;
mod canary;
mod chaos;
mod cli;
mod comfyui;
mod dice;
mod gateway;
mod hung;
mod money;
mod operated;
mod pause;
mod rounds;
mod scene;
mod spree;
mod supervised;
mod up;
mod v0;
mod worker;
