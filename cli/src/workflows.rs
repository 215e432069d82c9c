//! `orchestrator workflows`: graphs with named parameters that are kept under a name.

mod document;

use std::{fs, io::Read as _, path::PathBuf};

use clap::{Args, Subcommand};
use proto::v1::{ListWorkflowsResponse, Parameter, ValidateResponse, Workflow};
use url::Url;

use crate::{
    client::ClientArguments,
    exit::Exit,
    http::{self, Http, Route},
    output,
    problem::Problem,
    submit::{self, ComfyuiOptions, FrameOptions, SubmitArguments},
    table,
};
use document::Declared;
pub(crate) use document::of_gateway;

/// What `workflows` takes.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
    orchestrator workflows
    orchestrator workflows put portrait portrait_api.json --param prompt=6.text --param seed=3.seed:seed
    orchestrator workflows get portrait
    orchestrator workflows run portrait -p prompt=\"a sailor\" --watch --output out/"
)]
pub(crate) struct WorkflowsArguments {
    #[command(subcommand)]
    pub(crate) command: Option<WorkflowsCommand>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What can be done with workflows.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum WorkflowsCommand {
    /// List the workflows
    List(ClientArguments),
    /// Show a workflow and its parameters, or save it
    Get(GetArguments),
    /// Store a workflow under a name
    Put(PutArguments),
    /// Remove a workflow
    Delete(NameArguments),
    /// Check a stored workflow against the workers that are here, or a file before it is stored
    Validate(ValidateArguments),
    /// Submit a job that runs a workflow
    Run(Box<RunArguments>),
}

/// What a command about one workflow takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct NameArguments {
    /// The workflow's name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What `workflows get` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct GetArguments {
    /// The workflow's name
    pub(crate) name: String,
    /// Save it whole, in the form that `put` takes; `-` writes it to standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What `workflows put` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
FILE is a workflow as `get --output` saves it, or a graph as ComfyUI saves it with \"Export (API)\".
A parameter is declared as NAME=NODE.INPUT. Its type follows from the value in the graph, or is
written behind it, as NAME=NODE.INPUT:TYPE: text, integer, number, boolean, asset or seed.

Examples:
    orchestrator workflows put portrait portrait_api.json --title Portrait --param prompt=6.text
    orchestrator workflows put repair repair.json --create")]
pub(crate) struct PutArguments {
    /// Name to store it under: a-z, 0-9, `-` and `_`
    pub(crate) name: String,
    /// A workflow, or a graph in ComfyUI's API format; `-` reads it from standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) declared: DeclaredArguments,
    /// Refuse where there is one of this name already
    #[arg(long)]
    pub(crate) create: bool,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What makes a workflow of a bare graph.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DeclaredArguments {
    /// Declares a parameter and where it goes; may be repeated
    #[arg(long, short, value_name = "NAME=NODE.INPUT[:TYPE]")]
    pub(crate) param: Vec<Declared>,
    /// For people
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// For people
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

/// What `workflows validate` takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct ValidateArguments {
    /// A stored workflow, or a file (one that exists, or whose name ends with .json)
    #[arg(value_name = "NAME|FILE")]
    pub(crate) what: String,
    #[command(flatten)]
    pub(crate) declared: DeclaredArguments,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// What `workflows run` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
    orchestrator workflows run portrait -p prompt=\"a sailor\" --watch
    orchestrator workflows run portrait -p prompt=\"a sailor\" -p face=sailor.png --output out/
    orchestrator workflows run portrait -p prompt=\"a sailor\" --dry-run")]
pub(crate) struct RunArguments {
    /// The workflow's name
    pub(crate) name: String,
    /// Sets a parameter; one that takes a file uploads it, or takes `asset:<id>` or `artifact:<id>`; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = submit::pair)]
    pub(crate) param: Vec<(String, String)>,
    /// Replaces every seed of the graph
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
    #[command(flatten)]
    pub(crate) frame: FrameOptions,
}

impl WorkflowsArguments {
    pub(crate) fn client(&self) -> &ClientArguments {
        match &self.command {
            None => &self.client,
            Some(WorkflowsCommand::List(client)) => client,
            Some(WorkflowsCommand::Get(asked)) => &asked.client,
            Some(WorkflowsCommand::Put(asked)) => &asked.client,
            Some(WorkflowsCommand::Delete(asked)) => &asked.client,
            Some(WorkflowsCommand::Validate(asked)) => &asked.client,
            Some(WorkflowsCommand::Run(asked)) => &asked.client,
        }
    }
}

/// Does it.
pub(crate) async fn run(asked: WorkflowsArguments, gateway: &Url) -> Result<Exit, Problem> {
    let http = Http::new(gateway)?;
    match asked.command {
        None => list(&http, asked.client.json).await,
        Some(WorkflowsCommand::List(client)) => list(&http, client.json).await,
        Some(WorkflowsCommand::Get(asked)) => get(&http, &asked).await,
        Some(WorkflowsCommand::Put(asked)) => put(&http, &asked).await,
        Some(WorkflowsCommand::Delete(asked)) => {
            http.delete(Route::of(&["workflows", &asked.name])).await?;
            output::note(format!("✓ {} is removed", output::plain(&asked.name)));
            Ok(Exit::Success)
        }
        Some(WorkflowsCommand::Validate(asked)) => validate(&http, &asked).await,
        Some(WorkflowsCommand::Run(asked)) => {
            let order = SubmitArguments {
                param: asked.param,
                seed: asked.seed,
                comfyui: ComfyuiOptions {
                    workflow: Some(asked.name),
                    ..ComfyuiOptions::default()
                },
                frame: asked.frame,
                client: asked.client,
                ..SubmitArguments::default()
            };
            submit::run(order, gateway).await
        }
    }
}

async fn list(http: &Http, as_json: bool) -> Result<Exit, Problem> {
    let answer: ListWorkflowsResponse = http.get(Route::of(&["workflows"])).await?;
    if as_json {
        for workflow in &answer.workflows {
            output::json(workflow)?;
        }
    } else if answer.workflows.is_empty() {
        output::note("there are no workflows; store one with `orchestrator workflows put NAME FILE`");
    } else {
        output::line(listing(&answer.workflows))?;
    }
    Ok(Exit::Success)
}

async fn get(http: &Http, asked: &GetArguments) -> Result<Exit, Problem> {
    let route = ["workflows", &asked.name];
    // as the gateway wrote it, so that nothing which only it knows is lost in a file
    let answer = http.get_json(Route::of(&route)).await?;
    if let Some(path) = &asked.output {
        let text = serde_json::to_string_pretty(&answer)
            .map_err(|error| Problem::failed("the workflow cannot be written as JSON", &error))?;
        if path.as_os_str() == "-" {
            output::line(text)?;
        } else {
            fs::write(path, text + "\n").map_err(|error| {
                Problem::failed(format_args!("{} cannot be written", path.display()), &error)
            })?;
            output::line(path.display().to_string())?;
        }
    } else if asked.client.json {
        output::json(&answer)?;
    } else {
        output::line(shown(&of_gateway(answer)?))?;
    }
    Ok(Exit::Success)
}

async fn put(http: &Http, asked: &PutArguments) -> Result<Exit, Problem> {
    let workflow = read(&asked.file.display().to_string(), &asked.name, &asked.declared)?;
    let route = ["workflows", &asked.name];
    let body = document::json(&workflow)?;
    http.put_json(Route::of(&route), &body, asked.create).await?;
    if asked.client.json {
        output::json(&body)?;
    } else {
        let name = output::plain(&asked.name);
        output::note(format!(
            "✓ {name} is stored; run it with `orchestrator workflows run {name}`"
        ));
    }
    Ok(Exit::Success)
}

async fn validate(http: &Http, asked: &ValidateArguments) -> Result<Exit, Problem> {
    let path = PathBuf::from(&asked.what);
    let is_file =
        asked.what == "-" || path.is_file() || path.extension().is_some_and(|ending| ending == "json");
    let answer: ValidateResponse = if is_file {
        let workflow = read(&asked.what, "draft", &asked.declared)?;
        let request = document::trial(workflow);
        http.post_json(Route::of(&["jobs", "validate"]), &request).await?
    } else {
        let route = ["workflows", &asked.what, "validate"];
        http::message(http.post(Route::of(&route)).await?)?
    };
    if asked.client.json {
        output::json(&answer)?;
    } else {
        output::line(submit::shown(&answer))?;
        output::note(format!("✓ {} can run", output::plain(&asked.what)));
    }
    Ok(Exit::Success)
}

fn read(shown: &str, name: &str, declared: &DeclaredArguments) -> Result<Workflow, Problem> {
    let unreadable = |error: &std::io::Error| Problem::usage(format!("{shown} cannot be read: {error}"));
    let text = if shown == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| unreadable(&error))?;
        text
    } else {
        fs::read_to_string(shown).map_err(|error| unreadable(&error))?
    };
    document::read(&text, shown, name, declared)
}

