//! `orchestrator models paths`: the file in which ComfyUI is told of further folders of models.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use runtime::settings::Reader;
use serde_json::json;
use worker::models::{
    Library, ModelSettings,
    paths::{self, Environment, ExtraPaths, Finding},
};

use super::local;
use crate::{exit::Exit, output, problem::Problem};

/// As ComfyUI looks for it.
const FILE_NAME: &str = "extra_model_paths.yaml";

/// What `models paths` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
    orchestrator models paths validate --dir /opt/ComfyUI
    orchestrator models paths explain --dir /opt/ComfyUI checkpoints
    orchestrator models paths create --dir /opt/ComfyUI /mnt/models")]
pub(crate) struct PathsArguments {
    #[command(subcommand)]
    pub(crate) command: PathsCommand,
    /// ComfyUI's directory; the setting comfyui.dir if absent
    #[arg(long, value_name = "COMFYUI", global = true)]
    pub(crate) dir: Option<PathBuf>,
    /// The file itself, where it is not `extra_model_paths.yaml` in that directory
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) file: Option<PathBuf>,
    /// Print JSON; problems too, on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What can be done with the file.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum PathsCommand {
    /// Name everything that is wrong with it, by line; the exit code is 1 for an error
    Validate,
    /// Show in which folders ComfyUI looks for models, in its order, and who names them
    Explain {
        /// Only this kind, such as checkpoints, loras or vae
        kind: Option<String>,
    },
    /// Write one that offers ComfyUI the models of another folder; one that is there is kept as a backup
    Create {
        /// The folder that holds checkpoints, loras, vae …; ComfyUI's own directory if absent
        #[arg(value_name = "FOLDER")]
        base: Option<PathBuf>,
    },
}

/// Does it. Nothing but files of this machine is looked at.
pub(super) fn run(asked: &PathsArguments, config: Option<&Path>) -> Result<Exit, Problem> {
    let settings = settings(asked, config)?;
    match &asked.command {
        PathsCommand::Validate => validate(&file_of(&settings), asked.json),
        PathsCommand::Explain { kind } => explain(&settings, kind.as_deref(), asked.json),
        PathsCommand::Create { base } => {
            let base = base.as_deref().unwrap_or(&settings.dir);
            create(&file_of(&settings), base, asked.json)
        }
    }
}

/// The options, or else the settings. What else is wrong with the settings is of no interest here.
fn settings(asked: &PathsArguments, config: Option<&Path>) -> Result<ModelSettings, Problem> {
    let set = ModelSettings::read(&mut Reader::of_process(config));
    let named = asked.dir.is_some();
    let dir = asked
        .dir
        .clone()
        .or_else(|| set.as_ref().map(|set| set.dir.clone()));
    let dir = dir.or_else(|| asked.file.as_ref().map(|_| PathBuf::from(".")));
    let Some(dir) = dir else {
        return Err(Problem::usage("it is not known where ComfyUI is")
            .with_remedy("Name its directory with --dir, or set comfyui.dir."));
    };
    let elsewhere = set.filter(|_| !named).and_then(|set| set.extra_model_paths);
    Ok(ModelSettings {
        dir,
        extra_model_paths: asked.file.clone().or(elsewhere),
    })
}

fn file_of(settings: &ModelSettings) -> PathBuf {
    let usual = || settings.dir.join(FILE_NAME);
    settings.extra_model_paths.clone().unwrap_or_else(usual)
}

fn validate(path: &Path, as_json: bool) -> Result<Exit, Problem> {
    let extra = read(path)?;
    if as_json {
        output::json(&json!({
            "path": path.to_string_lossy(),
            "ok": extra.is_sound(),
            "folders": extra.folders.len(),
            "findings": extra.findings,
        }))?;
    } else {
        for finding in &extra.findings {
            output::line(output::plain(&format!("{}: {finding}", path.display())))?;
        }
        output::note(if extra.is_sound() {
            format!("✓ {} names {} folders", path.display(), extra.folders.len())
        } else {
            format!("✗ ComfyUI cannot use {} as it is", path.display())
        });
    }
    Ok(if extra.is_sound() {
        Exit::Success
    } else {
        Exit::Failure
    })
}

