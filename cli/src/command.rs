//! From the command line to what is done.

use clap::CommandFactory as _;
use url::Url;

use crate::{
    arguments::{Arguments, Command, CompletionsArguments},
    config, doctor, explain, fleet, jobs, output,
    exit::Exit,
    problem::Problem,
    roles::{self, Role},
    settings::{self, Settings},
    submit, timeline, up, watch,
};

/// Does what the command line asks for.
pub(crate) async fn run(arguments: Arguments) -> Result<Exit, Problem> {
    let config = arguments.config.as_deref();
    let settings = || Settings::of_process(config);
    if let Some(client) = arguments.command.client() {
        let gateway = settings::gateway_address(client.gateway.as_ref(), config)?;
        return ask(arguments.command.clone(), &gateway, config).await;
    }
    match arguments.command {
        Command::Up => up::run(settings()?).await,
        Command::Gateway => roles::run(Role::Gateway, settings()?).await,
        Command::Worker => roles::run(Role::Worker, settings()?).await,
        Command::Monitor => roles::run(Role::Monitor, settings()?).await,
        Command::Config(command) => config::run(&command, config),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Completions(arguments) => complete(&arguments),
        other => unreachable!("{other:?} asks a gateway"),
    }
}
