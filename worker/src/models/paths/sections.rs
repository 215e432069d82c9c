//! From text to sections: what can be wrong before any folder is looked at.

use super::{
    super::yaml::{self, Entry, Value},
    finding::Finding,
};

/// One section of the file.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: String,
    /// The text and its line.
    pub(super) base: Option<(String, usize)>,
    pub(super) is_default: bool,
    pub(super) paths: Vec<PathLine>,
}

/// One folder of one kind.
#[derive(Debug)]
pub(super) struct PathLine {
    pub(super) kind: String,
    pub(super) path: String,
    /// From 1.
    pub(super) line: usize,
}

/// Reads the sections; `None` where the text has none that could be read.
pub(super) fn read(text: &str, findings: &mut Vec<Finding>) -> Option<Vec<Section>> {
    let suspects = suspicious_lines(text, findings);
    let root = match yaml::parse(text) {
        Ok(root) => root,
        Err(error) => {
            // the parser stumbles over what was named already, there or in the next line
            if !suspects
                .iter()
                .any(|line| (*line..=line + 1).contains(&error.line))
            {
                let message = format!("this is not YAML: {}", error.message);
                findings.push(Finding::error(Some(error.line), message));
            }
            return None;
        }
    };
    let Value::Table(entries) = &root.value else {
        let message = match root.value {
            Value::Null => {
                "the file names no section, and ComfyUI does not start with it; delete it or add one"
            }
            Value::Text(_) | Value::Plain(_) | Value::List | Value::Table(_) => {
                "sections belong here, each a name with a colon and indented lines below"
            }
        };
        findings.push(Finding::error(Some(root.line), message.into()));
        return None;
    };
    let entries = last_ones(entries, "the section", findings);
    Some(
        entries
            .iter()
            .filter_map(|entry| section(entry, findings))
            .collect(),
    )
}

/// Tabs in front, and Windows paths in double quotes; gives their lines.
fn suspicious_lines(text: &str, findings: &mut Vec<Finding>) -> Vec<usize> {
    let mut lines = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let inner = content.trim_start();
        if inner.is_empty() || inner.starts_with('#') {
            continue;
        }
        let margin = content.get(..content.len() - inner.len()).unwrap_or_default();
        if margin.contains('\t') {
            let message = "the line is indented with a tab; YAML takes only blanks".to_owned();
            findings.push(Finding::error(Some(line), message));
            lines.push(line);
        }
        if has_windows_quotes(inner) {
            let message = "in double quotes a backslash begins a code, so this is another path; use single \
                           quotes, none at all, or forward slashes";
            findings.push(Finding::error(Some(line), message.into()));
            lines.push(line);
        }
    }
    lines
}

/// Whether a value in double quotes has a backslash that is not doubled.
fn has_windows_quotes(line: &str) -> bool {
    let Some((before, rest)) = line.split_once('"') else {
        return false;
    };
    if before.contains('\'') || before.contains(" #") {
        return false;
    }
    let inner = rest.split_once('"').map_or(rest, |(inner, _)| inner);
    let single = inner.replace("\\\\", "");
    single.contains('\\')
}

/// The entries that count: of several with the same key ComfyUI takes the last and says nothing.
fn last_ones<'a>(entries: &'a [Entry], what: &str, findings: &mut Vec<Finding>) -> Vec<&'a Entry> {
    let mut kept: Vec<&Entry> = Vec::new();
    for entry in entries {
        match kept.iter_mut().find(|before| before.key == entry.key) {
            Some(before) => {
                let message = format!(
                    "{what} {:?} stands in line {} already, and only this one counts",
                    entry.key, before.line
                );
                findings.push(Finding::error(Some(entry.line), message));
                *before = entry;
            }
            None => kept.push(entry),
        }
    }
    kept
}

fn section(entry: &Entry, findings: &mut Vec<Finding>) -> Option<Section> {
    let entries = match &entry.node.value {
        Value::Table(entries) => entries,
        Value::Null => return None,
        Value::Text(_) | Value::Plain(_) | Value::List => {
            let message = format!(
                "{:?} is no section: below its name belong indented lines such as `checkpoints: models/checkpoints`",
                entry.key
            );
            findings.push(Finding::error(Some(entry.line), message));
            return None;
        }
    };
    let mut section = Section {
        name: entry.key.clone(),
        base: None,
        is_default: false,
        paths: Vec::new(),
    };
    // what is merged in counts less than what stands here
    let (merges, own): (Vec<Entry>, Vec<Entry>) = entries.iter().cloned().partition(|line| line.key == "<<");
    let own_lines = last_ones(&own, "the line", findings);
    let merged = merges.iter().flat_map(|merge| match &merge.node.value {
        Value::Table(lines) => lines.as_slice(),
        Value::Null | Value::Text(_) | Value::Plain(_) | Value::List => &[],
    });
    let merged = merged.filter(|line| !own_lines.iter().any(|own| own.key == line.key));
    for line in own_lines.iter().copied().chain(merged) {
        setting(line, &mut section, findings);
    }
    Some(section)
}

fn setting(line: &Entry, section: &mut Section, findings: &mut Vec<Finding>) {
    match (line.key.as_str(), &line.node.value) {
        ("base_path", Value::Text(text)) => section.base = Some((text.clone(), line.line)),
        ("is_default", Value::Plain(text)) if yaml::truth(text).is_some() => {
            section.is_default = yaml::truth(text) == Some(true);
        }
        ("is_default", _) => {
            let message = "is_default is true or false, without quotes".to_owned();
            findings.push(Finding::error(Some(line.line), message));
        }
        ("base_path", _) => {
            let message = "base_path must be one folder".to_owned();
            findings.push(Finding::error(Some(line.line), message));
        }
        (kind, Value::Text(text)) => section.paths.extend(folders(kind, text, line)),
        (kind, Value::Null) => {
            let message =
                format!("{kind} has no folder, and ComfyUI does not start with that; delete the line");
            findings.push(Finding::error(Some(line.line), message));
        }
        (kind, Value::List | Value::Table(_)) => {
            let message = format!(
                "ComfyUI takes no list here; write `{kind}: |` and below it one folder a line, indented"
            );
            findings.push(Finding::error(Some(line.line), message));
        }
        (kind, Value::Plain(text)) => {
            let message = format!("{kind} must be a folder; if {text} is the name of one, put it in quotes");
            findings.push(Finding::error(Some(line.line), message));
        }
    }
}

/// One folder a line of the text. A block's place is that of its first line with something in it.
fn folders<'a>(kind: &'a str, text: &'a str, entry: &Entry) -> impl Iterator<Item = PathLine> + use<'a> {
    let blank = text.len() - text.trim_start_matches('\n').len();
    (entry.node.line.saturating_sub(blank)..)
        .zip(text.split('\n'))
        .filter(|(_, path)| !path.is_empty())
        .map(move |(line, path)| PathLine {
            kind: kind.to_owned(),
            path: path.to_owned(),
            line,
        })
}
