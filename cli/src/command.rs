//! From the command line to what is done.

use clap::CommandFactory as _;
use url::Url;

use crate::{
    arguments::{Arguments, Command, CompletionsArguments},
    client::ClientArguments,
    comfyui, config, doctor, download,
    exit::Exit,
    explain, fleet, ignite, jobs, models, output,
    problem::Problem,
    roles::{self, Role},
    settings::{self, Settings},
    spend, submit, timeline, up, watch, workflows,
};

/// Does what the command line asks for.
pub(crate) async fn run(arguments: Arguments) -> Result<Exit, Problem> {
    let config = arguments.config.as_deref();
    let settings = || Settings::of_process(config);
    let at = |client: &ClientArguments| -> Result<Url, Problem> {
        settings::gateway_address(client.gateway.as_ref(), config)
    };
    match arguments.command {
        Command::Up => Box::pin(up::run(settings()?)).await,
        Command::Gateway => Box::pin(roles::run(Role::Gateway, settings()?)).await,
        Command::Worker => Box::pin(roles::run(Role::Worker, settings()?)).await,
        Command::Monitor => Box::pin(roles::run(Role::Monitor, settings()?)).await,
        Command::Submit(asked) => {
            let gateway = at(&asked.client)?;
            submit::run(*asked, &gateway).await
        }
        Command::Watch(asked) => {
            let gateway = at(&asked.client)?;
            watch::run(asked, &gateway).await
        }
        Command::Jobs(asked) => {
            let gateway = at(&asked.client)?;
            jobs::list(asked, &gateway).await
        }
        Command::Job(asked) => {
            let gateway = at(&asked.client)?;
            jobs::show(asked, &gateway).await
        }
        Command::Cancel(asked) => {
            let gateway = at(&asked.client)?;
            jobs::cancel(asked, &gateway).await
        }
        Command::Retry(asked) => {
            let gateway = at(&asked.client)?;
            jobs::retry(asked, &gateway).await
        }
        Command::Run(asked) => {
            let gateway = at(&asked.client)?;
            jobs::run(asked, &gateway).await
        }
        Command::Events(asked) => {
            let gateway = at(&asked.client)?;
            timeline::run(asked, &gateway).await
        }
        Command::Workers(asked) => fleet::workers(&asked, &at(&asked)?).await,
        Command::Download(asked) => {
            let gateway = at(&asked.client)?;
            download::run(asked, &gateway).await
        }
        Command::Models(asked) => models::run(asked, config, at).await,
        Command::Comfyui(command) => {
            let gateway = at(command.client())?;
            comfyui::run(command, &gateway).await
        }
        Command::Ignite(asked) => {
            let gateway = at(&asked.client)?;
            ignite::run(asked, &gateway).await
        }
        Command::Workflows(asked) => {
            let gateway = at(asked.client())?;
            workflows::run(asked, &gateway).await
        }
        Command::Spend(asked) => spend::run(&asked, &at(asked.client())?).await,
        Command::Config(command) => config::run(&command, config),
        Command::Doctor(asked) => doctor::run(&asked, config).await,
        Command::Explain(asked) => explain::run(&asked),
        Command::Completions(asked) => complete(&asked),
    }
}

fn complete(asked: &CompletionsArguments) -> Result<Exit, Problem> {
    let mut script = Vec::new();
    clap_complete::generate(
        asked.shell,
        &mut Arguments::command(),
        "orchestrator",
        &mut script,
    );
    output::line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Success)
}
