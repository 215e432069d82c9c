//! Just enough of YAML for `extra_model_paths.yaml`, with the line of everything, so that faults can be shown.

use std::{collections::HashMap, rc::Rc};

use saphyr_parser::{Event, Parser, ScalarStyle};

/// Tables within tables after which a file is given up; ComfyUI's needs two.
const DEEPEST: usize = 16;

/// One value and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Text(String),
    /// A number, a truth or a date, as written.
    Plain(String),
    List,
    Table(Vec<Entry>),
}

/// One line of a table; later lines of the same key are kept.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    /// From 1.
    pub(super) line: usize,
    pub(super) node: Rc<Node>,
}

/// Why a text is no YAML.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unparsable {
    /// From 1.
    pub(super) line: usize,
    pub(super) message: String,
}

/// A table or a list under construction.
#[derive(Debug)]
struct Open {
    line: usize,
    anchor: usize,
    /// `None` in a list.
    entries: Option<Vec<Entry>>,
    key: Option<(String, usize)>,
}

/// The first document of a text; an empty one is null.
pub(super) fn parse(text: &str) -> Result<Rc<Node>, Unparsable> {
    let mut anchors: HashMap<usize, Rc<Node>> = HashMap::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Unparsable {
            line: error.marker().line().max(1),
            message: error.info().to_owned(),
        })?;
        let line = span.start.line().max(1);
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(line, &text, style), anchor),
            Event::Alias(anchor) => match anchors.get(&anchor) {
                Some(node) => (Rc::clone(node), 0),
                None => (leaf(line, Value::Null), 0),
            },
            Event::MappingStart(anchor, _) | Event::SequenceStart(anchor, _) => {
                if open.len() >= DEEPEST {
                    let message = "tables are nested too deeply".to_owned();
                    return Err(Unparsable { line, message });
                }
                let entries = matches!(event, Event::MappingStart(..)).then(Vec::new);
                open.push(Open {
                    line,
                    anchor,
                    entries,
                    key: None,
                });
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => match open.pop() {
                Some(done) => {
                    let value = done.entries.map_or(Value::List, Value::Table);
                    (leaf(done.line, value), done.anchor)
                }
                None => continue,
            },
            Event::DocumentEnd => return Ok(leaf(line, Value::Null)),
            Event::StreamEnd => break,
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
        };
        if anchor > 0 {
            anchors.insert(anchor, Rc::clone(&node));
        }
        match open.last_mut() {
            Some(into) => into.take(node),
            None => return Ok(node),
        }
    }
    Ok(leaf(1, Value::Null))
}

impl Open {
    fn take(&mut self, node: Rc<Node>) {
        let Some(entries) = &mut self.entries else { return };
        match self.key.take() {
            Some((key, line)) => entries.push(Entry { key, line, node }),
            None => self.key = Some((node.text(), node.line)),
        }
    }
}

impl Node {
    /// The text of a value that is one, as written.
    fn text(&self) -> String {
        match &self.value {
            Value::Text(text) | Value::Plain(text) => text.clone(),
            Value::Null | Value::List | Value::Table(_) => String::new(),
        }
    }
}

fn leaf(line: usize, value: Value) -> Rc<Node> {
    Rc::new(Node { line, value })
}

/// Tells texts from what ComfyUI's reader takes for something else.
fn scalar(line: usize, text: &str, style: ScalarStyle) -> Rc<Node> {
    let value = match style {
        ScalarStyle::Plain if matches!(text, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
        ScalarStyle::Plain if truth(text).is_some() || text.parse::<f64>().is_ok() => {
            Value::Plain(text.to_owned())
        }
        ScalarStyle::Plain
        | ScalarStyle::SingleQuoted
        | ScalarStyle::DoubleQuoted
        | ScalarStyle::Literal
        | ScalarStyle::Folded => Value::Text(text.to_owned()),
    };
    leaf(line, value)
}

/// What counts as a truth in YAML 1.1, which ComfyUI reads.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}
