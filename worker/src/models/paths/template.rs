//! Writes a first `extra_model_paths.yaml`, and never loses one that is there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::super::kinds::{Filter, KINDS};

/// Backups of the same second after which no name is tried any more.
const MOST_BACKUPS: u32 = 100;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The new file.
    pub path: PathBuf,
    /// Where the file that was there before is now.
    pub backup: Option<PathBuf>,
}

/// Writes a commented file that offers ComfyUI the folders under `base_dir`, or under its folder `models` if
/// it has one. A file that is there is copied to `<name>.<date>-<time>.bak` first.
///
/// # Errors
/// If the folder of the file cannot be written; then the old file is as it was.
pub fn create_default(path: &Path, base_dir: &Path) -> io::Result<Created> {
    let base_dir = std::path::absolute(base_dir)?;
    // a link stays a link
    let target = fs::canonicalize(path).or_else(|_| std::path::absolute(path))?;
    let before = match fs::metadata(&target) {
        Ok(metadata) if metadata.is_file() => Some(metadata.permissions()),
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "there is a folder of this name",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let backup = before.is_some().then(|| back_up(&target)).transpose()?;
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut new = builder().tempfile_in(folder)?;
    new.write_all(text(&base_dir).as_bytes())?;
    if let Some(permissions) = before {
        fs::set_permissions(new.path(), permissions)?;
    }
    new.as_file().sync_all()?;
    new.persist(&target).map_err(|error| error.error)?;
    Ok(Created { path: target, backup })
}

/// ComfyUI may run as somebody else than we do, so that others must be able to read the file.
fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".extra_model_paths.");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    builder
}

/// Copies a file to a name that nothing has.
fn back_up(path: &Path) -> io::Result<PathBuf> {
    let stamp = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for turn in 1..=MOST_BACKUPS {
        let more = if turn == 1 {
            String::new()
        } else {
            format!("-{turn}")
        };
        let backup = path.with_file_name(format!("{name}.{stamp}{more}.bak"));
        match OpenOptions::new().write(true).create_new(true).open(&backup) {
            Ok(mut copy) => {
                io::copy(&mut File::open(path)?, &mut copy)?;
                copy.sync_all()?;
                return Ok(backup);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn text(base_dir: &Path) -> String {
    let models = base_dir.join("models");
    let base = if models.is_dir() {
        models.as_path()
    } else {
        base_dir
    };
    let mut text = String::from(
        "# Where ComfyUI looks for models besides its own folders.\n\
         # ComfyUI reads this when it starts: restart it after a change.\n\
         #\n\
         # Each section has a name of your choice. base_path is the folder that the lines below it start from;\n\
         # ~ and $NAME are filled in there and nowhere else. A kind with several folders is written\n\
         #     loras: |\n\
         #       loras\n\
         #       more/loras\n\
         # Indent with blanks, never with tabs. Write C:/models or 'C:\\models', never \"C:\\models\".\n\
         # A kind whose folder does not exist yet is commented out: make the folder, then remove the #.\n\n",
    );
    let quoted = base.to_string_lossy().replace('\'', "''");
    text.push_str("models:\n");
    line(&mut text, &format!("  base_path: '{quoted}'"));
    text.push_str("  # search here before ComfyUI's own folders\n  # is_default: true\n");
    for kind in KINDS {
        if matches!(kind.filter, Filter::Nothing) {
            continue;
        }
        let there: Vec<&str> = kind
            .folders
            .iter()
            .copied()
            .filter(|folder| base.join(folder).is_dir())
            .collect();
        match there.as_slice() {
            [] => {
                let folder = kind.folders.last().filter(|_| kind.name == "diffusion_models");
                let folder = folder.or(kind.folders.first()).copied().unwrap_or(kind.name);
                line(&mut text, &format!("  # {}: {folder}", kind.name));
            }
            [folder] => line(&mut text, &format!("  {}: {folder}", kind.name)),
            several => {
                line(&mut text, &format!("  {}: |", kind.name));
                for folder in several {
                    line(&mut text, &format!("    {folder}"));
                }
            }
        }
    }
    text
}

fn line(text: &mut String, content: &str) {
    text.push_str(content);
    text.push('\n');
}
