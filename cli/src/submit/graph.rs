//! A ComfyUI graph from a file, with inputs of its nodes replaced.

use serde_json::{Map, Value};

/// A graph in ComfyUI's API format: node id → node.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Graph(Map<String, Value>);

impl Graph {
    /// Reads a graph; `origin` is named where it is none.
    pub(super) fn parse(text: &str, origin: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(Value::Object(graph)) if graph.get("nodes").is_some_and(Value::is_array) => Err(format!(
                "{origin} is in the format of ComfyUI's editor; export it with \"Export (API)\""
            )),
            Ok(Value::Object(graph)) => Ok(Self(graph)),
            Ok(_) => Err(format!("{origin} is not a JSON object of nodes")),
            Err(error) => Err(format!("{origin} is not valid JSON: {error}")),
        }
    }

    /// The node and input that `key` names as `<node>.<input>`; `None` where the graph has no such node.
    pub(super) fn place<'a>(&self, key: &'a str) -> Option<(&'a str, &'a str)> {
        let (node, input) = key.rsplit_once('.')?;
        self.0.contains_key(node).then_some((node, input))
    }

    /// Sets an input of a node.
    pub(super) fn set(&mut self, node: &str, input: &str, value: Value) -> Result<(), String> {
        let inputs = self
            .0
            .get_mut(node)
            .and_then(|node| node.get_mut("inputs"))
            .and_then(Value::as_object_mut);
        let inputs = inputs.ok_or_else(|| format!("node {node} of the graph has no inputs"))?;
        inputs.insert(input.to_owned(), value);
        Ok(())
    }

    /// The nodes with their classes, for messages.
    pub(super) fn nodes(&self) -> String {
        let class = |node: &Value| {
            node.get("class_type")
                .and_then(Value::as_str)
                .unwrap_or("?")
                .to_owned()
        };
        let nodes: Vec<String> = self
            .0
            .iter()
            .map(|(id, node)| format!("{id} ({})", class(node)))
            .collect();
        nodes.join(", ")
    }

    /// The form in which it is sent.
    pub(super) fn into_text(self) -> String {
        Value::Object(self.0).to_string()
    }
}

/// A value typed for a graph's input: JSON where it is JSON, otherwise text.
pub(super) fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inputs_are_set_by_node_and_name() {
        let text =
            r#"{"3":{"class_type":"KSampler","inputs":{"seed":1}},"a.b":{"class_type":"X","inputs":{}}}"#;
        let mut graph = Graph::parse(text, "g.json").expect("a graph");
        assert_eq!(graph.place("3.seed"), Some(("3", "seed")));
        assert_eq!(graph.place("a.b.c"), Some(("a.b", "c")));
        assert_eq!((graph.place("4.seed"), graph.place("seed")), (None, None));
        graph.set("3", "seed", value("7")).expect("set");
        graph.set("3", "sampler_name", value("euler")).expect("set");
        let read: Value = serde_json::from_str(&graph.into_text()).expect("JSON");
        assert_eq!(read["3"]["inputs"], json!({"seed": 7, "sampler_name": "euler"}));
    }

    #[test]
    fn what_is_no_graph_is_told_with_its_file() {
        let fault = |text| Graph::parse(text, "g.json").expect_err("no graph");
        assert!(fault("{").contains("g.json is not valid JSON"));
        assert!(fault("[]").contains("not a JSON object"));
        assert!(fault(r#"{"nodes":[]}"#).contains("Export (API)"));
        let mut bare = Graph::parse(r#"{"1":{"class_type":"X"}}"#, "g.json").expect("a graph");
        assert!(bare.set("1", "x", Value::Null).is_err());
        assert_eq!(bare.nodes(), "1 (X)");
    }
}
