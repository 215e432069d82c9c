//! The files that a prompt has made, as the server names them.

use serde_json::Value;

use super::rejection::node_order;

/// One of the server's three roots for files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Folder {
    /// Uploads and example pictures.
    Input,
    /// Results.
    #[default]
    Output,
    /// Previews and the like; wiped when the server starts.
    Temp,
}

impl Folder {
    /// The server's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Temp => "temp",
        }
    }

    /// Reads the server's word. What it does not say or we do not know is looked for among the results, as
    /// the server itself does.
    pub fn parse(word: Option<&str>) -> Self {
        match word {
            Some("input") => Self::Input,
            Some("temp") => Self::Temp,
            _ => Self::Output,
        }
    }
}

/// Where a file lies on the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileRef {
    /// The file's name.
    pub filename: String,
    /// The folder below the root, `""` for the root itself.
    pub subfolder: String,
    /// The root.
    pub folder: Folder,
}

/// A file that an output node has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// The node that made it.
    pub node_id: String,
    /// The key under which the node lists it: `images` for most, videos of the built-in nodes too; `gifs`,
    /// `audio`, … with others. The extension tells what it is, this does not.
    pub key: String,
    /// Where it lies.
    pub file: FileRef,
    /// Whether the node declares its files animated.
    pub animated: bool,
}

impl FileRef {
    /// Reads `{filename, subfolder, type}`.
    pub fn parse(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let filename = text("filename").filter(|name| !name.is_empty())?;
        Some(Self {
            filename: filename.to_owned(),
            subfolder: text("subfolder").unwrap_or_default().to_owned(),
            folder: Folder::parse(text("type")),
        })
    }
}

impl OutputFile {
    /// Every file of an `outputs` object (node id → what the node shows), by node, then as listed.
    pub fn list(outputs: &Value) -> Vec<Self> {
        let Some(nodes) = outputs.as_object() else {
            return Vec::new();
        };
        let mut ids: Vec<&String> = nodes.keys().collect();
        ids.sort_by(|a, b| node_order(a, b));
        ids.into_iter()
            .flat_map(|id| Self::of_node(id, &nodes[id]))
            .collect()
    }

    /// The files of one node: every list of objects with a `filename`, whatever its key.
    pub fn of_node(node_id: &str, shown: &Value) -> Vec<Self> {
        let Some(keys) = shown.as_object() else {
            return Vec::new();
        };
        let flags = keys.get("animated").and_then(Value::as_array);
        let animated = flags
            .into_iter()
            .flatten()
            .any(|flag| flag.as_bool() == Some(true));
        let files = keys.iter().flat_map(|(key, list)| {
            let files = list.as_array().into_iter().flatten().filter_map(FileRef::parse);
            files.map(move |file| (key.clone(), file))
        });
        files
            .map(|(key, file)| Self {
                node_id: node_id.to_owned(),
                key,
                file,
                animated,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_are_found_under_any_key_in_node_order() {
        let outputs = json!({
            "10": {"gifs": [{"filename": "b.mp4", "subfolder": "v", "type": "output", "frame_rate": 8.0}]},
            "9": {"images": [{"filename": "a.png", "subfolder": "", "type": "temp"}], "text": ["no file"]},
            "11": {"images": [{"filename": "c.webp"}], "animated": [true]},
            "12": null,
        });
        let files = OutputFile::list(&outputs);
        let names: Vec<_> = files
            .iter()
            .map(|file| (file.node_id.as_str(), file.file.filename.as_str()))
            .collect();
        assert_eq!(names, [("9", "a.png"), ("10", "b.mp4"), ("11", "c.webp")]);
        assert_eq!(files[0].file.folder, Folder::Temp);
        assert_eq!(
            (files[1].key.as_str(), files[1].file.subfolder.as_str()),
            ("gifs", "v")
        );
        assert!(files[2].animated && files[2].file.folder == Folder::Output);
    }
}