fn listing(workflows: &[Workflow]) -> String {
    let rows = workflows.iter().map(|workflow| {
        let parameters = workflow.parameters.iter();
        let parameters: Vec<&str> = parameters.map(|parameter| parameter.name.as_str()).collect();
        vec![
            workflow.name.clone(),
            workflow.title.clone(),
            parameters.join(", "),
            if workflow.built_in {
                "built in".to_owned()
            } else {
                String::new()
            },
        ]
    });
    table::table(&["NAME", "TITLE", "PARAMETERS", ""], rows)
}

fn shown(workflow: &Workflow) -> String {
    let built_in = if workflow.built_in {
        "built in, cannot be changed".to_owned()
    } else {
        String::new()
    };
    let mut text = table::details(&[
        ("name", workflow.name.clone()),
        ("title", workflow.title.clone()),
        ("description", workflow.description.clone()),
        ("note", built_in),
    ]);
    if !workflow.parameters.is_empty() {
        let rows = workflow.parameters.iter().map(|parameter| {
            vec![
                parameter.name.clone(),
                parameter.r#type.clone(),
                value_of(parameter),
                format!("{}.{}", parameter.node, parameter.input),
                bounds(parameter),
            ]
        });
        text.push_str("\n\n");
        text.push_str(&table::table(
            &["PARAMETER", "TYPE", "DEFAULT", "GOES TO", "ALLOWED"],
            rows,
        ));
    }
    text
}

fn value_of(parameter: &Parameter) -> String {
    if parameter.default.is_empty() {
        "(to be given)".to_owned()
    } else {
        parameter.default.clone()
    }
}

fn bounds(parameter: &Parameter) -> String {
    match (parameter.min, parameter.max) {
        _ if !parameter.options.is_empty() => parameter.options.join(", "),
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("from {min}"),
        (None, Some(max)) => format!("to {max}"),
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_shows_its_parameters_with_type_place_and_bounds() {
        let workflow = Workflow {
            name: "portrait".into(),
            built_in: true,
            parameters: vec![Parameter {
                name: "steps".into(),
                r#type: "integer".into(),
                node: "3".into(),
                input: "steps".into(),
                default: "20".into(),
                min: Some(1.0),
                max: Some(100.0),
                ..Parameter::default()
            }],
            ..Workflow::default()
        };
        let text = shown(&workflow);
        let last: Vec<&str> = text.lines().last().expect("a line").split_whitespace().collect();
        assert_eq!(last, ["steps", "integer", "20", "3.steps", "1", "to", "100"]);
        assert!(text.contains("built in, cannot be changed"), "{text}");
        assert!(listing(&[workflow]).ends_with("built in"));
    }
}
