//! Saves what a job made: streamed, checked against its digest, never half a file under its name.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;
use proto::{lifecycle, v1::Artifact};
use sha2::{Digest as _, Sha256};
use tokio::{fs, io::AsyncWriteExt as _};
use url::Url;

use crate::{
    client::{Client, ClientArguments},
    exit::Exit,
    output,
    problem::Problem,
};

/// What `download` takes.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
    orchestrator download 019f3a --output out/
    orchestrator download 019f3a --recipe --output recipe.json")]
pub(crate) struct DownloadArguments {
    /// The job's id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) job: String,
    /// The recipe instead of the results: request, graph, models with hashes, seed and versions, as JSON
    #[arg(long)]
    pub(crate) recipe: bool,
    /// Where to: a file, or a directory
    #[arg(long, short, value_name = "FILE|DIR", default_value = "./")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

/// Saves what a job made, or how.
pub(crate) async fn run(asked: DownloadArguments, gateway: &Url) -> Result<Exit, Problem> {
    let client = Client::connect(gateway).await?;
    let id = client.find(&asked.job).await?;
    let job = client.get(id).await?;
    let wanted: Vec<Artifact> = if asked.recipe {
        job.recipe.clone().into_iter().collect()
    } else {
        job.outputs.clone()
    };
    if wanted.is_empty() {
        let what = if asked.recipe { "recipe" } else { "result" };
        let problem = Problem::new(Exit::Unknown, format!("job {id} has no {what}"));
        return Err(if lifecycle::is_finished(job.status()) {
            problem.with_remedy(format!("orchestrator job {id} shows how it ended"))
        } else {
            problem.with_remedy(format!("orchestrator watch {id} waits until it is over"))
        });
    }
    for path in save_all(&client, &wanted, &Target::of(&asked.output)).await? {
        let path = path.display().to_string();
        if asked.client.json {
            output::json(&serde_json::json!({ "path": path }))?;
        } else {
            output::line(path)?;
        }
    }
    Ok(Exit::Success)
}

/// Where outputs go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// Into a directory, under the names that they have; nothing there is overwritten.
    Directory(PathBuf),
    /// To this file; several outputs are numbered.
    File(PathBuf),
}

impl Target {
    /// A path that exists as a directory or ends with a slash is a directory.
    pub(crate) fn of(path: &Path) -> Self {
        let text = path.to_string_lossy();
        if path.is_dir() || text.ends_with('/') || text.ends_with(std::path::MAIN_SEPARATOR) {
            Self::Directory(path.to_owned())
        } else {
            Self::File(path.to_owned())
        }
    }

    /// The path for an output, `number` (from 1) of `count`.
    fn path(&self, filename: &str, number: usize, count: usize) -> PathBuf {
        match self {
            Self::File(path) if count == 1 => path.clone(),
            Self::File(path) => numbered(path, number),
            Self::Directory(dir) => {
                let wanted = dir.join(safe_name(filename));
                let others = (2..).map(|number| numbered(&wanted, number));
                let mut candidates = std::iter::once(wanted.clone()).chain(others);
                candidates.find(|path| !path.exists()).unwrap_or(wanted)
            }
        }
    }
}

/// Saves all outputs; gives their paths.
pub(crate) async fn save_all(
    client: &Client,
    outputs: &[Artifact],
    target: &Target,
) -> Result<Vec<PathBuf>, Problem> {
    let mut saved = Vec::new();
    for (artifact, number) in outputs.iter().zip(1..) {
        let path = target.path(&artifact.filename, number, outputs.len());
        save(client, artifact, &path).await?;
        saved.push(path);
    }
    Ok(saved)
}

async fn save(client: &Client, artifact: &Artifact, path: &Path) -> Result<(), Problem> {
    let unwritable =
        |error: &io::Error| Problem::failed(format_args!("{} cannot be written", path.display()), error);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)
            .await
            .map_err(|error| unwritable(&error))?;
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".part");
    let partial = PathBuf::from(partial);
    let outcome = fetch(client, artifact, &partial, unwritable).await;
    let outcome = match outcome {
        Ok(()) => fs::rename(&partial, path)
            .await
            .map_err(|error| unwritable(&error)),
        Err(problem) => Err(problem),
    };
    if outcome.is_err() {
        // the reason why it could not be saved is worth more than that this failed too
        fs::remove_file(&partial).await.ok();
    }
    outcome
}

async fn fetch(
    client: &Client,
    artifact: &Artifact,
    partial: &Path,
    unwritable: impl Fn(&io::Error) -> Problem,
) -> Result<(), Problem> {
    let mut chunks = client.artifact(&artifact.id).await?;
    let mut file = fs::File::create(partial)
        .await
        .map_err(|error| unwritable(&error))?;
    let mut digest = Sha256::new();
    while let Some(chunk) = chunks
        .message()
        .await
        .map_err(|status| Problem::of_status(&status))?
    {
        digest.update(&chunk.content);
        file.write_all(&chunk.content)
            .await
            .map_err(|error| unwritable(&error))?;
    }
    file.sync_all().await.map_err(|error| unwritable(&error))?;
    let arrived = proto::ids::hex(&digest.finalize());
    if arrived == artifact.sha256 {
        Ok(())
    } else {
        let detail = format!(
            "artifact {} arrived damaged: its SHA-256 is {arrived}, not {}",
            artifact.id, artifact.sha256
        );
        Err(Problem::new(Exit::Failure, detail)
            .with_remedy("Save it again with `orchestrator download ID --output …`."))
    }
}

/// `a/b.png` → `a/b-2.png`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(ending) => format!("{stem}-{number}.{}", ending.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

/// A name from elsewhere as a name in one directory, and nothing more.
fn safe_name(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|c| {
            if c.is_control() || r#"/\:*?"<>|"#.contains(c) {
                '_'
            } else {
                c
            }
        })
        .collect();
    match name.trim_matches([' ', '.']) {
        "" => "output".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_outputs_of_one_file_are_numbered() {
        let target = Target::of(Path::new("no-such-dir/out.png"));
        assert_eq!(target.path("x", 1, 1), Path::new("no-such-dir/out.png"));
        assert_eq!(target.path("x", 2, 3), Path::new("no-such-dir/out-2.png"));
        assert_eq!(Target::of(Path::new("new/")), Target::Directory("new/".into()));
    }

    #[test]
    fn nothing_in_a_directory_is_overwritten_and_nothing_leaves_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let target = Target::of(dir.path());
        let path = target.path("a.png", 1, 1);
        assert_eq!(path, dir.path().join("a.png"));
        std::fs::write(path, "").expect("written");
        assert_eq!(target.path("a.png", 1, 1), dir.path().join("a-2.png"));
        assert_eq!(
            target.path("../../etc/passwd", 1, 1),
            dir.path().join("_.._etc_passwd")
        );
        assert_eq!(target.path("..", 1, 1), dir.path().join("output"));
    }
}