fn read(path: &Path) -> Result<ExtraPaths, Problem> {
    paths::validate(path, &Environment::of_process()).map_err(|error| {
        let exit = if error.kind() == std::io::ErrorKind::NotFound {
            Exit::Unknown
        } else {
            Exit::Failure
        };
        Problem::new(exit, format!("{} cannot be read: {error}", path.display())).with_remedy(
            "orchestrator models paths create writes one; without it ComfyUI uses its own folders only.",
        )
    })
}

/// What is wrong with the file, where there is one; for the doctor.
pub(crate) fn findings(settings: &ModelSettings) -> Result<Option<(PathBuf, Vec<Finding>)>, Problem> {
    let library =
        Library::open(settings, &Environment::of_process()).map_err(|error| local::unusable(&error))?;
    let file = library.extra_paths_file().map(Path::to_owned);
    Ok(file.map(|file| (file, library.findings().to_vec())))
}

fn explain(settings: &ModelSettings, kind: Option<&str>, as_json: bool) -> Result<Exit, Problem> {
    let library =
        Library::open(settings, &Environment::of_process()).map_err(|error| local::unusable(&error))?;
    let explained = library.explain(kind).map_err(|error| local::unusable(&error))?;
    for one in &explained {
        if as_json {
            output::json(one)?;
        } else {
            let lines = one.to_string();
            let lines: Vec<String> = lines.lines().map(output::plain).collect();
            output::line(lines.join("\n"))?;
        }
    }
    for finding in library.findings() {
        output::note(output::plain(&format!("{FILE_NAME}: {finding}")));
    }
    Ok(Exit::Success)
}

fn create(path: &Path, base: &Path, as_json: bool) -> Result<Exit, Problem> {
    if !base.is_dir() {
        return Err(Problem::usage(format!("{} is no folder", base.display())));
    }
    let created = paths::create_default(path, base)
        .map_err(|error| Problem::failed(format_args!("{} cannot be written", path.display()), &error))?;
    let backup = created.backup.map(|backup| backup.display().to_string());
    if as_json {
        output::json(&json!({"path": created.path.to_string_lossy(), "backup": backup}))?;
        return Ok(Exit::Success);
    }
    output::line(created.path.display().to_string())?;
    if let Some(backup) = backup {
        output::note(format!("what was there before is kept as {backup}"));
    }
    output::note("ComfyUI reads it when it starts: orchestrator comfyui restart");
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(dir: &Path, command: PathsCommand) -> PathsArguments {
        PathsArguments {
            command,
            dir: Some(dir.to_owned()),
            file: None,
            json: true,
        }
    }

    #[test]
    fn a_file_is_made_found_sound_and_kept_as_a_backup() {
        let dir = tempfile::tempdir().expect("a directory");
        let models = dir.path().join("models/checkpoints");
        std::fs::create_dir_all(models).expect("made");
        let run = |command| run(&asked(dir.path(), command), None);
        let missing = run(PathsCommand::Validate).map_err(|problem| problem.exit);
        assert_eq!(missing, Err(Exit::Unknown));
        assert_eq!(run(PathsCommand::Create { base: None }), Ok(Exit::Success));
        assert_eq!(run(PathsCommand::Validate), Ok(Exit::Success));
        assert_eq!(run(PathsCommand::Explain { kind: None }), Ok(Exit::Success));
        std::fs::write(dir.path().join(FILE_NAME), "a: [\n").expect("written");
        assert_eq!(run(PathsCommand::Validate), Ok(Exit::Failure));
        assert_eq!(run(PathsCommand::Create { base: None }), Ok(Exit::Success));
        let backups = std::fs::read_dir(dir.path()).expect("a directory");
        let kept: Vec<String> = backups
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.contains(".bak"))
            .collect();
        assert_eq!(kept.len(), 1, "{kept:?}");
    }
}
