//! The uploaded files that a request names, and where it does.

use serde_json::Value;

use crate::{
    comfyui::escaped,
    ids::AssetId,
    v1::{ComfyUiRequest, JobRequest, job_request::Body},
};

/// Every upload that a request names, with a pointer to the place; one that is named twice stands there
/// twice. What is no reference at all is left out.
pub fn assets(request: &JobRequest) -> Vec<(String, AssetId)> {
    let mut found = Vec::new();
    let mut add = |pointer: String, text: &str| {
        if let Some(Ok(asset)) = AssetId::from_reference(text) {
            found.push((pointer, asset));
        }
    };
    match &request.body {
        Some(Body::Sketch(sketch)) => add("/sketch/palette".to_owned(), &sketch.palette),
        Some(Body::Comfyui(comfyui)) if comfyui.graph.is_empty() => {
            add("/comfyui/image".to_owned(), &comfyui.image);
            add("/comfyui/mask".to_owned(), &comfyui.mask);
            for (number, control) in comfyui.controls.iter().enumerate() {
                add(format!("/comfyui/controls/{number}/image"), &control.image);
            }
        }
        Some(Body::Comfyui(comfyui)) => in_graph(comfyui, &mut add),
        None => {}
    }
    found
}

fn in_graph(comfyui: &ComfyUiRequest, add: &mut impl FnMut(String, &str)) {
    let graph: Value = serde_json::from_str(&comfyui.graph).unwrap_or_default();
    for (id, node) in graph.as_object().into_iter().flatten() {
        let inputs = node.get("inputs").and_then(Value::as_object);
        for (input, value) in inputs.into_iter().flatten() {
            // what the graph of a workflow holds came from a parameter or from who made the workflow
            let pointer = if comfyui.workflow.is_empty() {
                format!("/comfyui/graph/{}/inputs/{}", escaped(id), escaped(input))
            } else {
                "/comfyui/parameters".to_owned()
            };
            if let Some(text) = value.as_str() {
                add(pointer, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::v1::{ControlNet, SketchRequest};

    fn reference(digit: char) -> String {
        format!("asset:{}", digit.to_string().repeat(64))
    }

    fn pointers(body: Body) -> Vec<String> {
        let request = JobRequest {
            body: Some(body),
            ..JobRequest::default()
        };
        assets(&request).into_iter().map(|(pointer, _)| pointer).collect()
    }

    #[test]
    fn every_place_of_a_reference_is_told() {
        let sketch = SketchRequest {
            palette: reference('1'),
            ..SketchRequest::default()
        };
        assert_eq!(pointers(Body::Sketch(sketch)), ["/sketch/palette"]);
        let control = ControlNet {
            image: reference('3'),
            ..ControlNet::default()
        };
        let template = ComfyUiRequest {
            image: reference('1'),
            mask: "no reference".to_owned(),
            controls: vec![ControlNet::default(), control],
            ..ComfyUiRequest::default()
        };
        assert_eq!(
            pointers(Body::Comfyui(template)),
            ["/comfyui/image", "/comfyui/controls/1/image"]
        );
        let graph = json!({"a/b": {"class_type": "LoadImage", "inputs": {"image": reference('1'), "n": 1}}});
        let own = ComfyUiRequest {
            graph: graph.to_string(),
            ..ComfyUiRequest::default()
        };
        assert_eq!(
            pointers(Body::Comfyui(own.clone())),
            ["/comfyui/graph/a~1b/inputs/image"]
        );
        let workflow = ComfyUiRequest {
            workflow: "mine".to_owned(),
            ..own
        };
        assert_eq!(pointers(Body::Comfyui(workflow)), ["/comfyui/parameters"]);
    }
}
