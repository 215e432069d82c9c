//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    client::ClientArguments,
    comfyui::ComfyuiCommand,
    config::ConfigCommand,
    doctor::DoctorArguments,
    download::DownloadArguments,
    exit,
    explain::ExplainArguments,
    ignite::IgniteArguments,
    jobs::{CancelArguments, JobArguments, JobsArguments, RetryArguments},
    models::ModelsArguments,
    spend::SpendArguments,
    submit::SubmitArguments,
    timeline::EventsArguments,
    watch::WatchArguments,
    workflows::WorkflowsArguments,
};

/// Runs image generation on your own GPU hosts: accepts jobs, shares them out to workers, keeps what they make.
#[derive(Debug, Clone, Parser)]
#[command(name = "orchestrator", version, propagate_version = true, after_help = exit::HELP)]
pub(crate) struct Arguments {
    /// Settings file; orchestrator.toml in this directory if absent
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be asked for.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Run the whole system on this machine: broker, gateway, monitor and a worker
    Up,
    /// Run a gateway: the front door for HTTP, gRPC and the web page
    Gateway,
    /// Run a worker: takes jobs for the backends of this host
    Worker,
    /// Run the monitor: watches everything and exports metrics
    Monitor,
    /// Submit a job
    Submit(Box<SubmitArguments>),
    /// Follow a job until it is over
    Watch(WatchArguments),
    /// List jobs, newest first
    Jobs(JobsArguments),
    /// Show one job
    Job(JobArguments),
    /// Stop a job
    Cancel(CancelArguments),
    /// Make a new job that repeats a finished one
    Retry(RetryArguments),
    /// Let a held job go
    Run(JobArguments),
    /// Show what happened to a job, in order
    Events(EventsArguments),
    /// Save what a job made, or its recipe
    Download(DownloadArguments),
    /// List the workers and what they are doing
    Workers(ClientArguments),
    /// List the models that workers offer; check them, and where ComfyUI looks for them
    Models(ModelsArguments),
    /// Start, stop and look at the ComfyUI beside a worker
    #[command(subcommand)]
    Comfyui(ComfyuiCommand),
    /// Bring everything up that is not running, and tell each step
    Ignite(IgniteArguments),
    /// List, store, check and run workflows: graphs with named parameters
    Workflows(WorkflowsArguments),
    /// Show what was spent and what is left, the ledger, and clear up what nobody knows
    Spend(SpendArguments),
    /// Look at the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Check that everything which is needed is there, with a remedy for what is not
    Doctor(DoctorArguments),
    /// Explain a failure code, or list all
    Explain(ExplainArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
}

/// What `completions` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct CompletionsArguments {
    /// Which shell
    pub(crate) shell: Shell,
}

impl Command {
    /// Whether problems are told as JSON.
    pub(crate) fn is_json(&self) -> bool {
        match self {
            Self::Submit(asked) => asked.client.json,
            Self::Watch(asked) => asked.client.json,
            Self::Jobs(asked) => asked.client.json,
            Self::Job(asked) | Self::Run(asked) => asked.client.json,
            Self::Cancel(asked) => asked.client.json,
            Self::Retry(asked) => asked.client.json,
            Self::Events(asked) => asked.client.json,
            Self::Download(asked) => asked.client.json,
            Self::Workers(asked) => asked.json,
            Self::Models(asked) => asked.is_json(),
            Self::Comfyui(command) => command.client().json,
            Self::Ignite(asked) => asked.client.json,
            Self::Workflows(asked) => asked.client().json,
            Self::Spend(asked) => asked.client().json,
            Self::Doctor(asked) => asked.client.json,
            Self::Config(ConfigCommand::Check(check)) => check.json,
            Self::Up
            | Self::Gateway
            | Self::Worker
            | Self::Monitor
            | Self::Explain(_)
            | Self::Completions(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_of_every_command_do_not_stand_under_those_of_a_kind_of_job() {
        let command = Arguments::command();
        let submit = command.find_subcommand("submit").expect("submit");
        let heading = |name: &str| {
            let option = submit.get_arguments().find(|option| option.get_id() == name);
            option.expect(name).get_help_heading()
        };
        assert_eq!((heading("gateway"), heading("json")), (None, None));
        assert_eq!(
            (heading("lora"), heading("priority")),
            (Some("ComfyUI"), Some("Job"))
        );
    }

    #[test]
    fn the_settings_file_may_be_named_anywhere() {
        let arguments =
            Arguments::try_parse_from(["orchestrator", "up", "--config", "x.toml"]).expect("parsed");
        assert_eq!(arguments.config, Some(PathBuf::from("x.toml")));
    }

    #[test]
    fn a_job_that_is_held_cannot_be_waited_for() {
        let line = ["orchestrator", "submit", "x", "--hold", "--watch"];
        assert!(Arguments::try_parse_from(line).is_err());
        assert!(Arguments::try_parse_from(["orchestrator", "submit"]).is_err());
    }

    #[test]
    fn json_is_known_before_the_command_runs() {
        let is_json = |line: &[&str]| Arguments::try_parse_from(line).expect("parsed").command.is_json();
        assert!(is_json(&["orchestrator", "jobs", "--json"]));
        assert!(is_json(&["orchestrator", "config", "check", "--json"]));
        assert!(is_json(&["orchestrator", "models", "--json"]));
        assert!(is_json(&["orchestrator", "models", "verify", "--json"]));
        assert!(is_json(&["orchestrator", "comfyui", "logs", "--json"]));
        assert!(is_json(&["orchestrator", "workflows", "get", "x", "--json"]));
        assert!(!is_json(&["orchestrator", "up"]));
    }
}
