//! `extra_model_paths.yaml`: which further folders ComfyUI searches, and what is wrong with the file.

mod finding;
mod sections;
mod template;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

pub use finding::{Finding, Severity};
pub use template::{Created, create_default};

use super::kinds;
use sections::Section;

/// The largest file that is read, in bytes; real ones have a few kilobytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// What stands for `~` and `$NAME` in a `base_path`.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The home directory.
    pub home: Option<PathBuf>,
    /// The variables.
    pub variables: BTreeMap<String, String>,
}

impl Environment {
    /// That of this process. ComfyUI's own may differ where it runs as somebody else.
    pub fn of_process() -> Self {
        Self {
            home: std::env::home_dir(),
            variables: std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        }
    }
}

/// A further folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraFolder {
    /// The present name of the kind of model.
    pub kind: String,
    /// The folder, absolute if the file's own path was.
    pub dir: PathBuf,
    /// The section of the file.
    pub section: String,
    /// The line of the file, from 1.
    pub line: usize,
    /// Whether it is searched before the folders that were there.
    pub first: bool,
}

/// What a file says, and what is wrong with it.
#[derive(Debug, Default)]
pub struct ExtraPaths {
    /// In the order in which ComfyUI takes them in.
    pub folders: Vec<ExtraFolder>,
    /// Everything that is wrong, by line.
    pub findings: Vec<Finding>,
}

impl ExtraPaths {
    /// Whether ComfyUI would start with this file and find every folder.
    pub fn is_sound(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity != Severity::Error)
    }
}

/// Reads a file and lists every fault at once.
///
/// # Errors
/// If the file cannot be read; what it says is never an error but a finding.
pub fn validate(path: &Path, environment: &Environment) -> io::Result<ExtraPaths> {
    let length = fs::metadata(path)?.len();
    if length > MAX_BYTES {
        let message = format!("the file has {length} bytes, which no list of folders has");
        return Ok(ExtraPaths {
            folders: Vec::new(),
            findings: vec![Finding::error(None, message)],
        });
    }
    let dir = std::path::absolute(path)?
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default();
    let bytes = fs::read(path)?;
    let mut extra = match String::from_utf8(bytes) {
        Ok(text) => parse(&text, &dir, environment),
        Err(error) => {
            let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = sound.split(|byte| *byte == b'\n').count();
            let message = "the file is not UTF-8 from here on; save it as UTF-8".to_owned();
            return Ok(ExtraPaths {
                folders: Vec::new(),
                findings: vec![Finding::error(Some(line), message)],
            });
        }
    };
    look_at_folders(&mut extra);
    extra.findings.sort_by_key(|finding| finding.line);
    Ok(extra)
}

/// What a text says when it lies in `dir`. Looks at no file.
pub fn parse(text: &str, dir: &Path, environment: &Environment) -> ExtraPaths {
    let mut extra = ExtraPaths::default();
    let Some(sections) = sections::read(text, &mut extra.findings) else {
        return extra;
    };
    for section in sections {
        read_section(&section, dir, environment, &mut extra);
    }
    name_repetitions(&mut extra);
    extra.findings.sort_by_key(|finding| finding.line);
    extra
}

fn read_section(section: &Section, dir: &Path, environment: &Environment, extra: &mut ExtraPaths) {
    let base = section.base.as_ref().map(|(text, line)| {
        let expanded = expand(text, environment, *line, &mut extra.findings);
        dir.join(expanded)
    });
    let base = base.as_deref().unwrap_or(dir);
    for line in &section.paths {
        name_unknown_kind(&line.kind, line.line, extra);
        if line.path.starts_with('~') || line.path.contains('$') {
            let message = format!(
                "ComfyUI expands ~ and variables only in base_path, and takes {:?} as it stands",
                line.path
            );
            extra.findings.push(Finding::warning(Some(line.line), message));
        }
        if line.path.trim() != line.path {
            let message = format!("{:?} begins or ends with a blank, which ComfyUI keeps", line.path);
            extra.findings.push(Finding::warning(Some(line.line), message));
        }
        extra.folders.push(ExtraFolder {
            kind: kinds::present_name(&line.kind).to_owned(),
            dir: normal(&base.join(&line.path)),
            section: section.name.clone(),
            line: line.line,
            first: section.is_default,
        });
    }
}

fn name_unknown_kind(kind: &str, line: usize, extra: &mut ExtraPaths) {
    if kinds::find(kind).is_some() {
        return;
    }
    let message = match kinds::nearest(kind) {
        Some(known) => format!("ComfyUI knows no kind {kind:?}; {known:?} is the nearest that it knows"),
        None => format!("ComfyUI itself knows no kind {kind:?}; it is right if an extension brings it"),
    };
    extra.findings.push(Finding::warning(Some(line), message));
}

fn name_repetitions(extra: &mut ExtraPaths) {
    let mut seen: HashMap<(&str, &Path), usize> = HashMap::new();
    for folder in &extra.folders {
        if let Some(before) = seen.insert((&folder.kind, &folder.dir), folder.line) {
            let message = format!(
                "{} is given for {} in line {before} already",
                folder.dir.display(),
                folder.kind
            );
            extra.findings.push(Finding::warning(Some(folder.line), message));
        }
    }
}

fn look_at_folders(extra: &mut ExtraPaths) {
    for folder in &extra.folders {
        let message = match fs::metadata(&folder.dir) {
            Ok(found) if found.is_dir() => continue,
            Ok(_) => format!("{} is a file; a folder belongs here", folder.dir.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let missing = missing_part(&folder.dir);
                format!("{} does not exist{missing}", folder.dir.display())
            }
            Err(error) => format!("{} cannot be looked at: {error}", folder.dir.display()),
        };
        extra.findings.push(Finding::error(Some(folder.line), message));
    }
}

/// How far a path can be followed: this tells a wrong `base_path` from a wrong folder in it.
fn missing_part(dir: &Path) -> String {
    match dir.ancestors().skip(1).find(|parent| parent.is_dir()) {
        Some(parent) if Some(parent) != dir.parent() => format!(" (only {} does)", parent.display()),
        Some(_) | None => String::new(),
    }
}

/// `~`, `$NAME` and `${NAME}`, as Python expands them: what is unknown stays.
fn expand(text: &str, environment: &Environment, line: usize, findings: &mut Vec<Finding>) -> PathBuf {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let bare = || {
            let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            after.split_at(end.unwrap_or(after.len()))
        };
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, behind) = braced.unwrap_or_else(bare);
        if let Some(value) = environment.variables.get(name) {
            expanded.push_str(value);
            rest = behind;
        } else {
            let message = format!("the variable ${name} of base_path is not set");
            findings.push(Finding::warning(Some(line), message));
            expanded.push('$');
            rest = after;
        }
    }
    expanded.push_str(rest);
    match (expanded.strip_prefix('~'), &environment.home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with(['/', '\\']) => {
            home.join(rest.trim_start_matches(['/', '\\']))
        }
        _ => PathBuf::from(expanded),
    }
}

/// Without `.` and `..`, by the letters alone, as ComfyUI does it.
fn normal(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    normal.push("..");
                }
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => normal.push(part),
        }
    }
    normal
}
