//! Why a server refuses a graph: which node, which input, what is wrong with it. Keys vary between
//! versions and kinds, so that everything is optional on the way in.

use std::fmt;

use serde_json::Value;

/// A refused graph. Nothing of it was queued.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// ComfyUI's kind: `missing_node_type`, `prompt_no_outputs`, `prompt_outputs_failed_validation`, …
    pub kind: String,
    /// Its message.
    pub message: String,
    /// Its details, often empty; the faults say more.
    pub details: String,
    /// What is wrong with which node, in the order of node ids.
    pub faults: Vec<NodeFault>,
}

/// One thing that is wrong with one node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFault {
    /// The id of the node in the graph.
    pub node_id: String,
    /// Its class.
    pub class_type: Option<String>,
    /// Its title, if the author of the graph gave it one.
    pub title: Option<String>,
    /// The input at fault.
    pub input: Option<String>,
    /// ComfyUI's kind: `value_not_in_list`, `required_input_missing`, `missing_node_type`, …
    pub kind: String,
    /// Its message, such as `Value not in list`.
    pub message: String,
    /// Its details, such as `ckpt_name: 'a' not in ['b', 'c']`.
    pub details: String,
    /// The value that was refused.
    pub received: Option<Value>,
    /// The values that would have been taken, where the server tells (up to 20).
    pub allowed: Vec<String>,
}

impl Rejection {
    /// Reads the body of a 400 answer; `None` if it is not one of ComfyUI's. The graph adds classes and
    /// titles that the server does not repeat.
    pub fn parse(body: &Value, graph: &Value) -> Option<Self> {
        let error = body.get("error")?;
        let kind = text(error, "type")?;
        let message = text(error, "message").unwrap_or_default();
        let details = text(error, "details").unwrap_or_default();
        let mut faults = NodeFault::list(body.get("node_errors"), graph);
        if faults.is_empty()
            && let Some(fault) = NodeFault::of_missing_class(error, &kind, &message, &details, graph)
        {
            faults.push(fault);
        }
        Some(Self {
            kind,
            message,
            details,
            faults,
        })
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the graph was refused: ")?;
        if self.faults.is_empty() {
            f.write_str(&self.message)?;
            return if self.details.is_empty() || self.details == self.message {
                Ok(())
            } else {
                write!(f, " ({})", self.details)
            };
        }
        for (n, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if n > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for NodeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.node_id)?;
        if let Some(class_type) = &self.class_type {
            write!(f, " ({class_type})")?;
        }
        if let Some(input) = &self.input {
            write!(f, ", input {input}")?;
        }
        write!(f, ": {}", self.message)?;
        if !self.details.is_empty() && Some(&self.details) != self.input.as_ref() {
            write!(f, ": {}", self.details)?;
        }
        Ok(())
    }
}

impl NodeFault {
    /// Reads `node_errors` of an answer, which a success can carry too.
    pub fn list(node_errors: Option<&Value>, graph: &Value) -> Vec<Self> {
        let Some(nodes) = node_errors.and_then(Value::as_object) else {
            return Vec::new();
        };
        let mut faults: Vec<Self> = nodes
            .iter()
            .flat_map(|(node_id, node)| {
                let errors = node.get("errors").and_then(Value::as_array);
                errors
                    .into_iter()
                    .flatten()
                    .map(|error| Self::parse(node_id, node, error, graph))
            })
            .collect();
        // the server reports the inputs of a node in arbitrary order
        faults.sort_by(|a, b| node_order(&a.node_id, &b.node_id).then_with(|| a.input.cmp(&b.input)));
        faults
    }

    fn parse(node_id: &str, node: &Value, error: &Value, graph: &Value) -> Self {
        let extra = error.get("extra_info");
        let config = extra.and_then(|extra| extra.get("input_config"));
        Self {
            node_id: node_id.to_owned(),
            class_type: text(node, "class_type").or_else(|| class_in(graph, node_id)),
            title: title_in(graph, node_id),
            input: extra.and_then(|extra| text(extra, "input_name")),
            kind: text(error, "type").unwrap_or_default(),
            message: text(error, "message").unwrap_or_default(),
            details: text(error, "details").unwrap_or_default(),
            received: extra.and_then(|extra| extra.get("received_value")).cloned(),
            allowed: config.map(allowed_by).unwrap_or_default(),
        }
    }

    /// An unknown class is told in the error itself: new servers name the node in `extra_info`, old ones
    /// only in the details, `Node ID '#1'`.
    fn of_missing_class(
        error: &Value,
        kind: &str,
        message: &str,
        details: &str,
        graph: &Value,
    ) -> Option<Self> {
        let extra = error.get("extra_info");
        let said = |key: &str| extra.and_then(|extra| text(extra, key));
        let quoted = || Some(details.strip_prefix("Node ID '#")?.strip_suffix('\'')?.to_owned());
        let node_id = said("node_id").or_else(quoted)?;
        Some(Self {
            class_type: said("class_type").or_else(|| class_in(graph, &node_id)),
            title: title_in(graph, &node_id),
            node_id,
            input: None,
            kind: kind.to_owned(),
            message: message.to_owned(),
            details: String::new(),
            received: None,
            allowed: Vec::new(),
        })
    }
}

/// Node ids are numbers in text as a rule, and `57:3` in sub-graphs.
pub(super) fn node_order(a: &str, b: &str) -> std::cmp::Ordering {
    let key = |id: &str| {
        id.split([':', '.'])
            .map(|part| part.parse::<u64>().unwrap_or(u64::MAX))
            .collect::<Vec<_>>()
    };
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

fn allowed_by(config: &Value) -> Vec<String> {
    let options = match config.get(0) {
        Some(Value::Array(options)) => Some(options),
        _ => config
            .get(1)
            .and_then(|settings| settings.get("options"))
            .and_then(Value::as_array),
    };
    options
        .into_iter()
        .flatten()
        .filter_map(|option| Some(option.as_str()?.to_owned()))
        .collect()
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn class_in(graph: &Value, node_id: &str) -> Option<String> {
    text(graph.get(node_id)?, "class_type")
}

fn title_in(graph: &Value, node_id: &str) -> Option<String> {
    text(graph.get(node_id)?.get("_meta")?, "title")
}
